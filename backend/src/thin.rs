//! A list behind one pointer: length and capacity stand in the allocation, so that an empty list costs a node 8 bytes.
//!
//! The elements are `Copy`; the list is not thread-safe by itself.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::ptr::NonNull;

#[repr(C)]
struct Head {
    len: u32,
    capacity: u32,
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
        let capacity = u32::try_from(capacity).expect("a node has fewer than 2^32 edges");
        // SAFETY: a fresh allocation that is large and aligned enough for the head.
        unsafe { head.write(Head { len: 0, capacity }) };
        Self { head, elements: PhantomData }
    }

    pub(crate) fn from_slice(from: &[T]) -> Self {
        let mut list = Self::with_capacity(from.len());
        for &element in from {
            list.push(element);
        }
        list
    }

    fn layout(capacity: usize) -> Layout {
        let elements = Layout::array::<T>(capacity).expect("a node has fewer than 2^32 edges");
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
        self.head().len == self.head().capacity
    }

    pub(crate) fn push(&mut self, element: T) {
        if self.is_full() {
            self.grow();
        }
        let len = self.head().len;
        // SAFETY: 1. `len < capacity`, so the place is inside the allocation; 2. `&mut self` makes it ours.
        unsafe {
            self.data().add(len as usize).write(element);
            self.head.as_mut().len = len + 1;
        }
    }

    /// Doubles a short list, and adds an eighth to a long one: most edges of a graph lead to nodes that many read, and
    /// there it is the slack that takes the memory.
    #[cold]
    fn grow(&mut self) {
        let before = self.head().capacity as usize;
        let after = if before < 64 { (before * 2).max(2) } else { before + before / 8 };
        let layout = Self::layout(after);
        // SAFETY: 1. allocated with the layout of `before`; 2. the new size is neither zero nor too large for a layout.
        let raw = unsafe { realloc(self.head.as_ptr().cast(), Self::layout(before), layout.size()) };
        let Some(head) = NonNull::new(raw.cast::<Head>()) else { handle_alloc_error(layout) };
        self.head = head;
        let capacity = u32::try_from(after).expect("a node has fewer than 2^32 edges");
        // SAFETY: the head was moved along, and `&mut self` makes it ours.
        unsafe { self.head.as_mut().capacity = capacity };
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
        let layout = Self::layout(self.head().capacity as usize);
        // SAFETY: allocated with this layout; elements are `Copy`, so nothing else is to be dropped.
        unsafe { dealloc(self.head.as_ptr().cast(), layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
