//! Demand: make a node fresh. Verifies a stale one by its stale reads only, without recursion; runs what must run.
//!
//! Verification of a claimed node looks at its stale reads in the order in which they were recorded: a read that comes
//! later may exist only because of the value of an earlier one. A stale read is verified first (its own visit goes on
//! top of the stack of visits), an empty one is run. At the first read whose value changed since the node was
//! last verified, its body runs; if there is none, the node is fresh again.
//!
//! For example, `page` has read `title`, then `body`, and both are stale. `title` is verified, and has not changed. `body` runs, and has:
//! `page` runs. Had `title` changed, `body` would not have been looked at: the new `page` may not read it.
//!
//! Invariant: if a node is not FRESH, every node that has a live edge to it is not FRESH either and has a mark for that
//! edge, unless the node is EMPTY and unmarked (forgotten or failed, with unchanged reads). `invalidate.rs` establishes
//! it, and it is why unmarked reads need no look.
//!
//! The work on one node is in `demand/visit.rs`.

mod visit;

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

pub(crate) use self::visit::{Patience, Step, Visit};
use crate::context::cancelled::{check_cancelled, check_process, is_to_end};
use crate::context::component::all_claims;
use crate::context::local::Local;
use crate::context::stall::{Stall, Verdict};
use crate::context::token::CancelToken;
use crate::context::waits::{Refused, Waiter};
use crate::evaluate::apart::run_apart;
use crate::evaluate::async_run::{drive, try_launch_here};
use crate::evaluate::cycle;
use crate::evaluate::execute::{execute_observed, execute_unobserved};
use crate::evaluate::observed::{self, is_observed};
use crate::evaluate::parts::settle_claimed;
use crate::evaluate::stored::Check;
use crate::graph::claim::Phase;
use crate::graph::failure::{CycleError, TaskError};
use crate::graph::flags::{Flags, Leaving};
use crate::graph::node::NodeRef;
use crate::graph::stale_reads::{self, StaleReads};
use crate::graph::stop::{Stop, Thrown};
use crate::graph::strand_id::StrandId;

/// Makes `node` fresh, and returns it: or else a twin that holds the value, if waiting for its owner would never end.
///
/// # Errors
/// The panic, cycle or cancellation that kept it from becoming so.
pub(crate) fn demand(local: &Local, node: NodeRef) -> Result<NodeRef, Stop> {
    match demand_once(local, node) {
        Ok(holder) => Ok(holder),
        Err(stop) => cycle::resume(local, node, stop),
    }
}

/// Makes the node fresh as [`demand`] does, without the part of `cycle.rs` in a failure.
pub(crate) fn demand_once(local: &Local, node: NodeRef) -> Result<NodeRef, Stop> {
    if local.begins_demand() {
        local.begin_demand();
    }
    // An async run that was launched here ends with this demand, if nothing else waits for it.
    let mut seat = None;
    loop {
        match node.state.phase() {
            Phase::Fresh => return Ok(node),
            Phase::Empty if node.task_fn.is_leaf() => return Err(Stop::from(removed(node))),
            phase @ (Phase::Empty | Phase::Stale) => {
                if let Some(error) = failed_in_this_demand(local, node) {
                    return Err(Stop::from(error));
                }
                check_cancelled(local)?;
                if node.flag(Flags::RESOLVED) {
                    if cycle::verify_resolved(local, node)? == Waited::Never {
                        return run_apart(local, node);
                    }
                } else if node.task_fn.is_async() {
                    // It runs as an async run, so that others can take it over, and this thread can leave it.
                    seat = try_launch_here(local, node, phase).or(seat);
                } else if let Some(marks) = claim(local, node, phase) {
                    return verify(local, Visit::new(local, node, phase, marks)).map(|()| node);
                }
            }
            Phase::Running => {
                if let Some(outcome) = cycle::read_claimed(local, node) {
                    return outcome;
                }
                if wait_for(local, node)? == Waited::Never {
                    return run_apart(local, node);
                }
                if let Some(error) = failed_meanwhile(local, node) {
                    return Err(Stop::from(error));
                }
            }
        }
    }
}

#[cold]
fn removed(node: NodeRef) -> TaskError {
    TaskError::panicked(format!("{node:?}"), "the input has been removed".to_owned())
}

