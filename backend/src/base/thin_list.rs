//! A list behind one word, which takes no memory but its elements': most lists of a graph are short, and there a head
//! of eight bytes is as much as an edge.
//!
//! ```text
//!   0                                empty: no allocation
//!   [length:16][address:44] 0E ..    up to 65,535 elements, at the address
//!   [address:60]            1E ..    more, or where addresses need the upper bits: the length, then the elements
//! ```
//!
//! How many elements there is room for follows from the length: exactly as many if `E` ([`EXACT`]) is set, else the next
//! [`room`]. The two lowest bits are the owner's, which takes them off before giving the word back.
//!
//! The elements are `Copy`; the list is not thread-safe by itself.

#[cfg(test)]
mod tests;

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::marker::PhantomData;
use std::ptr;

/// The list has room for its elements and no more.
const EXACT: usize = 0b100;
/// The length stands before the elements.
const HEADED: usize = 0b1000;
/// All bits that are not the address's, so that the allocation has to be aligned to the next one.
const TAGS: usize = 0b1111;
/// How far up in the word the length stands, if it does.
const LENGTH: u32 = usize::BITS - 16;
/// The longest list whose length stands in the word. An address of 32 bits leaves no room for it; Miri is to see both kinds soon.
const SHORT: usize = match usize::BITS {
    64 if cfg!(miri) => 0xff,
    64 => 0xffff,
    _ => 0,
};
/// The length, where it stands before the elements.
type ListHead = u64;
/// Beyond this length a list grows by little, and is worth fitting.
const LONG: usize = 64;

/// How many elements a list of this length has room for, unless it is exact. All lengths up to the room have the same one, so a
/// list that is filled up stays what its word says.
///
/// A short list grows by a half (two become four), a long one by an eighth at most: most edges of a graph lead to nodes
/// that many read, and there it is the slack that takes the memory.
fn room(length: usize) -> usize {
    let finer = if length <= LONG { 1 } else { 3 };
    let step = 1 << length.ilog2().saturating_sub(finer);
    length.next_multiple_of(step.max(2))
}

/// A growable list of `Copy` elements of alignment 8 at most, owned through one word.
pub(crate) struct ThinList<T: Copy> {
    word: *mut (),
    elements: PhantomData<T>,
}

impl<T: Copy> Default for ThinList<T> {
    fn default() -> Self {
        Self { word: ptr::null_mut(), elements: PhantomData }
    }
}

impl<T: Copy> ThinList<T> {
    /// A list of these elements, with room for no more.
    pub(crate) fn from_slice(from: &[T]) -> Self {
        if from.is_empty() {
            return Self::default();
        }
        let place = Elements::<T>::allocate(from.len());
        // SAFETY: there is room for as many, in an allocation that was made just now.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), place.elements(), from.len()) };
        Self::at(place, from.len(), EXACT)
    }

    /// The list of the first `length` elements of a place that is as large as `exact` and the length say.
    fn at(place: Elements<T>, length: usize, exact: usize) -> Self {
        let tags = if place.headed { HEADED | exact } else { length << LENGTH | exact };
        let word = place.raw.cast::<()>().map_addr(|address| address | tags);
        let mut list = Self { word, elements: PhantomData };
        list.set_length(length);
        list
    }

    fn is_headed(&self) -> bool {
        self.word.addr() & HEADED != 0
    }

    fn is_exact(&self) -> bool {
        self.word.addr() & EXACT != 0
    }

    fn place(&self) -> Elements<T> {
        let headed = self.is_headed();
        let address = if headed { usize::MAX } else { usize::MAX >> 16 };
        let raw = self.word.map_addr(|word| word & address & !TAGS).cast();
        Elements { raw, headed, elements: PhantomData }
    }

    fn len(&self) -> usize {
        if self.is_headed() {
            // SAFETY: a headed place begins with its head, which is written when the list is made.
            return unsafe { self.place().raw.cast::<ListHead>().read() } as usize;
        }
        self.word.addr() >> LENGTH
    }

