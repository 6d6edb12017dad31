//! Execute: run the body of a claimed node, or beside a node. The outcome of a run is put in place by [`complete`].

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::base::stack::on_enough_stack;
use crate::context::local::Local;
use crate::context::strand::Gathered;
use crate::evaluate::complete::{Completed, complete, fail, unfinished};
use crate::evaluate::cycle;
use crate::evaluate::observed::{Begun, Unwatched, Watched, Why, is_observed};
use crate::evaluate::timer::Timer;
use crate::graph::edges::Edge;
use crate::graph::node::NodeRef;
use crate::graph::stop::Stop;
use crate::graph::task_fn::Ran;

/// Runs the body of `node`, which this strand has claimed as its innermost claim, and publishes the outcome.
///
/// # Errors
/// The reason, if the body (or the comparison of its output) panicked; the node is EMPTY then.
#[inline(never)]
pub(crate) fn execute(local: &Local, node: NodeRef) -> Result<(), Stop> {
    execute_in_place(local, node)
}

/// [`execute`], compiled into its caller: the one from which bodies nest.
#[inline(always)]
pub(crate) fn execute_in_place(local: &Local, node: NodeRef) -> Result<(), Stop> {
    if is_observed(local) {
        return execute_observed(local, node, &Why::Flags);
    }
    execute_watched(local, node, Unwatched)
}

/// Runs the body of a node as [`execute`] does, which its visit has found to be unobserved.
#[inline(never)]
pub(crate) fn execute_unobserved(local: &Local, node: NodeRef) -> Result<(), Stop> {
    execute_watched(local, node, Unwatched)
}

/// Runs the body of a node as [`execute`] does, observed; `why` is what its visit knows.
#[cold]
#[inline(never)]
pub(crate) fn execute_observed(local: &Local, node: NodeRef, why: &Why) -> Result<(), Stop> {
    execute_watched(local, node, &Begun::entered(local, node, why))
}

#[inline(always)]
fn execute_watched(local: &Local, node: NodeRef, watched: impl Watched) -> Result<(), Stop> {
    let timer = Timer::start(local, node);
    // SAFETY: the claim is held.
    let before = unsafe { node.deps() }.as_slice();
    let frame = local.begin_frame(before, true);
    let outcome = run_body(local, node, watched);
    local.end_frame(frame);
    timer.stop(local, node);
    match outcome {
        Ok(()) => Ok(()),
        Err(payload) => cycle::after_run(local, node, payload),
    }
}

/// A run of a body, with all that its end needs.
struct Run<'a, W> {
    local: &'a Local,
    node: NodeRef,
    watched: W,
    completed: Option<Completed>,
}

impl<W: Watched> Run<'_, W> {
    fn complete(&mut self, ran: Ran) {
        self.completed = Some(complete(self.local, self.node, ran, self.watched));
    }
}

#[inline(always)]
fn run_body(local: &Local, node: NodeRef, watched: impl Watched) -> Result<(), Stop> {
    let mut run = Run { local, node, watched, completed: None };
    // One pointer is all that the closures hold: bodies nest above them.
    let running = &mut run;
    let outcome = on_enough_stack(move || {
        catch_unwind(AssertUnwindSafe(move || {
            let node = running.node;
            // SAFETY: the claim is held; leaves are never claimed.
            unsafe { node.task_fn.run(node, &mut move |ran| running.complete(ran)) };
        }))
    });
    let completed = run.completed;
    match outcome {
        _ if completed == Some(Completed::Parked) => Err(Stop::Parked),
        Err(payload) if completed.is_none() => {
            Err(failed(local, node, Stop::caught(payload), watched.begun()))
        }
        outcome => outcome.map_err(Stop::caught),
    }
}

/// The body has panicked, or what completes its run has. Returns why.
#[cold]
#[inline(never)]
fn failed(local: &Local, node: NodeRef, stop: Stop, begun: Option<&Begun>) -> Stop {
    let (mut stop, unseen) = cause(local, stop);
    fail(local, node, &mut stop, begun);
    drop(unseen);
    stop
}

