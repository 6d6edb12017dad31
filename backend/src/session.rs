//! Session: sessions and updates: when they may enter, and what is caught at the border.
//!
//! - No input changes while a session is open: `update` and `source` change leaves under the gate, held exclusively.
//! - Nodes and outputs are dropped by `reclaim`, while no session is open, and dropped values run the user's `Drop` under no lock.
//! - Panics and failures of a session end here. They leave as the user's panic, or as a `TaskError`.

pub(crate) mod failed;
pub(crate) mod observed;
pub(crate) mod futures;
pub(crate) mod input;
pub(crate) mod update;
pub(crate) mod source;
pub(crate) mod reclaim;
pub(crate) mod opener;

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crate::base::wakes::wake_before_sleep;
use crate::context::cancelled::check_cancelled;
use crate::context::engine::Engine;
use crate::context::gate::{Kind, Ticket, UpdatePolicy};
use crate::context::local::{Entered, Local};
use crate::context::token::CancelToken;
use crate::context::watch::{AtGate, GateWaiter, UpdateError};
use crate::graph::failure::TaskError;
use crate::graph::stop::Stop;
use crate::session::failed::Failed;
use crate::session::opener::Opener;
use crate::session::reclaim::{Garbage, do_chores};

impl Engine {
    /// Runs `work` in a session. Inside another session of this engine on the same thread it is part of that one.
    ///
    /// # Panics
    /// With the body's own payload if one panicked and nothing caught it; with a message on a cycle or cancellation.
    #[track_caller]
    pub fn run<R>(self: &Arc<Self>, token: Option<&CancelToken>, work: impl FnOnce() -> R) -> R {
        match self.within(token, work) {
            Ok(value) => value,
            Err(failed) => failed.go_on(Local::current().is_some()),
        }
    }

    /// Runs `work` in a session that `token`, if there is one, may cancel, and returns its failure instead of panicking.
    ///
    /// Inside another session of this engine on the same thread it is part of that one; being cancelled then fails the task that
    /// runs there, too: what it would return depends on time.
    ///
    /// # Errors
    /// If a body panicked, on a cycle, or if the session was cancelled, by the token or by an update; if the token was
    /// cancelled before the session could be opened.
    #[track_caller]
    pub fn try_run<R>(
        self: &Arc<Self>,
        token: Option<&CancelToken>,
        work: impl FnOnce() -> R,
    ) -> Result<R, TaskError> {
        self.within(token, work).map_err(|failed| failed.error)
    }

    #[track_caller]
    fn within<R>(
        self: &Arc<Self>,
        token: Option<&CancelToken>,
        work: impl FnOnce() -> R,
    ) -> Result<R, Failed> {
        let Some(token) = token else { return self.catch(None, work) };
        token.serves(self);
        self.catch(Some(token), || {
            let Some(local) = Local::current() else { unreachable!("a session is open here") };
            let _token = GivenToken::put(local, token.clone());
            if let Err(stop) = check_cancelled(local) {
                stop.throw();
            }
            work()
        })
    }

    /// Runs `work` in a session, or in the one that is open; `token` may end the wait for it.
    #[track_caller]
    pub(crate) fn catch<R>(
        self: &Arc<Self>,
        token: Option<&CancelToken>,
        work: impl FnOnce() -> R,
    ) -> Result<R, Failed> {
        if let Some(local) = Local::current()
            && local.engine_id() == self.id
        {
            return catch_unwind(AssertUnwindSafe(work))
                .map_err(Stop::caught)
                .map_err(|stop| Failed::of(local, stop));
        }
        let session = Session::open(self, token)?;
        catch_unwind(AssertUnwindSafe(work))
            .map_err(Stop::caught)
            .map_err(|stop| Failed::of(&session.local, stop))
    }

