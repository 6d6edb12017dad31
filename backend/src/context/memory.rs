//! Memory: how many bytes the tasks of an engine take, and what they may take.
//!
//! Threads add what they make and take off what they replace, each in its own record, and hand the sum over when it is large and when a
//! session ends. Bytes of tasks that go are taken off with the gate held exclusively (`session/reclaim/sweep.rs`).
//!
//! # When a sweep is due
//! A sweep is due when more is used than the cap. If it could not get below that, the next one is due two, four, eight and so on up to 1,024
//! sessions later, until one gets there. It is due at once when the records that it waited for have been committed, and when the cap has been met
//! by other means meanwhile. A *collection* is due once in so many sessions, whatever is used.
//!
//! # Uses
//! A node counts how often it was used, so that sweeps pass over what is. Hits write nothing shared, so the count is of questions that go
//! to the table; each thread's cache is emptied when a sweep begins, so that each of its nodes is asked for there once. While
//! three quarters of the cap are not reached, nothing is counted.

use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// The bytes that the tasks of an engine take.
pub(crate) struct Memory {
    cap: usize,
    used: AtomicIsize,
    counting: AtomicBool,
    /// Sessions until a sweep is tried again, after one in vain.
    wait: AtomicU32,
    in_vain: AtomicU32,
    /// A ticket of the store's writer: when that is committed, it is worth another try. 0 if there is none.
    awaited: AtomicU64,
    /// The number of sessions after which tasks go that were not asked for.
    collect_after: u64,
    sessions: AtomicU64,
    collected_at: AtomicU64,
    /// The tasks that sweeps have freed.
    pub(crate) freed: AtomicU64,
    /// The outputs that sweeps have dropped.
    pub(crate) dropped: AtomicU64,
    /// By how many bytes the last sweep has missed the cap.
    missed: AtomicUsize,
    /// The longest that a slice of what is to go has taken, in nanoseconds.
    longest_slice: AtomicU64,
}

/// The reason for a sweep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    /// More is used than may be.
    Cap,
    /// The program has called for it.
    Call,
    /// Tasks that were not asked for are to go.
    Collection,
}

impl Memory {
    pub(crate) fn new(cap: Option<usize>, collect_after: Option<u32>) -> Self {
        Self {
            cap: cap.unwrap_or(usize::MAX),
            used: AtomicIsize::new(0),
            counting: AtomicBool::new(collect_after.is_some()),
            wait: AtomicU32::new(0),
            in_vain: AtomicU32::new(0),
            awaited: AtomicU64::new(0),
            collect_after: collect_after.map_or(u64::MAX, |sessions| u64::from(sessions.max(1))),
            sessions: AtomicU64::new(0),
            collected_at: AtomicU64::new(0),
            freed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            missed: AtomicUsize::new(0),
            longest_slice: AtomicU64::new(0),
        }
    }

    /// Adds to what is used. Returns whether uses are to be counted from now on: thread caches are to be emptied then.
    pub(crate) fn add(&self, bytes: isize) -> bool {
        let used = self.used.fetch_add(bytes, Relaxed) + bytes;
        let is_near = used > (self.cap / 4 * 3).cast_signed();
        is_near && self.cap != usize::MAX && self.begin_counting()
    }

    /// Has uses counted from now on. Returns whether they were not.
    pub(crate) fn begin_counting(&self) -> bool {
        !self.counting.load(Relaxed) && !self.counting.swap(true, Relaxed)
    }

    pub(crate) fn used(&self) -> usize {
        usize::try_from(self.used.load(Relaxed)).unwrap_or(0)
    }

    pub(crate) fn cap(&self) -> Option<usize> {
        (self.cap != usize::MAX).then_some(self.cap)
    }

    /// Whether uses are counted.
    pub(crate) fn counts(&self) -> bool {
        self.counting.load(Relaxed)
    }

    /// Why a sweep is due, if one is.
    pub(crate) fn due(&self) -> Option<Due> {
        if self.is_over() {
            return Some(Due::Cap);
        }
        let since = self.sessions.load(Relaxed).wrapping_sub(self.collected_at.load(Relaxed));
        (since >= self.collect_after).then_some(Due::Collection)
    }

    /// Whether more is used than may be, and it is not known that nothing helps.
    pub(crate) fn is_over(&self) -> bool {
        self.used() > self.cap && self.wait.load(Relaxed) == 0
    }

    /// A session opens; `committed` tells how far the store's writer is.
    #[inline]
    pub(crate) fn begin_session(&self, committed: impl FnOnce() -> u64) {
        let wait = self.wait.load(Relaxed);
        if wait > 0 {
            self.wait_less(wait, committed);
        }
        if self.collect_after != u64::MAX {
            self.sessions.fetch_add(1, Relaxed);
        }
    }

    #[cold]
    fn wait_less(&self, wait: u32, committed: impl FnOnce() -> u64) {
        if self.forget_misses() {
            return;
        }
        let awaited = self.awaited.load(Relaxed);
        // Stores: one session more or less does not matter.
        if awaited > 0 && committed() >= awaited {
            self.awaited.store(0, Relaxed);
            self.in_vain.store(0, Relaxed);
            self.wait.store(0, Relaxed);
        } else {
            self.wait.store(wait - 1, Relaxed);
        }
    }

    /// A slice of what is to go has taken so long, with the gate held.
    pub(crate) fn note_slice(&self, time: Duration) {
        self.longest_slice.fetch_max(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(crate) fn longest_slice(&self) -> Duration {
        Duration::from_nanos(self.longest_slice.load(Relaxed))
    }

    /// A sweep begins down to the cap: below it, so that the next one is not due at once.
    pub(crate) fn target(&self) -> usize {
        self.cap - self.cap / 16
    }

    /// A sweep for the cap has ended, and so many bytes are to stay; `awaited` is what the store's writer is to have committed before more
    /// can go.
    pub(crate) fn end_sweep(&self, kept: usize, awaited: u64) {
        let missed = kept.saturating_sub(self.cap);
        self.awaited.store(if missed == 0 { 0 } else { awaited }, Relaxed);
        self.missed.store(missed, Relaxed);
        let in_vain = if missed == 0 { 0 } else { (self.in_vain.load(Relaxed) + 1).min(10) };
        self.in_vain.store(in_vain, Relaxed);
        self.wait.store(if missed == 0 { 0 } else { 1 << in_vain }, Relaxed);
    }

    /// Returns by how many bytes the last sweep has missed the cap, as far as that is still so.
    pub(crate) fn missed(&self) -> usize {
        self.missed.load(Relaxed).min(self.used().saturating_sub(self.cap))
    }

    /// Has the next sweep tried at once when it is due, if the cap is met. Returns whether it is.
    pub(crate) fn forget_misses(&self) -> bool {
        let is_met = self.used() <= self.cap;
        if is_met {
            // Stores: another thread that opens a session finds the same.
            self.missed.store(0, Relaxed);
            self.awaited.store(0, Relaxed);
            self.in_vain.store(0, Relaxed);
            self.wait.store(0, Relaxed);
        }
        is_met
    }

    /// A collection has ended.
    pub(crate) fn end_collection(&self) {
        self.collected_at.store(self.sessions.load(Relaxed), Relaxed);
    }
}
