//! `StackMagicAnySlot`: a value that waits on its caller's stack until it is known whether it has to move to the heap.
//!
//! States: *full* (`taken == false`, the value is initialised) and *taken* (the value has been moved out).
//! Transitions: `new` makes a full slot; `take_box` and `take_into` move the value out once; dropping a full slot
//! drops the value. The slot itself stays where it is: generated code keeps it in a local and never moves it after
//! the value has been taken.
//!
//! "Magic" in these names means type-erased and keyed by `Any`: the names come from the field.
//!
//! Safety rests on one fact: `taken` is false exactly while `value` is initialised.

use std::alloc::{Layout, alloc, handle_alloc_error};
use std::any::Any;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr;

use crate::call::args::{ArgsSlot, StackMagicAny};

/// Any owned, shareable value, able to say which type stands behind an address.
pub trait MagicAny: Any + Send + Sync {
    /// Pairs the address `to` with the vtable of `Self`. It only builds a raw pointer.
    fn rebase(&self, to: *mut ()) -> *mut dyn MagicAny;
}

impl<T: Any + Send + Sync> MagicAny for T {
    fn rebase(&self, to: *mut ()) -> *mut dyn MagicAny {
        to.cast::<T>()
    }
}

/// A value on the stack that may be moved to the heap later, through a type-erased reference.
///
/// `StackMagicAnySlot<T>` unsizes to `StackMagicAnySlot<dyn Trait>`, so the compiler places the flag and one
/// provenance covers both fields.
pub struct StackMagicAnySlot<T: ?Sized> {
    taken: bool,
    value: ManuallyDrop<T>,
}

impl<T> StackMagicAnySlot<T> {
    /// Makes a full slot.
    pub fn new(value: T) -> Self {
        Self { taken: false, value: ManuallyDrop::new(value) }
    }

    /// Moves the value out, with its type still known.
    ///
    /// # Panics
    /// If the value has been taken before.
    pub fn take(&mut self) -> T {
        assert!(!self.taken, "the arguments have been taken before");
        self.taken = true;
        // SAFETY: 1. it was not taken, so it is initialised; 2. `taken` now keeps everyone else away from it.
        unsafe { ManuallyDrop::take(&mut self.value) }
    }
}

impl<T: ?Sized> StackMagicAnySlot<T> {
    /// Returns the value.
    ///
    /// # Panics
    /// If the value has been taken.
    pub fn get(&self) -> &T {
        assert!(!self.taken, "the arguments have been taken before");
        &self.value
    }

    /// Returns the value, to be changed or moved out by its own trait's means.
    ///
    /// # Panics
    /// If the value has been taken.
    pub fn get_mut(&mut self) -> &mut T {
        assert!(!self.taken, "the arguments have been taken before");
        &mut self.value
    }
}

impl<T: ?Sized> Drop for StackMagicAnySlot<T> {
    fn drop(&mut self) {
        if !self.taken {
            // SAFETY: 1. not taken, so still initialised; 2. dropping is the last use.
            unsafe { ManuallyDrop::drop(&mut self.value) }
        }
    }
}

impl StackMagicAnySlot<dyn MagicAny> {
    /// Moves the value to the heap: one allocation, one copy, whatever its type.
    ///
    /// # Panics
    /// If the value has been taken before.
    pub fn take_box(&mut self) -> Box<dyn MagicAny> {
        let value: *const dyn MagicAny = self.get();
        // SAFETY: `value` points into `self`, which is borrowed mutably.
        let layout = Layout::for_value(unsafe { &*value });
        let to: *mut u8 = if layout.size() == 0 {
            ptr::without_provenance_mut(layout.align())
        } else {
            // SAFETY: the layout is not of size zero.
            let to = unsafe { alloc(layout) };
            if to.is_null() {
                handle_alloc_error(layout)
            }
            // SAFETY: 1. `to` is a fresh allocation of the value's size; 2. so the ranges cannot overlap.
            unsafe { ptr::copy_nonoverlapping(value.cast::<u8>(), to, layout.size()) };
            to
        };
        // SAFETY: the value is still initialised; `rebase` only reads the vtable.
        let wide = unsafe { (*value).rebase(to.cast()) };
        self.taken = true;
        // SAFETY: 1. `to` holds the moved value of the type behind `wide`; 2. it was allocated with its layout.
        unsafe { Box::from_raw(wide) }
    }
}

