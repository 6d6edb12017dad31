//! Sessions and updates of futures: the gate is held between polls, and each poll is a stretch of the session's strand.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::Waker;

use crate::carry::{Hold, Stretch};
use crate::demand::check_cancelled;
use crate::engine::Engine;
use crate::execute::Payload;
use crate::failure::TaskError;
use crate::gate::UpdatePolicy;
use crate::input::Update;
use crate::local::Local;
use crate::reclaim::Garbage;
use crate::session::{GivenToken, UpdateError};
use crate::strand::Strand;
use crate::token::CancelToken;

/// A session that goes from thread to thread with the future that it belongs to.
pub struct AsyncSession {
    engine: Arc<Engine>,
    strand: Strand,
    hold: Option<Hold>,
}

impl AsyncSession {
    /// A session that is not open yet.
    #[must_use]
    pub fn new(engine: &Arc<Engine>) -> Self {
        Self { engine: engine.clone(), strand: Strand::new(), hold: None }
    }

    /// Lets `token` cancel the session.
    #[must_use]
    pub fn with_token(mut self, token: &CancelToken) -> Self {
        token.serves(&self.engine);
        self.strand.token = Some(token.clone());
        self
    }

    /// Opens the session. `false` if an update is under way: `waker` is woken when to come again.
    pub fn poll_open(&mut self, waker: &Waker) -> bool {
        if self.hold.is_some() || self.is_inside() {
            return true;
        }
        loop {
            let mut garbage = None;
            if !self.engine.gate.poll_open(|| garbage = Some(self.engine.chores_of_opener()), waker) {
                return false;
            }
            if garbage.as_ref().is_some_and(Garbage::is_unfinished) {
                // Others may come in between two slices.
                self.engine.gate.close();
                continue;
            }
            self.hold = Some(Hold::of_opened(self.engine.clone()));
            return true;
        }
    }

    /// Whether a session of the same engine is open on this thread, of which this one is a part then.
    fn is_inside(&self) -> bool {
        Local::current().is_some_and(|local| local.engine_id() == self.engine.id)
    }

    /// Runs one stretch of the session on this thread, unless the session has been cancelled.
    ///
    /// # Errors
    /// As [`AsyncSession::stretch`]; the cancellation.
    ///
    /// # Panics
    /// As [`AsyncSession::stretch`].
    pub fn go_on<R>(&mut self, work: impl FnOnce() -> R) -> Result<R, (TaskError, Payload)> {
        self.stretch(|| {
            if let Some(local) = Local::current()
                && let Err(payload) = check_cancelled(local)
            {
                resume_unwind(payload);
            }
            work()
        })
    }

    /// Runs one stretch of the session on this thread.
    ///
    /// # Errors
    /// The failure and the panic's payload, if `work` panicked.
    ///
    /// # Panics
    /// If the session was polled first as a part of another, and is not any more.
    pub fn stretch<R>(&mut self, work: impl FnOnce() -> R) -> Result<R, (TaskError, Payload)> {
        let outer = Local::current().filter(|_| self.is_inside());
        if let Some(local) = outer {
            let _token = self.strand.token.as_ref().map(|token| GivenToken::put(local, token.clone()));
            return catch_unwind(AssertUnwindSafe(work))
                .map_err(|payload| (local.take_failure(&payload), payload));
        }
        assert!(self.hold.is_some(), "a session inside of another one was taken out of it");
        let local = Local::of(&self.engine);
        let stretch = Stretch::of_session(&local, &self.engine, &mut self.strand);
        let outcome = catch_unwind(AssertUnwindSafe(work));
        let outcome = outcome.map_err(|payload| (local.take_failure(&payload), payload));
        stretch.end(&local, &mut self.strand);
        outcome
    }
}

/// An update that waits for the gate. From its creation on, new sessions wait; dropping it takes that back.
pub struct UpdateRequest {
    engine: Arc<Engine>,
    policy: UpdatePolicy,
    granted: Granted,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Granted {
    NotYet,
    /// The gate is held exclusively.
    Yes,
    /// It has been given back.
    Used,
}

impl UpdateRequest {
    /// Announces an update.
    ///
    /// # Errors
    /// [`UpdateError::InSession`] if a session of this engine is open on this thread.
    pub fn new(engine: &Arc<Engine>, policy: UpdatePolicy) -> Result<Self, UpdateError> {
        if engine.is_in_session() {
            return Err(UpdateError::InSession);
        }
        engine.announce(policy);
        Ok(Self { engine: engine.clone(), policy, granted: Granted::NotYet })
    }

    /// Waits for the open sessions to end. `false`: `waker` is woken when to come again.
    pub fn poll(&mut self, waker: &Waker) -> bool {
        if self.granted == Granted::NotYet && self.engine.gate.poll_lock(self.policy, waker) {
            self.granted = Granted::Yes;
        }
        self.granted == Granted::Yes
    }

    /// Makes the update.
    ///
    /// # Panics
    /// If the request has not been granted.
    pub fn apply<R>(mut self, change: impl FnOnce(&mut Update) -> R) -> R {
        assert!(self.granted == Granted::Yes, "an update is applied when it has been granted");
        self.granted = Granted::Used;
        self.engine.update_exclusively(change)
    }
}

impl Drop for UpdateRequest {
    fn drop(&mut self) {
        match self.granted {
            Granted::NotYet => self.engine.gate.withdraw(self.policy),
            Granted::Yes => self.engine.gate.unlock(),
            Granted::Used => {}
        }
    }
}
