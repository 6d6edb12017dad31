//! The gate: sessions hold it shared for their whole life, an update holds it exclusively.
//!
//! * `open` sessions are counted; an update waits until there are none, and while an update waits or works, new
//!   sessions wait. (A session opened inside a session of the same thread does not come here: it is part of the first.)
//! * Nothing spins and nothing is signalled while the lock is contended by sessions alone.
//! * Exclusive work by the opener: [`Gate::open_with`] runs a closure under the gate's own lock if no other session
//!   is open: how volatile tasks are marked at the start of a session.

use crate::sync::{AtomicU32, Condvar, Mutex, Ordering};

#[derive(Default)]
struct State {
    open: usize,
    updating: bool,
    updates_waiting: usize,
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
        let idle = state.open == 0 && state.updates_waiting > 0;
        drop(state);
        if idle {
            self.changed.notify_all();
        }
    }

    /// Takes the gate exclusively.
    pub(crate) fn lock(&self, policy: UpdatePolicy) {
        let cancel = policy == UpdatePolicy::Cancel;
        let mut state = self.state.lock();
        state.updates_waiting += 1;
        if cancel {
            // Relaxed: a hint that is looked at again and again; the gate's lock orders everything that matters.
            self.cancelling.fetch_add(1, Ordering::Relaxed);
        }
        while state.updating || state.open > 0 {
            self.changed.wait(&mut state);
        }
        if cancel {
            self.cancelling.fetch_sub(1, Ordering::Relaxed);
        }
        state.updates_waiting -= 1;
        state.updating = true;
    }

    /// Gives the exclusive hold back.
    pub(crate) fn unlock(&self) {
        self.state.lock().updating = false;
        self.changed.notify_all();
    }

    /// Whether an update wants the open sessions to end.
    pub(crate) fn is_cancelling(&self) -> bool {
        self.cancelling.load(Ordering::Relaxed) != 0
    }
}