    /// Writes down a length that there is room for.
    fn set_length(&mut self, length: usize) {
        if self.is_headed() {
            // SAFETY: a headed place begins with its head; `&mut self` makes it ours.
            unsafe { self.place().raw.cast::<ListHead>().write(length as ListHead) };
        } else {
            self.word = self.word.map_addr(|word| word & (usize::MAX >> 16) | length << LENGTH);
        }
    }

    fn room(&self) -> usize {
        match self.len() {
            0 => 0,
            length if self.is_exact() => length,
            length => room(length),
        }
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        if self.word.is_null() {
            return &[];
        }
        // SAFETY: the first `len` elements are initialised.
        unsafe { std::slice::from_raw_parts(self.place().elements(), self.len()) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        if self.word.is_null() {
            return &mut [];
        }
        // SAFETY: the first `len` elements are initialised, and `&mut self` makes them ours.
        unsafe { std::slice::from_raw_parts_mut(self.place().elements(), self.len()) }
    }

    /// Adds an element. Returns whether the list is long, and has grown twice by that since it was made or [fitted](Self::fit).
    pub(crate) fn push(&mut self, element: T) -> bool {
        let length = self.len();
        let grows_again = length == self.room() && self.grow(length);
        // SAFETY: 1. there is room for one more; 2. `&mut self` makes it ours.
        unsafe { self.place().elements().add(length).write(element) };
        self.set_length(length + 1);
        grows_again
    }

    /// Makes room for one more at least. Returns whether a long list has grown before.
    ///
    /// Until the length is set to more, the list is not what its word says.
    #[cold]
    fn grow(&mut self, length: usize) -> bool {
        let has_grown = length > LONG && !self.is_exact();
        self.resize(length, room(length + 1), 0);
        has_grown
    }

    /// Gives back what a long list has too much.
    ///
    /// To do so whenever `push` says that it is worth it costs each push a constant, as growing does.
    pub(crate) fn fit(&mut self) {
        let length = self.len();
        if length > LONG && !self.is_exact() {
            self.resize(length, length, EXACT);
        }
    }

    /// Keeps the elements for which `keep` says so; the order stays.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(T) -> bool) {
        let length = self.len();
        let elements = self.place().elements();
        let mut kept = 0;
        for index in 0..length {
            let element = self.as_slice()[index];
            if keep(element) {
                // SAFETY: `kept <= index < length`; `&mut self` makes it ours.
                unsafe { elements.add(kept).write(element) };
                kept += 1;
            }
        }
        if kept == 0 {
            *self = Self::default();
        } else if kept < length {
            self.resize(kept, kept, EXACT);
        }
    }

    /// Drops the elements in `range` for which `keep` does not say so; others from behind take their places.
    pub(crate) fn retain_among(&mut self, range: std::ops::Range<usize>, mut keep: impl FnMut(T) -> bool) {
        let length = self.len();
        let elements = self.place().elements();
        let mut kept = length;
        for index in (range.start..range.end.min(length)).rev() {
            if !keep(self.as_slice()[index]) {
                kept -= 1;
                // SAFETY: `index <= kept < length`, as no index is dropped twice; `&mut self` makes it ours.
                unsafe { elements.add(index).write(elements.add(kept).read()) };
            }
        }
        if kept == 0 {
            *self = Self::default();
        } else if kept < length {
            self.resize(kept, kept, EXACT);
        }
    }

    /// Moves the first `length` elements, and there is one, to a place for `room`.
    fn resize(&mut self, length: usize, room: usize, exact: usize) {
        debug_assert!(length <= room && room > 0);
        let before = self.room();
        let list = std::mem::take(self);
        let place = if list.word.is_null() {
            Elements::allocate(room)
        } else {
            // SAFETY: 1. `before` is what the word said before it was taken; 2. the list is forgotten with its place.
            unsafe { list.place().moved(before, length, room) }
        };
        std::mem::forget(list);
        *self = Self::at(place, length, exact);
    }

    /// Gives the list away as a word, to be taken back by [`ThinList::from_raw`].
    pub(crate) fn into_raw(self) -> *mut () {
        let word = self.word;
        std::mem::forget(self);
        word
    }

