//! Reads: how a call is answered by what the thread remembers, and how the body that runs notes what it has read.
//!
//! A read that was predicted is noted by the step of the cursor alone. The reads of a body are those in the list, and after them the
//! predicted ones from `followed` to the cursor. They are copied to the list before another read is noted. A body that reads what
//! it read before copies nothing, and its reads need not be compared ([`Local::has_followed`]).

use std::slice;

use hashbrown::hash_map::Entry as MapEntry;

use crate::graph::edges::Edge;
use crate::graph::node::NodeRef;
use crate::graph::task_fn::RawTaskFn;

use super::Local;

impl Local {
    /// The node of the read that the current body made at this point when it ran last, if that is the one asked for.
    #[inline(always)]
    pub(crate) fn predicted(&self, is: impl FnOnce(NodeRef) -> bool) -> Option<NodeRef> {
        let next = self.predicted.get();
        if next == self.predicted_end.get() {
            return None;
        }
        // SAFETY: between the two pointers lies the rest of the claimed node's `Deps`, which do not change before its
        // frame ends.
        let edge = unsafe { *next };
        let node = edge.node();
        if !node.state.is_fresh() || edge.reads_effects() || !is(node) {
            return None;
        }
        // SAFETY: `next` is not the end.
        self.predicted.set(unsafe { next.add(1) });
        self.counters.thread_hit(node.function);
        Some(node)
    }

    /// The fresh node that this thread remembers for a hash, recorded as read by the current body.
    #[inline(always)]
    pub(crate) fn cached(&self, hash: u64, is: impl Fn(NodeRef) -> bool) -> Option<NodeRef> {
        let (node, recorded_by, entry) = self.cache.find(hash, |node| node.state.is_fresh() && is(node))?;
        if recorded_by != self.execution.get() {
            entry.set_recorded(node, self.execution.get());
            self.record(Edge::value_of(node), recorded_by > self.execution.get() || self.predicting.get());
        }
        self.counters.thread_hit(node.function);
        Some(node)
    }

    /// Whether the reads of the current frame are those that it was predicted to have: all of `before`, in this order.
    pub(crate) fn has_followed(&self, before: &[Edge]) -> bool {
        // SAFETY: as in `push`.
        let is_listed = unsafe { (*self.reads.get()).len() } != self.base.get();
        let range = before.as_ptr_range();
        !is_listed && self.followed.get() == range.start && self.predicted.get() == range.end
    }

    /// Adds the predicted reads that have been made to the list.
    #[inline(always)]
    pub(super) fn note_followed(&self) {
        if self.followed.get() != self.predicted.get() {
            self.copy_followed();
        }
    }

    #[inline(never)]
    fn copy_followed(&self) {
        let (from, to) = (self.followed.replace(self.predicted.get()), self.predicted.get());
        // SAFETY: 1. both lead into the `Deps` of the claimed node (see `predicted`), and the cursor moves forward only; 2. as in
        // `push`.
        unsafe {
            let followed = slice::from_raw_parts(from, to.offset_from_unsigned(from));
            (*self.reads.get()).extend_from_slice(followed);
        }
    }

    #[inline(always)]
    fn push(&self, edge: Edge) {
        // SAFETY: this thread alone touches `reads`, and no reference into it outlives a method of this type, or the call of
        // another one.
        let is_full = unsafe { (*self.reads.get()).len() == (*self.reads.get()).capacity() };
        if is_full {
            // It looks for itself: handing it the list costs a hit half a nanosecond.
            self.make_room();
        }
        // SAFETY: as above.
        unsafe { (*self.reads.get()).push(edge) };
    }

    /// A body that goes on reading the same must not take more and more memory.
    #[cold]
    fn make_room(&self) {
        // SAFETY: as in `push`.
        let reads = unsafe { &mut *self.reads.get() };
        if self.duplicates.get() && reads.len() - self.base.get() > 4096 {
            self.keep_each_once(reads);
            self.repeated.set(self.base.get());
        }
        reads.reserve((reads.capacity() / 2).max(64));
    }

    /// Drops what the current frame has noted more than once.
    pub(super) fn keep_each_once(&self, reads: &mut Vec<Edge>) {
        let mut seen = self.seen.borrow_mut();
        let base = self.base.get();
        let mut kept = base;
        for index in base..reads.len() {
            if seen.insert(reads[index]) {
                reads[kept] = reads[index];
                kept += 1;
            }
        }
        reads.truncate(kept);
        seen.clear();
    }

    /// Notes a read of the current body. `perhaps_again` says that the body may have noted it before.
    #[inline]
    pub(crate) fn record(&self, edge: Edge, perhaps_again: bool) {
        if !self.recording.get() {
            return;
        }
        self.note_followed();
        if perhaps_again {
            if self.is_repeated(edge) {
                return;
            }
            self.duplicates.set(true);
        }
        if self.carrying.get() {
            self.record_arrived();
        }
        let next = self.predicted.get();
        if next != self.predicted_end.get() {
            self.resynchronise(next, edge);
        }
        self.push(edge);
    }

