//! The oracle: whatever is done to a program, each answer is what evaluating everything from scratch gives; no body runs
//! without a reason; none runs twice.
//!
//! `LARDER_ROUNDS=n` runs n times as many cases; `LARDER_SEED=n` starts from another seed, `clock` from the time; `LARDER_SHRINK=0` shows the first case
//! that fails as it is, at once. `LARDER_CASE=g.n` runs this case alone, and `LARDER_REPEAT=n` each case n times: for what does not fail each time.

mod asking;
mod steps;

use std::cell::{Cell, RefCell};

use larder_tests::generate::{
    Cycles, End, Flavour, Step, program, steps, steps_back_and_forth, steps_over_a_store, steps_with_futures,
};
use larder_tests::naive::Naive;
use larder_tests::program::{FILES, Kind, Program};
use larder_tests::settled::States;
use larder_tests::traces::Traces;
use larder_tests::world::{Registered, World};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use self::steps::{State, take};

fn run(program: Program, steps: &[Step]) -> Result<(), TestCaseError> {
    go_through(World::start(program), steps)
}

fn run_stored(program: Program, steps: &[Step]) -> Result<(), TestCaseError> {
    go_through(World::start_stored(program), steps)
}

fn restart(
    world: Registered,
    state: &mut State,
    end: End,
    writes: &[(u16, i64)],
    sets: &[(u16, Option<i64>)],
) -> Registered {
    let sets = world.sets(sets);
    state.set(&sets);
    state.traces.restarted(end);
    // The next process makes all inputs, and removes these.
    state.note_removals(&sets);
    state.states.restarted(end);
    let (inputs, outside) = (state.inputs.clone(), state.outside);
    World::restart(world, end, &inputs, outside, |world| {
        for (number, value) in writes {
            let number = usize::from(*number) % FILES;
            world.write_file(number, *value);
            state.files[number] = *value;
        }
    })
}

fn go_through(mut world: Registered, steps: &[Step]) -> Result<(), TestCaseError> {
    let inputs = world.program.inputs.iter().copied().map(Some).collect();
    let mut state = State {
        inputs,
        outside: [0; 2],
        files: [0; FILES],
        traces: Traces::default(),
        states: States::default(),
    };
    for (number, step) in steps.iter().enumerate() {
        if let Step::Restart(end, writes, sets) = step {
            world = restart(world, &mut state, *end, writes, sets);
            continue;
        }
        take(&world, &mut state, step)
            .map_err(|error| TestCaseError::fail(format!("at step {number}: {error}")))?;
    }
    Ok(())
}

fn number(variable: &str) -> Option<u32> {
    std::env::var(variable).ok()?.parse().ok()
}

fn check(cases: u32, cycles: Cycles, threads: usize, cancel: bool) {
    let catching = cycles == Cycles::No || threads == 1;
    let strategy = (program(Flavour { cycles, catching, concurrent: false }), steps(threads, cancel));
    check_by(cases, strategy, run);
}

fn check_stored(cases: u32, cycles: Cycles, threads: usize) {
    let catching = cycles == Cycles::No || threads == 1;
    let strategy = (program(Flavour { cycles, catching, concurrent: false }), steps_over_a_store(threads));
    check_by(cases, strategy, run_stored);
}

/// Programs with async nodes and scopes.
fn check_concurrent(cases: u32, cycles: Cycles, threads: usize) {
    let flavour = Flavour { cycles, catching: cycles == Cycles::No, concurrent: true };
    check_by(cases, (program(flavour), steps_with_futures(threads)), run);
}

