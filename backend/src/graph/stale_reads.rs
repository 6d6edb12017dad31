//! Stale reads: which reads of a STALE node are stale, as marks. One word in the node: one read in place, a list, or "any".
//!
//! A single mark also names the mark's *origin*: the node in which the staleness began, if all of it came from there. If
//! the origin turns out unchanged, so is everything that was marked from it alone (`invalidate.rs` says when that holds).
//!
//! Written by marking (which holds the gate exclusively) and by the strand that holds the node's claim. While the node is
//! RUNNING the same word names the claim's owner instead, so a mark word is taken out when a claim is taken.
//!
//! ```text
//!   0           none              [place:16][origin:48] | 01   one read
//!   ...10       list of positions ...11  any read may be stale
//!   ...00 (not 0)  a strand: the owner of a claim
//! ```

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use smallvec::SmallVec;

use crate::base::thin_list::ThinList;
use crate::graph::edges::Place;
use crate::graph::node::{Header, NodeRef};
use crate::graph::strand_id::StrandId;

const ONE: usize = 0b01;
const LIST: usize = 0b10;
const ANY: usize = 0b11;
const TAG: usize = 0b11;
const PLACE_SHIFT: u32 = usize::BITS - 16;

/// One stale read: where it stands, and the origin of all the node's staleness, if it has one. It is the mark word itself.
#[derive(Clone, Copy)]
pub(crate) struct Single(*mut ());

/// The stale reads of a node, as positions in its `Deps`.
pub(crate) enum StaleReads {
    None,
    One(Single),
    Some(ThinList<u32>),
    Any,
}

impl Single {
    #[inline]
    pub(crate) fn new(place: Place, origin: Option<NodeRef>) -> Self {
        let origin = origin.map_or(ptr::null_mut(), |origin| origin.as_ptr().cast::<()>());
        // Where an address does not leave room for the place, the node does without an origin.
        let origin = if origin.addr() >> PLACE_SHIFT == 0 { origin } else { ptr::null_mut() };
        let place = usize::from(place.bits()) << PLACE_SHIFT;
        Self(origin.map_addr(|address| address | place | ONE))
    }

    #[inline]
    pub(crate) fn place(self) -> Place {
        Place::from_bits((self.0.addr() >> PLACE_SHIFT) as u16)
    }

    #[inline]
    pub(crate) fn origin(self) -> Option<NodeRef> {
        let origin = self.0.map_addr(|address| address & !TAG & (usize::MAX >> 16));
        // SAFETY: `new` packs the address of a node or none; nodes outlive the marks that name them, as marks are only
        // looked at together with the edges that lead from the node to its origin.
        (!origin.is_null()).then(|| unsafe { NodeRef::from_ptr(origin.cast::<Header>()) })
    }

    /// A read that is stale for reasons of its own.
    pub(crate) fn without_origin(self) -> Self {
        Self::new(self.place(), None)
    }
}

impl StaleReads {
    fn from_word(word: *mut ()) -> Self {
        match word.addr() & TAG {
            ONE => Self::One(Single(word)),
            // SAFETY: only `into_word` makes words with this tag, and a word is taken out by a swap, hence once.
            LIST => Self::Some(unsafe { ThinList::from_raw(word.map_addr(|address| address & !TAG)) }),
            ANY => Self::Any,
            _ => Self::None,
        }
    }

    fn into_word(self) -> *mut () {
        match self {
            Self::None => ptr::null_mut(),
            Self::One(single) => single.0,
            Self::Some(list) => list.into_raw().map_addr(|address| address | LIST),
            Self::Any => ptr::without_provenance_mut(ANY),
        }
    }

    /// Adds a position to the marks of a node with `reads` reads. The result names no origin.
    fn add(self, position: u32, reads: usize) -> Self {
        match self {
            Self::None => Self::One(Single::new(Place::of(position as usize), None)),
            Self::One(first) => {
                // A place that covers several positions marks them all: a look at a read that is current is cheap.
                let mut list = ThinList::default();
                for position in first.place().range(reads).map(|first| first as u32).chain([position]) {
                    list.push(position);
                }
                Self::Some(list)
            }
            // More marks than reads are repetitions: from here on, all reads are looked at.
            Self::Some(list) if list.as_slice().len() > reads => Self::Any,
            Self::Some(mut list) => {
                list.push(position);
                Self::Some(list)
            }
            Self::Any => Self::Any,
        }
    }

