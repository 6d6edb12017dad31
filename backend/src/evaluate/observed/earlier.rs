//! Earlier: the reads of the last run of a task whose body would run without a change of one as well, because it failed, is volatile, or was
//! forgotten. They are taken down when the body begins, and looked at when it has ended: it has asked anew for those up to the first one that has
//! changed, as bodies are functions of what they read.
//!
//! For example, `page` read `title`, which read a file, and failed. The file is edited, and `page` runs, because it had failed. It asks for `title`,
//! which is another one than `page` had read: that is told, too.

use super::LOOKED_AT;
use crate::graph::cause::Cause;
use crate::graph::edges::Edge;
use crate::graph::epoch::Epoch;
use crate::graph::flags::Flags;
use crate::graph::node::NodeRef;
use crate::graph::task_name::TaskRef;
use crate::graph::trail::Trail;

/// The reads of a run, the first ones.
pub(super) struct EarlierReads {
    pub(super) reads: Vec<Edge>,
    /// The epoch in which they were current.
    current_at: Epoch,
}

impl EarlierReads {
    /// None if the cause is a read, or there was no run in this process.
    pub(super) fn of(node: NodeRef, cause: &Cause<TaskRef<'static>>) -> Option<Self> {
        let current_at = match cause {
            // The epoch of the failure.
            Cause::Failed => node.effects_at.get(),
            cause if *cause == Cause::Unfinished || cause.needs_no_read() => node.verified_at.get(),
            _ => return None,
        };
        if node.flag(Flags::RESTORED) {
            return None;
        }
        // SAFETY: the claim is held.
        let all = unsafe { node.deps() }.as_slice();
        let reads = all[..all.len().min(LOOKED_AT)].to_vec();
        (!reads.is_empty()).then_some(Self { reads, current_at })
    }

    /// Returns the first of them that has changed, and its position.
    pub(super) fn changed(&self, epoch: Epoch) -> Option<(usize, NodeRef)> {
        for (position, edge) in self.reads.iter().enumerate() {
            let read = edge.node();
            let changed = if edge.reads_effects() { &read.effects_at } else { &read.changed_at };
            // One that fails each time has changed if its own reads have.
            let is_changed = match read.state.is_fresh() {
                true => changed.get() > self.current_at,
                false => Trail::fails_because(read, epoch).is_some(),
            };
            if is_changed {
                return Some((position, read));
            }
            if !read.state.is_fresh() {
                return None;
            }
        }
        None
    }
}
