//! The breaker: an engine that fails is left alone, so that an outage costs a process little.
//!
//! ```text
//! closed     3 failures one after the other                      open for 30 s
//! closed     a fifth of the last 50 calls failed, of 10 or more   open for 30 s
//! closed     a call is late, and none was ever answered           open for 30 s
//! open       30 s are over                                       half open: one call goes through
//! half open  the call succeeds: closed                           it fails: open for 30 s
//! any        the engine refuses (`SharedError::Refused`)         off, for as long as the process runs
//! any        it is busy (`SharedError::Busy`)                    open for as long as it says
//! any        the time for all calls has been used up             off
//! ```
//! For example, a server that accepts connections and never answers costs the patience of one call, and nothing for 30 s after that; one that hangs on
//! every second connection costs five times as much.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use larder_shared::SharedError;

const FAILURES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(30);
/// The calls that are looked back at, and the least of them that say something.
const LAST: u32 = 50;
const LEAST: u32 = 10;

/// Says when an engine may be called, and for how long.
pub(super) struct Breaker {
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The time that is left for all calls.
    left: Duration,
    failures: u32,
    /// The last calls, the newest in the lowest bit; set where one failed.
    last: u64,
    noted: u32,
    has_answered: bool,
    open_until: Option<Instant>,
    is_off: bool,
    openings: u64,
    waited: Duration,
    calls: u32,
}

impl Breaker {
    pub(super) fn new(patience: Duration, budget: Duration) -> Self {
        Self { patience, state: Mutex::new(State { left: budget, ..State::default() }) }
    }

    /// Returns until when a call may last; `None` if there is to be none.
    pub(super) fn allows(&self) -> Option<Instant> {
        self.allows_at(Instant::now())
    }

    fn allows_at(&self, now: Instant) -> Option<Instant> {
        let mut state = self.state();
        if state.is_off || state.left.is_zero() || state.open_until.is_some_and(|until| now < until) {
            return None;
        }
        if state.open_until.is_some() {
            // Others wait for what comes of this one.
            state.open_until = Some(now + PAUSE);
        }
        Some(now + self.patience.min(state.left))
    }

    /// Notes how a call for records went, and how long it took.
    pub(super) fn note(&self, outcome: Result<(), &SharedError>, took: Duration) {
        self.note_at(Instant::now(), outcome, took);
    }

    fn note_at(&self, now: Instant, outcome: Result<(), &SharedError>, took: Duration) {
        let mut state = self.state();
        state.waited += took;
        state.calls += 1;
        state.left = state.left.saturating_sub(took);
        state.note(now, outcome);
    }

    /// Notes that the engine has answered something.
    pub(super) fn answered(&self) {
        self.state().has_answered = true;
    }

    /// Notes how packs came: what a pull has taken is of the budget only if it was in vain.
    pub(super) fn note_packs(&self, outcome: Result<(), &SharedError>, took: Duration) {
        let mut state = self.state();
        if outcome.is_err() {
            state.left = state.left.saturating_sub(took);
        }
        state.note(Instant::now(), outcome);
    }

    /// Returns the mean time of a call; `None` before the first one.
    pub(super) fn usual(&self) -> Option<Duration> {
        let state = self.state();
        state.waited.checked_div(state.calls)
    }

    /// Returns the time that calls have taken, and how often the breaker has opened.
    pub(super) fn used(&self) -> (Duration, u64) {
        let state = self.state();
        (state.waited, state.openings + u64::from(state.is_off))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, now: Instant, outcome: Result<(), &SharedError>) {
        self.noted = (self.noted + 1).min(LAST);
        self.last = (self.last << 1 | u64::from(outcome.is_err())) & ((1 << LAST) - 1);
        match outcome {
            Ok(()) => {
                (self.failures, self.open_until, self.has_answered) = (0, None, true);
                if self.fails_often() {
                    self.open(now + PAUSE);
                }
            }
            Err(SharedError::Refused { .. }) => self.is_off = true,
            Err(SharedError::Busy { retry_after }) => {
                self.open(now + retry_after.unwrap_or(PAUSE).min(Duration::from_secs(600)));
            }
            Err(error) => {
                self.failures += 1;
                let is_silent = !self.has_answered && matches!(error, SharedError::Slow);
                if is_silent || self.failures >= FAILURES || self.fails_often() {
                    self.open(now + PAUSE);
                }
            }
        }
    }

