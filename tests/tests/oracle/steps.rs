//! A step is taken, and compared with evaluation from scratch and with the bodies that may run.

use std::collections::HashSet;

use larder::TaskError;
use larder_tests::generate::Step;
use larder_tests::naive::Naive;
use larder_tests::program::{FILES, Failure, Key, Kind};
use larder_tests::settled::States;
use larder_tests::traces::Traces;
use larder_tests::world::World;

use super::asking::{
    Answers, ask_and_cancel, ask_and_drop, ask_at_once, ask_emitted, ask_on, ask_with_token,
};

/// The state of the inputs and of what is outside, beside the runtime.
pub(super) struct State {
    pub(super) inputs: Vec<Option<i64>>,
    pub(super) outside: [i64; 2],
    pub(super) files: [i64; FILES],
    pub(super) traces: Traces,
    pub(super) states: States,
}

impl State {
    pub(super) fn note_changes(&mut self, sets: &[(usize, Option<i64>)]) {
        for (number, _) in sets.iter().filter(|(number, value)| self.inputs[*number] != *value) {
            self.traces.leaf_changed(*number);
        }
        self.note_removals(sets);
    }

    pub(super) fn note_removals(&mut self, sets: &[(usize, Option<i64>)]) {
        for (number, _) in sets.iter().filter(|(_, value)| value.is_none()) {
            self.traces.input_removed(*number);
        }
    }

    pub(super) fn set(&mut self, sets: &[(usize, Option<i64>)]) {
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

/// Takes a step, and compares what comes of it.
pub(super) fn take(world: &World, state: &mut State, step: &Step) -> Result<(), String> {
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
