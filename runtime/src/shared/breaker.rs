//! The breaker: an engine that fails is left alone, so that an outage costs a process little.
//!
//! ```text
//! closed     3 failures one after the other                      open for 30 s
//! open       30 s are over                                       half open: one call goes through
//! half open  the call succeeds: closed                           it fails: open for 30 s
//! any        the engine refuses (`SharedError::Refused`)         off, for as long as the process runs
//! any        it is busy (`SharedError::Busy`)                    open for as long as it says
//! any        the time for all calls has been used up             off
//! ```
//! For example, a server that accepts connections and never answers costs 3 times the patience of one call, and nothing after that.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use larder_shared::SharedError;

const FAILURES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(30);

/// Says when an engine may be called, and for how long.
pub(super) struct Breaker {
    patience: Duration,
    state: Mutex<State>,
}

struct State {
    /// The time that is left for all calls.
    left: Duration,
    failures: u32,
    open_until: Option<Instant>,
    is_off: bool,
    openings: u64,
    waited: Duration,
    calls: u32,
}

impl Breaker {
    pub(super) fn new(patience: Duration, budget: Duration) -> Self {
        let state = State {
            left: budget,
            failures: 0,
            open_until: None,
            is_off: false,
            openings: 0,
            waited: Duration::ZERO,
            calls: 0,
        };
        Self { patience, state: Mutex::new(state) }
    }

    /// Returns until when a call may last; `None` if there is to be none.
    pub(super) fn allows(&self) -> Option<Instant> {
        let mut state = self.state();
        let now = Instant::now();
        if state.is_off || state.left.is_zero() || state.open_until.is_some_and(|until| now < until) {
            return None;
        }
        if state.open_until.is_some() {
            // Others wait for what comes of this one.
            state.open_until = Some(now + PAUSE);
        }
        Some(now + self.patience.min(state.left))
    }

    /// Notes how a call went, and how long it took.
    pub(super) fn note(&self, outcome: Result<(), &SharedError>, took: Duration) {
        let mut state = self.state();
        state.waited += took;
        state.calls += 1;
        state.left = state.left.saturating_sub(took);
        let now = Instant::now();
        match outcome {
            Ok(()) => (state.failures, state.open_until) = (0, None),
            Err(SharedError::Refused { .. }) => state.is_off = true,
            Err(SharedError::Busy { retry_after }) => {
                state.open_until = Some(now + retry_after.unwrap_or(PAUSE).min(Duration::from_secs(600)));
                state.openings += 1;
            }
            Err(_) => {
                state.failures += 1;
                if state.failures >= FAILURES {
                    state.open_until = Some(now + PAUSE);
                    state.openings += 1;
                }
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(Duration::from_millis(250), Duration::from_secs(2))
    }

    #[test]
    fn three_failures_in_a_row_open_it_and_a_success_between_does_not() {
        let breaker = breaker();
        let fail = || breaker.note(Err(&SharedError::Slow), Duration::ZERO);
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
    fn the_budget_ends() {
        let breaker = breaker();
        breaker.note(Ok(()), Duration::from_millis(1900));
        let left = breaker.allows().map(|until| until.saturating_duration_since(Instant::now()));
        assert!(left.is_some_and(|left| left <= Duration::from_millis(100)));
        breaker.note(Ok(()), Duration::from_millis(100));
        assert!(breaker.allows().is_none());
    }
}