    fn fails_often(&self) -> bool {
        self.noted >= LEAST && self.last.count_ones() * 5 >= self.noted
    }

    fn open(&mut self, until: Instant) {
        self.open_until = Some(until);
        self.openings += 1;
        // When the pause is over, it is judged anew.
        (self.last, self.noted) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(Duration::from_millis(250), Duration::from_secs(2))
    }

    #[test]
    fn three_failures_in_a_row_open_it_and_a_success_between_does_not() {
        let breaker = breaker();
        let fail = || breaker.note(Err(&SharedError::broken("reset")), Duration::ZERO);
        fail();
        fail();
        breaker.note(Ok(()), Duration::ZERO);
        fail();
        fail();
        assert!(breaker.allows().is_some());
        fail();
        assert!(breaker.allows().is_none());
        assert_eq!(breaker.used().1, 1);
    }

    #[test]
    fn a_refusal_turns_it_off() {
        let breaker = breaker();
        breaker.note(Err(&SharedError::Refused { reason: "no".into() }), Duration::ZERO);
        assert!(breaker.allows().is_none());
    }

    #[test]
    fn an_engine_that_never_answered_and_is_late_is_not_asked_twice() {
        let breaker = breaker();
        breaker.note_packs(Err(&SharedError::Slow), Duration::from_millis(250));
        assert!(breaker.allows().is_none());
    }

    #[test]
    fn every_second_call_that_fails_opens_it() {
        let breaker = breaker();
        let mut calls = 0;
        while breaker.allows().is_some() && calls < 100 {
            let outcome = if calls % 2 == 0 { Ok(()) } else { Err(&SharedError::Slow) };
            breaker.note(outcome, Duration::ZERO);
            calls += 1;
        }
        assert_eq!(calls, 10);
    }

    #[test]
    fn one_failure_in_ten_calls_does_not() {
        let breaker = breaker();
        for call in 0..100 {
            assert!(breaker.allows().is_some());
            let outcome = if call % 10 == 9 { Err(&SharedError::Slow) } else { Ok(()) };
            breaker.note(outcome, Duration::ZERO);
        }
    }

    #[test]
    fn after_the_pause_one_call_goes_through_and_decides() {
        let breaker = breaker();
        let start = Instant::now();
        let fail = |now| breaker.note_at(now, Err(&SharedError::broken("reset")), Duration::ZERO);
        (0..3).for_each(|_| fail(start));
        assert!(breaker.allows_at(start + PAUSE / 2).is_none());
        let later = start + PAUSE;
        assert!(breaker.allows_at(later).is_some());
        assert!(breaker.allows_at(later).is_none(), "others wait for what comes of the first one");
        fail(later);
        assert!(breaker.allows_at(later + PAUSE / 2).is_none());
        let last = later + 2 * PAUSE;
        assert!(breaker.allows_at(last).is_some());
        breaker.note_at(last, Ok(()), Duration::ZERO);
        assert!(breaker.allows_at(last).is_some() && breaker.allows_at(last).is_some());
    }

    #[test]
    fn a_busy_engine_is_left_alone_for_as_long_as_it_says() {
        let (breaker, start) = (breaker(), Instant::now());
        let busy = SharedError::Busy { retry_after: Some(Duration::from_secs(7)) };
        breaker.note_at(start, Err(&busy), Duration::ZERO);
        assert!(breaker.allows_at(start + Duration::from_secs(6)).is_none());
        assert!(breaker.allows_at(start + Duration::from_secs(7)).is_some());
    }

    #[test]
    fn packs_that_came_cost_records_nothing_and_those_that_did_not_do() {
        let breaker = breaker();
        breaker.note_packs(Ok(()), Duration::from_secs(60));
        assert!(breaker.allows().is_some());
        breaker.note_packs(Err(&SharedError::Slow), Duration::from_secs(2));
        assert!(breaker.allows().is_none());
    }

    #[test]
    fn the_budget_ends() {
        let breaker = breaker();
        breaker.note(Ok(()), Duration::from_millis(1900));
        let left = breaker.allows().map(|until| until.saturating_duration_since(Instant::now()));
        assert!(left.is_some_and(|left| left <= Duration::from_millis(100)));
        breaker.note(Ok(()), Duration::from_millis(100));
        assert!(breaker.allows().is_none());
    }
}
