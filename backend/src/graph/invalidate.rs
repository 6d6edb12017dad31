//! Invalidate: after a change, make everything stale that depends on it, along live reverse edges.
//!
//! Runs with the gate held exclusively, by one thread: a *pass* is all marking in one epoch. Nothing that is unaffected is
//! visited. Dead reverse edges met on the way are dropped.
//!
//! # Origins
//! Most changes begin in one place and many die there: a file is touched, its parse stays equal. So that a chain of
//! a thousand tasks behind such a place is not verified link by link, each node that a pass reaches by one read only
//! names the *origin* of its staleness: the node that the pass reached from the changed leaf itself. All nodes of a pass
//! with one origin are its *wave*. Rules:
//! * A member is current if its origin is FRESH, did not change since the member was last verified, and the wave is *intact*:
//!   member and origin were marked in the same pass (`marked_at` is equal) and the origin is not `BROKEN`.
//! * A member that a second read makes stale in the same pass is no member any more, and breaks the wave: nodes behind it must
//!   look at their own reads.
//! * A component of a cycle that is resolved or dissolved breaks the waves of its members (`cycle/resolved.rs`).
//! * A member may be STALE although it is current and nodes behind it have been found so (it was skipped). A later
//!   pass therefore does not stop at a single mark of an older pass.
//!   A pass does stop at nodes with several marks: no claim skips those, so the nodes behind them are not FRESH.
//!
//! For example, `top` reads `b`, that `a`, that `parse`, that the file. The file is touched: `parse` is reached from the leaf, and is the
//! origin of `a`, `b` and `top`. `top` is asked for: its claim goes straight to `parse`, which runs and stays equal. `top` is current, and
//! `a` and `b` have not been looked at.

use std::sync::atomic::Ordering::Relaxed;

use crate::graph::claim::Phase;
use crate::graph::edges::{Dependent, Place};
use crate::graph::epoch::Epoch;
use crate::graph::flags::Flags;
use crate::graph::node::NodeRef;
use crate::graph::stale_reads::{self, Single, StaleReads};

/// Marks what depends on `changed`, transitively, in the pass of `epoch`.
///
/// The caller holds the gate exclusively.
pub(crate) fn mark_dependents(changed: NodeRef, epoch: Epoch) {
    Marking::begin(epoch).mark_dependents(changed);
}

/// A pass that may note which nodes it has reached, for marking in the store.
pub(crate) struct Marking(Pass);

impl Marking {
    pub(crate) fn begin(epoch: Epoch) -> Self {
        Self(Pass::new(epoch))
    }

    /// The same; [`Marking::reached`] tells the nodes that were reached.
    pub(crate) fn noting(epoch: Epoch) -> Self {
        Self(Pass { reached: Some(Vec::new()), ..Pass::new(epoch) })
    }

    /// Marks what depends on `changed`, transitively. The caller holds the gate exclusively.
    pub(crate) fn mark_dependents(&mut self, changed: NodeRef) {
        self.0.mark_readers(changed, None);
        self.0.finish();
    }

    /// Marks what depends on `changed`, transitively, but for readers that are `settled`: they are current. The caller holds the gate
    /// exclusively.
    pub(crate) fn mark_dependents_but(&mut self, changed: NodeRef, settled: fn(NodeRef, Epoch) -> bool) {
        self.0.mark_readers_but(changed, None, settled);
        self.0.finish();
    }

    /// Makes a node stale whose reads are known to the store, and marks what depends on it. The caller holds the gate
    /// exclusively.
    pub(crate) fn mark_restored(&mut self, node: NodeRef) {
        match node.state.phase() {
            // No mark is needed: it is verified by its record.
            Phase::Fresh => self.0.begin_stale(node),
            Phase::Empty if !node.flag(Flags::MARKED) => {
                node.set_flag(Flags::MARKED);
                self.0.mark_behind(node);
            }
            // No claim skips a node without marks, so the node behind this one is not FRESH either.
            Phase::Stale | Phase::Empty => {}
            Phase::Running => unreachable!("nothing runs while the gate is held exclusively"),
        }
        self.0.finish();
    }

