//! The synchronisation primitives that the protocols are written against.
//!
//! Protocol files (`claim`, `gate`, `waits`, `held`, `lanes`) name locks and atomics through this module only, so that the same
//! source is run by the program and, under `--cfg larder_model`, explored by the model checker.

#[cfg(not(larder_model))]
pub(crate) use crate::base::alarm::Alarm;
#[cfg(not(larder_model))]
pub(crate) use larder_storage::Signal;
#[cfg(not(larder_model))]
pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
#[cfg(not(larder_model))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// The time.
#[cfg(not(larder_model))]
#[inline]
pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}

#[cfg(larder_model)]
pub(crate) use model::{Alarm, Condvar, Condvar as Signal, Mutex, MutexGuard, now, set_pace};
#[cfg(larder_model)]
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Wraps shuttle's primitives in the shape of parking_lot's: no poisoning, `wait` by mutable guard.
#[cfg(larder_model)]
mod model {
    use std::cell::Cell;
    use std::ops::{Deref, DerefMut};
    use std::sync::OnceLock;
    use std::task::Waker;
    use std::time::{Duration, Instant};

    // All threads of a model run on one thread.
    thread_local! {
        static PACE: Cell<Duration> = const { Cell::new(Duration::ZERO) };
        static PASSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }

    /// Lets so much time pass with each look at the clock. With none, time stands still, and only others end a wait.
    pub(crate) fn set_pace(pace: Duration) {
        PACE.set(pace);
    }

    pub(crate) fn now() -> Instant {
        static START: OnceLock<Instant> = OnceLock::new();
        PASSED.set(PASSED.get() + PACE.get());
        *START.get_or_init(Instant::now) + PASSED.get()
    }

    /// Does nothing: a model that needs alarms has a thread for them.
    #[derive(Default)]
    pub(crate) struct Alarm;
    impl Alarm {
        pub(crate) fn set(&mut self, _at: Instant, _waker: &Waker) {}
        pub(crate) fn clear(&mut self) {}
    }

    #[derive(Default)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);
    pub(crate) struct MutexGuard<'a, T>(
        Option<shuttle::sync::MutexGuard<'a, T>>,
        &'a shuttle::sync::Mutex<T>,
    );

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }
        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap_or_else(|poison| poison.into_inner())
        }
        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(Some(self.0.lock().unwrap_or_else(|poison| poison.into_inner())), &self.0)
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
        /// If time stands still, a deadline is one more reason to be woken. Else it may be now.
        pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _deadline: Instant) {
            if PACE.get().is_zero() {
                return self.wait(guard);
            }
            guard.0 = None;
            shuttle::thread::yield_now();
            guard.0 = Some(guard.1.lock().unwrap_or_else(|poison| poison.into_inner()));
        }
        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }
        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}