    /// The stale positions in the order of the reads, of a node with `reads` reads.
    pub(crate) fn in_order(&self, reads: usize) -> SmallVec<[u32; 4]> {
        let count = u32::try_from(reads).expect("a node has fewer than 2^32 reads");
        match self {
            Self::None => SmallVec::new(),
            Self::One(single) => single.place().range(reads).map(|position| position as u32).collect(),
            Self::Some(list) => {
                let mut positions = SmallVec::from_slice(list.as_slice());
                positions.sort_unstable();
                positions.dedup();
                positions
            }
            Self::Any => (0..count).collect(),
        }
    }
}

/// Takes the marks out of a word, and leaves nothing in it.
pub(crate) fn take(word: &AtomicPtr<()>) -> StaleReads {
    replace(word, ptr::null_mut())
}

/// Takes the marks out of the word of a node that `owner` has claimed, and leaves the owner's name in it.
pub(crate) fn take_for(word: &AtomicPtr<()>, owner: StrandId) -> StaleReads {
    debug_assert_eq!(owner.to_word() & TAG, 0, "strands are multiples of four");
    replace(word, ptr::without_provenance_mut(owner.to_word()))
}

#[inline]
fn replace(word: &AtomicPtr<()>, with: *mut ()) -> StaleReads {
    // Relaxed, and a load and a store: the claim (an acquire) or the gate makes this thread the only writer.
    let marks = StaleReads::from_word(word.load(Ordering::Relaxed));
    word.store(with, Ordering::Relaxed);
    marks
}

/// Puts marks into a word that holds none.
pub(crate) fn put(word: &AtomicPtr<()>, marks: StaleReads) {
    word.store(marks.into_word(), Ordering::Relaxed);
}

/// Adds one stale position to the marks in a word; `reads` is the number of reads that the node has.
pub(crate) fn add(word: &AtomicPtr<()>, position: usize, reads: usize) {
    let position = u32::try_from(position).expect("a node has fewer than 2^32 reads");
    let marks = take(word);
    put(word, marks.add(position, reads));
}

/// The single mark in a word, if it holds just one.
pub(crate) fn single(word: &AtomicPtr<()>) -> Option<Single> {
    let word = word.load(Ordering::Relaxed);
    (word.addr() & TAG == ONE).then_some(Single(word))
}

/// The strand in a word, if it holds one.
pub(crate) fn owner(word: &AtomicPtr<()>) -> Option<StrandId> {
    let word = word.load(Ordering::Relaxed).addr();
    if word & TAG == 0 { StrandId::from_word(word) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_further_mark_keeps_those_before_it() {
        assert_eq!(StaleReads::None.add(3, 10).in_order(10).as_slice(), [3]);
        assert_eq!(StaleReads::None.add(3, 10).add(1, 10).add(3, 10).in_order(10).as_slice(), [1, 3]);
        // From 4,096 on a place stands for two positions and more.
        assert_eq!(StaleReads::None.add(4097, 5000).add(2, 5000).in_order(5000).as_slice(), [2, 4096, 4097]);
    }

    #[test]
    fn a_word_gives_back_the_marks_that_went_into_it() {
        for number in [0, 1, 2, 9, 300] {
            let word = AtomicPtr::default();
            (0..number).for_each(|position| add(&word, position, 1000));
            assert_eq!(single(&word).is_some(), number == 1);
            assert_eq!(owner(&word), None);
            assert_eq!(
                take_for(&word, StrandId::numbered(2)).in_order(1000).as_slice(),
                (0..number as u32).collect::<Vec<_>>()
            );
            assert_eq!(owner(&word), Some(StrandId::numbered(2)));
        }
    }

    #[test]
    fn more_marks_than_reads_are_any() {
        let marks = (0..6).fold(StaleReads::None, |marks, _| marks.add(1, 3));
        assert!(matches!(marks, StaleReads::Any));
        assert_eq!(marks.in_order(3).as_slice(), [0, 1, 2]);
    }
}
