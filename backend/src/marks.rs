//! Marks: which reads of a STALE node are stale. One word in the node: a position in place, a list, or "any".
//!
//! Written by marking (which holds the gate exclusively) and by whoever holds the node's claim. While the node is
//! RUNNING the same word names the claim's owner instead, so a mark word is taken out when a claim is taken.
//!
//! ```text
//!   0           none             ...01  one position (the word shifted right by 2)
//!   ...10       list of positions ...11  any read may be stale
//!   ...00 (not 0)  a strand: the owner of a claim
//! ```

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::thin::ThinList;

const ONE: usize = 0b01;
const LIST: usize = 0b10;
const ANY: usize = 0b11;
const TAG: usize = 0b11;

/// The stale reads of a node, as positions in its `Deps`.
pub(crate) enum Marks {
    None,
    One(u32),
    Some(ThinList<u32>),
    Any,
}

impl Marks {
    fn from_word(word: *mut ()) -> Self {
        let position = u32::try_from(word.addr() >> 2);
        match word.addr() & TAG {
            ONE => position.map_or(Self::Any, Self::One),
            // SAFETY: only `into_word` makes words with this tag, and a word is taken out by a swap, hence once.
            LIST => Self::Some(unsafe { ThinList::from_raw(word.map_addr(|address| address & !TAG)) }),
            ANY => Self::Any,
            _ => Self::None,
        }
    }

    fn into_word(self) -> *mut () {
        match self {
            Self::None => ptr::null_mut(),
            Self::One(position) => ptr::without_provenance_mut((position as usize) << 2 | ONE),
            Self::Some(list) => list.into_raw().map_addr(|address| address | LIST),
            Self::Any => ptr::without_provenance_mut(ANY),
        }
    }

    fn add(self, position: u32, reads: usize) -> Self {
        match self {
            Self::None => Self::One(position),
            Self::One(first) if first == position => Self::One(first),
            Self::One(first) => Self::Some(ThinList::from_slice(&[first, position])),
            // More marks than reads are repetitions: from here on, all reads are looked at.
            Self::Some(list) if list.as_slice().len() >= reads => Self::Any,
            Self::Some(mut list) => {
                list.push(position);
                Self::Some(list)
            }
            Self::Any => Self::Any,
        }
    }

    /// The stale positions in the order of the reads, below `reads`.
    pub(crate) fn in_order(&self, reads: usize) -> Vec<u32> {
        let all = || (0..u32::try_from(reads).expect("a node has fewer than 2^32 reads")).collect();
        match self {
            Self::None => Vec::new(),
            Self::One(position) => vec![*position],
            Self::Some(list) => {
                let mut positions = list.as_slice().to_vec();
                positions.sort_unstable();
                positions.dedup();
                positions
            }
            Self::Any => all(),
        }
    }
}

/// Takes the marks out of a word, leaving `owner` (0 or a strand) in it.
pub(crate) fn take(word: &AtomicPtr<()>, owner: usize) -> Marks {
    debug_assert_eq!(owner & TAG, 0, "strands are multiples of four");
    // Relaxed: the claim (an acquire) or the gate orders it after the marking.
    Marks::from_word(word.swap(ptr::without_provenance_mut(owner), Ordering::Relaxed))
}

/// Puts marks (back) into a word that holds none.
pub(crate) fn put(word: &AtomicPtr<()>, marks: Marks) {
    word.store(marks.into_word(), Ordering::Relaxed);
}

/// Adds one stale position to the marks in a word; `reads` is the number of reads that the node has.
pub(crate) fn add(word: &AtomicPtr<()>, position: usize, reads: usize) {
    let position = u32::try_from(position).expect("a node has fewer than 2^32 reads");
    let old = word.load(Ordering::Relaxed);
    if old.addr() & TAG == 0 {
        put(word, Marks::One(position));
    } else if old.addr() != ANY {
        let marks = take(word, 0);
        put(word, marks.add(position, reads));
    }
}

/// The strand in a word, if it holds one.
pub(crate) fn owner(word: &AtomicPtr<()>) -> Option<u64> {
    let word = word.load(Ordering::Relaxed).addr();
    (word & TAG == 0 && word != 0).then_some(word as u64)
}
