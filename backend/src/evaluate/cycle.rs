//! Cycle: tasks that depend on each other, resolved by iteration to a fixpoint.
//!
//! # What is computed
//! A task whose function has an initial value (`cycle_initial`) is a *fixpoint task*. Tasks that depend on each other are a
//! *component*. In round 0 each fixpoint task of it has its initial value; in round *n* each has what its body returns when it
//! reads the values of round *n - 1*. Other tasks of the component are as if they were part of the bodies that read them: in each
//! round they have what their body returns in it. The values of the first round that changes nothing are the component's.
//!
//! A *step* (`cycle_step`) makes the value of a round from the one before and what the body returns, as a part of the body's run; so the task
//! counts as a read of its own. A *fallback* (`cycle_fallback`) is an initial value that stays: the body runs in round 1 alone, to find out
//! the task's dependencies. For example, if all members with a value of round 0 have fallbacks, no round after round 1 is due.
//!
//! So no value depends on which task was asked first, nor on the order in which bodies run. A cycle without a fixpoint task stays an
//! error, and so does one that goes through an async function, a scope or carried work.
//!
//! # How
//! ```text
//!   a body reads a task that its own strand has claimed             `read_claimed`
//!     all tasks from there to the top of the claims are members: ON_CYCLE; the body gets round 0's value, and goes on
//!   the body of a member ends                                       `park`
//!     it stays claimed; its value (that of round 1) is kept in a twin; its reader gets round 0's value, too
//!   the body of the head, the outermost member, ends                `after_run`
//!     the rounds from 2 on (`rounds.rs`), then all members are published at once (`publish.rs`)
//!   a round reads a task that turns out to depend on a member       `read_claimed`
//!     it joins, with a body that has run in round 1, and the rounds begin again
//! ```
//! * A body runs again in a round only if something that it read in its last run has changed in the round before.
//! * Members are claimed from when they are found until they are published: other strands wait. A provisional value is handed to
//!   bodies of members only, by twins (`node.rs`); no thread cache and no prediction answers with it, as the node is not FRESH.
//! * A member's edges are what it read in all rounds: each of them may have led to the fixpoint that it was.
//! * Two strands that enter one component wait for each other; the one that closes the circle gives its part of it up
//!   (`make_way.rs`), so that one strand resolves the whole.
//! * The members of a resolved component are verified as one (`resolved.rs`).
//! * If one fails in any round, all fail. They also fail if a value of round 0 depends on a member, as that has one for some entries only.
//! * Where a value does not settle, those that have settled and do not depend on it any more are published without it (`parting.rs`).

mod bound;
mod parting;
mod publish;
mod read;
mod resolved;
mod rounds;
mod make_way;

pub(crate) use self::make_way::{give_way, is_barred, is_giving_way, wait_for_way};
pub(crate) use self::read::{is_own, read_claimed, through_own};
pub(crate) use self::resolved::{of as component_of, outer_reads, verify_resolved, whole_components};
use crate::base::stack::on_enough_stack;
use crate::context::component::{Component, Run};
use crate::context::local::Local;
use crate::context::strand::Gathered;
use crate::evaluate::complete::unfinished;
use crate::evaluate::observed::Why;
use crate::graph::edges::Edge;
use crate::graph::failure::TaskError;
use crate::graph::flags::Flags;
use crate::graph::node::NodeRef;
use crate::graph::stop::Stop;

/// The node that holds the value of `node`, which has been run with this outcome by the current strand.
#[inline]
pub(crate) fn outcome(local: &Local, node: NodeRef, outcome: Result<(), Stop>) -> Result<NodeRef, Stop> {
    match outcome {
        Ok(()) => Ok(node),
        Err(stop) => resume(local, node, stop),
    }
}

/// A demand for `node` has failed: goes on with it if the failure is this module's affair.
///
/// # Errors
/// The reason, if it is not.
#[cold]
pub(crate) fn resume(local: &Local, node: NodeRef, mut stop: Stop) -> Result<NodeRef, Stop> {
    loop {
        if matches!(stop, Stop::Parked) {
            return read_claimed(local, node).unwrap_or(Err(stop));
        }
        if !is_giving_way(local) {
            return Err(stop);
        }
        wait_for_way(local)?;
        match crate::evaluate::demand::demand_once(local, node) {
            Ok(holder) => return Ok(holder),
            Err(other) => stop = other,
        }
    }
}

