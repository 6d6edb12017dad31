//! A condition variable for threads that idle for long.
//!
//! `parking_lot` keeps the threads that wait in a table of the process. After `fork`, the child's copy of that table names threads
//! that the child does not have, and whose memory the child's own threads reuse: a wait of the child can then miss its wakeup. For
//! example, a crew of the parent idled, the child started a crew of its own, and `par_map` never came back.
//! A [`Signal`] waits in the system instead, which forgets the parent's threads.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Wakes threads that idle under a `parking_lot` lock.
#[derive(Default, Debug)]
pub struct Signal {
    /// Taken under the user's lock before that is released, so that a notification comes before the wait or finds it.
    lock: Mutex<()>,
    woken: Condvar,
}

impl Signal {
    /// Makes a signal that no thread waits for.
    pub const fn new() -> Self {
        Self { lock: Mutex::new(()), woken: Condvar::new() }
    }

    /// Unlocks `guard`, waits for the next notification, and locks again. May wake without one.
    pub fn wait<T>(&self, guard: &mut parking_lot::MutexGuard<'_, T>) {
        let locked = self.lock();
        parking_lot::MutexGuard::unlocked(guard, || {
            drop(self.woken.wait(locked).unwrap_or_else(PoisonError::into_inner));
        });
    }

    /// Waits like [`wait`](Self::wait), until `deadline` at most. Returns whether the deadline has passed without a notification.
    pub fn wait_until<T>(&self, guard: &mut parking_lot::MutexGuard<'_, T>, deadline: Instant) -> bool {
        let locked = self.lock();
        let left = deadline.saturating_duration_since(Instant::now());
        parking_lot::MutexGuard::unlocked(guard, || {
            let woken = self.woken.wait_timeout(locked, left).unwrap_or_else(PoisonError::into_inner);
            woken.1.timed_out()
        })
    }

    /// Wakes one waiting thread, if there is one.
    pub fn notify_one(&self) {
        drop(self.lock());
        self.woken.notify_one();
    }

    /// Wakes all waiting threads.
    pub fn notify_all(&self) {
        drop(self.lock());
        self.woken.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
