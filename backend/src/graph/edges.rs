//! Edges: what a node read (`Deps`, in order) and which nodes read it (`Dependents`). 8 bytes each, and none for an empty list.
//!
//! * An [`Edge`] points at the node read; bit 0 says that its *effects* were read (emitted values), not just its value.
//! * A [`Dependent`] points back at the reader and carries the position of the edge in the reader's `Deps`, as a 16-bit
//!   floating number in the pointer's unused high bits: exact below 4096, within 1/2048 above. So a mark finds "which
//!   of its reads is stale" in constant time, whatever the fan-in.
//! * A reverse edge is never removed when its reader drops or moves the read; it is *dead* from then on, which is
//!   seen by looking at the reader's `Deps` at the position. Marking and purging drop dead ones.
//!
//! A single edge stands in the node itself, more in a [`ThinList`]. Low bits of the word tell which.

use std::ptr;

use crate::base::thin_list::ThinList;
use crate::graph::node::{Header, NodeRef};

const LIST: usize = 0b10;
const EFFECTS: usize = 0b01;

/// One read: a node, and whether its value or all its effects were read.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub(crate) struct Edge(*mut ());

impl Edge {
    #[inline(always)]
    pub(crate) fn value_of(node: NodeRef) -> Self {
        Self(node.as_ptr().cast())
    }
    pub(crate) fn effects_of(node: NodeRef) -> Self {
        Self(node.as_ptr().cast::<()>().map_addr(|address| address | EFFECTS))
    }
    #[inline(always)]
    pub(crate) fn node(self) -> NodeRef {
        // SAFETY: both constructors start from a live node, and the tag is taken off again.
        unsafe { NodeRef::from_ptr(self.0.map_addr(|address| address & !EFFECTS).cast::<Header>()) }
    }
    pub(crate) fn reads_effects(self) -> bool {
        self.0.addr() & EFFECTS != 0
    }
}

/// The ordered reads of a node: none, one in place, or a list (tag `LIST`).
pub(crate) struct Deps(*mut ());

impl Default for Deps {
    fn default() -> Self {
        Self(ptr::null_mut())
    }
}

impl Deps {
    /// Whether there are no reads. Looks at no other memory.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_null()
    }

    pub(crate) fn from_slice(edges: &[Edge]) -> Self {
        match edges {
            [] => Self::default(),
            [only] => Self(only.0),
            many => Self(ThinList::from_slice(many).into_raw().map_addr(|address| address | LIST)),
        }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[Edge] {
        if self.0.is_null() {
            &[]
        } else if self.0.addr() & LIST == 0 {
            // SAFETY: `Edge` is a transparent wrapper of the same pointer.
            std::slice::from_ref(unsafe { &*(&raw const self.0).cast::<Edge>() })
        } else {
            // SAFETY: 1. the pointer came from `into_raw`; 2. `ManuallyDrop` keeps the list ours; 3. the slice lies in the
            // allocation, which lives as long as `self` does not change.
            unsafe {
                let list = std::mem::ManuallyDrop::new(ThinList::<Edge>::from_raw(self.untagged()));
                &*ptr::from_ref(list.as_slice())
            }
        }
    }

    fn untagged(&self) -> *mut () {
        self.0.map_addr(|address| address & !LIST)
    }

    /// The position of `edge`, given where a reverse edge says that it is.
    #[cfg(target_pointer_width = "64")]
    #[inline]
    fn find(&self, edge: Edge, place: Place) -> Option<usize> {
        let edges = self.as_slice();
        if let Some(position) = place.exactly() {
            return (edges.get(position) == Some(&edge)).then_some(position);
        }
        let range = place.range(edges.len());
        let start = range.start;
        edges[range].iter().position(|other| *other == edge).map(|offset| start + offset)
    }
}

impl Drop for Deps {
    fn drop(&mut self) {
        if self.0.addr() & LIST != 0 {
            // SAFETY: came from `into_raw`; taken back once, here.
            drop(unsafe { ThinList::<Edge>::from_raw(self.untagged()) });
        }
    }
}