    /// Runs `change` while no session is open.
    ///
    /// # Errors
    /// [`UpdateError::InSession`] if this thread has a session of this engine open; [`UpdateError::InUpdate`] inside an update;
    /// [`UpdateError::Cancelled`] if `token` is cancelled before it is granted.
    pub fn exclusively<R>(
        &self,
        policy: UpdatePolicy,
        token: Option<&CancelToken>,
        change: impl FnOnce(&Exclusive<'_>) -> R,
    ) -> Result<R, UpdateError> {
        self.check_no_session()?;
        self.check_token(token)?;
        let mut wait = None;
        let mut at_gate = AtGate::new(self, GateWaiter::Update, Kind::Thread, token, &mut wait);
        let ticket = self.announce(policy, Kind::Thread);
        wake_before_sleep();
        if self.gate.lock(ticket, &mut at_gate).is_err() {
            return Err(at_gate.update_error());
        }
        if let Some(wait) = wait {
            wait.ends(self);
        }
        Ok(self.while_exclusive(change))
    }

    /// # Errors
    /// If this thread has a session or an update of this engine under way: waiting for it would never end.
    pub(crate) fn check_no_session(&self) -> Result<(), UpdateError> {
        if self.is_in_session() {
            return Err(UpdateError::InSession);
        }
        if Local::of(self).updating.get() {
            return Err(UpdateError::InUpdate);
        }
        Ok(())
    }

    /// Announces an update. If it cancels the open sessions, their futures are woken to see that.
    pub(crate) fn announce(&self, policy: UpdatePolicy, kind: Kind) -> Ticket {
        let ticket = self.gate.request(policy, kind);
        if policy == UpdatePolicy::Cancel {
            self.wake_waiting();
        }
        ticket
    }

    /// Wakes all threads and futures that wait for a task or for the gate, to see whether they are cancelled.
    pub(crate) fn wake_waiting(&self) {
        for async_run in self.waits.awaited(&self.async_runs) {
            async_run.wake_waiters();
        }
        self.lot.wake_everybody();
        self.runners.wake();
        self.gate.wake();
    }

    /// Runs `change` with the gate held exclusively, and gives it back.
    pub(crate) fn while_exclusive<R>(&self, change: impl FnOnce(&Exclusive<'_>) -> R) -> R {
        let local = Local::of(self);
        // Declared first, so dropped last, even if `change` panics: it runs the user's `Drop`, which may open a session.
        let mut garbage = Garbage::default();
        let exclusive = Exclusive { engine: self };
        garbage.join(do_chores(&exclusive));
        let _updating = Updating::begin(&local, self);
        change(&exclusive)
    }

    /// The work of a session's opener while no other holds the gate.
    pub(crate) fn chores_of_opener(&self) -> Garbage {
        // The opener holds the gate by other means, so the proof must not give it back.
        let exclusive = ManuallyDrop::new(Exclusive { engine: self });
        do_chores(&exclusive)
    }
}

/// A token that is in force until this is dropped.
pub(crate) struct GivenToken<'a> {
    local: &'a Local,
    before: Option<CancelToken>,
}

impl<'a> GivenToken<'a> {
    pub(crate) fn put(local: &'a Local, token: CancelToken) -> Self {
        Self { local, before: local.token.replace(Some(token)) }
    }
}

impl Drop for GivenToken<'_> {
    fn drop(&mut self) {
        let token = self.local.token.replace(self.before.take());
        // Outside of a task, what comes after may run again.
        if token.is_some_and(|token| token.is_cancelled()) && self.local.claimed.borrow().is_empty() {
            self.local.end_cancellation();
        }
    }
}

/// Proof that the gate of an engine is held exclusively; gives it back when dropped.
pub struct Exclusive<'a> {
    pub(crate) engine: &'a Engine,
}

impl Drop for Exclusive<'_> {
    fn drop(&mut self) {
        self.engine.gate.unlock();
    }
}

/// While this lives, the thread is inside of an update: to open a session would wait for itself.
struct Updating<'a>(&'a Local);

impl<'a> Updating<'a> {
    fn begin(local: &'a Local, engine: &Engine) -> Self {
        local.updating.set(true);
        local.presence.begin_update(&engine.watch);
        Self(local)
    }
}

impl Drop for Updating<'_> {
    fn drop(&mut self) {
        self.0.updating.set(false);
        self.0.presence.end_update();
    }
}

/// An open session on this thread.
struct Session {
    engine: Arc<Engine>,
    local: Arc<Local>,
    entered: Option<Entered>,
    /// When it was opened, if it is observed.
    opened: Option<Instant>,
    /// Whether this is the outermost session of the thread, which holds the gate.
    holds_gate: bool,
}

impl Session {
    /// Opens a session, unless `token` is cancelled while it waits.
    #[track_caller]
    fn open(engine: &Arc<Engine>, token: Option<&CancelToken>) -> Result<Self, Failed> {
        let local = Local::of(engine);
        local.assert_no_update();
        let holds_gate = !local.in_session();
        let mut garbage = None;
        if holds_gate {
            wake_before_sleep();
            garbage = Self::enter_gate(engine, token)?;
            engine.begin_session();
            local.presence.open_session(&engine.watch);
        }
        let entered = Some(local.enter(engine));
        let mut session = Self { engine: engine.clone(), local, entered, opened: None, holds_gate };
        if holds_gate {
            session.opened = observed::opened(engine);
        }
        drop(garbage);
        Ok(session)
    }

    /// Enters the gate, and does the chores that there are, slice by slice, as long as no other session is open.
    fn enter_gate(engine: &Engine, token: Option<&CancelToken>) -> Result<Option<Garbage>, Failed> {
        let mut slices = 0;
        loop {
            let mut wait = None;
            let mut at_gate = AtGate::new(engine, GateWaiter::Session, Kind::Thread, token, &mut wait);
            let mut opener = Opener::of(engine);
            if engine.gate.open(&mut opener, &mut at_gate).is_err() {
                return Err(at_gate.session_error().into());
            }
            if let Some(wait) = wait {
                wait.ends(engine);
            }
            if !opener.comes_again(&mut slices) {
                return Ok(opener.garbage);
            }
            // Others may come in between two slices.
            engine.gate.close();
        }
    }
}

impl Local {
    /// # Panics
    /// Inside of an update, which would wait for the session.
    #[track_caller]
    pub(crate) fn assert_no_update(&self) {
        assert!(
            !self.updating.get(),
            "a session was opened inside an update of the same runtime; read what the update needs before it"
        );
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(entered) = self.entered.take() {
            self.local.leave(entered);
        }
        if self.holds_gate {
            if let Some(opened) = self.opened {
                observed::closed(&self.engine, opened);
            }
            self.local.presence.end_session();
            self.engine.gate.close();
        }
    }
}