    /// # Safety
    /// `word` must come from [`ThinList::into_raw`] of the same `T`, without the owner's bits, and be taken back once.
    pub(crate) unsafe fn from_raw(word: *mut ()) -> Self {
        Self { word, elements: PhantomData }
    }
}

impl<T: Copy> Drop for ThinList<T> {
    fn drop(&mut self) {
        if !self.word.is_null() {
            // SAFETY: the place is the list's own; elements are `Copy`, so nothing else is to be dropped.
            unsafe { self.place().free(self.room()) };
        }
    }
}

/// Where the elements of a list stand.
#[derive(Clone, Copy)]
struct Elements<T> {
    raw: *mut u8,
    /// Whether a [`ListHead`] stands before them.
    headed: bool,
    elements: PhantomData<T>,
}

impl<T: Copy> Elements<T> {
    const FITS: () = assert!(align_of::<T>() <= align_of::<ListHead>() && size_of::<T>() > 0);

    fn layout(room: usize, headed: bool) -> Layout {
        let () = Self::FITS;
        let elements = Layout::array::<T>(room).expect("a node has fewer than 2^32 edges");
        let head = if headed { size_of::<ListHead>() } else { 0 };
        Layout::from_size_align(head + elements.size(), TAGS + 1).expect("as above")
    }

    fn allocate(room: usize) -> Self {
        if room <= SHORT {
            let place = Self::allocate_as(room, false);
            if place.leaves_room_for_length() {
                return place;
            }
            // SAFETY: made just now with room for as many.
            unsafe { place.free(room) };
        }
        Self::allocate_as(room, true)
    }

    fn allocate_as(room: usize, headed: bool) -> Self {
        let layout = Self::layout(room, headed);
        // SAFETY: `room` is not zero, and neither is the size of an element.
        let raw = unsafe { alloc(layout) };
        if raw.is_null() {
            handle_alloc_error(layout);
        }
        Self { raw, headed, elements: PhantomData }
    }

    fn leaves_room_for_length(self) -> bool {
        self.headed || self.raw.addr() >> LENGTH == 0
    }

    fn elements(self) -> *mut T {
        self.raw.wrapping_add(if self.headed { size_of::<ListHead>() } else { 0 }).cast()
    }

    /// A place for `room` elements, with the first `length` of this one.
    ///
    /// # Safety
    /// This place has room for `before`, and is not used any more. Neither that nor `room` is less than `length`.
    unsafe fn moved(self, before: usize, length: usize, room: usize) -> Self {
        if self.headed != (room > SHORT) {
            // SAFETY: passed on to the caller.
            return unsafe { self.copied(before, length, room) };
        }
        let layout = Self::layout(room, self.headed);
        // SAFETY: 1. allocated with this layout; 2. the new size is neither zero nor too large for a layout.
        let raw = unsafe { realloc(self.raw, Self::layout(before, self.headed), layout.size()) };
        if raw.is_null() {
            handle_alloc_error(layout);
        }
        let moved = Self { raw, ..self };
        if moved.leaves_room_for_length() {
            return moved;
        }
        // SAFETY: 1. it has just got this room, and as many elements have moved along; 2. no other code knows it.
        unsafe { moved.copied(room, length, room) }
    }

    /// The same, always in another place.
    ///
    /// # Safety
    /// See [`Elements::moved`].
    unsafe fn copied(self, before: usize, length: usize, room: usize) -> Self {
        let place = Self::allocate(room);
        // SAFETY: 1. both have room for as many; 2. the new place is another allocation; 3. the old one is not used after.
        unsafe {
            ptr::copy_nonoverlapping(self.elements(), place.elements(), length);
            self.free(before);
        }
        place
    }

    /// # Safety
    /// The place has room for `room`, and is not used any more.
    unsafe fn free(self, room: usize) {
        // SAFETY: allocated with this layout, and given up by the caller.
        unsafe { dealloc(self.raw, Self::layout(room, self.headed)) }
    }
}
