//! The oracle: whatever is done to a program, each answer is what evaluating everything from scratch gives; no body runs
//! without a reason; none runs twice.
//!
//! `LARDER_ROUNDS=n` runs n times as many cases; `LARDER_SEED=n` starts from another seed, `clock` from the time; `LARDER_SHRINK=0` shows the first case
//! that fails as it is, at once.

use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use larder::{CancelToken, TaskError};
use larder_tests::executor::block_on;
use larder_tests::generate::{
    Cycles, End, Executor, Flavour, Step, program, steps, steps_back_and_forth, steps_over_a_store,
    steps_with_futures,
};
use larder_tests::naive::Naive;
use larder_tests::program::{FILES, Failure, Key, Kind, Program};
use larder_tests::settled::States;
use larder_tests::traces::Traces;
use larder_tests::world::{Registered, World};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// The state of the inputs and of what is outside, beside the runtime.
struct State {
    inputs: Vec<Option<i64>>,
    outside: [i64; 2],
    files: [i64; FILES],
    traces: Traces,
    states: States,
}

impl State {
    fn note_changes(&mut self, sets: &[(usize, Option<i64>)]) {
        for (number, _) in sets.iter().filter(|(number, value)| self.inputs[*number] != *value) {
            self.traces.leaf_changed(*number);
        }
        self.note_removals(sets);
    }

    fn note_removals(&mut self, sets: &[(usize, Option<i64>)]) {
        for (number, _) in sets.iter().filter(|(_, value)| value.is_none()) {
            self.traces.input_removed(*number);
        }
    }

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
        // Of several failures on a cycle one is told.
        (Err(TaskError::NoFixpoint(_)), Err(_)) | (Err(_), Err(Failure::NoFixpoint)) => {
            world.program.has_fixpoints()
        }
        (Err(error), Err(_)) if world.program.has_fixpoints() => !matches!(error, TaskError::Cancelled),
        (Err(TaskError::Panicked { task, message, .. }), Err(Failure::Removed)) => {
            task.starts_with("input(") && message == "the input has been removed"
        }
        (Err(TaskError::Panicked { message, .. }), Err(failure @ Failure::Boom(_))) => {
            *message == format!("{failure:?}") || world.program.cyclic
        }
        _ => false,
    }
}

type Answers<T> = Vec<(usize, Result<T, TaskError>)>;

/// Asks for nodes in one session.
fn ask(world: &World, roots: &[u16]) -> Answers<i64> {
    let roots = world.roots(roots);
    let answers = world.runtime.try_run(|| roots.iter().map(|root| (*root, world.ask(*root))).collect());
    answers.expect("every answer is caught")
}

/// Asks for nodes in several sessions, each on a thread of its own.
fn ask_at_once(world: &World, threads: &[Vec<u16>]) -> Answers<i64> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = threads.iter().map(|roots| scope.spawn(move || ask(world, roots))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a session is no panic")).collect()
    })
}

fn ask_emitted(world: &World, roots: &[u16]) -> Answers<Vec<i64>> {
    let mut roots = world.roots(roots);
    roots.retain(|root| world.program.has_handles(*root));
    let answers =
        world.runtime.try_run(|| roots.iter().map(|root| (*root, world.ask_emitted(*root))).collect());
    answers.expect("every answer is caught")
}

/// Asks for nodes in a session that is cancelled after so many bodies.
fn ask_and_cancel(world: &World, roots: &[u16], bodies: u32, change: impl FnOnce()) -> Answers<i64> {
    world.set_fuse(bodies);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let answers = ask(world, roots);
            world.end_fuse();
            answers
        });
        world.at_the_end_of_the_fuse(change);
        asking.join().expect("a session is no panic")
    })
}

fn tokio() -> &'static tokio::runtime::Runtime {
    static TOKIO: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    TOKIO.get_or_init(|| {
        let builder = &mut tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).build().expect("threads can be had")
    })
}

