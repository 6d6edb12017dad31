//! Lanes: ranges of item numbers that participants take from, at both ends.

use std::ops::Range;

use crate::base::sync::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};

/// A range of item numbers in one word, of which one participant takes the first ones, and others the rear half. Alone on its cache
/// line.
///
/// Only the participant that occupies it moves its front. So the front stands still while that participant runs what it has taken
/// ([`Lane::give_back`]).
#[repr(align(128))]
#[derive(Default)]
pub(crate) struct Lane {
    items: AtomicU64,
    /// A participant has it.
    is_occupied: AtomicBool,
    /// More than one item has been taken out of it at once, and may be given back.
    is_rationed: AtomicBool,
}

fn pack(items: Range<usize>) -> u64 {
    (items.start as u64) << 32 | items.end as u64
}

fn unpack(word: u64) -> Range<usize> {
    (word >> 32) as usize..(word & 0xffff_ffff) as usize
}

// Relaxed where nothing else is said: a lane hands over numbers only. The items were written before the helpers were let in, and
// their results are read after the helpers have left; both go through the crew's lock.
impl Lane {
    /// Occupies the lane, if it is free.
    pub(crate) fn occupy(&self) -> bool {
        !self.is_occupied.load(Relaxed) && !self.is_occupied.swap(true, SeqCst)
    }

    /// Leaves the lane, which is empty.
    pub(crate) fn vacate(&self) {
        self.is_occupied.store(false, SeqCst);
    }

    /// Takes up to `most` items from the front. If that may be more than one, the lane is rationed from here on, even if it is empty.
    pub(crate) fn take_first(&self, most: usize) -> Option<Range<usize>> {
        if most > 1 {
            // Before the items are out of the lane: a participant that finds neither would not come again. See `Lanes::waits`.
            self.is_rationed.store(true, SeqCst);
        }
        let mut word = self.items.load(Relaxed);
        loop {
            let Range { start, end } = unpack(word);
            if start >= end {
                return None;
            }
            let middle = start + most.min(end - start);
            match self.items.compare_exchange_weak(word, pack(middle..end), SeqCst, Relaxed) {
                Ok(_) => return Some(start..middle),
                Err(now) => word = now,
            }
        }
    }

    /// Gives back the rear of what was taken last.
    pub(crate) fn give_back(&self, rest: Range<usize>) {
        let mut word = self.items.load(Relaxed);
        loop {
            let left = unpack(word);
            debug_assert_eq!(left.start, rest.end, "others take from the rear");
            match self.items.compare_exchange_weak(word, pack(rest.start..left.end), SeqCst, Relaxed) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }

    /// Takes the rear half, if there is one.
    pub(crate) fn take_rear_half(&self) -> Option<Range<usize>> {
        let mut word = self.items.load(Relaxed);
        loop {
            let Range { start, end } = unpack(word);
            if start >= end {
                return None;
            }
            let middle = start + (end - start) / 2;
            match self.items.compare_exchange_weak(word, pack(start..middle), SeqCst, Relaxed) {
                Ok(_) => return Some(middle..end),
                Err(now) => word = now,
            }
        }
    }

    /// Fills the lane, which is empty and occupied by the caller.
    pub(crate) fn put(&self, items: Range<usize>) {
        self.items.store(pack(items), SeqCst);
    }

    /// Nothing that was taken can be given back any more.
    pub(crate) fn end_ration(&self) {
        self.is_rationed.store(false, SeqCst);
    }

    /// Whether items were taken from it that may be given back.
    pub(crate) fn is_rationed(&self) -> bool {
        self.is_rationed.load(SeqCst)
    }

    /// Whether there are items in it.
    pub(crate) fn has_items(&self) -> bool {
        !unpack(self.items.load(SeqCst)).is_empty()
    }
}