    /// Notes a read that the body may have noted before, as [`Self::record`] does; the usual case of [`Self::is_repeated`] comes first,
    /// since all else would be saved registers in every hit.
    #[inline(always)]
    fn record_again(&self, edge: Edge) {
        if !self.recording.get() {
            return;
        }
        // SAFETY: as in `push`.
        let reads = unsafe { &*self.reads.get() };
        let next = self.repeated.get();
        if reads.get(next) == Some(&edge) {
            self.repeated.set(next + 1);
        } else {
            self.record_out_of_turn(edge);
        }
    }

    #[inline(never)]
    fn record_out_of_turn(&self, edge: Edge) {
        self.record(edge, true);
    }

    /// Whether `edge` is the next of the reads that the body has noted already and now goes through again, in a loop over
    /// more nodes than the thread cache remembers. Such a loop would note each of them each time.
    #[inline]
    fn is_repeated(&self, edge: Edge) -> bool {
        // SAFETY: as in `push`.
        let reads = unsafe { &*self.reads.get() };
        let (base, next) = (self.base.get(), self.repeated.get());
        let found = if reads.get(next) == Some(&edge) {
            next
        } else if reads.get(base) == Some(&edge) {
            base
        } else if next == base {
            return false;
        } else {
            // The thread cache may have answered some in between.
            let ahead = reads.get(next + 1..).unwrap_or_default().iter().take(8);
            let Some(skipped) = ahead.copied().position(|read| read == edge) else {
                self.repeated.set(base);
                return false;
            };
            next + 1 + skipped
        };
        self.repeated.set(found + 1);
        true
    }

    /// Moves the prediction behind `edge` if it is among the next few.
    fn resynchronise(&self, next: *const Edge, edge: Edge) {
        let mut cursor = next;
        for _ in 0..4 {
            if cursor == self.predicted_end.get() {
                return;
            }
            // SAFETY: `cursor` is before the end of the claimed node's `Deps` (see `predicted`).
            let (found, after) = unsafe { (*cursor == edge, cursor.add(1)) };
            if found {
                self.followed.set(after);
                return self.predicted.set(after);
            }
            cursor = after;
        }
    }

    /// Remembers a node that was made by this call, and notes it as read for the first time.
    #[inline]
    pub(crate) fn record_new(&self, node: NodeRef) {
        self.cache.insert_new(node, self.execution.get());
        self.record(Edge::value_of(node), false);
    }

    /// Whether this thread remembers anything far away.
    #[inline(always)]
    pub(crate) fn has_far(&self) -> bool {
        self.cache.has_far()
    }

    /// The node of a hash that this thread remembers far away. Whether it is the one asked for is to be seen.
    #[inline(always)]
    pub(crate) fn far(&self, hash: u64) -> Option<NodeRef> {
        self.cache.find_far(hash)
    }

    /// Notes a read that the far part of the thread cache answered.
    #[inline(always)]
    pub(crate) fn record_from_far(&self, node: NodeRef) {
        self.counters.thread_hit(node.function);
        self.cache.remember_far(node, self.execution.get(), || self.counters.near_hits(node.function));
        self.record_again(Edge::value_of(node));
    }

    /// Notes a read that the table answered, of a node that the thread cache did not have, and remembers it there.
    #[inline(always)]
    pub(crate) fn record_from_table(&self, node: NodeRef) {
        self.counters.memory_hit(node.function);
        self.note_use(node);
        self.cache.remember(node, self.execution.get(), || self.counters.near_hits(node.function));
        self.record_again(Edge::value_of(node));
    }

    /// Notes a read that was answered through the table, and remembers the node for this thread.
    pub(crate) fn record_and_remember(&self, node: NodeRef) {
        self.note_use(node);
        let known = self.cache.find(node.hash, |other| other == node);
        match known {
            Some((_, recorded_by, entry)) => {
                entry.set_recorded(node, self.execution.get());
                if recorded_by != self.execution.get() {
                    self.record(
                        Edge::value_of(node),
                        recorded_by > self.execution.get() || self.predicting.get(),
                    );
                }
            }
            None => {
                self.cache.insert(node, self.execution.get());
                self.record(Edge::value_of(node), true);
            }
        }
    }

    /// The index of a task function in the engine's registry.
    pub(crate) fn function(&self, task_fn: &'static RawTaskFn) -> u32 {
        match self.functions.borrow_mut().entry(task_fn.id) {
            MapEntry::Occupied(known) => *known.get(),
            MapEntry::Vacant(vacant) => *vacant.insert(self.engine().functions.index(task_fn)),
        }
    }

    /// Whether reads are being recorded for a task (and not for the session itself).
    pub(crate) fn is_recording(&self) -> bool {
        self.recording.get()
    }
}
