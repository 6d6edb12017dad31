//! The thread cache: per thread, from a call's hash to its node, no lock and no shared write.
//!
//! * The *near* part is small and fast: two entries a set. An entry keeps, beside the node, the number of the execution on this
//!   thread that last recorded the node as a read, so that recording the same read again is one comparison.
//! * The *far* part (`far.rs`) takes what has no room there, one word each, and grows with what its thread asks for.
//!
//! For example, a loop asks for 64 tasks in turn: all of them stay in the near part, and each hit is one look. With 50,000 tasks the near
//! part answers few, and the far part the rest.
//!
//! A cache is valid for one generation of its engine: it is cleared at session entry if nodes have been freed since (`local.rs`).

mod far;
mod sets;
mod tagged;
#[cfg(all(test, target_pointer_width = "64", not(larder_model)))]
mod tests;

use std::cell::Cell;

use self::far::Far;
use self::sets::Sets;
use self::tagged::{Tagged, TaggedCell};
use crate::graph::node::NodeRef;

/// The sizes, in sets: for when it is left alone, and 128 KiB. A thousand keys with random hashes lose 1 % of their hits to the far
/// part, sequential keys none. (Miri and the model checker make and look at each of them again and again.)
const SIZES: [usize; 2] = if cfg!(any(miri, larder_model)) { [1, 16] } else { [1, 4096] };
const LEFT_ALONE: usize = 0;
const IN_USE: usize = 1;

pub(crate) struct Entry {
    node: TaggedCell,
    /// The execution that last recorded the node.
    recorded_by: Cell<u64>,
}

impl Entry {
    fn none() -> Self {
        Self { node: Cell::new(Tagged::NONE), recorded_by: Cell::new(0) }
    }

    /// Notes that `execution` has recorded `node`, if that is still the one that stands here.
    #[inline]
    pub(crate) fn set_recorded(&self, node: NodeRef, execution: u64) {
        if self.node.get().is(node) {
            self.recorded_by.set(execution);
        }
    }
}

#[repr(align(32))]
struct NearSet([Entry; 2]);

impl sets::Set for NearSet {
    fn empty() -> Self {
        Self([Entry::none(), Entry::none()])
    }

    fn clear(&self) {
        self.0.iter().for_each(|entry| entry.node.set(Tagged::NONE));
    }
}

pub(crate) struct ThreadCache {
    near: Sets<NearSet, { SIZES.len() }>,
    far: Far,
    is_clear: Cell<bool>,
    /// How many nodes were put in when they were made.
    made: Cell<usize>,
    refused: Cell<u32>,
    /// Until the far part has been asked so often, nothing is put into the near one: what is asked for does not fit.
    left_alone_until: Cell<u64>,
    /// Nodes that had no room since it was last judged, and the hits counted then.
    crowded: Cell<u32>,
    hits_before: Cell<u64>,
}

impl Default for ThreadCache {
    fn default() -> Self {
        let near = Sets::new(SIZES, LEFT_ALONE);
        near.change_to(IN_USE);
        Self {
            near,
            far: Far::default(),
            is_clear: Cell::new(true),
            made: Cell::new(0),
            refused: Cell::new(0),
            left_alone_until: Cell::new(0),
            crowded: Cell::new(0),
            hits_before: Cell::new(0),
        }
    }
}