/// Why the innermost claimed node fails whose body has panicked, and the panic that is hidden then: whatever the body made
/// of a cycle or a cancellation that it met, that is why it failed.
#[cold]
pub(crate) fn cause(local: &Local, stop: Stop) -> (Stop, Option<Stop>) {
    // Work that still runs can add nothing any more; the task has failed already.
    local.settle_carried();
    match local.poison_of_innermost() {
        Some(cause) => (cause, Some(stop)),
        None => (stop, None),
    }
}

/// Runs the body of a node whose value stays as it is, in the frame that the caller has begun.
///
/// # Errors
/// The panic of the body.
#[cold]
pub(crate) fn rehearse(local: &Local, node: NodeRef) -> Result<(), Stop> {
    let begun = Begun::if_observed(local, node, &Why::Lost);
    let timer = Timer::start(local, node);
    // SAFETY: 1. the node lives as long as the session; 2. only its key is touched, which never changes.
    let run = || catch_unwind(AssertUnwindSafe(|| unsafe { node.task_fn.run_into_twin(node) }));
    let outcome = on_enough_stack(run).map(|twin| local.engine().keep_twin(twin)).map_err(Stop::caught);
    timer.stop(local, node);
    local.counters.of(node.function).beside.add(1);
    if let Some(begun) = begun {
        begun.ended_beside(local, node, outcome.as_ref().err());
    }
    outcome
}

/// Runs the body of a node beside the node, in a frame of its own, and returns a twin that holds the value, with what the body has
/// read and emitted. The twin belongs to the caller. It is no claim, but on the path of a cycle all the same.
///
/// # Errors
/// Why there is no value, whatever the body has returned.
pub(crate) fn run_beside(
    local: &Local,
    node: NodeRef,
    predicted: &[Edge],
    why: &Why,
) -> (Result<NodeRef, Stop>, Gathered) {
    // SAFETY: 1. the node lives as long as the session; 2. only its key is touched, which never changes.
    let run = || unsafe { node.task_fn.run_into_twin(node) };
    let (outcome, gathered) = run_beside_by(local, node, predicted, why, run);
    local.counters.of(node.function).beside.add(1);
    (outcome, gathered)
}

/// The same; `run` calls the body, and may do more with the value, as a part of the run. The caller counts the run.
///
/// # Errors
/// Fails as [`run_beside`] does.
pub(crate) fn run_beside_by(
    local: &Local,
    node: NodeRef,
    predicted: &[Edge],
    why: &Why,
    run: impl FnOnce() -> NodeRef,
) -> (Result<NodeRef, Stop>, Gathered) {
    let begun = Begun::if_observed(local, node, why);
    let timer = Timer::start(local, node);
    let (outcome, gathered) = gather_beside(local, node, predicted, run);
    timer.stop(local, node);
    if let Some(begun) = begun {
        begun.ended_beside(local, node, outcome.as_ref().err());
    }
    (outcome, gathered)
}

/// Runs code of the user's that makes a twin of a node, as a part of the node's task, and is no run of its body.
///
/// # Errors
/// Fails as [`run_beside`] does.
pub(crate) fn gather_beside(
    local: &Local,
    node: NodeRef,
    predicted: &[Edge],
    make: impl FnOnce() -> NodeRef,
) -> (Result<NodeRef, Stop>, Gathered) {
    local.claimed.borrow_mut().push(node);
    let frame = local.begin_frame(predicted, true);
    let outcome = on_enough_stack(|| catch_unwind(AssertUnwindSafe(make)));
    let has_ended = local.settle_carried();
    let stop = local.poison_of_innermost().or_else(|| (!has_ended).then(|| unfinished(node).into()));
    let gathered = local.take_gathered();
    local.end_frame(frame);
    local.pop_claim(node);
    let outcome = match stop {
        Some(stop) => {
            if let Ok(twin) = outcome {
                local.engine().keep_twin(twin);
            }
            Err(stop)
        }
        None => outcome.map_err(Stop::caught),
    };
    (outcome, gathered)
}
