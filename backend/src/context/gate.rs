//! The gate: sessions hold it shared for their whole life, an update holds it exclusively.
//!
//! ```text
//!             sessions open     open == 0, an update's turn     it ends
//!   shared ──────────────────► (turn of the first in line) ──► exclusive ──► all sessions that wait are let in
//!     ▲                                                                            │
//!     └────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! * *Phases alternate.* While an update waits or works, new sessions wait in the `Lobby`. When it ends, all of them are let
//!   in at once, before the next update. Updates go in their order of arrival (`Turns`). So a session waits for one update
//!   (and for the sessions that this one waits for), and an update for the updates before it and one batch of sessions
//!   before each. (A session opened inside a session of the same thread does not come here: it is part of the first.)
//! * *A thread that waits* is let in by the thread that ends the phase, which counts it in. A *future* that waits cannot be, as
//!   it may never be polled again, or only by the thread that now waits for the gate itself: it is called, and has
//!   a moment (`GRACE`) to come. After that others go on without it, and it waits for the next occasion.
//! * *No wait for a wait.* A session that waits for an update that waits for the open sessions may be what one of these waits
//!   for (a thread that is joined inside a session). The engine cannot know. So sessions overtake an update that does not get its turn:
//!   after a second they go in, and others after them for a second; then they wait again, for two, and go in for two, and so on. So
//!   an update gets its turn at the latest when they wait for longer than the longest session takes. For an update that cancels the
//!   open sessions it begins with five seconds: what overtakes it is cancelled at its first boundary.
//! * *Chores* (`chores.rs`) are done by a session that opens alone, under the gate's own lock. When they have waited for too long,
//!   new sessions wait as they do for an update, for a limited time (`Drain`).
//! * Time alone may change whose turn it is. A thread looks again by itself (`State::moment`); for futures an alarm is set.
//! * Nothing spins, and nothing is signalled while the lock is contended by sessions alone.
//!
//! For example: session A is open, update U waits, sessions B and C wait. A ends: U works. Update V comes, session D comes. U ends: B, C
//! and D are let in. V waits for these three; a session E that comes now waits for V.

mod drain;
mod lobby;
mod state;
mod turns;

use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use self::state::{State, Told, earlier};
use crate::base::sync::{AtomicU32, Condvar, Mutex, MutexGuard, Ordering, now};
use crate::base::wakes::wake_before_sleep;

/// The gate of an engine.
pub(crate) struct Gate {
    me: Weak<Self>,
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
    /// Cancel the open sessions: they end with `Cancelled` at the next task boundary. A call that is answered from memory is none
    /// ([`CancelToken`](crate::CancelToken)): the update waits for a body that makes no other calls.
    Cancel,
}

/// The work of a session's opener, if it is alone.
pub(crate) trait Alone {
    /// Since when there has been something that must not wait for long.
    fn due_since(&self) -> Option<Instant>;
    /// Does what waits, or a slice of it. No session is open, and none opens meanwhile.
    fn work(&mut self) -> Work;
}

/// Whether chores are left.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Done,
    /// The opener closes and opens again, for the next slice. Others may be faster, and do it.
    Unfinished,
}

/// Runs each time that a waiter looks at the gate, under the gate's lock. Not called if there is no need to wait.
pub(crate) trait Vigil {
    /// Returns when to look again at the latest. `open` parts of sessions are in.
    ///
    /// # Errors
    /// If the waiter gives up.
    fn look(&mut self, now: Instant, open: usize) -> Result<Option<Instant>, GaveUp>;

    /// Whether observers are to be told that the wait has begun: once, and not under the gate's lock.
    fn has_news(&self) -> bool {
        false
    }

    /// Tells them. The gate is not locked.
    fn tell(&mut self) {}
}

/// A wait at the gate was given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GaveUp;

/// The place of an update in the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ticket {
    number: u64,
    policy: UpdatePolicy,
}

/// The kind of party that asks for the gate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Thread,
    Future,
}