    /// How many nodes have been reached.
    pub(crate) fn marked(&self) -> usize {
        self.0.marked
    }

    /// Makes a node stale that has to run again whatever its reads are, and marks what depends on it. The caller holds the gate
    /// exclusively.
    pub(crate) fn mark_must_run(&mut self, node: NodeRef) {
        self.0.mark_must_run(node);
        self.0.finish();
    }

    /// Makes a node run again, as [`Marking::mark_must_run`] does, by its body and not by the store, whether it has a value or not.
    pub(crate) fn invalidate(&mut self, node: NodeRef) {
        self.mark_must_run(node);
        node.set_flag(Flags::MUST_RUN);
        node.extra_or_insert().invalidated.set(self.0.epoch);
    }

    /// The nodes that have been reached since this was last asked.
    pub(crate) fn reached(&mut self) -> Vec<NodeRef> {
        self.0.reached.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

/// How many readers of one node the processor is to fetch at a time.
const FETCHED: usize = 16;

/// Makes a node stale that has to run again whatever its reads are, and marks what depends on it.
///
/// The caller holds the gate exclusively.
pub(crate) fn mark_must_run(node: NodeRef, epoch: Epoch) {
    Marking::begin(epoch).mark_must_run(node);
}

/// All marking in one epoch.
struct Pass {
    epoch: Epoch,
    /// Nodes whose readers are to be marked.
    worklist: Vec<NodeRef>,
    /// Nodes whose readers have been or will be marked, if the caller wants to know.
    reached: Option<Vec<NodeRef>>,
    /// How many these are.
    marked: usize,
}

impl Pass {
    fn new(epoch: Epoch) -> Self {
        Self { epoch, worklist: Vec::new(), reached: None, marked: 0 }
    }

    fn finish(&mut self) {
        while let Some(node) = self.worklist.pop() {
            let origin = stale_reads::single(&node.work).and_then(Single::origin);
            if origin.is_none() {
                node.set_flag(Flags::ORIGIN);
            }
            self.mark_readers(node, origin.or(Some(node)));
        }
    }

    fn mark_must_run(&mut self, node: NodeRef) {
        match node.state.phase() {
            Phase::Fresh => {
                // No mark is needed: it must run.
                node.set_flag(Flags::MUST_RUN);
                self.begin_stale(node);
            }
            Phase::Stale => {
                node.set_flag(Flags::MUST_RUN);
                if let Some(single) = stale_reads::single(&node.work) {
                    if node.marked_at.get() != self.epoch {
                        // It may have been skipped, so that nodes behind it are FRESH.
                        drop(stale_reads::take(&node.work));
                        self.mark_behind(node);
                    } else if let Some(origin) = single.origin() {
                        // An unchanged origin says nothing about the nodes behind this one any more.
                        origin.set_flag(Flags::BROKEN);
                    }
                }
            }
            // It failed, and a reader that caught that must ask again.
            Phase::Empty if !node.flag(Flags::MARKED) => {
                node.set_flag(Flags::MARKED);
                self.mark_behind(node);
            }
            Phase::Empty => {}
            Phase::Running => unreachable!("nothing runs while the gate is held exclusively"),
        }
    }

    fn begin_stale(&mut self, node: NodeRef) {
        node.state.set_exclusively(Phase::Stale);
        self.mark_behind(node);
    }

    /// Goes on behind `node`, as a possible origin of a new wave.
    fn mark_behind(&mut self, node: NodeRef) {
        node.marked_at.set(self.epoch);
        node.clear_flag(Flags::BROKEN);
        self.worklist.push(node);
        self.marked += 1;
        if let Some(reached) = &mut self.reached {
            reached.push(node);
        }
    }

    fn mark_readers(&mut self, read: NodeRef, origin: Option<NodeRef>) {
        self.mark_readers_but(read, origin, |_, _| false);
    }

    #[inline(always)]
    fn mark_readers_but(
        &mut self,
        read: NodeRef,
        origin: Option<NodeRef>,
        is_settled: impl Fn(NodeRef, Epoch) -> bool,
    ) {
        // SAFETY: the gate is held exclusively.
        let dependents = unsafe { read.dependents_exclusively() };
        let mut dead = 0;
        let mut mark = |dependent: Dependent| {
            // SAFETY: the gate is held exclusively.
            match unsafe { dependent.position_of(read) } {
                Some(_) if is_settled(dependent.reader(), self.epoch) => {}
                Some(position) => self.mark_reader(read, dependent, position, origin),
                None => dead += 1,
            }
        };
        match dependents.as_slice() {
            [only] => mark(*only),
            few if few.len() < FETCHED => few.iter().for_each(|dependent| mark(*dependent)),
            many => many.chunks(FETCHED).for_each(|chunk| {
                // SAFETY: the gate is held exclusively.
                unsafe { NodeRef::fetch(chunk.iter().map(|dependent| dependent.reader())) };
                chunk.iter().for_each(|dependent| mark(*dependent));
            }),
        }
        if dead > 0 {
            purge_dead(read);
        }
    }

    fn mark_reader(&mut self, read: NodeRef, dependent: Dependent, position: usize, origin: Option<NodeRef>) {
        let reader = dependent.reader();
        // A reader of effects looks at more than the value, so an unchanged value does not clear it.
        let origin = if dependent.reads_effects() { None } else { origin };
        let single = Single::new(Place::of(position), origin);
        match reader.state.phase() {
            Phase::Fresh => {
                stale_reads::put(&reader.work, StaleReads::One(single));
                self.begin_stale(reader);
            }
            Phase::Stale => self.mark_stale_reader(read, reader, position, single),
            Phase::Empty if !reader.flag(Flags::MARKED) => {
                reader.set_flag(Flags::MARKED);
                self.mark_behind(reader);
            }
            Phase::Empty => {}
            Phase::Running => unreachable!("nothing runs while the gate is held exclusively"),
        }
    }

    fn mark_stale_reader(&mut self, read: NodeRef, reader: NodeRef, position: usize, single: Single) {
        let before = stale_reads::single(&reader.work);
        let same_read = before.is_some_and(|before| before.place().exactly() == Some(position));
        let in_this_pass = reader.marked_at.get() == self.epoch;
        if same_read && in_this_pass {
            return;
        }
        if same_read {
            // A node that has really changed, or must run, is not cleared by an unchanged origin: it is one itself.
            let really_stale = read.changed_at.get() > reader.verified_at.get();
            let is_one = really_stale || reader.flag(Flags::MUST_RUN);
            stale_reads::put(
                &reader.work,
                StaleReads::One(if is_one { single.without_origin() } else { single }),
            );
            self.mark_behind(reader);
            return;
        }
        // SAFETY: the gate is held exclusively.
        let reads = unsafe { reader.deps() }.as_slice().len();
        stale_reads::add(&reader.work, position, reads);
        match before {
            Some(before) if in_this_pass => {
                if let Some(origin) = before.origin() {
                    origin.set_flag(Flags::BROKEN);
                }
            }
            Some(_) => self.mark_behind(reader),
            None => {}
        }
    }
}

/// Whether all staleness of a claimed node came from `origin` alone, in a wave that is intact.
pub(crate) fn is_in_wave_of(node: NodeRef, origin: NodeRef) -> bool {
    node.marked_at.get() == origin.marked_at.get() && !origin.flag(Flags::BROKEN)
}

/// Drops the dead reverse edges of a node.
///
/// The caller holds the gate exclusively.
pub(crate) fn purge_dead(read: NodeRef) {
    read.with_dependents(|dependents| {
        // SAFETY: the gate is held exclusively.
        dependents.retain(|dependent| unsafe { dependent.position_of(read) }.is_some());
        read.dead.store(0, Relaxed);
    });
}