/// Whether the body of a claimed node has run so that the node is fresh, or failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// No: its reads or the store told its value.
    Found,
    /// Yes.
    Run,
}

/// Makes a node fresh that this strand has just made: from the store, if that turns out to be right, or by running its body.
pub(crate) fn make(local: &Local, node: NodeRef, check: Check) -> (Result<(), Stop>, Made) {
    verify_and_tell(local, Visit::asking(local, node, check))
}

/// Ends the claim of a node that has got its value from the store.
pub(crate) fn end_restored(local: &Local, node: NodeRef) {
    if is_observed(local) {
        observed::restored(local, node);
    }
    release(local, node, Phase::Fresh, StaleReads::None);
}

/// Claims a node for a strand that is not current, and lists it among its claims when it is. Returns what has to be looked at.
pub(crate) fn try_claim_for(local: &Local, strand: StrandId, node: NodeRef, from: Phase) -> Option<Visit> {
    node.state
        .try_claim(from)
        .then(|| Visit::new(local, node, from, stale_reads::take_for(&node.work, strand)))
}

pub(crate) fn claim(local: &Local, node: NodeRef, from: Phase) -> Option<StaleReads> {
    node.state.try_claim(from).then(|| {
        local.claimed.borrow_mut().push(node);
        stale_reads::take_for(&node.work, local.strand.get())
    })
}

/// Ends a claim without a run.
pub(crate) fn release(local: &Local, node: NodeRef, phase: Phase, marks: StaleReads) {
    node.clear_flag(Flags::AHEAD);
    if phase == Phase::Fresh {
        // It was asked for, so it is wanted again.
        node.take_off(Leaving::ABANDONED);
    }
    stale_reads::put(&node.work, marks);
    local.pop_claim(node);
    node.end_claim(phase, &local.engine().lot);
}

/// Sleeps until `node` is not claimed any more, or drives it until then.
///
/// # Errors
/// The cycle that waiting would close; the panic that ended the node's async run.
pub(crate) fn wait_for(local: &Local, node: NodeRef) -> Result<Waited, Stop> {
    let engine = local.engine();
    check_cancelled(local)?;
    check_process(engine)?;
    if block(local, node, Patience::Blocks)? == Waited::Never {
        return Ok(Waited::Never);
    }
    let mut stall = Stall::of(local, node);
    let outcome = loop {
        if let Some(thrown) = sleep(local, node, stall.as_ref()) {
            break Err(thrown);
        }
        match stall.as_mut().map_or(Verdict::Over, |stall| stall.judge(local, node)) {
            Verdict::Wait if is_to_end(local) => break Ok(Ok(Waited::Over)),
            Verdict::Wait => {}
            Verdict::Over => break Ok(Ok(Waited::Over)),
            Verdict::Never => break Ok(Ok(Waited::Never)),
            Verdict::Fail(stop) => break Ok(Err(stop)),
        }
    };
    engine.waits.unblock(local.strand.get(), node);
    outcome.unwrap_or_else(|thrown| Err(local.take_over(thrown)))
}

/// Sleeps until `node` is not claimed any more, the session is to end or the stall is to be judged; drives the node's async run until
/// then, if it has one. Returns the panic that ended the async run.
fn sleep(local: &Local, node: NodeRef, stall: Option<&Stall>) -> Option<Thrown> {
    let engine = local.engine();
    let deadline = local.token.borrow().as_ref().and_then(CancelToken::deadline);
    let until = deadline.into_iter().chain(stall.and_then(Stall::until)).min();
    // Only the task that throws is poisoned: the node may be finished all the same.
    let stop = || is_to_end(local) || stall.is_some_and(|stall| stall.is_due(engine, node));
    match engine.async_runs.of(node) {
        // Perhaps no other waiter drives it any more.
        Some(async_run) if drive(&async_run, until, stop) => async_run.take_failure(),
        _ => {
            node.state.wait(&engine.lot, node.address(), until, stop);
            None
        }
    }
}

/// The outcome of a wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The node is not claimed any more, or was not just now.
    Over,
    /// No task depends on itself, but the owner of the node cannot go on before this strand does (see `carry.rs`).
    Never,
}

