//! Sessions and updates of futures: the gate is held between polls, and each poll is a stretch of the session's strand.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use crate::base::alarm::Alarm;
use crate::context::cancelled::check_cancelled;
use crate::context::engine::{Engine, Hold};
use crate::context::gate::{Kind, Ticket, UpdatePolicy};
use crate::context::local::Local;
use crate::context::session_data::{AnyData, GivenData, SessionData};
use crate::context::strand::Strand;
use crate::context::token::CancelToken;
use crate::context::watch::{AtGate, FuturesSession, GateWaiter, UpdateError, Wait};
use crate::graph::stop::Stop;
use crate::parallel::carry::Stretch;
use crate::session::GivenToken;
use crate::session::failed::Failed;
use crate::session::observed;
use crate::session::opener::Opener;
use crate::session::update::Update;

/// A session that goes from thread to thread with the future that it belongs to.
pub struct AsyncSession {
    engine: Arc<Engine>,
    strand: Strand,
    /// The data that it brings along, if it is a part of another session.
    data: Vec<AnyData>,
    hold: Option<Hold>,
    /// Its place at the gate while it waits.
    place: Option<u64>,
    wait: Option<Wait>,
    listed: Option<FuturesSession>,
    /// When it was opened, if it is observed.
    opened: Option<Instant>,
    /// Wakes the future at its deadline, or to report that it waits for long.
    alarm: Alarm,
}

impl AsyncSession {
    /// Returns a session that is not open yet.
    #[must_use]
    pub fn new(engine: &Arc<Engine>) -> Self {
        Self {
            engine: engine.clone(),
            strand: Strand::new(),
            data: Vec::new(),
            hold: None,
            place: None,
            wait: None,
            listed: None,
            opened: None,
            alarm: Alarm::default(),
        }
    }

    /// Lets `token` cancel the session.
    #[must_use]
    pub fn with_token(mut self, token: &CancelToken) -> Self {
        token.serves(&self.engine);
        self.strand.token = Some(token.clone());
        self
    }

    /// Gives the session data for the bodies that run in it.
    #[must_use]
    pub fn with_data(mut self, data: Vec<AnyData>) -> Self {
        self.strand.data = SessionData::within(None, &data);
        self.data = data;
        self
    }

    /// Opens the session. `None` if an update is under way: `waker` is woken when to come again.
    ///
    /// # Errors
    /// If the token was cancelled meanwhile.
    ///
    /// # Panics
    /// Inside an update of the same engine.
    #[track_caller]
    pub fn poll_open(&mut self, waker: &Waker) -> Option<Result<(), Failed>> {
        if self.hold.is_some() || self.is_inside() {
            return Some(Ok(()));
        }
        Local::of(&self.engine).assert_no_update();
        let mut slices = 0;
        let outcome = loop {
            let Self { engine, strand, place, wait, alarm, .. } = self;
            let token = strand.token.as_ref();
            let mut at_gate = AtGate::new(engine, GateWaiter::Session, Kind::Future, token, wait);
            let mut opener = Opener::of(engine);
            match engine.gate.poll_open(place, &mut opener, &mut at_gate, waker) {
                None => {
                    at_gate.tell_begin();
                    if let Some(again) = at_gate.again {
                        alarm.set(again, waker);
                    }
                    return None;
                }
                // Others may come in between two slices of the chores.
                Some(Ok(())) if opener.comes_again(&mut slices) => engine.gate.close(),
                Some(Ok(())) => {
                    self.hold = Some(Hold::of_opened(self.engine.clone()));
                    self.listed = Some(self.engine.watch.open_future());
                    self.engine.begin_session();
                    self.opened = observed::opened(&self.engine);
                    break Ok(());
                }
                Some(Err(_)) => break Err(at_gate.session_error().into()),
            }
        };
        if let Some(wait) = self.wait.take() {
            wait.ends(&self.engine);
        }
        self.alarm.clear();
        Some(outcome)
    }

    /// Has `waker`, which waits for something inside the session, woken at the deadline.
    pub fn wake_at_deadline(&mut self, waker: &Waker) {
        let deadline = self.strand.token.as_ref().and_then(CancelToken::deadline);
        if let Some(deadline) = deadline {
            self.alarm.set(deadline, waker);
        }
    }

    /// Whether a session of the same engine is open on this thread, of which this one is a part then.
    fn is_inside(&self) -> bool {
        Local::current().is_some_and(|local| local.engine_id() == self.engine.id)
    }

