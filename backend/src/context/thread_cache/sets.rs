//! Sets of places, found by a hash, whose number can be changed.

use std::cell::{Cell, OnceCell};

/// The places that a hash can stand at.
pub(super) trait Set {
    fn empty() -> Self;
    fn clear(&self);
}

/// Sets in one of `N` sizes. One size is in use; all that were ever made stay where they are until this goes: a caller up
/// the stack may still compare arguments for an entry of theirs.
pub(super) struct Sets<S, const N: usize> {
    /// The first of the sets in use.
    first: Cell<*const S>,
    /// How many these are, less one.
    mask: Cell<usize>,
    size: Cell<usize>,
    sizes: [usize; N],
    made: [OnceCell<Vec<S>>; N],
}

impl<S: Set, const N: usize> Sets<S, N> {
    /// Sets in these sizes, powers of two, of which number `size` is used first.
    pub(super) fn new(sizes: [usize; N], size: usize) -> Self {
        debug_assert!(sizes.iter().all(|sets| sets.is_power_of_two()));
        let made = std::array::from_fn(|_| OnceCell::new());
        let sets = Self { first: Cell::default(), mask: Cell::new(0), size: Cell::new(size), sizes, made };
        sets.change_to(size);
        sets
    }

    pub(super) fn size(&self) -> usize {
        self.size.get()
    }

    #[inline(always)]
    pub(super) fn of(&self, hash: u64) -> &S {
        // The low bits choose the bucket in a shard's table and the high ones its tag; any will do here.
        let index = (hash >> 8) as usize & self.mask.get();
        // SAFETY: 1. `change_to` sets the mask to less than the number of sets behind the pointer; 2. the list of these is never
        // changed nor freed before `self`.
        unsafe { &*self.first.get().add(index) }
    }

    /// Whether sets of a size are there already.
    pub(super) fn has_made(&self, size: usize) -> bool {
        self.made[size].get().is_some()
    }

    /// The sets of a size, as they were left.
    pub(super) fn make(&self, size: usize) -> &[S] {
        self.made[size].get_or_init(|| (0..self.sizes[size]).map(|_| S::empty()).collect())
    }

    /// Goes over to the sets of a size.
    pub(super) fn change_to(&self, size: usize) {
        let sets = self.make(size);
        self.size.set(size);
        self.mask.set(sets.len() - 1);
        self.first.set(sets.as_ptr());
    }

    /// Empties the sets in use.
    pub(super) fn clear(&self) {
        self.made[self.size.get()].get().into_iter().flatten().for_each(S::clear);
    }
}
