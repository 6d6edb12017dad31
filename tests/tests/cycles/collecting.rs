//! Collecting from inside of a cycle: an error.

use super::*;

#[task_fn(transient, cycle_initial = 0)]
fn gathers(x: &Input<u32>) -> u32 {
    let told = if x.get() == 0 { 0 } else { tells::collect::<u32>(x).len() as u32 };
    (tells(x) + told).min(3)
}

#[task_fn(transient)]
fn tells(x: &Input<u32>) -> u32 {
    emit(1_u32);
    gathers(x) + 1
}

/// It was a panic of the body that collected, in the words of an assertion.
#[test]
fn collecting_from_a_task_of_the_same_cycle_is_an_error_of_all_its_tasks() {
    for first in [0, 1] {
        let runtime = Runtime::new();
        let x = runtime.input("x", 1);
        let ask = |which| if which == 0 { gathers(&x) } else { tells(&x) };
        for which in [first, 1 - first, first] {
            let Err(TaskError::Cycle(cycle)) = runtime.try_run(|| ask(which)) else {
                panic!("it has a value")
            };
            assert!(cycle.path.iter().any(|task| task.starts_with("tells")), "{cycle}");
        }
        runtime.update(|update| update.set(&x, 0)).unwrap();
        assert_eq!(runtime.run(|| (ask(first), ask(0), ask(1))).1, 3);
        assert_eq!(runtime.run(|| tells::collect::<u32>(&x)), [1], "from outside");
    }
}

#[task_fn(transient, cycle_initial = 0)]
fn gathers_only(n: u32) -> u32 {
    told_by::collect::<u32>(n).into_iter().sum::<u32>().min(3)
}

#[task_fn(transient)]
fn told_by(n: u32) -> u32 {
    emit(n);
    gathers_only(n)
}

#[task_fn(transient, cycle_initial = 0)]
fn gathers_own(n: u32) -> u32 {
    gathers_own::task(n).take::<u32>().len() as u32
}

#[task_fn(transient, cycle_fallback = 5)]
fn falls_back(n: u32) -> u32 {
    falls_back::collect::<u32>(n).len() as u32
}

#[test]
fn a_cycle_that_is_closed_by_collecting_is_an_error() {
    let asks: [fn(u32) -> u32; 4] = [gathers_only, told_by, gathers_own, falls_back];
    for ask in asks {
        let answer = Runtime::new().try_run(|| ask(1));
        assert!(matches!(answer, Err(TaskError::Cycle(_))), "{answer:?}");
    }
}

#[task_fn(transient, cycle_initial = 0)]
fn copes(n: u32) -> u32 {
    let told = catch_unwind(AssertUnwindSafe(|| copes::collect::<u32>(n).len()));
    told.map_or(7, |_| 8)
}

#[task_fn(transient)]
fn copes_outside(n: u32) -> u32 {
    copes::task(n).try_get().unwrap_or(9)
}

/// A body that catches the error has no value all the same, and a reader from outside may cope.
#[test]
fn what_a_body_makes_of_the_error_counts_for_nothing() {
    let runtime = Runtime::new();
    assert!(matches!(runtime.try_run(|| copes(0)), Err(TaskError::Cycle(_))));
    assert_eq!(runtime.run(|| copes_outside(0)), 9);
}
