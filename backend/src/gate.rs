//! The gate: sessions hold it shared for their whole life, an update holds it exclusively.
//!
//! * `open` sessions are counted; an update waits until there are none, and while an update waits or works, new
//!   sessions wait. (A session opened inside a session of the same thread does not come here: it is part of the first.)
//! * Nothing spins and nothing is signalled while the lock is contended by sessions alone.
//! * Exclusive work by the opener: [`Gate::open_with`] runs a closure under the gate's own lock if no other session
//!   is open: how volatile tasks are marked at the start of a session.

use std::task::Waker;

use crate::flight::wake_all;
use crate::sync::{AtomicU32, Condvar, Mutex, MutexGuard, Ordering};

#[derive(Default)]
struct State {
    open: usize,
    updating: bool,
    updates_waiting: usize,
    /// Futures that wait for a change.
    wakers: Vec<(u64, Waker)>,
}

/// The gate of an engine.
#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
    /// How many updates want the open sessions to end.
    cancelling: AtomicU32,
}

/// Whether an update waits for the open sessions or cancels them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpdatePolicy {
    /// Wait until the open sessions have ended by themselves.
    Wait,
    /// Cancel the open sessions: they end with `Cancelled` at the next task boundary.
    Cancel,
}

impl Gate {
    /// Enters as a session. `alone` runs before, if no other session is open, with the gate held exclusively.
    pub(crate) fn open_with(&self, alone: impl FnOnce()) {
        let mut state = self.state.lock();
        while state.updating || state.updates_waiting > 0 {
            self.changed.wait(&mut state);
        }
        state.open += 1;
        if state.open == 1 {
            // The others wait for the lock meanwhile, so this is exclusive.
            alone();
        }
    }

    /// Enters as another part of a session that is open, and stays open until this returns.
    pub(crate) fn join(&self) {
        self.state.lock().open += 1;
    }

    /// Leaves as a session.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.open -= 1;
        if state.open == 0 && state.updates_waiting > 0 {
            self.tell(state);
        }
    }

    /// Wakes all that wait for a change.
    fn tell(&self, mut state: MutexGuard<'_, State>) {
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        self.changed.notify_all();
        wake_all(wakers);
    }

    /// As [`Gate::open_with`], for a future. `false` if it has to wait: `waker` is woken when to come again.
    pub(crate) fn poll_open(&self, alone: impl FnOnce(), waker: &Waker) -> bool {
        let mut state = self.state.lock();
        if state.updating || state.updates_waiting > 0 {
            state.wakers.push((0, waker.clone()));
            return false;
        }
        state.open += 1;
        if state.open == 1 {
            alone();
        }
        true
    }

    /// Takes the gate exclusively after a request.
    pub(crate) fn lock(&self, policy: UpdatePolicy) {
        let mut state = self.state.lock();
        while state.updating || state.open > 0 {
            self.changed.wait(&mut state);
        }
        self.grant(&mut state, policy);
    }

    /// Announces an update: from here on, new sessions wait. [`Gate::lock`], [`Gate::poll_lock`] or
    /// [`Gate::withdraw`] has to follow.
    pub(crate) fn request(&self, policy: UpdatePolicy) {
        self.state.lock().updates_waiting += 1;
        if policy == UpdatePolicy::Cancel {
            // Relaxed: a hint that is looked at again and again; the gate's lock orders everything that matters.
            self.cancelling.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes the gate exclusively after a request. `false` if it has to wait: `waker` is woken when to come again.
    pub(crate) fn poll_lock(&self, policy: UpdatePolicy, waker: &Waker) -> bool {
        let mut state = self.state.lock();
        if state.updating || state.open > 0 {
            state.wakers.push((0, waker.clone()));
            return false;
        }
        self.grant(&mut state, policy);
        true
    }

    fn grant(&self, state: &mut State, policy: UpdatePolicy) {
        self.end_request(state, policy);
        state.updating = true;
    }

    /// Takes a request back.
    pub(crate) fn withdraw(&self, policy: UpdatePolicy) {
        let mut state = self.state.lock();
        self.end_request(&mut state, policy);
        self.tell(state);
    }

    fn end_request(&self, state: &mut State, policy: UpdatePolicy) {
        if policy == UpdatePolicy::Cancel {
            self.cancelling.fetch_sub(1, Ordering::Relaxed);
        }
        state.updates_waiting -= 1;
    }

    /// Gives the exclusive hold back.
    pub(crate) fn unlock(&self) {
        let mut state = self.state.lock();
        state.updating = false;
        self.tell(state);
    }

    /// Whether an update wants the open sessions to end.
    pub(crate) fn is_cancelling(&self) -> bool {
        self.cancelling.load(Ordering::Relaxed) != 0
    }
}
