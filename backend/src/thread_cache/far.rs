//! The far part of a thread cache: nodes for which there is no room in the near part, one word each.

use std::cell::Cell;

use super::sets::{Set, Sets};
use super::tagged::Tagged;
use crate::node::NodeRef;

/// The sizes, in sets of four. The first is for when it is not used; the others take 128 KiB, 1 MiB and 4 MiB.
const SIZES: [usize; 4] =
    if cfg!(any(miri, larder_model)) { [1, 4, 8, 16] } else { [1, 1 << 12, 1 << 15, 1 << 17] };
const UNUSED: usize = 0;
const SMALLEST: usize = 1;

#[repr(align(32))]
struct FarSet([Tagged; 4]);

impl Set for FarSet {
    const EMPTY: Self = Self([Tagged::NONE; 4]);

    fn clear(&self) {
        self.0.iter().for_each(Tagged::clear);
    }
}

pub(super) struct Far {
    sets: Sets<FarSet, { SIZES.len() }>,
    /// How often it has answered.
    answers: Cell<u64>,
    /// How often it had no answer, and the table did.
    misses: Cell<u64>,
    /// Both, when it was last judged.
    judged: Cell<(u64, u64)>,
    /// The size to go back to when it has been left alone.
    size: Cell<usize>,
    is_clear: Cell<bool>,
}

impl Default for Far {
    fn default() -> Self {
        Self {
            sets: Sets::new(SIZES, UNUSED),
            answers: Cell::new(0),
            misses: Cell::new(0),
            judged: Cell::new((0, 0)),
            size: Cell::new(UNUSED),
            is_clear: Cell::new(true),
        }
    }
}

impl Far {
    /// A node whose hash may be this one.
    #[inline(always)]
    pub(super) fn find(&self, hash: u64) -> Option<NodeRef> {
        let [first, second, third, fourth] = &self.sets.of(hash).0;
        // Which of the four it is cannot be foretold: no branches here.
        let early = if first.may_be_of(hash) { first } else { second };
        let late = if third.may_be_of(hash) { third } else { fourth };
        let place = if early.may_be_of(hash) { early } else { late };
        place.node_of(hash)
    }

    #[inline(always)]
    pub(super) fn note_answer(&self) {
        self.answers.set(self.answers.get() + 1);
    }

    /// How often it has answered so far.
    pub(super) fn answers(&self) -> u64 {
        self.answers.get()
    }

    /// Remembers a node that the table had to answer for: at once where there is room, otherwise one time in eight.
    pub(super) fn insert(&self, node: NodeRef) {
        let misses = self.misses.get() + 1;
        self.misses.set(misses);
        let ways = &self.sets.of(node.hash).0;
        let number = misses as usize;
        let way = ways.iter().find(|way| way.is_empty());
        if let Some(way) = way.or_else(|| number.is_multiple_of(8).then(|| &ways[number / 8 % ways.len()])) {
            self.is_clear.set(false);
            way.put(node);
        }
        if misses.is_multiple_of(1024) {
            self.judge();
        }
    }

    /// Once it has been asked for several times as much as it can hold, its size is judged by how much of that it has answered:
    /// most, and it is good as it is; some, and it grows; hardly anything, and it is left alone for as long, since what is asked for
    /// does not come again, or would not fit.
    #[cold]
    fn judge(&self) {
        let (answers, misses) = (self.answers.get(), self.misses.get());
        let (answers_before, misses_before) = self.judged.get();
        let answered = answers - answers_before;
        let asked = answered + misses - misses_before;
        let size = self.size.get();
        if asked < SIZES[size] as u64 * 16 {
            return;
        }
        self.judged.set((answers, misses));
        if size == UNUSED {
            self.size.set(SMALLEST);
        } else if self.sets.size() != UNUSED {
            if answered < asked / 32 {
                return self.sets.change_to(UNUSED);
            }
            if answered < asked / 8 * 7 && size + 1 < SIZES.len() {
                self.sets.clear();
                self.size.set(size + 1);
            }
        }
        self.sets.change_to(self.size.get());
    }

    /// Forgets everything. It takes little to grow again.
    pub(super) fn clear(&self) {
        if !self.is_clear.replace(true) {
            self.sets.clear();
            self.sets.change_to(self.size.replace(UNUSED));
            self.sets.clear();
            self.sets.change_to(UNUSED);
        }
    }
}