impl StackMagicAnySlot<dyn StackMagicAny + '_> {
    /// Moves the arguments out and writes their key to `place`.
    ///
    /// # Safety
    /// `place` must be valid for writing the key of these arguments.
    ///
    /// # Panics
    /// If the value has been taken before.
    pub(crate) unsafe fn take_into(&mut self, place: *mut ()) {
        assert!(!self.taken, "the arguments have been taken before");
        self.taken = true;
        // SAFETY: 1. the value is initialised and `taken` keeps everyone else away; 2. the caller vouches for `place`.
        unsafe { self.value.move_key(place) }
    }

    /// Moves the arguments out, makes their key outside of any lock, and passes it on in a slot of its own.
    ///
    /// # Panics
    /// If the value has been taken before.
    pub(crate) fn with_key(&mut self, then: &mut dyn FnMut(&mut ArgsSlot<'_>)) {
        assert!(!self.taken, "the arguments have been taken before");
        self.taken = true;
        // SAFETY: the value is initialised, and `taken` keeps everyone else away from it.
        unsafe { self.value.with_key(then) }
    }
}

/// An argument tuple that has been boxed already: it arrives on the heap and takes the same path as one on the stack.
pub struct OwnedMagicAny {
    value: Box<dyn MagicAny>,
}

impl OwnedMagicAny {
    /// Boxes `value`.
    pub fn new<T: Any + Send + Sync>(value: T) -> Self {
        Self { value: Box::new(value) }
    }

    /// Wraps what [`StackMagicAnySlot::take_box`] returned.
    pub fn from_box(value: Box<dyn MagicAny>) -> Self {
        Self { value }
    }

    /// Returns the value, if it is a `T`.
    pub fn downcast_ref<T: Any>(&self) -> Option<&T> {
        let any: &dyn Any = &*self.value;
        any.downcast_ref()
    }

    /// Returns the value, moved out of its box, if it is a `T`; otherwise itself.
    ///
    /// # Errors
    /// Returns `self` unchanged if it holds another type.
    pub fn downcast<T: Any>(self) -> Result<T, Self> {
        if self.downcast_ref::<T>().is_none() {
            return Err(self);
        }
        let any: Box<dyn Any> = self.value;
        Ok(*any.downcast::<T>().expect("the type was compared just above"))
    }
}

impl fmt::Debug for OwnedMagicAny {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnedMagicAny(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn erased(slot: &mut StackMagicAnySlot<impl MagicAny>) -> &mut StackMagicAnySlot<dyn MagicAny> {
        slot
    }

    #[test]
    fn a_full_slot_drops_its_value_once_and_a_taken_one_never() {
        let counted = Arc::new(());
        drop(StackMagicAnySlot::new(counted.clone()));
        assert_eq!(Arc::strong_count(&counted), 1);
        let mut slot = StackMagicAnySlot::new(counted.clone());
        let boxed = erased(&mut slot).take_box();
        drop(slot);
        assert_eq!(Arc::strong_count(&counted), 2);
        drop(boxed);
        assert_eq!(Arc::strong_count(&counted), 1);
    }

    #[test]
    fn boxes_keep_value_alignment_and_zero_sized_types() {
        #[repr(align(64))]
        #[derive(Debug, PartialEq)]
        struct Wide([u8; 100]);
        let mut slot = StackMagicAnySlot::new(Wide([7; 100]));
        let owned = OwnedMagicAny::from_box(erased(&mut slot).take_box());
        assert_eq!(owned.downcast_ref::<Wide>(), Some(&Wide([7; 100])));
        let mut unit = StackMagicAnySlot::new(());
        let owned = OwnedMagicAny::from_box(erased(&mut unit).take_box());
        assert!(owned.downcast::<()>().is_ok());
    }

    #[test]
    #[should_panic(expected = "taken before")]
    fn taking_twice_is_refused() {
        let mut slot = StackMagicAnySlot::new(1u8);
        slot.take();
        slot.take();
    }
}
