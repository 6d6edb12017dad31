//! Counts about the store.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::graph::reason::Reason;

#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }
    pub(crate) fn add_all(&self, of: usize) {
        self.0.fetch_add(of as u64, Relaxed);
    }
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The counts of one engine. Calls answered by the store are counted with the other hits.
#[derive(Default)]
pub(crate) struct Counts {
    /// Tasks made fresh from the store, without running their body.
    pub(crate) restored: Count,
    /// Runs handed to the store.
    pub(crate) stored: Count,
    /// Stale stored tasks found current.
    pub(crate) verified: Count,
    /// Tasks that went back to an older trace.
    pub(crate) reverted: Count,
    /// Stored tasks met by walks after changes.
    pub(crate) walked: Count,
    /// Runs not stored, by function and reason.
    unstored: Mutex<FxHashMap<(u32, Reason), UnstoredCount>>,
}

/// Runs of a function that were not stored for one reason.
#[derive(Clone, Default)]
pub(crate) struct UnstoredCount {
    pub(crate) runs: u64,
    /// The task of the first of them, and the reads that led to why it was not stored.
    pub(crate) way: Box<[String]>,
}

impl Counts {
    /// Returns whether it is the first of its kind.
    pub(crate) fn unstored(&self, function: u32, reason: Reason) -> bool {
        let mut unstored = self.unstored.lock();
        let count = unstored.entry((function, reason)).or_default();
        count.runs += 1;
        count.runs == 1
    }

    /// Notes how the first of its kind came about.
    pub(crate) fn note_way(&self, function: u32, reason: Reason, way: Box<[String]>) {
        self.unstored.lock().entry((function, reason)).or_default().way = way;
    }

    pub(crate) fn all_unstored(&self) -> Vec<(u32, Reason, UnstoredCount)> {
        let unstored = self.unstored.lock();
        unstored.iter().map(|((function, reason), count)| (*function, *reason, count.clone())).collect()
    }
}
