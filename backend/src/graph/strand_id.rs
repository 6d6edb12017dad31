//! Names of strands, and of the demands that they make.
//!
//! A strand is one sequential thread of control (`context/strand.rs`). A node names the strand that holds its claim, and the demand in
//! which it has failed. For example, strand 8 claims `total`: the word of `total` that held its stale marks holds 8 now.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// A strand. A multiple of four, so that the word of a node can hold it beside the tags of stale marks (`stale_reads.rs`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
pub(crate) struct StrandId(NonZeroU64);

impl StrandId {
    /// Names a new strand, as no other one is named.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self::numbered(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Names the strand of a number from 1 on.
    pub(crate) fn numbered(number: u64) -> Self {
        Self(NonZeroU64::new(number * 4).expect("strands are numbered from 1"))
    }

    /// Returns the strand as a word of a node that it has claimed. Its lowest two bits are 0, and the word is not.
    #[inline]
    pub(super) fn to_word(self) -> usize {
        self.0.get() as usize
    }

    /// Returns the strand that a word names. Returns `None` for 0.
    #[inline]
    pub(super) fn from_word(word: usize) -> Option<Self> {
        NonZeroU64::new(word as u64).map(Self)
    }
}

/// One request of a session for a node, with all that it verifies and runs. The default is none.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[repr(transparent)]
pub(crate) struct DemandId(u64);

impl DemandId {
    /// The bits of the number among the demands of one strand. The others are those of the strand.
    const NUMBER: u64 = 0xffff_ffff;

    /// Returns the next demand of `strand`, whose last one was this. No other strand has it.
    #[inline]
    pub(crate) fn next_of(self, strand: StrandId) -> Self {
        Self((((self.0 & Self::NUMBER) + 1) & Self::NUMBER) | (strand.0.get() << 32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_names_the_strand_that_it_was_made_of() {
        let strand = StrandId::new();
        assert_ne!(strand, StrandId::new());
        assert_eq!(StrandId::from_word(strand.to_word()), Some(strand));
        assert_eq!((strand.to_word() % 4, StrandId::from_word(0)), (0, None));
    }

    #[test]
    fn demands_of_strands_differ() {
        let (one, other) = (StrandId::numbered(1), StrandId::numbered(2));
        let first = DemandId::default().next_of(one);
        assert_ne!(first, DemandId::default());
        assert_ne!(first, first.next_of(one));
        assert_ne!(first, DemandId::default().next_of(other));
        // The numbers of one strand begin anew, and stay with the strand.
        let last = DemandId(first.0 | DemandId::NUMBER);
        assert_eq!(last.next_of(one).next_of(one), first);
    }
}
