//! Threads: which of them have a record for an engine, and what those counted that have ended.
//!
//! A thread's record (`local.rs`) takes itself off this list when it goes, so threads that come and go leave nothing behind.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::base::counters::CounterTable;
use crate::context::local::Local;

#[derive(Default)]
pub(crate) struct Threads {
    /// The counts of records that are gone.
    pub(crate) totals: CounterTable,
    /// By its address.
    records: Mutex<FxHashMap<usize, Weak<Local>>>,
}

impl Threads {
    /// A thread has its first session.
    pub(crate) fn enter(&self, local: &Arc<Local>) {
        self.records.lock().insert(Arc::as_ptr(local).addr(), Arc::downgrade(local));
    }

    /// A record is being dropped.
    pub(crate) fn leave(&self, local: &Local) {
        self.totals.absorb(&local.counters);
        let mut records = self.records.lock();
        records.remove(&std::ptr::from_ref(local).addr());
        // A crowd that has gone leaves no room for it.
        if records.capacity() > 64 && records.len() * 4 < records.capacity() {
            records.shrink_to_fit();
        }
    }

    /// All that are there.
    pub(crate) fn all(&self) -> Vec<Arc<Local>> {
        self.records.lock().values().filter_map(Weak::upgrade).collect()
    }

    /// All that are there, and none that is on its way out: the counts of those that are not among them are in `totals`, which is
    /// to be read afterwards.
    pub(crate) fn counted(&self) -> Vec<Arc<Local>> {
        loop {
            // Kept until the lock has been given back: to let go of a record may be the last thing that it waits for, and takes the lock.
            let all: Vec<_> = self.records.lock().values().map(Weak::upgrade).collect();
            if all.iter().all(Option::is_some) {
                return all.into_iter().flatten().collect();
            }
            // Its thread is about to take it off the list, and runs nothing of the user's before.
            std::thread::yield_now();
        }
    }

    /// The engine ends.
    pub(crate) fn clear(&self) {
        self.records.lock().clear();
    }
}
