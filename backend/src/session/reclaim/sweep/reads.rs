//! Reads that go: of a stored task the store knows what it has read, so that memory need not.
//!
//! A task that is held keeps what it has read, and that what it has read in turn: a handle to the root of a large graph would hold all of it.
//! If nothing else helps, the reads of tasks that were not used lately go, as if they had come out of the store in this process: they are
//! RESTORED from then on, found by a walk of the store when something changes, and verified by their records. The tasks that they alone have read
//! can go then.
//!
//! For example, a handle to a task that has read 100,000 others, each of which has read an input. With the reads of the first one, its
//! 100,000 edges go, and all that it alone has read. When one of the inputs is set, the walk comes from there to the task.

use std::sync::atomic::Ordering::Relaxed;

use super::super::lists::Lists;
use super::{Round, Sweep, has_committed};
use crate::context::engine::Engine;
use crate::graph::claim::Phase;
use crate::graph::edges::Edge;
use crate::graph::flags::{Flags, Keeping, Leaving};
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::persist::{Persistence, wide};

impl Lists {
    /// Takes the reads of a node that was not used lately, if the store knows them.
    pub(super) fn take_reads(&mut self, engine: &Engine, node: NodeRef) {
        let Some(persistence) = engine.persistence() else { return };
        if !knows_reads(persistence, node) {
            return;
        }
        if !has_committed(engine, node) {
            self.sweep.note_pending();
            return;
        }
        // SAFETY: the gate is held exclusively.
        let reads = std::mem::take(unsafe { &mut *node.deps.get() });
        node.set_flag(Flags::RESTORED);
        wide::forget(node);
        // From here on the store alone knows whose dependent it is.
        persistence.nodes.explore_anew();
        self.lose_reads(engine, &reads);
        if let Some(round) = &mut self.sweep.round {
            round.has_done = true;
        }
    }
}

impl Sweep {
    /// The round has found something to do.
    pub(super) fn note_done(&mut self) {
        if let Some(round) = &mut self.round {
            round.has_done = true;
        }
    }

    /// Something stays that could go if what waits were committed.
    pub(super) fn note_pending(&mut self) {
        if let Some(Round { awaits_commit, .. }) = &mut self.round {
            *awaits_commit = true;
        }
    }
}

/// Whether the store knows the reads of a node, which memory has, by the record of its current value.
fn knows_reads(persistence: &Persistence, node: NodeRef) -> bool {
    // Others have other ways: members of components come from there, parts have to find their source in memory, and a node whose
    // staleness began elsewhere (a wave) may be fresh above reads that are not.
    let is_plain = node.task_fn.part.is_none()
        && !node.has(Leaving::LIMBO | Leaving::MEMBER | Leaving::UNREACHABLE)
        && !node.flag(Flags::RESTORED | Flags::RESOLVED | Flags::MUST_RUN | Flags::FAILED | Flags::TWIN);
    if !is_plain || !is_current(node) || persistence.distrust.load(Relaxed) {
        return false;
    }
    let persisted = Persisted::of(node);
    let is_known = persisted.is_some_and(|own| {
        own.key.is_some()
            && own.is_stored
            && !own.is_member
            && !own.has_joined
            && !own.is_marked
            && !own.is_orphan
    });
    // SAFETY: the gate is held exclusively.
    let reads = unsafe { node.deps() }.as_slice();
    let is_readable = |read: &Edge| !read.reads_effects() && is_current(read.node());
    is_known && !reads.is_empty() && reads.iter().all(is_readable)
}

/// Whether a node has the value that its readers have seen, or had, and lost to save memory.
fn is_current(node: NodeRef) -> bool {
    let is_evicted = || node.keeping().contains(Keeping::EVICTED) && node.flag(Flags::FORGOTTEN);
    match node.state.phase() {
        Phase::Fresh => true,
        Phase::Empty => is_evicted() && !node.flag(Flags::MARKED),
        Phase::Stale | Phase::Running => false,
    }
}