fn check_by(
    cases: u32,
    strategy: impl Strategy<Value = (Program, Vec<Step>)>,
    run: fn(Program, &[Step]) -> Result<(), TestCaseError>,
) {
    let searches = std::env::var("LARDER_SEED").is_ok_and(|seed| seed == "clock");
    let clock = || std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.subsec_nanos());
    let seed = if searches { clock() } else { number("LARDER_SEED").unwrap_or(1) };
    let config = Config {
        cases: cases * number("LARDER_ROUNDS").unwrap_or(1),
        max_shrink_iters: number("LARDER_SHRINK").unwrap_or(100_000),
        max_shrink_time: 60_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed.into()),
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let group = CHECKS.replace(CHECKS.get() + 1);
    let only = std::env::var("LARDER_CASE").ok();
    let count = Cell::new(0);
    let failed = RefCell::new(None);
    let outcome = runner.run(&strategy, |(program, steps)| {
        let case = format!("{group}.{}", count.replace(count.get() + 1));
        // After a failure, proptest makes the same case smaller.
        let is_skipped = only.as_ref().is_some_and(|only| *only != case) && failed.borrow().is_none();
        for _ in 0..if is_skipped { 0 } else { number("LARDER_REPEAT").unwrap_or(1) } {
            run(program.clone(), &steps)
                .inspect_err(|_| _ = failed.borrow_mut().get_or_insert(case.clone()))?;
        }
        Ok(())
    });
    if let Err(error) = outcome {
        let case = failed.take().unwrap_or_default();
        panic!("LARDER_SEED={seed} LARDER_CASE={case}: {error}");
    }
}

thread_local! {
    /// How often the test of this thread has called [`check_by`].
    static CHECKS: Cell<u32> = const { Cell::new(0) };
}

#[test]
fn one_thread_agrees_with_evaluation_from_scratch() {
    check(600, Cycles::No, 1, false);
}

#[test]
fn several_threads_agree_with_evaluation_from_scratch() {
    check(300, Cycles::No, 3, false);
}

#[test]
fn cancelled_sessions_leave_nothing_wrong_behind() {
    check(150, Cycles::No, 1, true);
}

#[test]
fn tasks_on_a_cycle_fail_and_others_do_not() {
    check(400, Cycles::Failing, 1, false);
}

#[test]
fn cycles_across_threads_fail_like_those_within_one() {
    check(200, Cycles::Failing, 3, true);
}

#[test]
fn over_a_store_restarts_and_crashes_change_no_answer() {
    check_stored(300, Cycles::No, 1);
}

#[test]
fn over_a_store_several_threads_agree_with_evaluation_from_scratch() {
    check_stored(100, Cycles::No, 3);
}

#[test]
fn over_a_store_tasks_on_a_cycle_fail_and_others_do_not() {
    check_stored(100, Cycles::Failing, 1);
}

#[test]
fn cycles_come_to_the_fixpoint_of_evaluation_from_scratch() {
    check(600, Cycles::Fixpoints, 1, false);
}

/// The definition by itself, without the engine.
#[test]
fn who_lies_on_a_cycle_does_not_depend_on_where_it_is_entered() {
    let strategy = program(Flavour { cycles: Cycles::Failing, catching: true, concurrent: false });
    let inputs = proptest::collection::vec(0..3i64, 16);
    check_by(
        1000,
        (strategy, inputs).prop_map(|(program, inputs)| (Program { inputs, ..program }, Vec::new())),
        |program, _| {
            let inputs: Vec<_> = program.inputs.iter().copied().map(Some).collect();
            let from = |roots: &[usize]| {
                let mut naive = Naive::new(&program, &inputs, &[0, 0], &[0; FILES]);
                roots.iter().map(|id| naive.value(*id).ok()).collect::<Vec<_>>()
            };
            for asked in 0..program.nodes.len() {
                let alone = from(&[asked]);
                for first in 0..program.nodes.len() {
                    prop_assert_eq!(&from(&[first, asked])[1..], &alone[..], "n{} first", first);
                }
            }
            Ok(())
        },
    );
}

/// The definition by itself, without the engine.
#[test]
fn what_a_cycle_comes_to_does_not_depend_on_where_it_is_entered() {
    let strategy = program(Flavour { cycles: Cycles::Fixpoints, catching: false, concurrent: false });
    check_by(1000, strategy.prop_map(|program| (program, Vec::new())), |program, _| {
        let inputs: Vec<_> = program.inputs.iter().copied().map(Some).collect();
        let count = program.nodes.len();
        let values = |order: &mut dyn Iterator<Item = usize>| {
            let mut naive = Naive::new(&program, &inputs, &[1, 2], &[0, 1, 2]);
            let mut values: Vec<_> = order.map(|id| (id, naive.value(id).ok())).collect();
            values.sort_unstable();
            values
        };
        let expected = values(&mut (0..count));
        prop_assert_eq!(&values(&mut (0..count).rev()), &expected);
        for first in 0..count {
            prop_assert_eq!(&values(&mut (first..count).chain(0..first)), &expected);
        }
        Ok(())
    });
}

