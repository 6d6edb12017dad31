//! The synchronisation primitives that the protocols are written against.
//!
//! Protocol files (`claim`, `gate`, `waits`) name locks and atomics through this module only, so that the same
//! source is run by the program and, under `--cfg larder_model`, explored by the model checker.

#[cfg(not(larder_model))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
#[cfg(not(larder_model))]
pub(crate) use std::sync::atomic::{AtomicU32, Ordering};

#[cfg(larder_model)]
pub(crate) use model::{Condvar, Mutex, MutexGuard};
#[cfg(larder_model)]
pub(crate) use shuttle::sync::atomic::{AtomicU32, Ordering};

/// Wraps shuttle's primitives in the shape of parking_lot's: no poisoning, `wait` by mutable guard.
#[cfg(larder_model)]
mod model {
    use std::ops::{Deref, DerefMut};

    #[derive(Default)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);
    pub(crate) struct MutexGuard<'a, T>(Option<shuttle::sync::MutexGuard<'a, T>>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }
        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap_or_else(|poison| poison.into_inner())
        }
        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(Some(self.0.lock().unwrap_or_else(|poison| poison.into_inner())))
        }
    }
    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;
        fn deref(&self) -> &T {
            self.0.as_ref().expect("the guard is only empty inside `wait`")
        }
    }
    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().expect("the guard is only empty inside `wait`")
        }
    }

    #[derive(Default)]
    pub(crate) struct Condvar(shuttle::sync::Condvar);
    impl Condvar {
        pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            let inner = guard.0.take().expect("the guard is only empty inside `wait`");
            guard.0 = Some(self.0.wait(inner).unwrap_or_else(|poison| poison.into_inner()));
        }
        /// Time does not pass in a model: a deadline is one more reason to be woken.
        pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _deadline: std::time::Instant) {
            self.wait(guard);
        }
        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }
        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}
