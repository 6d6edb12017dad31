//! The drain: new sessions wait until the open ones have ended, so that chores get done.
//!
//! Chores that have waited for longer than `patience` while sessions overlapped begin a drain. It ends when no session is open (the
//! opener that comes first does the chores, or an update does), or *in vain* after ten times `patience`, twenty times when the one
//! before was in vain, too: a session that stays open for hours, or that waits for a thread that opens a session, must not
//! hold up the others for more than that. Then there is a rest. After a drain that was not in vain it is as long as the
//! drain took, so that sessions wait for at most half of the time; after one that was, it doubles each time.
//!
//! For example, with a `patience` of one second, requests overlap all day and a result expires. A second later new requests wait; the
//! open ones end after 20 ms, the first that comes in drops the result, and the next drain begins 20 ms later at the earliest.

use std::time::{Duration, Instant};

use crate::base::sync::now;

/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(64);

pub(super) struct Drain {
    patience: Option<Duration>,
    began: Option<Instant>,
    rests_until: Option<Instant>,
    /// How many drains in succession were in vain.
    in_vain: u32,
}

impl Drain {
    pub(super) fn new(patience: Option<Duration>) -> Self {
        Self { patience, began: None, rests_until: None, in_vain: 0 }
    }

    /// So much time has passed at once.
    pub(super) fn pass_time(&mut self, time: Duration) {
        for moment in [&mut self.began, &mut self.rests_until].into_iter().flatten() {
            *moment = moment.checked_sub(time).unwrap_or(*moment);
        }
    }

    /// Whether new sessions wait.
    pub(super) fn is_on(&self) -> bool {
        self.began.is_some()
    }

    /// Begins a drain if chores that have been due since `due` make it necessary. Sessions are open.
    pub(super) fn begins(&mut self, due: impl FnOnce() -> Option<Instant>) -> bool {
        let Some(patience) = self.patience else { return false };
        let Some(overdue) = due().and_then(|since| since.checked_add(patience)) else { return false };
        let time = now();
        if time < overdue || self.rests_until.is_some_and(|until| time < until) {
            return false;
        }
        self.began = Some(time);
        true
    }

    fn limit(&self) -> Duration {
        let patience = self.patience.unwrap_or_default().max(Duration::from_millis(1));
        patience.saturating_mul(if self.in_vain == 0 { 10 } else { 20 })
    }

    pub(super) fn ends_at(&self) -> Option<Instant> {
        self.began?.checked_add(self.limit())
    }

    /// The chores have been done.
    pub(super) fn end_done(&mut self, time: Instant) {
        let took = self.began.take().map_or(Duration::ZERO, |began| time.saturating_duration_since(began));
        self.rests_until = time.checked_add(took);
        self.in_vain = 0;
    }

    /// Ends a drain that has lasted for too long. Whether it has.
    pub(super) fn ends_in_vain(&mut self, time: Instant) -> bool {
        if self.ends_at().is_none_or(|at| time < at) {
            return false;
        }
        self.began = None;
        let rest = self.limit().saturating_mul(1 << self.in_vain.min(20)).min(LONGEST_REST);
        self.rests_until = time.checked_add(rest);
        self.in_vain += 1;
        true
    }
}
