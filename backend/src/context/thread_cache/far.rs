//! The far part of a thread cache: nodes for which there is no room in the near part, one word each.

use std::cell::Cell;
use std::hint::select_unpredictable;

use super::sets::{Set, Sets};
use super::tagged::{Tagged, TaggedCell};
use crate::graph::node::NodeRef;

/// The nodes of a set: one line of the processor's cache.
const WAYS: usize = 8;
/// The sizes, in sets. The first is for when it is not used; the others take 128 KiB, 1 MiB and 2 MiB.
pub(super) const SIZES: [usize; 4] =
    if cfg!(any(miri, larder_model)) { [1, 2, 4, 8] } else { [1, 1 << 11, 1 << 14, 1 << 15] };
const UNUSED: usize = 0;
const LARGEST: usize = SIZES.len() - 1;
/// For how many spans it is left alone.
const REST: u32 = 32;

#[repr(align(64))]
struct FarSet([TaggedCell; WAYS]);

impl Set for FarSet {
    fn empty() -> Self {
        Self([const { Cell::new(Tagged::NONE) }; WAYS])
    }

    fn clear(&self) {
        self.0.iter().for_each(|place| place.set(Tagged::NONE));
    }
}

pub(super) struct Far {
    sets: Sets<FarSet, { SIZES.len() }>,
    /// The size to go back to when it has been left alone.
    size: Cell<usize>,
    /// How often it has answered.
    answers: Cell<u64>,
    /// How often the table has, for what no part of the cache had.
    misses: Cell<u64>,
    /// For how many of these there was no room.
    crowded: Cell<u64>,
    /// All three, when it was last judged.
    judged: Cell<[u64; 3]>,
    /// So many spans of that length are to pass before it is judged: while it fills itself, or is left alone.
    spans: Cell<u32>,
    /// It is to grow when that may allocate.
    wants_room: Cell<bool>,
    is_clear: Cell<bool>,
}

impl Default for Far {
    fn default() -> Self {
        Self {
            sets: Sets::new(SIZES, UNUSED),
            size: Cell::new(UNUSED),
            answers: Cell::new(0),
            misses: Cell::new(0),
            crowded: Cell::new(0),
            judged: Cell::default(),
            spans: Cell::new(0),
            wants_room: Cell::new(false),
            is_clear: Cell::new(true),
        }
    }
}

impl Far {
    /// Whether there can be anything in it.
    #[inline(always)]
    pub(super) fn is_in_use(&self) -> bool {
        self.sets.size() != UNUSED
    }

    /// A node whose hash may be this one.
    #[inline(always)]
    pub(super) fn find(&self, hash: u64) -> Option<NodeRef> {
        let [mut found, others @ ..] = self.sets.of(hash).0.each_ref().map(Cell::get);
        for other in others {
            found = select_unpredictable(other.may_be_of(hash), other, found);
        }
        found.node_of(hash)
    }

    #[inline(always)]
    pub(super) fn note_answer(&self) {
        self.answers.set(self.answers.get() + 1);
    }

    #[inline(always)]
    pub(super) fn note_miss(&self) {
        let misses = self.misses.get() + 1;
        self.misses.set(misses);
        if misses.is_multiple_of(1024) {
            self.judge();
        }
    }

    /// How often it has answered so far.
    pub(super) fn answers(&self) -> u64 {
        self.answers.get()
    }

    /// How often it was asked so far for a node that exists.
    #[inline(always)]
    pub(super) fn asked(&self) -> u64 {
        self.answers.get() + self.misses.get()
    }

    /// Puts a node in, if it is in use: at once where there is room, otherwise one time in eight.
    #[inline(always)]
    pub(super) fn insert(&self, node: NodeRef) {
        if self.is_in_use() {
            self.put(node);
        }
    }

    #[inline(never)]
    fn put(&self, node: NodeRef) {
        let ways = &self.sets.of(node.hash).0;
        if let Some(way) = ways.iter().find(|way| way.get().is_none()) {
            self.is_clear.set(false);
            way.set(Tagged::of(node));
        } else {
            let crowded = self.crowded.get() + 1;
            self.crowded.set(crowded);
            if crowded.is_multiple_of(8) {
                ways[crowded as usize / 8 % WAYS].set(Tagged::of(node));
            }
        }
    }

    /// Judges the size, whenever the far part has been asked for twice as much as it holds and has had as much before to fill itself.
    /// If much had no room, it grows, if need be as soon as it may allocate.
    #[cold]
    fn judge(&self) {
        let now = [self.answers.get(), self.misses.get(), self.crowded.get()];
        let before = self.judged.get();
        let [answered, missed, crowded] = std::array::from_fn(|index| now[index] - before[index]);
        let asked = answered + missed;
        let size = self.size.get();
        if asked < (SIZES[size] * WAYS * 2) as u64 {
            return;
        }
        self.judged.set(now);
        let spans = self.spans.get();
        if spans > 0 {
            let is_over = spans == 1 && self.sets.size() != size;
            if is_over {
                self.sets.change_to(size);
            }
            self.spans.set(if is_over { 1 } else { spans - 1 });
        } else if size == UNUSED || crowded > asked / 16 {
            if size != LARGEST && self.sets.has_made(size + 1) {
                return self.grow();
            }
            // A hit allocates nothing, and what hardly ever comes again is not worth an allocation.
            let hardly_answers = size != UNUSED && answered < asked / 32;
            self.wants_room.set(size != LARGEST && !hardly_answers);
            if size != UNUSED && answered < asked / 4 * 3 {
                self.leave_alone();
            }
        } else {
            self.wants_room.set(false);
        }
    }

    /// The working set is too large, or does not come again: to look for it here first costs more than the answers save, and pushes
    /// nodes out of the processor's caches.
    fn leave_alone(&self) {
        self.spans.set(REST);
        self.sets.change_to(UNUSED);
    }

    /// Takes the room that it has come to want. This allocates.
    #[inline(always)]
    pub(super) fn take_room(&self) {
        if self.wants_room.get() {
            self.grow();
        }
    }

    /// Notes that this thread has made so many nodes, and makes the sets that these would fill by a quarter, to have them when a
    /// hit wants to grow; but for the largest, which few need.
    #[cold]
    pub(super) fn provide_for(&self, nodes: usize) {
        for (size, _) in SIZES[..LARGEST].iter().enumerate().filter(|(_, sets)| **sets * WAYS <= nodes * 4) {
            self.sets.make(size);
        }
    }

    #[cold]
    fn grow(&self) {
        let size = (self.size.get() + 1).min(LARGEST);
        self.empty();
        self.size.set(size);
        self.sets.change_to(size);
        self.spans.set(1);
    }

    /// Forgets what it holds, and that it wants room. It is not in use then.
    fn empty(&self) {
        // The size that it goes back to, which holds something also while it is left alone. No other does.
        self.sets.change_to(self.size.replace(UNUSED));
        self.sets.clear();
        self.sets.change_to(UNUSED);
        self.spans.set(0);
        self.wants_room.set(false);
    }

    /// Forgets everything. It takes little to grow again.
    pub(super) fn clear(&self) {
        if !self.is_clear.replace(true) {
            self.empty();
        }
    }
}
