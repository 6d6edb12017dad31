//! Publish: the facts that a node gets with each new value or failure, whichever way that came: by a run (`execute`), by a component that
//! has been resolved (`cycle/publish`), or out of the store (`stored/restore`).
//!
//! The caller holds the claim, and has put the value, the reads and the emitted values in place. It ends the claim afterwards: a thread
//! that sees FRESH sees all of this. For example, a task failed, and its input changes back: the value that is computed then is equal to
//! the last one, and still counts as a change, because readers have seen the failure in between.

use std::sync::atomic::Ordering::Relaxed;

use crate::context::local::Local;
use crate::graph::edges::Edge;
use crate::graph::extra::Failure;
use crate::graph::failure::{CycleHead, TaskError};
use crate::graph::flags::{Flags, Leaving};
use crate::graph::footprint;
use crate::graph::node::NodeRef;
use crate::graph::task_fn::Ran;

use super::complete::list_to_run_again;
use super::relink::relink;

/// How a node differs from what its readers have seen.
#[derive(Clone, Copy)]
pub(crate) struct Changes {
    pub(crate) value: bool,
    /// The emitted values, its own or those behind it, or the set of reads.
    pub(crate) effects: bool,
}

/// Facts about a claim or a value that a new value ends.
const ENDED: Flags = Flags::MUST_RUN
    .union(Flags::MARKED)
    .union(Flags::FORGOTTEN)
    .union(Flags::FAILED)
    .union(Flags::AHEAD)
    .union(Flags::ON_CYCLE);

/// Whether a run came to another value than readers have seen.
#[inline(always)]
pub(crate) fn changes_value(node: NodeRef, ran: Ran) -> bool {
    match ran {
        Ran::Equal | Ran::Held => false,
        Ran::Changed | Ran::Provisional(_) => true,
        // A forgotten output that is computed again from unchanged reads is what it was.
        Ran::First => !node.flag(Flags::FORGOTTEN) || node.flag(Flags::MARKED),
    }
}

/// Notes that a value is in place: when it changed, that nothing is left to do about it, and that it is wanted.
#[inline(always)]
pub(crate) fn publish_value(local: &Local, node: NodeRef, changes: Changes) {
    let epoch = local.engine().epoch();
    // Readers have seen the failure, and no effects.
    let had_failed = node.flag(Flags::FAILED);
    if changes.value || had_failed {
        node.changed_at.set(epoch);
    }
    if changes.effects || had_failed {
        node.effects_at.set(epoch);
    }
    node.verified_at.set(epoch);
    if node.task_fn.is_bounded {
        account(local, node, changes);
    }
    node.clear_flag(ENDED);
    // It was asked for, so it is wanted again.
    node.take_off(Leaving::ABANDONED);
    if had_failed && let Some(extra) = node.extra() {
        extra.failure.lock().take();
    }
}

/// Weighs and counts a value that is in place.
#[inline(never)]
fn account(local: &Local, node: NodeRef, changes: Changes) {
    if node.task_fn.weight.is_some() && (changes.value || node.weight.load(Relaxed) == 0) {
        local.add_memory(footprint::weigh(node));
    }
    if node.task_fn.most.is_some() {
        local.engine().note_recent(node);
    }
}

/// Publishes the value of a run, which `lasts` or is to be computed again in the next session.
#[inline(always)]
pub(crate) fn publish_run(local: &Local, node: NodeRef, changes: Changes, lasts: bool) {
    publish_value(local, node, changes);
    if !lasts {
        list_to_run_again(local, node);
    }
}

/// Publishes a failure, with the reads up to it: a change in them reaches the tasks that caught it.
pub(crate) fn publish_failure(
    local: &Local,
    node: NodeRef,
    reads: &[Edge],
    error: TaskError,
    head: Option<CycleHead>,
) {
    relink(local, node, reads);
    node.clear_flag(Flags::RESTORED);
    node.effects_at.set(local.engine().epoch());
    let demand = local.demand.get();
    *node.extra_or_insert().failure.lock() = Some(Box::new(Failure { error, demand, head }));
    node.set_flag(Flags::FAILED);
    // Its reads are current now.
    node.clear_flag(Flags::MARKED | Flags::FORGOTTEN);
    if node.task_fn.volatile {
        list_to_run_again(local, node);
    }
}
