//! A list behind one pointer: length and capacity stand in the allocation, so that an empty list costs a node 8 bytes.
//!
//! The elements are `Copy`; the list is not thread-safe by itself.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::ptr::NonNull;

#[repr(C)]
struct Head {
    len: u32,
    /// The upper bit says that a long list has grown since it was made or fitted.
    capacity: u32,
}

const HAS_GROWN: u32 = 1 << 31;
/// From this length on a list grows by little, and is worth fitting.
const LONG: usize = 64;

impl Head {
    fn capacity(&self) -> usize {
        (self.capacity & !HAS_GROWN) as usize
    }
}

/// A growable list of `Copy` elements of alignment 8 at most, owned through one non-null pointer.
pub(crate) struct ThinList<T: Copy> {
    head: NonNull<Head>,
    elements: PhantomData<T>,
}

impl<T: Copy> ThinList<T> {
    const FITS: () = assert!(align_of::<T>() <= 8 && size_of::<T>() > 0);

    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let () = Self::FITS;
        let layout = Self::layout(capacity);
        // SAFETY: the layout holds at least the head, so it is not of size zero.
        let raw = unsafe { alloc(layout) }.cast::<Head>();
        let Some(head) = NonNull::new(raw) else { handle_alloc_error(layout) };
        let capacity = Self::count(capacity);
        // SAFETY: a fresh allocation that is large and aligned enough for the head.
        unsafe { head.write(Head { len: 0, capacity }) };
        Self { head, elements: PhantomData }
    }

    pub(crate) fn from_slice(from: &[T]) -> Self {
        let mut list = Self::with_capacity(from.len());
        for &element in from {
            let _ = list.push(element);
        }
        list
    }

    fn count(capacity: usize) -> u32 {
        let count = u32::try_from(capacity).ok().filter(|count| count & HAS_GROWN == 0);
        count.expect("a node has fewer than 2^31 edges")
    }

    fn layout(capacity: usize) -> Layout {
        let elements = Layout::array::<T>(capacity).expect("a node has fewer than 2^31 edges");
        Layout::from_size_align(size_of::<Head>() + elements.size(), 8).expect("as above")
    }

    fn head(&self) -> &Head {
        // SAFETY: the head lives as long as the list.
        unsafe { self.head.as_ref() }
    }

    fn data(&self) -> *mut T {
        // SAFETY: the elements follow the 8-byte head in the same allocation.
        unsafe { self.head.as_ptr().add(1).cast() }
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        // SAFETY: the first `len` elements are initialised.
        unsafe { std::slice::from_raw_parts(self.data(), self.head().len as usize) }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.head().len as usize == self.head().capacity()
    }

    /// Adds an element. Returns whether the list is long, and has grown twice by that since it was made or [fitted](Self::fit).
    pub(crate) fn push(&mut self, element: T) -> bool {
        let grows_again = self.is_full() && self.grow();
        let len = self.head().len;
        // SAFETY: 1. `len < capacity`, so the place is inside the allocation; 2. `&mut self` makes it ours.
        unsafe {
            self.data().add(len as usize).write(element);
            self.head.as_mut().len = len + 1;
        }
        grows_again
    }

    /// Doubles a short list, and adds an eighth to a long one: most edges of a graph lead to nodes that many read, and
    /// there it is the slack that takes the memory. Returns whether a long list has grown before.
    #[cold]
    fn grow(&mut self) -> bool {
        let before = self.head().capacity();
        if before < LONG {
            self.set_capacity((before * 2).max(2));
            return false;
        }
        let has_grown = self.head().capacity & HAS_GROWN != 0;
        self.set_capacity(before + before / 8);
        // SAFETY: `&mut self` makes the head ours.
        unsafe { self.head.as_mut().capacity |= HAS_GROWN };
        has_grown
    }

    /// Gives back what a long list has too much.
    ///
    /// To do so whenever `push` says that it is worth it costs each push a constant, as growing does.
    pub(crate) fn fit(&mut self) {
        let len = self.as_slice().len();
        if len >= LONG && (len < self.head().capacity() || self.head().capacity & HAS_GROWN != 0) {
            self.set_capacity(len);
        }
    }

    /// Moves the list to a place for so many elements, at least as many as it has.
    fn set_capacity(&mut self, capacity: usize) {
        debug_assert!(capacity >= self.as_slice().len() && capacity > 0);
        let layout = Self::layout(capacity);
        let before = Self::layout(self.head().capacity());
        // SAFETY: 1. allocated with the layout of `before`; 2. the new size is neither zero nor too large for a layout.
        let raw = unsafe { realloc(self.head.as_ptr().cast(), before, layout.size()) };
        let Some(head) = NonNull::new(raw.cast::<Head>()) else { handle_alloc_error(layout) };
        self.head = head;
        // SAFETY: the head was moved along, and `&mut self` makes it ours.
        unsafe { self.head.as_mut().capacity = Self::count(capacity) };
    }

    /// Keeps the elements for which `keep` says so; the order stays.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(T) -> bool) {
        let mut kept = 0;
        for index in 0..self.as_slice().len() {
            let element = self.as_slice()[index];
            if keep(element) {
                // SAFETY: `kept <= index < len`.
                unsafe { self.data().add(kept).write(element) };
                kept += 1;
            }
        }
        // SAFETY: `&mut self`; the first `kept` elements are initialised.
        unsafe { self.head.as_mut().len = u32::try_from(kept).expect("at most the old length") };
    }

    /// Gives the list away as a pointer, to be taken back by [`ThinList::from_raw`].
    pub(crate) fn into_raw(self) -> *mut () {
        let raw = self.head.as_ptr().cast();
        std::mem::forget(self);
        raw
    }

    /// # Safety
    /// `raw` must come from [`ThinList::into_raw`] of the same `T`, and be taken back once.
    pub(crate) unsafe fn from_raw(raw: *mut ()) -> Self {
        // SAFETY: it came from a `NonNull`.
        Self { head: unsafe { NonNull::new_unchecked(raw.cast()) }, elements: PhantomData }
    }
}

impl<T: Copy> Drop for ThinList<T> {
    fn drop(&mut self) {
        let layout = Self::layout(self.head().capacity());
        // SAFETY: allocated with this layout; elements are `Copy`, so nothing else is to be dropped.
        unsafe { dealloc(self.head.as_ptr().cast(), layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_that_grows_again_is_worth_fitting() {
        let mut list = ThinList::from_slice(&[0u64; LONG]);
        let worth: Vec<usize> = (LONG + 1..=120).filter(|_| list.push(1)).collect();
        // It has grown at 65, 73, 82, 92, 103 and 115.
        assert_eq!(worth, [73, 82, 92, 103, 115]);
        list.fit();
        assert_eq!((list.head().capacity(), list.as_slice().len()), (120, 120));
        assert!(!list.push(1), "for the first time since");
        list.fit();
        assert!((122..200).any(|_| list.push(1)));
    }

    #[test]
    fn grows_keeps_order_and_survives_a_raw_round_trip() {
        let mut list = ThinList::from_slice(&[1u64, 2]);
        for i in 3..100 {
            list.push(i);
        }
        // SAFETY: taken back once, same type.
        let mut list = unsafe { ThinList::<u64>::from_raw(list.into_raw()) };
        list.retain(|i| i % 2 == 0);
        assert_eq!(list.as_slice(), (1..100).filter(|i| i % 2 == 0).collect::<Vec<_>>());
    }
}