    /// Runs one stretch of the session on this thread, unless the session has been cancelled.
    ///
    /// # Errors
    /// See [`AsyncSession::stretch`]; the cancellation.
    ///
    /// # Panics
    /// See [`AsyncSession::stretch`].
    pub fn go_on<R>(&mut self, work: impl FnOnce() -> R) -> Result<R, Failed> {
        self.stretch(|| {
            if let Some(local) = Local::current()
                && let Err(stop) = check_cancelled(local)
            {
                stop.throw();
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
    pub fn stretch<R>(&mut self, work: impl FnOnce() -> R) -> Result<R, Failed> {
        let outer = Local::current().filter(|_| self.is_inside());
        if let Some(local) = outer {
            let _token = self.strand.token.as_ref().map(|token| GivenToken::put(local, token.clone()));
            let _data = GivenData::put(&local.data, &self.data);
            return catch_unwind(AssertUnwindSafe(work))
                .map_err(Stop::caught)
                .map_err(|stop| Failed::of(local, stop));
        }
        assert!(self.hold.is_some(), "a session inside of another one was taken out of it");
        let local = Local::of(&self.engine);
        let stretch = Stretch::of_session(&local, &self.engine, &mut self.strand);
        let outcome = catch_unwind(AssertUnwindSafe(work));
        let outcome = outcome.map_err(Stop::caught).map_err(|stop| Failed::of(&local, stop));
        stretch.end(&local, &mut self.strand);
        outcome
    }
}

impl Drop for AsyncSession {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.engine.gate.leave(place);
        }
        if let Some(opened) = self.opened {
            observed::closed(&self.engine, opened);
        }
    }
}

/// An update that waits for the gate. From its creation on, new sessions wait; dropping it takes that back.
pub struct UpdateRequest {
    engine: Arc<Engine>,
    token: Option<CancelToken>,
    wait: Option<Wait>,
    alarm: Alarm,
    granted: Granted,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Granted {
    NotYet(Ticket),
    /// The gate is held exclusively.
    Yes,
    /// It has been given back, or the request taken back.
    Over,
}

impl UpdateRequest {
    /// Announces an update.
    ///
    /// # Errors
    /// [`UpdateError::InSession`] if a session of this engine is open on this thread, [`UpdateError::InUpdate`] inside an update;
    /// [`UpdateError::Cancelled`] if `token` is cancelled already.
    pub fn new(
        engine: &Arc<Engine>,
        policy: UpdatePolicy,
        token: Option<&CancelToken>,
    ) -> Result<Self, UpdateError> {
        engine.check_no_session()?;
        engine.check_token(token)?;
        if let Some(token) = token {
            token.serves(engine);
        }
        let granted = Granted::NotYet(engine.announce(policy, Kind::Future));
        Ok(Self {
            engine: engine.clone(),
            token: token.cloned(),
            wait: None,
            alarm: Alarm::default(),
            granted,
        })
    }

    /// Waits for the open sessions to end. `None`: `waker` is woken when to come again.
    ///
    /// # Errors
    /// [`UpdateError::Cancelled`] if the token is cancelled before that.
    pub fn poll(&mut self, waker: &Waker) -> Option<Result<(), UpdateError>> {
        let Granted::NotYet(ticket) = self.granted else { return Some(Ok(())) };
        let Self { engine, token, wait, alarm, granted } = self;
        let mut at_gate = AtGate::new(engine, GateWaiter::Update, Kind::Future, token.as_ref(), wait);
        let outcome = match engine.gate.poll_lock(ticket, &mut at_gate, waker) {
            None => {
                at_gate.tell_begin();
                if let Some(again) = at_gate.again {
                    alarm.set(again, waker);
                }
                return None;
            }
            Some(Ok(())) => {
                *granted = Granted::Yes;
                Ok(())
            }
            Some(Err(_)) => {
                *granted = Granted::Over;
                Err(at_gate.update_error())
            }
        };
        if let Some(wait) = self.wait.take() {
            wait.ends(&self.engine);
        }
        self.alarm.clear();
        Some(outcome)
    }

    /// Makes the update.
    ///
    /// # Panics
    /// If the request has not been granted.
    pub fn apply<R>(mut self, change: impl FnOnce(&mut Update) -> R) -> R {
        assert!(self.granted == Granted::Yes, "an update is applied when it has been granted");
        self.granted = Granted::Over;
        self.engine.update_exclusively(change)
    }
}

impl Drop for UpdateRequest {
    fn drop(&mut self) {
        match self.granted {
            Granted::NotYet(ticket) => self.engine.gate.withdraw(ticket),
            Granted::Yes => self.engine.gate.unlock(),
            Granted::Over => {}
        }
    }
}
