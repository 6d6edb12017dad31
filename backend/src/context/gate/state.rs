//! The state that the gate's lock guards, and each step of the protocol that is taken under it.

use std::task::Waker;
use std::time::{Duration, Instant};

use super::Alone;
use super::drain::Drain;
use super::lobby::Lobby;
use super::turns::Turns;
use crate::base::sync::{Alarm, Condvar};
use crate::base::wakes::wake_all;

/// How long others wait for a future that has been called.
pub(super) const GRACE: Duration = Duration::from_millis(20);

/// The state that the gate's lock guards.
pub(super) struct State {
    /// The sessions that are in, and the parts of sessions that hold the gate beside them.
    pub(super) open: usize,
    /// An update works.
    pub(super) exclusive: bool,
    pub(super) lobby: Lobby,
    pub(super) turns: Turns,
    pub(super) drain: Drain,
    /// Wakes the gate when time changes something for a future.
    pub(super) alarm: Alarm,
}

/// Those to be told that something has changed, when the lock has been given back.
#[derive(Default)]
#[must_use]
pub(super) struct Told {
    pub(super) threads: bool,
    pub(super) wakers: Vec<Waker>,
}

impl Told {
    pub(super) fn is_something(&self) -> bool {
        self.threads || !self.wakers.is_empty()
    }

    pub(super) fn threads() -> Self {
        Self { threads: true, wakers: Vec::new() }
    }

    /// Wakes. Wakers run code of the user's executor, which must not meet the gate's lock.
    pub(super) fn tell(self, threads: &Condvar) {
        if self.threads {
            threads.notify_all();
        }
        wake_all(self.wakers);
    }
}

impl State {
    pub(super) fn new(patience: Option<Duration>) -> Self {
        Self {
            open: 0,
            exclusive: false,
            lobby: Lobby::default(),
            turns: Turns::default(),
            drain: Drain::new(patience),
            alarm: Alarm::default(),
        }
    }

    /// Whether a session that comes now has to wait.
    pub(super) fn bars_sessions(&mut self, alone: &impl Alone) -> bool {
        if self.exclusive || self.turns.bars_sessions() {
            return true;
        }
        if self.open == 0 || self.turns.is_waiting() {
            return false;
        }
        self.drain.is_on() || self.drain.begins(|| alone.due_since())
    }

    /// Lets in all sessions that wait.
    pub(super) fn let_in(&mut self, time: Instant) -> Told {
        if self.lobby.is_empty() {
            return self.next_turn(time);
        }
        let (threads, wakers) = self.lobby.call(time);
        self.open += threads;
        self.turns.call_anew();
        // An update that waits has to reckon with the futures.
        let mut told = Told { threads: threads > 0 || self.turns.is_waiting(), wakers };
        told.add(self.next_turn(time));
        told
    }

    /// Tells the update whose turn it is.
    pub(super) fn next_turn(&mut self, time: Instant) -> Told {
        if self.exclusive || self.open > 0 || self.lobby.expects(time) {
            return Told::default();
        }
        self.turns.call(time).unwrap_or_default()
    }

    pub(super) fn is_turn(&mut self, number: u64, time: Instant) -> bool {
        !self.exclusive
            && self.open == 0
            && !self.lobby.expects(time)
            && self.turns.first(time) == Some(number)
    }

    /// Does what is due by the clock alone.
    pub(super) fn pass_time(&mut self, time: Instant) -> Told {
        if self.open == 0 {
            // While sessions are open, those that have been called keep no other waiting.
            self.lobby.stop_expecting(time);
        }
        if !self.exclusive && self.lobby.is_waiting() {
            if self.turns.is_waiting() {
                if self.overtakes_at().is_some_and(|at| time >= at) {
                    self.turns.let_pass(time);
                    return self.let_in(time);
                }
                // A future that does not come when it is called. If more updates wait, one of them has its turn first.
                if self.open == 0 && !self.turns.has_more() && self.turns.is_late(time) {
                    return self.let_in(time);
                }
            } else if self.open > 0 && self.drain.ends_in_vain(time) {
                return self.let_in(time);
            }
        }
        self.next_turn(time)
    }

    /// When the sessions that wait go in past the update that waits.
    pub(super) fn overtakes_at(&self) -> Option<Instant> {
        self.lobby.since()?.checked_add(self.turns.preference())
    }

    /// When time alone may change something.
    pub(super) fn moment(&self) -> Option<Instant> {
        if self.exclusive {
            return None;
        }
        if !self.turns.is_waiting() {
            return self.drain.ends_at().filter(|_| self.open > 0 && self.lobby.is_waiting());
        }
        let mut moment = None;
        if self.open == 0 {
            moment = self.lobby.expects_until();
            if self.lobby.is_waiting() || self.turns.has_more() {
                moment = earlier(moment, self.turns.late_at());
            }
        }
        if self.lobby.is_waiting() {
            moment = earlier(moment, self.overtakes_at());
        }
        moment
    }
}

impl Told {
    pub(super) fn add(&mut self, other: Self) {
        self.threads |= other.threads;
        self.wakers.extend(other.wakers);
    }
}

pub(super) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Puts `waker` in place, unless the one that is there wakes the same. Returns that one otherwise.
pub(super) fn replace(place: &mut Option<Waker>, waker: &Waker) -> Option<Waker> {
    if place.as_ref().is_some_and(|known| known.will_wake(waker)) {
        None
    } else {
        place.replace(waker.clone())
    }
}
