//! The lobby: sessions that wait for the gate. All of them are called at once.
//!
//! A thread remembers the number of calls when it came: another number means that it has been counted in. A future has a
//! place; when it is called it is *expected*, for a time.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Instant;

use super::state::{GRACE, replace};

/// The sessions that wait.
#[derive(Default)]
pub(super) struct Lobby {
    threads: usize,
    futures: BTreeMap<u64, Waiter>,
    next_place: u64,
    /// How often those that waited have been called.
    calls: u64,
    /// Since when the one that has waited longest, of those that have not been called, waits.
    since: Option<Instant>,
    /// The futures that have been called and have not come yet.
    expected: usize,
    expected_until: Option<Instant>,
}

#[derive(Default)]
struct Waiter {
    waker: Option<Waker>,
    called: bool,
}

impl Lobby {
    /// Counts a thread among those that wait. Returns the number of calls so far.
    pub(super) fn join_as_thread(&mut self, time: Instant) -> u64 {
        self.threads += 1;
        self.since.get_or_insert(time);
        self.calls
    }

    /// Takes a thread that has not been called out.
    pub(super) fn leave_as_thread(&mut self) {
        self.threads -= 1;
        self.settle();
    }

    /// Gives a place to a future.
    pub(super) fn join(&mut self, time: Instant) -> u64 {
        self.next_place += 1;
        self.futures.insert(self.next_place, Waiter::default());
        self.since.get_or_insert(time);
        self.next_place
    }

    /// Has `waker` woken when the future at `place` may come. Returns the waker that it replaces.
    pub(super) fn set_waker(&mut self, place: u64, waker: &Waker) -> Option<Waker> {
        replace(&mut self.futures.get_mut(&place)?.waker, waker)
    }

    /// Takes a future out. Returns its waker, which is not to be dropped under the gate's lock.
    pub(super) fn leave(&mut self, place: u64) -> Option<Waker> {
        let place = self.futures.remove(&place)?;
        self.expected -= usize::from(place.called);
        self.settle();
        place.waker
    }

    /// Whether the future at `place` may come in.
    pub(super) fn is_called(&self, place: u64) -> bool {
        self.futures.get(&place).is_some_and(|place| place.called)
    }

    /// Calls all that wait. Returns how many threads these are, which the caller counts in, and how to wake the futures.
    pub(super) fn call(&mut self, time: Instant) -> (usize, Vec<Waker>) {
        self.calls += 1;
        self.since = None;
        for place in self.futures.values_mut() {
            place.called = true;
        }
        self.expected = self.futures.len();
        self.expected_until = Some(time + GRACE);
        (std::mem::take(&mut self.threads), self.wakers().collect())
    }

    /// Whether others wait for futures that have been called.
    pub(super) fn expects(&self, time: Instant) -> bool {
        self.expected > 0 && self.expected_until.is_some_and(|until| time < until)
    }

    pub(super) fn expects_until(&self) -> Option<Instant> {
        self.expected_until.filter(|_| self.expected > 0)
    }

    /// Goes on without the futures that have not come in time. They wait from now on.
    pub(super) fn stop_expecting(&mut self, time: Instant) {
        if self.expected == 0 || self.expects(time) {
            return;
        }
        for place in self.futures.values_mut() {
            place.called = false;
        }
        self.expected = 0;
        self.since.get_or_insert(time);
    }

    /// Whether a session is here that has not been called.
    pub(super) fn is_waiting(&self) -> bool {
        self.threads > 0 || self.futures.len() > self.expected
    }

    pub(super) fn is_empty(&self) -> bool {
        self.threads == 0 && self.futures.is_empty()
    }

    pub(super) fn has_futures(&self) -> bool {
        !self.futures.is_empty()
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    pub(super) fn wakers(&self) -> impl Iterator<Item = Waker> {
        self.futures.values().filter_map(|place| place.waker.clone())
    }

    fn settle(&mut self) {
        if !self.is_waiting() {
            self.since = None;
        }
    }
}
