//! Tokens: how a session is cancelled from outside, or by the clock.
//!
//! A token belongs to strands: to that of the session that was opened with it, and to those that work for it (scopes, carried
//! work). It is looked at where a task is begun or waited for, and while a session or an update waits at the gate. A task that several sessions wait for is no strand of theirs: when
//! one of them is cancelled, the others go on with it, or take it over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::base::clock::{Clock, Moment};
use crate::context::engine::Engine;

/// Cancels the sessions that were opened with it, and the updates that wait with it. Cheap to clone; all clones are the same token.
///
/// A session looks at its token where it begins or waits for a task, and while it waits to be opened. Calls that are answered
/// from memory do not look, as that would cost them more than the answer: a body that makes nothing but hits runs to its end. So does
/// one that makes no calls. Such a body can look by itself, at [`CancelToken::is_cancelled`] of a token that it is given; and a loop that
/// is written as [`par_map`](crate::par_map) ends between two of its items.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<Inner>);

#[derive(Default)]
struct Inner {
    cancelled: AtomicBool,
    deadline: Option<Moment>,
    /// The token that cancels this one, too.
    parent: Option<CancelToken>,
    /// The engines with sessions that this token was given to.
    engines: Mutex<Vec<std::sync::Weak<Engine>>>,
}

impl CancelToken {
    /// Returns a token that cancels when it is told to.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a token that also cancels at `deadline`: at the next task boundary after it. A thread or a future that waits, for a task or
    /// to be let in, is woken at the deadline.
    #[must_use]
    pub fn with_deadline(deadline: Instant) -> Self {
        Self(Arc::new(Inner { deadline: Some(Moment::new(deadline)), ..Inner::default() }))
    }

    /// Returns a token that also cancels after `timeout`, counted from now. See [`CancelToken::with_deadline`].
    #[must_use]
    pub fn with_timeout(timeout: Duration) -> Self {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => Self::with_deadline(deadline),
            None => Self::new(),
        }
    }

    /// Makes a token that is cancelled when this one is, and at `deadline` at the latest.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        self.until_moment(Moment::new(deadline))
    }

    fn until_moment(&self, deadline: Moment) -> Self {
        Self(Arc::new(Inner { deadline: Some(deadline), parent: Some(self.clone()), ..Inner::default() }))
    }

    /// Cancels: the sessions end with `Cancelled` at their next task boundary, those that wait for a task at once.
    pub fn cancel(&self) {
        // Relaxed: a waiter is woken under locks that it took after it had looked, or looks after it took them.
        self.0.cancelled.store(true, Relaxed);
        let engines = self.0.engines.lock().clone();
        for engine in engines.iter().filter_map(std::sync::Weak::upgrade) {
            engine.wake_waiting();
        }
    }

    /// Whether it has been told to cancel, or its deadline has passed.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Relaxed)
            || self.0.deadline.as_ref().is_some_and(Moment::has_come)
            || self.0.parent.as_ref().is_some_and(Self::is_cancelled)
    }

    /// Returns when it cancels by itself, if it does.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let own = self.0.deadline.as_ref().map(Moment::at);
        let above = self.0.parent.as_ref().and_then(Self::deadline);
        own.into_iter().chain(above).min()
    }

    /// Has the waiting sessions of `engine` woken by [`CancelToken::cancel`].
    pub(crate) fn serves(&self, engine: &Arc<Engine>) {
        if let Some(parent) = &self.0.parent {
            parent.serves(engine);
        }
        let mut engines = self.0.engines.lock();
        engines.retain(|other| other.strong_count() > 0);
        if !engines.iter().any(|other| std::ptr::eq(other.as_ptr(), Arc::as_ptr(engine))) {
            engines.push(Arc::downgrade(engine));
        }
    }
}

impl Engine {
    /// Makes a token that cancels at `deadline` by the clock of this engine, or when `token` does.
    #[must_use]
    pub fn token_until(&self, token: Option<&CancelToken>, deadline: Instant) -> CancelToken {
        let deadline = Moment::by(&self.clock, deadline);
        match token {
            Some(token) => token.until_moment(deadline),
            None => CancelToken(Arc::new(Inner { deadline: Some(deadline), ..Inner::default() })),
        }
    }
}

impl Clock {
    /// Makes a token that cancels after `timeout` by this clock. The sessions of a runtime that is built with the clock end then.
    #[must_use]
    pub fn token(&self, timeout: Duration) -> CancelToken {
        let deadline = Instant::now().checked_add(timeout).map(|at| Moment::by(self, at));
        CancelToken(Arc::new(Inner { deadline, ..Inner::default() }))
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("cancelled", &self.cancelled).field("deadline", &self.deadline).finish()
    }
}