impl ThreadCache {
    /// The near entry of a hash for which `is` says yes, and the frame that had recorded its node before that was asked: a comparison may
    /// call tasks, which come here, too, and put others in its place.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, is: impl Fn(NodeRef) -> bool) -> Option<(NodeRef, u64, &Entry)> {
        let [first, second] = &self.near.of(hash).0;
        if let Some(node) = first.node.get().node_of(hash) {
            let recorded_by = first.recorded_by.get();
            if is(node) {
                return Some((node, recorded_by, first));
            }
        }
        if let Some(node) = second.node.get().node_of(hash) {
            let recorded_by = second.recorded_by.get();
            if is(node) {
                return Some((node, recorded_by, second));
            }
        }
        None
    }

    /// Whether the far part may have what the near one has not.
    #[inline(always)]
    pub(crate) fn has_far(&self) -> bool {
        self.far.is_in_use()
    }

    /// A node of the far part whose hash may be this one.
    #[inline(always)]
    pub(crate) fn find_far(&self, hash: u64) -> Option<NodeRef> {
        self.far.find(hash)
    }

    /// Puts a node into the near part, as recorded by `execution`: at once where there is room, otherwise one time in eight, so
    /// that a working set which does not fit costs no more than looking elsewhere does. Returns whether there was room.
    #[inline]
    pub(crate) fn insert(&self, node: NodeRef, execution: u64) -> bool {
        let [first, second] = &self.near.of(node.hash).0;
        let mut has_room = true;
        let way = if first.node.get().is_none() {
            first
        } else if second.node.get().is_none() {
            second
        } else {
            has_room = false;
            let refused = self.refused.get().wrapping_add(1);
            self.refused.set(refused);
            if !refused.is_multiple_of(8) {
                return false;
            }
            if refused.is_multiple_of(16) { first } else { second }
        };
        self.is_clear.set(false);
        way.node.set(Tagged::of(node));
        way.recorded_by.set(execution);
        has_room
    }

    /// Remembers a node that the far part has answered for. `hits` is how often the cache has answered so far.
    #[inline(always)]
    pub(crate) fn remember_far(&self, node: NodeRef, execution: u64, hits: impl FnOnce() -> u64) {
        self.far.note_answer();
        if self.takes_in() {
            self.remember_near(node, execution, hits());
        }
    }

    /// Remembers a node that the table has answered for.
    #[inline(always)]
    pub(crate) fn remember(&self, node: NodeRef, execution: u64, hits: impl FnOnce() -> u64) {
        self.far.note_miss();
        if !(self.takes_in() && self.remember_near(node, execution, hits())) {
            self.far.insert(node);
        }
    }

    /// Whether the near part is to remember a node that it was asked for and did not have.
    #[inline(always)]
    fn takes_in(&self) -> bool {
        self.far.asked() >= self.left_alone_until.get()
    }

    #[inline(never)]
    fn remember_near(&self, node: NodeRef, execution: u64, hits: u64) -> bool {
        if self.near.size() == LEFT_ALONE {
            self.near.change_to(IN_USE);
        }
        let had_room = self.insert(node, execution);
        if !had_room {
            self.note_crowded(hits.wrapping_sub(self.far.answers()));
        }
        had_room
    }

    /// Notes that a node had no room, where `hits` is how often the near part has answered so far. If that is less than one lookup
    /// in five, it costs more than it saves, as its sets push the nodes out of the processor's caches: it is left alone for a while.
    fn note_crowded(&self, hits: u64) {
        let crowded = self.crowded.get() + 1;
        self.crowded.set(crowded);
        if crowded == 256 {
            if hits.wrapping_sub(self.hits_before.get()) < 64 {
                self.left_alone_until.set(self.far.asked() + 8192);
                self.near.change_to(LEFT_ALONE);
            }
            self.crowded.set(0);
            self.hits_before.set(hits);
        }
    }

    /// Puts in a node that has just been made, as [`Self::insert`] does.
    #[inline]
    pub(crate) fn insert_new(&self, node: NodeRef, execution: u64) {
        let made = self.made.get() + 1;
        self.made.set(made);
        if made.is_multiple_of(8192) {
            self.far.provide_for(made);
        }
        self.insert(node, execution);
    }

    /// Grows if it has come to want that: at the beginning of a session, since a hit does not allocate.
    #[inline(always)]
    pub(crate) fn take_room(&self) {
        self.far.take_room();
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.far.clear();
        if !self.is_clear.replace(true) {
            for size in [LEFT_ALONE, IN_USE] {
                self.near.change_to(size);
                self.near.clear();
            }
            self.left_alone_until.set(0);
        }
    }
}
