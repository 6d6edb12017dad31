//! The clock by which results expire, chores lose patience, sessions meet their deadlines, and stamps of files grow old: the system's, which a
//! test may put ahead.
//!
//! Waits are by the system's clock. Those that wait for a time are woken when this clock is put ahead, and look at it again. For example, a session
//! has 60 s; after one of them a test lets 60 s pass. The session is woken, and finds that its deadline was a second ago.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

/// A clock that a test puts ahead, for the runtimes that are built with it. Clones are one clock.
#[derive(Clone, Default)]
pub struct Clock(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// How many nanoseconds it is ahead of the system's.
    ahead: AtomicU64,
    told: Mutex<Vec<Weak<dyn PassTime>>>,
}

/// Is told that a clock was put ahead.
pub(crate) trait PassTime: Send + Sync {
    /// So much time has passed at once.
    fn pass_time(&self, time: Duration);
}

impl Clock {
    /// Returns a clock that shows the time of the system.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts the clock ahead by `time`, for all that go by it: threads and futures that wait for a time look again. It adds up.
    pub fn advance(&self, time: Duration) {
        // Relaxed: a thread that is woken takes the lock under which it waits.
        self.0.ahead.fetch_add(nanos(time), Relaxed);
        let told = self.0.told.lock().clone();
        told.iter().filter_map(Weak::upgrade).for_each(|told| told.pass_time(time));
    }

    /// Returns how far it is ahead of the system's clock.
    #[must_use]
    pub fn ahead(&self) -> Duration {
        Duration::from_nanos(self.0.ahead.load(Relaxed))
    }

    /// The time of day.
    pub(crate) fn system(&self) -> SystemTime {
        let now = SystemTime::now();
        now.checked_add(self.ahead()).unwrap_or(now)
    }

    /// The moment that it shows, to be compared with other ones of it.
    pub(crate) fn instant(&self) -> Instant {
        let now = Instant::now();
        now.checked_add(self.ahead()).unwrap_or(now)
    }

    /// Has `told` told when time is let pass, as long as it lives.
    pub(crate) fn tell(&self, told: Weak<dyn PassTime>) {
        let mut all = self.0.told.lock();
        all.retain(|told| told.strong_count() > 0);
        all.push(told);
    }
}

/// The time by which it is ahead.
impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.ahead()).finish()
    }
}

/// A moment that comes earlier if the clock is put ahead.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    at: Instant,
    /// The clock, and how far it was ahead when the moment was set.
    by: Option<(Clock, Duration)>,
}

impl Moment {
    /// A moment by the system's clock.
    pub(crate) fn new(at: Instant) -> Self {
        Self { at, by: None }
    }

    /// A moment by a clock, as if no more time were let pass.
    pub(crate) fn by(clock: &Clock, at: Instant) -> Self {
        Self { at, by: Some((clock.clone(), clock.ahead())) }
    }

    fn passed(&self) -> Duration {
        self.by.as_ref().map_or(Duration::ZERO, |(clock, then)| clock.ahead().saturating_sub(*then))
    }

    pub(crate) fn has_come(&self) -> bool {
        Instant::now().checked_add(self.passed()).is_none_or(|now| now >= self.at)
    }

    /// When it comes by the system's clock, as far as is known.
    pub(crate) fn at(&self) -> Instant {
        self.at.checked_sub(self.passed()).unwrap_or_else(Instant::now)
    }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