/// Asks for nodes at once in one session; the answers are in the order in which they come.
async fn ask_by_futures(world: &World, roots: &[u16]) -> Answers<i64> {
    let asks = async {
        let ask = |root: usize| Box::pin(async move { (root, world.ask_async(root).await) });
        let mut asking: Vec<_> = world.roots(roots).into_iter().map(ask).collect();
        let mut answers = Vec::new();
        poll_fn(|context| {
            asking.retain_mut(|ask| match ask.as_mut().poll(context) {
                Poll::Ready(answer) => {
                    answers.push(answer);
                    false
                }
                Poll::Pending => true,
            });
            if asking.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        answers
    };
    world.runtime.try_run_async(asks).await.expect("every answer is caught")
}

fn ask_on(executor: Executor, world: &World, roots: &[u16]) -> Answers<i64> {
    match executor {
        Executor::Thread => block_on(ask_by_futures(world, roots)),
        Executor::Tokio => tokio().block_on(ask_by_futures(world, roots)),
        Executor::Smol => smol::block_on(ask_by_futures(world, roots)),
    }
}

/// Polls a session of futures so many times, and drops it if it has not ended then.
fn ask_and_drop(world: &World, roots: &[u16], polls: u32) -> Answers<i64> {
    let mut asks = pin!(ask_by_futures(world, roots));
    for _ in 0..polls {
        if let Poll::Ready(answers) = asks.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return answers;
        }
    }
    Vec::new()
}

/// Asks for nodes in a session with a token, which is cancelled after so many bodies.
fn ask_with_token(world: &World, roots: &[u16], bodies: u32) -> Answers<i64> {
    let token = CancelToken::new();
    world.set_fuse(bodies);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let answers = world.runtime.session().token(&token).try_run(|| ask(world, roots));
            world.end_fuse();
            answers.unwrap_or_default()
        });
        world.at_the_end_of_the_fuse(|| token.cancel());
        asking.join().expect("a session is no panic")
    })
}

fn compare(
    world: &World,
    naive: &mut Naive<'_>,
    answers: Answers<i64>,
    cancelled: bool,
) -> Result<(), String> {
    for (root, got) in answers {
        let wanted = naive.value(root);
        if !(agrees(world, &got, wanted) || cancelled && matches!(got, Err(TaskError::Cancelled))) {
            return Err(format!("n{root} is {got:?}, and from scratch {wanted:?}"));
        }
    }
    Ok(())
}