/// The body of a member, the innermost claim, has run; `twin` holds what it returned.
#[cold]
pub(crate) fn park(local: &Local, node: NodeRef, twin: NodeRef) {
    let ended = local.settle_carried();
    let error = poison_or_unfinished(local, node, ended);
    let run = Run { twin, reads: local.with_reads(<[Edge]>::to_vec), emitted: local.take_emitted() };
    local.counters.of(node.function).runs.add(1);
    {
        let mut cycles = local.cycles.borrow_mut();
        let component = cycles.innermost(local.depth());
        component.own(twin);
        component.note_reads(node, &run.reads);
        component.keep_first(node, run);
        if let Some(error) = error {
            component.fail(error, None);
        }
    }
    node.clear_flag(Flags::AHEAD);
    end_claim(local, node);
}

/// The body of a member, the innermost claim, has failed.
#[cold]
pub(crate) fn park_failed(local: &Local, node: NodeRef, stop: &Stop) {
    local.settle_carried();
    let error = local.failure_of_innermost(stop, node);
    let reads = local.with_reads(<[Edge]>::to_vec);
    let counters = local.counters.of(node.function);
    counters.runs.add(1);
    counters.failed.add(1);
    {
        let mut cycles = local.cycles.borrow_mut();
        let component = cycles.innermost(local.depth());
        component.note_reads(node, &reads);
        component.fail(error, None);
    }
    node.clear_flag(Flags::AHEAD);
    end_claim(local, node);
}

/// The innermost claim, a member, ends.
fn end_claim(local: &Local, node: NodeRef) {
    local.pop_claim(node);
    local.cycles.borrow_mut().shorten(local.next_depth());
}

/// A run has ended without being published: if it was that of a component's head, the component is resolved now.
///
/// # Errors
/// The reason to stop, or what kept the component from being resolved; the way to ask again, if the head has left it.
#[cold]
pub(crate) fn after_run(local: &Local, node: NodeRef, stop: Stop) -> Result<(), Stop> {
    match end_of_head(local) {
        None => Err(stop),
        Some(None) => match on_enough_stack(|| rounds::resolve(local))?.contains(&node) {
            true => Err(make_way::clear(local, local.next_depth())),
            false => Ok(()),
        },
        Some(Some(error)) => {
            let stop = if matches!(stop, Stop::Parked) { error.clone().into() } else { stop };
            publish::fail_all(local, &error);
            Err(stop)
        }
    }
}

/// A member whose body has not run is about to be released.
#[cold]
pub(crate) fn give_up(local: &Local, node: NodeRef) {
    node.clear_flag(Flags::ON_CYCLE);
    let depth = local.depth();
    let mut cycles = local.cycles.borrow_mut();
    cycles.innermost(depth).leave(node);
    cycles.shorten(depth);
}

/// A claim has been given up: if it was that of a component's head, nothing is left to resolve.
#[cold]
pub(crate) fn after_release(local: &Local) {
    if end_of_head(local).is_some() {
        publish::fail_all(local, &TaskError::Cancelled);
    }
}

/// Whether the claim that has just ended was that of a component's head; and why the component has failed, if it has.
#[expect(clippy::option_option, reason = "two questions at once")]
fn end_of_head(local: &Local) -> Option<Option<TaskError>> {
    let cycles = local.cycles.borrow();
    let depth = local.next_depth();
    let is_of_head = |component: &&Component| component.low == depth && !component.is_in_rounds;
    cycles.last().filter(is_of_head).map(Component::failure)
}

/// Why the innermost claimed node fails although its body has returned, if it does; `ended` says whether all that was carried out of
/// the body has ended, too.
fn poison_or_unfinished(local: &Local, node: NodeRef, ended: bool) -> Option<TaskError> {
    let poison = local.poison_of_innermost().map(|stop| stop.error(node));
    poison.or_else(|| (!ended).then(|| unfinished(node)))
}

/// Runs the body of a member beside its node; `run` makes the twin, which belongs to the caller.
fn run_beside(
    local: &Local,
    node: NodeRef,
    predicted: &[Edge],
    run: impl FnOnce() -> NodeRef,
) -> (Result<NodeRef, Stop>, Gathered) {
    let outcome = super::execute::run_beside_by(local, node, predicted, &Why::Cycle, run);
    local.counters.of(node.function).runs.add(1);
    local.cycles.borrow_mut().shorten(local.next_depth());
    outcome
}
