//! A box that is made at most once, on demand, by whichever thread comes first: one word, and no lock.

use std::ptr;
use std::sync::atomic::{
    AtomicPtr,
    Ordering::{AcqRel, Acquire},
};

/// A place for a `T` that few have.
pub(crate) struct OnceBox<T>(AtomicPtr<T>);

// SAFETY: it owns a `T` as a `Box` does.
unsafe impl<T: Send> Send for OnceBox<T> {}
// SAFETY: 1. it gives shared access to a `T`; 2. a `T` that loses the race in `get_or_insert` stays on its thread.
unsafe impl<T: Send + Sync> Sync for OnceBox<T> {}

impl<T> Default for OnceBox<T> {
    fn default() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }
}

impl<T> OnceBox<T> {
    /// Returns what is there.
    #[inline]
    pub(crate) fn get(&self) -> Option<&T> {
        // Acquire: pairs with the Release in `get_or_insert`.
        let place = self.0.load(Acquire);
        // SAFETY: once set, the pointer stays until the box is dropped.
        unsafe { place.as_ref() }
    }

    /// Returns what is there, or puts what `make` returns.
    pub(crate) fn get_or_insert(&self, make: impl FnOnce() -> T) -> &T {
        if let Some(there) = self.get() {
            return there;
        }
        let new = Box::into_raw(Box::new(make()));
        // Release: pairs with the Acquire in `get`; Acquire: the winner's `T` is looked at.
        match self.0.compare_exchange(ptr::null_mut(), new, AcqRel, Acquire) {
            // SAFETY: in place now, so it stays until the box is dropped.
            Ok(_) => unsafe { &*new },
            Err(winner) => {
                // SAFETY: 1. `new` was never shared; 2. the winner's is in place.
                unsafe {
                    drop(Box::from_raw(new));
                    &*winner
                }
            }
        }
    }
}

impl<T> Drop for OnceBox<T> {
    fn drop(&mut self) {
        let place = *self.0.get_mut();
        if !place.is_null() {
            // SAFETY: it came from `Box::into_raw`, and its only owner ends here.
            drop(unsafe { Box::from_raw(place) });
        }
    }
}