impl Gate {
    /// A gate that lets chores wait for `patience`, or for ever.
    pub(crate) fn new(patience: Option<Duration>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            state: Mutex::new(State::new(patience)),
            changed: Condvar::default(),
            cancelling: AtomicU32::new(0),
        })
    }

    // ---- sessions ----

    /// Enters as a session.
    ///
    /// # Errors
    /// If `vigil` gives up.
    pub(crate) fn open(&self, alone: &mut impl Alone, vigil: &mut impl Vigil) -> Result<(), GaveUp> {
        let mut state = self.state.lock();
        if !state.bars_sessions(alone) {
            return self.enter(state, alone);
        }
        let call = state.lobby.join_as_thread(now());
        loop {
            if state.lobby.calls() != call {
                // Counted in by the one that called.
                return Ok(());
            }
            let time = now();
            let again = match vigil.look(time, state.open) {
                Ok(again) => again,
                Err(gave_up) => {
                    state.lobby.leave_as_thread();
                    self.end(state, Told::default());
                    return Err(gave_up);
                }
            };
            let told = state.pass_time(time);
            if told.is_something() {
                self.end(state, told);
                wake_before_sleep();
                state = self.state.lock();
            } else if !state.bars_sessions(alone) {
                state.lobby.leave_as_thread();
                return self.enter(state, alone);
            } else if vigil.has_news() {
                drop(state);
                vigil.tell();
                state = self.state.lock();
            } else {
                let again = earlier(again, state.moment());
                self.sleep(&mut state, again);
            }
        }
    }

    /// Enters as a future's session, which waits at `place` if that is given. `None` if it has to wait: `waker` is woken when to
    /// come again, and [`Gate::leave`] has to follow if it does not.
    ///
    /// # Errors
    /// If `vigil` gives up; the place has been left then.
    pub(crate) fn poll_open(
        &self,
        place: &mut Option<u64>,
        alone: &mut impl Alone,
        vigil: &mut impl Vigil,
        waker: &Waker,
    ) -> Option<Result<(), GaveUp>> {
        let mut state = self.state.lock();
        let called = place.is_some_and(|place| state.lobby.is_called(place));
        if !state.exclusive && called || !state.bars_sessions(alone) {
            // Dropped, and replaced below, when the lock has been given back: that may run the executor's code.
            let _spent = place.take().and_then(|place| state.lobby.leave(place));
            return Some(self.enter(state, alone));
        }
        let time = now();
        if let Err(gave_up) = vigil.look(time, state.open) {
            let _spent = place.take().and_then(|place| state.lobby.leave(place));
            let told = state.next_turn(time);
            self.end(state, told);
            return Some(Err(gave_up));
        }
        let place = *place.get_or_insert_with(|| state.lobby.join(time));
        let _spent = state.lobby.set_waker(place, waker);
        let told = state.pass_time(time);
        self.end(state, told);
        None
    }

    /// Takes back that a future's session waits.
    pub(crate) fn leave(&self, place: u64) {
        let mut state = self.state.lock();
        let _spent = state.lobby.leave(place);
        let told = state.next_turn(now());
        self.end(state, told);
    }

    /// Enters as another part of a session that is open, and stays open until this returns.
    pub(crate) fn join(&self) {
        self.state.lock().open += 1;
    }

    /// Enters for a look at what is there, unless an update works: past all that wait, so briefly. [`Gate::close`] follows.
    pub(crate) fn visit(&self, alone: &mut impl Alone) -> bool {
        let state = self.state.lock();
        !state.exclusive && self.enter(state, alone).is_ok()
    }

    /// Goes over from a session to holding the gate exclusively, if it is the only one and no update waits. [`Gate::downgrade`] follows, soon:
    /// sessions wait for it as they do for an update.
    pub(crate) fn upgrade(&self) -> bool {
        let mut state = self.state.lock();
        let is_alone = state.open == 1 && !state.turns.is_waiting() && !state.drain.is_on();
        if is_alone {
            (state.open, state.exclusive) = (0, true);
        }
        is_alone
    }

    /// Goes back from holding the gate exclusively to a session.
    pub(crate) fn downgrade(&self) {
        let mut state = self.state.lock();
        (state.open, state.exclusive) = (1, false);
        let told = state.let_in(now());
        self.end(state, told);
    }

    /// How many parts of sessions are in.
    pub(crate) fn parts(&self) -> usize {
        self.state.lock().open
    }

    fn enter(&self, mut state: MutexGuard<'_, State>, alone: &mut impl Alone) -> Result<(), GaveUp> {
        state.open += 1;
        if state.open == 1 {
            // The others wait for the lock meanwhile, so this is exclusive.
            if alone.work() == Work::Done && state.drain.is_on() {
                let time = now();
                state.drain.end_done(time);
                let told = state.let_in(time);
                self.end(state, told);
            }
        }
        Ok(())
    }

    /// Leaves as a session.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.open -= 1;
        if state.open == 0 && (state.turns.is_waiting() || state.drain.is_on()) {
            state.turns.call_anew();
            let mut told = state.next_turn(now());
            if state.drain.is_on() {
                // The first to come does the chores.
                told.threads = true;
                told.wakers.extend(state.lobby.wakers());
            }
            self.end(state, told);
        }
    }

    // ---- updates ----

    /// Announces an update: from here on, new sessions wait. [`Gate::lock`], [`Gate::poll_lock`] or
    /// [`Gate::withdraw`] has to follow.
    pub(crate) fn request(&self, policy: UpdatePolicy, kind: Kind) -> Ticket {
        let number = self.state.lock().turns.join(policy, kind);
        if policy == UpdatePolicy::Cancel {
            // Relaxed: a hint that is looked at again and again; the gate's lock orders everything that matters.
            self.cancelling.fetch_add(1, Ordering::Relaxed);
        }
        Ticket { number, policy }
    }

    /// Takes the gate exclusively after a request.
    ///
    /// # Errors
    /// If `vigil` gives up; the request has been taken back then.
    pub(crate) fn lock(&self, ticket: Ticket, vigil: &mut impl Vigil) -> Result<(), GaveUp> {
        let mut state = self.state.lock();
        loop {
            let time = now();
            let told = state.pass_time(time);
            if state.is_turn(ticket.number, time) {
                let _none = self.grant(&mut state, ticket);
                self.end(state, told);
                return Ok(());
            }
            if told.is_something() {
                self.end(state, told);
                wake_before_sleep();
                state = self.state.lock();
                continue;
            }
            match vigil.look(time, state.open) {
                Ok(_) if vigil.has_news() => {
                    drop(state);
                    vigil.tell();
                    state = self.state.lock();
                }
                Ok(again) => {
                    let again = earlier(again, state.moment());
                    self.sleep(&mut state, again);
                }
                Err(gave_up) => {
                    self.take_back(state, ticket);
                    return Err(gave_up);
                }
            }
        }
    }

    /// Takes the gate exclusively after a request. `None` if it has to wait: `waker` is woken when to come again.
    ///
    /// # Errors
    /// If `vigil` gives up; the request has been taken back then.
    pub(crate) fn poll_lock(
        &self,
        ticket: Ticket,
        vigil: &mut impl Vigil,
        waker: &Waker,
    ) -> Option<Result<(), GaveUp>> {
        let mut state = self.state.lock();
        let time = now();
        let _spent = state.turns.set_waker(ticket.number, waker);
        let told = state.pass_time(time);
        if state.is_turn(ticket.number, time) {
            let _spent = self.grant(&mut state, ticket);
            self.end(state, told);
            return Some(Ok(()));
        }
        if let Err(gave_up) = vigil.look(time, state.open) {
            self.take_back(state, ticket);
            told.tell(&self.changed);
            return Some(Err(gave_up));
        }
        self.end(state, told);
        None
    }

    fn grant(&self, state: &mut State, ticket: Ticket) -> Option<Waker> {
        state.exclusive = true;
        self.end_request(state, ticket)
    }

    /// Takes a request back.
    pub(crate) fn withdraw(&self, ticket: Ticket) {
        let state = self.state.lock();
        self.take_back(state, ticket);
    }

    fn take_back(&self, mut state: MutexGuard<'_, State>, ticket: Ticket) {
        let _spent = self.end_request(&mut state, ticket);
        let time = now();
        let told = if state.turns.is_waiting() || state.exclusive {
            state.next_turn(time)
        } else {
            state.let_in(time)
        };
        self.end(state, told);
    }

    fn end_request(&self, state: &mut State, ticket: Ticket) -> Option<Waker> {
        if ticket.policy == UpdatePolicy::Cancel {
            self.cancelling.fetch_sub(1, Ordering::Relaxed);
        }
        state.turns.leave(ticket.number)
    }

    /// Gives the exclusive hold back.
    pub(crate) fn unlock(&self) {
        let mut state = self.state.lock();
        state.exclusive = false;
        let time = now();
        if state.drain.is_on() {
            // An update begins with the chores.
            state.drain.end_done(time);
        }
        let told = state.let_in(time);
        self.end(state, told);
    }

    /// Whether an update wants the open sessions to end.
    #[inline]
    pub(crate) fn is_cancelling(&self) -> bool {
        self.cancelling.load(Ordering::Relaxed) != 0
    }

    // ---- waiting ----

    /// Makes all that wait look again.
    pub(crate) fn wake(&self) {
        let state = self.state.lock();
        if state.lobby.is_empty() && !state.turns.is_waiting() {
            return;
        }
        let wakers = state.lobby.wakers().chain(state.turns.wakers()).collect();
        self.end(state, Told { threads: true, wakers });
    }

    /// So much time has passed at once. [`Gate::wake`] follows.
    pub(crate) fn pass_time(&self, time: Duration) {
        self.state.lock().drain.pass_time(time);
    }

    /// Does what is due by the clock alone.
    pub(crate) fn tick(&self) {
        let mut state = self.state.lock();
        let told = state.pass_time(now());
        self.end(state, told);
    }

    fn sleep(&self, state: &mut MutexGuard<'_, State>, until: Option<Instant>) {
        match until {
            Some(until) => {
                let _ = self.changed.wait_until(state, until);
            }
            None => self.changed.wait(state),
        }
    }

    /// Gives the lock back and tells those that wait.
    fn end(&self, mut state: MutexGuard<'_, State>, told: Told) {
        let has_futures = state.lobby.has_futures() || state.turns.has_futures();
        match (state.moment().filter(|_| has_futures), self.me.upgrade()) {
            (Some(at), Some(me)) => state.alarm.set(at, &Waker::from(me)),
            _ => state.alarm.clear(),
        }
        drop(state);
        told.tell(&self.changed);
    }
}

/// The action of an alarm.
impl Wake for Gate {
    fn wake(self: Arc<Self>) {
        self.tick();
    }
}