#[test]
fn cycles_entered_by_several_threads_come_to_the_same_fixpoint() {
    check(300, Cycles::Fixpoints, 3, true);
}

#[test]
fn over_a_store_cycles_come_to_the_fixpoint_of_evaluation_from_scratch() {
    check_stored(100, Cycles::Fixpoints, 1);
}

/// Programs all of whose tasks are stored, over two inputs. All with a value of round 0 are of one kind, if there is one here.
fn stored_cycles(kind: Option<Kind>) -> impl Strategy<Value = Program> {
    let flavour = Flavour { cycles: Cycles::Fixpoints, catching: false, concurrent: false };
    program(flavour).prop_map(move |mut program| {
        program.inputs = vec![program.inputs[0] % 2, 1];
        for node in &mut program.nodes {
            match node.kind {
                Kind::Transient | Kind::Volatile | Kind::NoEq => node.kind = Kind::Fixpoint,
                Kind::Fixpoint | Kind::Stepped => node.kind = kind.unwrap_or(node.kind),
                _ => {}
            }
        }
        program
    })
}

#[test]
fn over_a_store_no_body_of_a_cycle_runs_when_all_is_as_it_was_once() {
    check_by(150, (stored_cycles(None), steps_back_and_forth()), run_stored);
    check_by(150, (stored_cycles(Some(Kind::Fallback)), steps_back_and_forth()), run_stored);
    check_by(50, (stored_cycles(Some(Kind::Stepped)), steps_back_and_forth()), run_stored);
}

#[test]
fn over_a_store_cycles_entered_by_several_threads_come_to_the_same_fixpoint() {
    check_stored(100, Cycles::Fixpoints, 3);
}

#[test]
fn async_functions_and_scopes_agree_with_evaluation_from_scratch() {
    check_concurrent(200, Cycles::No, 1);
}

#[test]
fn async_functions_and_scopes_on_several_threads_agree_with_evaluation_from_scratch() {
    check_concurrent(150, Cycles::No, 3);
}

#[test]
fn cycles_through_async_functions_and_scopes_fail_and_others_do_not() {
    check_concurrent(150, Cycles::Failing, 3);
}

/// Programs under caps on memory: nothing, a quarter and a half of about what they need.
fn capped(flavour: Flavour) -> impl Strategy<Value = Program> {
    let share = prop_oneof![Just(0), Just(1), Just(2)];
    (program(flavour), share).prop_map(|(program, share)| {
        let needed = program.nodes.len() * 250;
        Program { cap: Some(needed * share / 4), ..program }
    })
}

#[test]
fn a_cap_on_memory_changes_no_answer() {
    let flavour = Flavour { cycles: Cycles::No, catching: true, concurrent: false };
    check_by(400, (capped(flavour), steps(1, false)), run);
    check_by(150, (capped(flavour), steps(3, false)), run);
    check_by(100, (capped(flavour), steps(1, true)), run);
}

#[test]
fn a_cap_on_memory_changes_no_answer_on_cycles() {
    let failing = Flavour { cycles: Cycles::Failing, catching: true, concurrent: false };
    check_by(200, (capped(failing), steps(1, false)), run);
    check_by(100, (capped(Flavour { catching: false, ..failing }), steps(3, true)), run);
    let fixpoints = Flavour { cycles: Cycles::Fixpoints, catching: false, concurrent: false };
    check_by(200, (capped(fixpoints), steps(1, false)), run);
}

#[test]
fn a_cap_on_memory_changes_no_answer_of_async_functions_and_scopes() {
    let flavour = Flavour { cycles: Cycles::No, catching: true, concurrent: true };
    check_by(150, (capped(flavour), steps_with_futures(3)), run);
}

#[test]
fn over_a_store_a_cap_on_memory_changes_no_answer() {
    let flavour = Flavour { cycles: Cycles::No, catching: true, concurrent: false };
    check_by(200, (capped(flavour), steps_over_a_store(1)), run_stored);
    check_by(100, (capped(flavour), steps_over_a_store(3)), run_stored);
    let failing = Flavour { cycles: Cycles::Failing, ..flavour };
    check_by(100, (capped(failing), steps_over_a_store(1)), run_stored);
    let fixpoints = Flavour { cycles: Cycles::Fixpoints, catching: false, concurrent: false };
    check_by(100, (capped(fixpoints), steps_over_a_store(1)), run_stored);
}