/// Registers the current strand as waiting for `node`; `waits.unblock` takes it out again.
///
/// # Errors
/// The cycle that waiting would close.
pub(crate) fn block(local: &Local, node: NodeRef, patience: Patience) -> Result<Waited, Stop> {
    let registered = {
        let claimed = all_claims(local);
        let (lineage, beneath) = (local.lineage.borrow(), local.beneath.borrow());
        let waiter = Waiter {
            strand: local.strand.get(),
            claimed: &claimed,
            lineage: lineage.as_ref(),
            beneath: beneath.as_ref(),
        };
        local.engine().waits.block(waiter, node)
    };
    match registered {
        Ok(()) => Ok(Waited::Over),
        Err(Refused::Stacked) => Ok(Waited::Never),
        Err(Refused::Cycle(path, closes_at)) => {
            if let Some(stop) = cycle::give_way(local, node, &path, closes_at, patience) {
                return Err(stop);
            }
            let cycle = Arc::new(CycleError::new(&path));
            local.poison_cycle(&cycle);
            Err(Stop::from(TaskError::Cycle(cycle)))
        }
    }
}

pub(crate) fn failed_in_this_demand(local: &Local, node: NodeRef) -> Option<TaskError> {
    let failure = node.extra()?.failure.lock().clone()?;
    if failure.demand != local.demand.get() {
        return None;
    }
    local.poison_through(&failure);
    Some(failure.error)
}

/// After a wait: the failure that the node's owner ended with, if it did and no strand has claimed the node since.
pub(crate) fn failed_meanwhile(local: &Local, node: NodeRef) -> Option<TaskError> {
    if node.state.phase() != Phase::Empty {
        return None;
    }
    let error = node.extra()?.failure.lock().as_ref().map(|failure| failure.error.clone())?;
    if let TaskError::Cycle(cycle) = &error {
        // Another thread found the cycle; the tasks of this one that lie on it have no value either.
        local.poison_cycle(cycle);
    }
    Some(error)
}

/// Makes the claimed node of `root` fresh, and whatever of its stale reads that takes.
pub(crate) fn verify(local: &Local, root: Visit) -> Result<(), Stop> {
    verify_and_tell(local, root).0
}

fn verify_and_tell(local: &Local, root: Visit) -> (Result<(), Stop>, Made) {
    let mut visits = Visits { local, stack: smallvec![root] };
    visits.stack.iter_mut().for_each(Visit::enter);
    while let Some(visit) = visits.stack.last_mut() {
        match visit.step(local, Patience::Blocks) {
            Step::Descend(mut next) => {
                next.enter();
                visits.stack.push(next);
            }
            Step::Current => {
                visit.confirm(local);
                visits.stack.pop();
            }
            Step::Restored(replaced) => {
                visit.end_restored(local);
                visits.stack.pop();
                drop(replaced);
            }
            Step::Await(_) => unreachable!("a thread that verifies keeps waiting"),
            Step::Run => {
                let node = visit.node;
                let why = if visit.is_observed() { Some(Box::new(visit.why(local))) } else { None };
                visit.end_stale();
                visits.stack.pop();
                if node.task_fn.part.is_some() && settle_claimed(local, node) {
                    continue;
                }
                let outcome = match why {
                    None => execute_unobserved(local, node),
                    Some(why) => execute_observed(local, node, &why),
                };
                if visits.stack.is_empty() {
                    return (outcome, Made::Run);
                }
                match outcome {
                    Err(stop) if stop.is_given_up() => return (Err(stop), Made::Found),
                    // A read that failed counts as changed: its reader's body runs, and meets the failure itself.
                    Err(_) | Ok(()) => {}
                }
            }
            Step::Abort(stop) => return (Err(stop), Made::Found),
        }
    }
    (Ok(()), Made::Found)
}

/// The stack of visits. Nodes that are left on it when it is dropped go back to where it was.
struct Visits<'a> {
    local: &'a Local,
    /// Most have one: each of their stale reads is fresh already, or there is but an input.
    stack: SmallVec<[Visit; 1]>,
}

impl Drop for Visits<'_> {
    fn drop(&mut self) {
        while let Some(mut visit) = self.stack.pop() {
            visit.put_back(self.local);
        }
    }
}