/// A position in a reader's list, in 16 bits: 12 of mantissa, 4 of exponent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place(u16);

impl Place {
    const MANTISSA: u32 = 12;

    #[inline]
    pub(crate) fn of(position: usize) -> Self {
        if position >> Self::MANTISSA == 0 {
            return Self(position as u16);
        }
        let exponent = position.ilog2() + 1 - Self::MANTISSA;
        debug_assert!(exponent < 16, "a node has fewer than 2^27 reads");
        let mantissa = position >> exponent;
        Self(u16::try_from((exponent as usize) << Self::MANTISSA | mantissa & 0xfff).unwrap_or(u16::MAX))
    }

    pub(crate) fn bits(self) -> u16 {
        self.0
    }

    pub(crate) fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The one position that this stands for, if it is one.
    pub(crate) fn exactly(self) -> Option<usize> {
        (self.0 >> Self::MANTISSA == 0).then_some(usize::from(self.0))
    }

    /// The positions that are encoded like this one, as far as they are below `len`.
    pub(crate) fn range(self, len: usize) -> std::ops::Range<usize> {
        let exponent = u32::from(self.0 >> Self::MANTISSA);
        let start = usize::from(self.0 & 0xfff) << exponent;
        start.min(len)..(start + (1 << exponent)).min(len)
    }
}

/// A reverse edge: a reader, and about where in its reads the edge stands.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Dependent(*mut ());

impl Dependent {
    const PLACED: usize = 0b01;
    const UNPLACED: usize = 0b10;
    const EFFECTS: usize = 0b100;
    const TAGS: usize = 0b111;

    /// The reverse of edge number `position` of `reader`.
    pub(crate) fn new(reader: NodeRef, position: usize, read: Edge) -> Self {
        let pointer = reader.as_ptr().cast::<()>();
        let effects = if read.reads_effects() { Self::EFFECTS } else { 0 };
        #[cfg(target_pointer_width = "64")]
        if pointer.addr() >> 48 == 0 {
            let place = usize::from(Place::of(position).0) << 48;
            return Self(pointer.map_addr(|address| address | place | effects | Self::PLACED));
        }
        let _ = position;
        Self(pointer.map_addr(|address| address | effects | Self::UNPLACED))
    }

    pub(crate) fn reader(self) -> NodeRef {
        // SAFETY: `new` started from a live node; tags and place are taken off again.
        unsafe { NodeRef::from_ptr(self.0.map_addr(|address| self.clean(address)).cast::<Header>()) }
    }

    /// Whether the reader depends on the effects of the node, not just on its value.
    pub(crate) fn reads_effects(self) -> bool {
        self.0.addr() & Self::EFFECTS != 0
    }

    fn clean(self, address: usize) -> usize {
        let address = address & !Self::TAGS;
        #[cfg(target_pointer_width = "64")]
        if self.0.addr() & Self::PLACED != 0 {
            return address & (usize::MAX >> 16);
        }
        address
    }

    /// Where the reader's edge to `read` stands, or `None` if this reverse edge is dead.
    ///
    /// # Safety
    /// The caller holds the gate exclusively (the reader's `Deps` do not change).
    #[inline]
    pub(crate) unsafe fn position_of(self, read: NodeRef) -> Option<usize> {
        let edge = if self.reads_effects() { Edge::effects_of(read) } else { Edge::value_of(read) };
        // SAFETY: passed on to the caller.
        let deps = unsafe { self.reader().deps() };
        #[cfg(target_pointer_width = "64")]
        if self.0.addr() & Self::PLACED != 0 {
            let place = u16::try_from(self.0.addr() >> 48).expect("16 bits");
            return deps.find(edge, Place(place));
        }
        deps.as_slice().iter().position(|other| *other == edge)
    }
}

/// The readers of a node: none, one in place, or a list.
pub(crate) struct Dependents(*mut ());

impl Default for Dependents {
    fn default() -> Self {
        Self(ptr::null_mut())
    }
}

