//! The oracle: whatever is done to a program, each answer is what evaluating everything from scratch gives; no body runs
//! without a reason; none runs twice.
//!
//! `LARDER_ROUNDS=n` runs n times as many cases; `LARDER_SEED=n` starts from another seed.

use larder::TaskError;
use larder_tests::generate::{Step, program, steps};
use larder_tests::naive::Naive;
use larder_tests::program::{Failure, Program};
use larder_tests::world::World;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// The state of the inputs and of what is outside, beside the runtime.
struct State {
    inputs: Vec<Option<i64>>,
    outside: [i64; 2],
}

impl State {
    fn set(&mut self, sets: &[(usize, Option<i64>)]) {
        for (number, value) in sets {
            self.inputs[*number] = *value;
        }
    }
}

fn agrees(world: &World, got: &Result<i64, TaskError>, wanted: Result<i64, Failure>) -> bool {
    match (got, wanted) {
        (Ok(got), Ok(wanted)) => *got == wanted,
        (Err(TaskError::Cycle(_)), Err(_)) | (Err(_), Err(Failure::Cycle)) => world.program.cyclic,
        (Err(TaskError::Panicked { task, message }), Err(Failure::Removed)) => {
            task.starts_with("input(") && message == "the input has been removed"
        }
        (Err(TaskError::Panicked { message, .. }), Err(failure @ Failure::Boom(_))) => {
            *message == format!("{failure:?}") || world.program.cyclic
        }
        _ => false,
    }
}

fn ask(world: &World, state: &State, threads: &[Vec<u16>]) -> Result<(), String> {
    let answers: Vec<Vec<(usize, Result<i64, TaskError>)>> = std::thread::scope(|scope| {
        let ask_all = |roots: &[usize]| {
            let answers = world.runtime.try_run(|| roots.iter().map(|root| (*root, world.ask(*root))).collect());
            answers.expect("every answer is caught")
        };
        let threads = threads.iter().map(|roots| world.roots(roots));
        let threads: Vec<_> = threads.map(|roots| scope.spawn(move || ask_all(&roots))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a session is no panic")).collect()
    });
    let mut naive = Naive::new(&world.program, &state.inputs, &state.outside);
    for (root, got) in answers.into_iter().flatten() {
        let wanted = naive.value(root);
        if !agrees(world, &got, wanted) {
            return Err(format!("n{root} is {got:?}, and from scratch {wanted:?}"));
        }
    }
    Ok(())
}

fn ask_emitted(world: &World, state: &State, roots: &[u16]) -> Result<(), String> {
    let mut naive = Naive::new(&world.program, &state.inputs, &state.outside);
    for root in world.roots(roots) {
        let got = world.runtime.try_run(|| world.ask_emitted(root)).expect("every answer is caught");
        let wanted = naive.collected(root);
        if got.as_ref().ok() != wanted.as_ref().ok() {
            return Err(format!("n{root} emitted {got:?}, and from scratch {wanted:?}"));
        }
    }
    Ok(())
}

fn cancel(world: &World, state: &State, roots: &[u16], bodies: u32, change: impl FnOnce()) -> Result<(), String> {
    world.set_fuse(bodies);
    let answers: Vec<(usize, Result<i64, TaskError>)> = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let roots = world.roots(roots);
            let answers = world.runtime.try_run(|| roots.iter().map(|root| (*root, world.ask(*root))).collect());
            world.end_fuse();
            answers.expect("every answer is caught")
        });
        world.at_the_end_of_the_fuse(change);
        asking.join().expect("a session is no panic")
    });
    let mut naive = Naive::new(&world.program, &state.inputs, &state.outside);
    for (root, got) in answers {
        let wanted = naive.value(root);
        if !matches!(got, Err(TaskError::Cancelled)) && !agrees(world, &got, wanted) {
            return Err(format!("n{root} is {got:?} in a cancelled session, and from scratch {wanted:?}"));
        }
    }
    Ok(())
}

fn take(world: &World, state: &mut State, step: &Step) -> Result<(), String> {
    world.ledger().step();
    match step {
        Step::Ask(threads) => ask(world, state, threads)?,
        Step::AskEmitted(roots) => ask_emitted(world, state, roots)?,
        Step::Update(sets) => {
            let sets = world.sets(sets);
            world.update(&sets, &state.inputs, false);
            state.set(&sets);
        }
        Step::Outside(number, value) => {
            world.set_outside(*number, *value);
            state.outside[usize::from(*number)] = *value;
        }
        Step::Forget(nodes) => {
            let nodes = world.roots(nodes);
            world.runtime.run(|| nodes.iter().for_each(|node| world.forget(*node)));
        }
        Step::Cancel(roots, bodies, sets) => {
            let sets = world.sets(sets);
            cancel(world, state, roots, *bodies, || world.update(&sets, &state.inputs, true))?;
            state.set(&sets);
        }
    }
    match world.ledger().violations() {
        [] => Ok(()),
        violations => Err(violations.join("; ")),
    }
}

fn run(program: Program, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut state = State { inputs: program.inputs.iter().copied().map(Some).collect(), outside: [0; 2] };
    let world = World::start(program);
    for (number, step) in steps.iter().enumerate() {
        take(&world, &mut state, step).map_err(|error| TestCaseError::fail(format!("at step {number}: {error}")))?;
    }
    Ok(())
}

fn number(variable: &str) -> Option<u32> {
    std::env::var(variable).ok()?.parse().ok()
}

fn check(cases: u32, cyclic: bool, threads: usize, cancel: bool) {
    let clock = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.subsec_nanos());
    let seed = number("LARDER_SEED").unwrap_or(clock);
    let config = Config {
        cases: cases * number("LARDER_ROUNDS").unwrap_or(1),
        max_shrink_iters: 100_000,
        max_shrink_time: 60_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed.into()),
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let strategy = (program(cyclic), steps(threads, cancel));
    if let Err(error) = runner.run(&strategy, |(program, steps)| run(program, &steps)) {
        panic!("LARDER_SEED={seed}: {error}");
    }
}

#[test]
fn one_thread_agrees_with_evaluation_from_scratch() {
    check(600, false, 1, false);
}

#[test]
fn several_threads_agree_with_evaluation_from_scratch() {
    check(300, false, 3, false);
}

#[test]
fn cancelled_sessions_leave_nothing_wrong_behind() {
    check(150, false, 1, true);
}

#[test]
fn tasks_on_a_cycle_fail_and_others_do_not() {
    check(400, true, 1, false);
}

#[test]
fn cycles_across_threads_fail_like_those_within_one() {
    check(200, true, 3, true);
}
