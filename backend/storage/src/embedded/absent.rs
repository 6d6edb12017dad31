//! Tasks that are known not to be stored: a [`Filter`] in front of the table of tasks, made when it is worth that.
//!
//! A first run asks for what is not there, each time by a point read of redb. After some such reads the next commit
//! *begins*: from then on what is written is noted, and all that was written before is scanned once. A run that finds
//! what it asks for never makes the filter.
//!
//! ```text
//! begun by a commit, under the store's lock for writers: so each write is either noted here or seen by the scan
//! ready after the scan; from then on "not noted" is "not stored"
//! anew by a commit, if half of what was noted has been deleted since: so it takes no more room than what is stored calls for
//! ```

use std::sync::atomic::{
    AtomicBool, AtomicU32, AtomicUsize,
    Ordering::{AcqRel, Relaxed},
};

use crate::{BackingStorage, Digest, Filter, StorageError, Table, TaskKey, Write, Writes};

pub(super) struct Absent {
    /// After so many reads in vain the filter is made.
    after: u32,
    in_vain: AtomicU32,
    begun: AtomicBool,
    /// The stored tasks are still to be noted, and no thread is at it.
    to_fill: AtomicBool,
    /// How many tasks were deleted since the filter was begun.
    deleted: AtomicUsize,
    filter: Filter,
}

/// So many deleted tasks are not worth a new filter.
const FEW: usize = if cfg!(test) { 16 } else { 1 << 14 };

fn task_of(table: Table, key: &[u8]) -> Option<TaskKey> {
    if table != Table::Tasks {
        return None;
    }
    key.try_into().ok().map(|bytes| TaskKey(Digest::from_bytes(bytes)))
}

impl Absent {
    pub(super) fn new(after: u32) -> Self {
        Self {
            after,
            in_vain: AtomicU32::new(0),
            begun: AtomicBool::new(false),
            to_fill: AtomicBool::new(false),
            deleted: AtomicUsize::new(0),
            filter: Filter::new(),
        }
    }

    /// Whether it is certain that nothing is stored at a key.
    #[inline]
    pub(super) fn is_certain(&self, table: Table, key: &[u8]) -> bool {
        task_of(table, key).is_some_and(|task| !self.filter.may_hold(task))
    }

    /// A read has found nothing.
    #[inline]
    pub(super) fn note_read_in_vain(&self, table: Table) {
        if table == Table::Tasks && self.in_vain.load(Relaxed) < self.after {
            self.in_vain.fetch_add(1, Relaxed);
        }
    }

    /// A batch is about to be committed. The caller holds the lock for writers.
    pub(super) fn note_writes(&self, writes: Writes<'_>) {
        if !self.begun.load(Relaxed) {
            if self.in_vain.load(Relaxed) < self.after {
                return;
            }
            self.begun.store(true, Relaxed);
            self.to_fill.store(true, Relaxed);
        }
        let is_deleted =
            |write: &Write<'_>| write.value.is_none() && task_of(write.table, write.key).is_some();
        let deleted = writes.iter().filter(|write| is_deleted(write)).count();
        let deleted = self.deleted.fetch_add(deleted, Relaxed) + deleted;
        if deleted >= FEW.max(self.filter.inserted() / 2) {
            self.deleted.store(0, Relaxed);
            self.filter.clear();
            self.to_fill.store(true, Relaxed);
        }
        let put = writes.iter().filter(|write| write.value.is_some());
        put.filter_map(|write| task_of(write.table, write.key)).for_each(|task| self.filter.insert(task));
    }

    /// A batch has been committed. Notes all that is stored, if that is still to be done: about half a
    /// microsecond a task.
    pub(super) fn note_stored(&self, storage: &dyn BackingStorage) -> Result<(), StorageError> {
        if self.to_fill.swap(false, AcqRel) {
            return self.filter.fill(storage).inspect_err(|_| self.to_fill.store(true, Relaxed));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, MemoryStorage, Operation};

    fn key(number: u8) -> [u8; 16] {
        Digest::xxh3(&[number]).to_bytes()
    }

    /// Stores so many tasks, as the store does.
    fn commit(absent: &Absent, store: &MemoryStorage, tasks: std::ops::Range<u8>) {
        let mut batch = Batch::new();
        tasks.for_each(|number| batch.put(Table::Tasks, &key(number), b"record"));
        absent.note_writes(batch.writes());
        store.commit(batch.writes()).expect("there is no fault in this store");
        absent.note_stored(store).expect("there is no fault in this store");
    }

    fn certain(absent: &Absent, tasks: std::ops::Range<u8>) -> usize {
        tasks.filter(|number| absent.is_certain(Table::Tasks, &key(*number))).count()
    }

    #[test]
    fn what_is_not_stored_is_known_after_some_reads_in_vain_and_what_is_never_denied() {
        let (absent, store) = (Absent::new(2), MemoryStorage::new());
        commit(&absent, &store, 0..50);
        absent.note_read_in_vain(Table::Tasks);
        absent.note_read_in_vain(Table::Traces);
        commit(&absent, &store, 50..60);
        assert_eq!(certain(&absent, 0..255), 0, "one read of a task in vain is not much");
        absent.note_read_in_vain(Table::Tasks);
        assert_eq!(certain(&absent, 0..255), 0, "the filter is made by a commit");
        commit(&absent, &store, 60..70);
        assert_eq!(certain(&absent, 0..70), 0, "these are stored");
        assert!(certain(&absent, 70..250) > 170, "nearly all that is not stored is known not to be");
        assert!(!absent.is_certain(Table::Traces, &key(200)), "of tasks alone");
        commit(&absent, &store, 70..80);
        assert_eq!(certain(&absent, 0..80), 0, "what is stored later is noted");
    }

    #[test]
    fn keys_that_come_and_go_take_no_more_room_and_what_is_stored_is_never_denied() {
        let (absent, store) = (Absent::new(0), MemoryStorage::new());
        commit(&absent, &store, 0..10);
        for round in 0..if cfg!(miri) { 100 } else { 2000_u32 } {
            let key = |round: u32| Digest::xxh3(&round.to_le_bytes()).to_bytes();
            let mut batch = Batch::new();
            batch.put(Table::Tasks, &key(round), b"record");
            batch.delete(Table::Tasks, &key(round.wrapping_sub(5)));
            absent.note_writes(batch.writes());
            store.commit(batch.writes()).expect("there is no fault in this store");
            absent.note_stored(&store).expect("there is no fault in this store");
            assert!((0..5).all(|back| !absent.is_certain(Table::Tasks, &key(round.saturating_sub(back)))));
            assert!(absent.filter.inserted() < 64, "{} for 15", absent.filter.inserted());
        }
        assert_eq!(certain(&absent, 0..10), 0);
        assert!(certain(&absent, 10..250) > 200);
    }

    #[test]
    fn a_scan_that_fails_is_made_up_for() {
        let (absent, store) = (Absent::new(0), MemoryStorage::new());
        commit(&Absent::new(u32::MAX), &store, 0..50);
        absent.note_writes(Batch::new().writes());
        store.faults().fail_nth(Operation::Scan, 1);
        assert!(absent.note_stored(&store).is_err());
        assert_eq!(certain(&absent, 0..255), 0, "nothing is known yet");
        commit(&absent, &store, 50..60);
        assert_eq!(certain(&absent, 0..60), 0);
        assert!(certain(&absent, 60..250) > 180);
    }
}