impl Dependents {
    fn is_single(&self) -> bool {
        self.0.addr() & (Dependent::PLACED | Dependent::UNPLACED) != 0
    }

    pub(crate) fn as_slice(&self) -> &[Dependent] {
        if self.0.is_null() {
            &[]
        } else if self.is_single() {
            // SAFETY: `Dependent` is a transparent wrapper of the same pointer.
            std::slice::from_ref(unsafe { &*(&raw const self.0).cast::<Dependent>() })
        } else {
            // SAFETY: as in `Deps::as_slice`.
            unsafe {
                let list = std::mem::ManuallyDrop::new(ThinList::<Dependent>::from_raw(self.0));
                &*ptr::from_ref(list.as_slice())
            }
        }
    }

    /// Adds a reverse edge. Returns whether the list is worth [fitting](Self::fit).
    pub(crate) fn push(&mut self, dependent: Dependent) -> bool {
        if self.0.is_null() {
            self.0 = dependent.0;
            false
        } else if self.is_single() {
            self.0 = ThinList::from_slice(&[Dependent(self.0), dependent]).into_raw();
            false
        } else {
            // SAFETY: not null and not a single edge, so it came from `into_raw`; given back just below.
            let mut list = unsafe { ThinList::<Dependent>::from_raw(self.0) };
            let grows_again = list.push(dependent);
            self.0 = list.into_raw();
            grows_again
        }
    }

    /// Puts one reverse edge in the place of another. Returns whether that was found, among the few that are looked at.
    pub(crate) fn replace(&mut self, old: Dependent, new: Dependent) -> bool {
        const LOOKS: usize = 8;
        if self.is_single() {
            let is_it = self.0 == old.0;
            if is_it {
                self.0 = new.0;
            }
            return is_it;
        }
        if self.0.is_null() {
            return false;
        }
        // SAFETY: as in `push`.
        let mut list = unsafe { ThinList::<Dependent>::from_raw(self.0) };
        let found = list.as_mut_slice().iter_mut().take(LOOKS).find(|dependent| **dependent == old);
        let is_found = found.map(|found| *found = new).is_some();
        self.0 = list.into_raw();
        is_found
    }

    /// Gives back what memory it has too much.
    pub(crate) fn fit(&mut self) {
        if !self.0.is_null() && !self.is_single() {
            // SAFETY: as in `push`.
            let mut list = unsafe { ThinList::<Dependent>::from_raw(self.0) };
            list.fit();
            self.0 = list.into_raw();
        }
    }

    /// Drops those in `range` that `keep` does not want. The order of those behind the start of the range changes.
    pub(crate) fn retain_among(
        &mut self,
        range: std::ops::Range<usize>,
        mut keep: impl FnMut(Dependent) -> bool,
    ) {
        if self.0.is_null() || self.is_single() {
            return if !range.is_empty() {
                self.retain(keep)
            };
        }
        // SAFETY: as in `push`.
        let mut list = unsafe { ThinList::<Dependent>::from_raw(self.0) };
        list.retain_among(range, &mut keep);
        self.0 = list.into_raw();
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(Dependent) -> bool) {
        if self.0.is_null() {
        } else if self.is_single() {
            if !keep(Dependent(self.0)) {
                self.0 = ptr::null_mut();
            }
        } else {
            // SAFETY: as in `push`.
            let mut list = unsafe { ThinList::<Dependent>::from_raw(self.0) };
            list.retain(keep);
            self.0 = list.into_raw();
        }
    }
}

impl Drop for Dependents {
    fn drop(&mut self) {
        if !self.0.is_null() && !self.is_single() {
            // SAFETY: came from `into_raw`; taken back once, here.
            drop(unsafe { ThinList::<Dependent>::from_raw(self.0) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_covers_its_position_and_little_else() {
        for position in (0..5000).chain((5000..100_000_000).step_by(99_991)) {
            let range = Place::of(position).range(usize::MAX);
            assert!(range.contains(&position), "{position} not in {range:?}");
            assert!(range.len() <= 1 + position / 2048);
        }
    }
}