fn take(world: &World, state: &mut State, step: &Step) -> Result<(), String> {
    let (inputs, outside) = (state.inputs.clone(), state.outside);
    let files = state.files;
    let mut naive = Naive::new(&world.program, &inputs, &outside, &files);
    let sessions = if let Step::Ask(threads) = step { threads.len() } else { 1 };
    world.ledger().step(sessions);
    match step {
        Step::Ask(threads) => {
            compare(world, &mut naive, ask_at_once(world, threads), false)?;
            // A session of its own runs volatile tasks again, so one thread's questions are explained.
            if let [roots] = &threads[..] {
                world.roots(roots).into_iter().try_for_each(|root| world.check_explanation(root))?;
            }
        }
        Step::AskEmitted(_) if world.program.has_fixpoints() => {}
        Step::AskEmitted(roots) => {
            for (root, got) in ask_emitted(world, roots) {
                let wanted = naive.collected(root);
                if got.as_ref().ok() != wanted.as_ref().ok() {
                    return Err(format!("n{root} emitted {got:?}, and from scratch {wanted:?}"));
                }
            }
        }
        Step::AskOn(executor, roots) => {
            compare(world, &mut naive, ask_on(*executor, world, roots), false)?;
        }
        Step::Drop(roots, polls) => {
            compare(world, &mut naive, ask_and_drop(world, roots, *polls), false)?;
            // Bodies that may have been begun.
            for root in world.roots(roots) {
                let _ = naive.value(root);
            }
        }
        Step::Token(roots, bodies) => {
            compare(world, &mut naive, ask_with_token(world, roots, *bodies), true)?;
            for root in world.roots(roots) {
                let _ = naive.value(root);
            }
        }
        Step::Update(sets) => {
            let sets = world.sets(sets);
            world.update(&sets, &state.inputs, false);
            state.note_changes(&sets);
            state.set(&sets);
        }
        Step::Again(number, value) => {
            let number = usize::from(*number) % state.inputs.len();
            world.make_again(number, *value, state.inputs[number].is_none());
            state.inputs[number] = Some(*value);
            // Also if it is as before: readers may have gone, and what was stored of them.
            state.traces.leaf_changed(number);
            state.traces.input_removed(number);
        }
        Step::Outside(number, value) => {
            world.set_outside(*number, *value);
            state.outside[usize::from(*number)] = *value;
        }
        Step::Write(number, value) => {
            let number = usize::from(*number) % FILES;
            world.write_and_refresh(number, *value, state.files[number]);
            if *value != state.files[number] {
                state.traces.leaf_changed(state.inputs.len() + number);
            }
            state.files[number] = *value;
        }
        Step::Flush => {
            world.runtime.flush().expect("nothing is wrong with the store");
            state.traces.flushed();
        }
        Step::Restart(..) => unreachable!("taken by `run`"),
        Step::Forget(nodes) => {
            let nodes = world.roots(nodes);
            let forget = |node: &usize| {
                if world.forget(*node) {
                    state.traces.forgotten(Key::Node(*node));
                }
            };
            world.runtime.run(|| nodes.iter().for_each(forget));
        }
        Step::Invalidate(nodes, by_call) => {
            let nodes = world.roots(nodes);
            world.invalidate(&nodes, *by_call);
            nodes.iter().for_each(|node| state.traces.forgotten(Key::Node(*node)));
        }
        Step::Cancel(roots, bodies, sets) => {
            let sets = world.sets(sets);
            let change = || world.update(&sets, &state.inputs, true);
            compare(world, &mut naive, ask_and_cancel(world, roots, *bodies, change), true)?;
            state.set(&sets);
            state.note_removals(&sets);
        }
    }
    if world.is_stored() && !world.program.has_fixpoints() && world.program.cap.is_none() {
        let ran = world.ledger().ran();
        state.traces.settle(&world.program, &naive.evaluated(), &ran)?;
        if let Step::Cancel(_, _, sets) = step {
            // Some may have run before the input was removed.
            state.note_removals(&world.sets(sets));
        }
    }
    if world.is_stored() && world.program.has_fixpoints() && world.program.cap.is_none() {
        settle_states(world, state, step)?;
    }
    world.ledger().on_cycles(naive.members());
    let is_untold = |key: &Key| matches!(world.program.kind(*key), Some(Kind::Stepped | Kind::Fallback));
    world.ledger().untold(naive.members().into_iter().filter(is_untold));
    // A task that has left a cycle has run on it, and has no value unless it is asked for.
    let left: HashSet<Key> =
        naive.members().into_iter().filter(|key| naive.outcome(*key).is_none()).collect();
    let outcome = |key| naive.outcome(key).or_else(|| left.contains(&key).then_some(false));
    let settled = world.ledger().settle(outcome);
    // Threads that meet on a cycle give up what they have begun, and one of them begins again. Which other bodies of a cycle have run when
    // one of its bodies fails depends on where it was entered.
    let several = sessions > 1 || matches!(step, Step::Cancel(..));
    let half_way = naive.members().into_iter().any(|key| naive.outcome(key) == Some(false));
    let is_settled = world.is_stored() || world.program.has_fixpoints() && (several || half_way);
    if is_settled { Ok(()) } else { settled }
}

/// Over a store, no body runs for what was asked for in this state of the world before.
fn settle_states(world: &World, state: &mut State, step: &Step) -> Result<(), String> {
    let threads = match step {
        Step::Ask(threads) => threads,
        Step::Flush => {
            state.states.flushed();
            return Ok(());
        }
        Step::Update(sets) if sets.iter().all(|(_, value)| value.is_some()) => return Ok(()),
        Step::Outside(..) | Step::Write(..) => return Ok(()),
        _ => {
            state.states.forget();
            return Ok(());
        }
    };
    let roots: Vec<usize> = threads.iter().flat_map(|roots| world.roots(roots)).collect();
    let now = (state.inputs.clone(), state.files);
    let (is_settled, ran) = (state.states.ask(&now, &roots), world.ledger().ran());
    // Of several threads one does not wait for what the other verifies.
    if is_settled && threads.len() == 1 && !ran.is_empty() {
        return Err(format!("{ran:?} run though {roots:?} were asked for in this state before"));
    }
    let mut all = Naive::new(&world.program, &state.inputs, &state.outside, &state.files);
    if roots.iter().any(|root| all.value(*root).is_err()) {
        // A task that has failed runs again, whatever it would read.
        state.states.forget();
        return Ok(());
    }
    for root in roots {
        let mut alone = Naive::new(&world.program, &state.inputs, &state.outside, &state.files);
        let _ = alone.value(root);
        if alone.is_all_stored() {
            state.states.has_come(root);
        }
    }
    Ok(())
}

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
    if let Err(error) = runner.run(&strategy, |(program, steps)| run(program, &steps)) {
        panic!("LARDER_SEED={seed}: {error}");
    }
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
