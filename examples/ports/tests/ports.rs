//! The budget `ports`: each edit costs at most as many bodies here as in the program that the guide's was moved from.

use ports::{Step, steps};

#[test]
fn no_edit_costs_more_bodies_than_in_the_program_of_the_peer() {
    let steps = steps();
    for Step { program, peer, edit, here, there } in &steps {
        let counts = [here, there].map(|ran| format!("{} + {}", ran.bodies, ran.selections));
        println!("{program:<8} {edit:<40} {:>9} here, {:>9} in {peer}", counts[0], counts[1]);
    }
    let short: Vec<_> = steps.iter().filter(|step| !step.is_kept()).collect();
    assert!(short.is_empty(), "{short:#?}");
    // The counters count: each program runs something at first, on both sides.
    for program in ["calc", "world", "service"] {
        let first = steps.iter().find(|step| step.program == program).expect("each program has steps");
        assert!(first.here.bodies > 1 && first.there.bodies > 1, "{first:?}");
    }
}
