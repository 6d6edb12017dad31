//! Chores: what waits for a moment without sessions. Whether there is any, and since when it is due.
//!
//! A session that opens alone does them, and an update before it changes anything (`reclaim.rs`). While sessions overlap there is no
//! such moment, so the gate makes one when they have waited for longer than `Config::patience` (`gate/drain.rs`).
//!
//! *Prompt* chores are those that users see when they are late: results that are `volatile` or have expired, stored results that
//! a source found changed in the middle of a session, tasks to be forgotten. *Tidying* gives back memory; it is due a second later.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::base::clock::{Clock, nanos};

/// How much later than others tidying is due.
const TIDYING: Duration = Duration::from_secs(1);

/// Whether something waits, and since when it is due.
pub(crate) struct Chores {
    start: Instant,
    clock: Clock,
    listed: AtomicBool,
    /// Nanoseconds from `start` to the time when the first is due; the greatest number if none is.
    due: AtomicU64,
}

impl Chores {
    pub(crate) fn new(clock: Clock) -> Self {
        let due = AtomicU64::new(u64::MAX);
        Self { start: Instant::now(), clock, listed: AtomicBool::new(false), due }
    }

    /// Notes that something was listed that must not wait for long.
    pub(crate) fn list_prompt(&self) {
        self.list(Duration::ZERO);
    }

    /// Notes that something was listed that takes memory, and nothing else.
    pub(crate) fn list_tidying(&self) {
        self.list(TIDYING);
    }

    fn list(&self, later: Duration) {
        // Relaxed: hints. The lists have locks, and the gate orders their doing.
        self.listed.store(true, Relaxed);
        if self.due.load(Relaxed) == u64::MAX || later.is_zero() {
            let due = nanos(self.start.elapsed() + later).saturating_add(nanos(self.clock.ahead()));
            self.due.fetch_min(due, Relaxed);
        }
    }

    /// Whether something was listed since this was last asked. The caller does it.
    pub(crate) fn take(&self) -> bool {
        if !self.listed.load(Relaxed) {
            return false;
        }
        self.due.store(u64::MAX, Relaxed);
        self.listed.swap(false, Relaxed)
    }

    pub(crate) fn due_since(&self) -> Option<Instant> {
        let due = self.due.load(Relaxed);
        if due == u64::MAX {
            return None;
        }
        let since = self.start.checked_add(Duration::from_nanos(due))?;
        // By the system's clock, as the gate's times are.
        Some(since.checked_sub(self.clock.ahead()).unwrap_or(self.start))
    }
}
