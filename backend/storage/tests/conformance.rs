//! The conformance suite over every store that ships.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its support code too")]

use std::panic::catch_unwind;
use std::sync::Arc;

use larder_storage::{
    BackingStorage, Batch, MemoryStorage, NoStorage, Operation, StorageError, Table, Visit, Writes,
    conformance,
};

#[test]
fn memory_storage_conforms() {
    conformance::check_durable(MemoryStorage::new, |store| store.crash());
}

#[test]
fn a_shared_store_conforms() {
    conformance::check(|| Arc::new(MemoryStorage::new()) as Arc<dyn BackingStorage>);
}

#[cfg(feature = "redb")]
fn check_redb(options: &larder_storage::RedbOptions) {
    let folder = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    let make = || {
        number.set(number.get() + 1);
        options.open(folder.path().join(format!("{}.redb", number.get()))).unwrap()
    };
    conformance::check_durable(make, |store| {
        let path = store.path().to_owned();
        drop(store);
        let store = options.open(path).unwrap();
        assert_eq!(store.set_aside(), None);
        store
    });
}

#[cfg(feature = "redb")]
#[test]
fn redb_storage_conforms() {
    check_redb(&larder_storage::RedbOptions::new());
}

/// Checks a store with a filter of what is stored, made at once and after a few reads.
#[cfg(feature = "redb")]
#[test]
fn redb_storage_with_a_filter_conforms() {
    for reads in [0, 1, 3] {
        check_redb(&larder_storage::RedbOptions::new().filter_after(reads));
    }
}

/// The suite's keys are not those of tasks, which alone the filter knows.
#[cfg(feature = "redb")]
#[test]
fn a_filter_denies_nothing_that_is_stored() {
    use larder_storage::{Digest, RedbOptions};
    let folder = tempfile::tempdir().unwrap();
    for reads in [0, 1, 200, u32::MAX] {
        let path = folder.path().join(reads.to_string());
        let key = |number: u32| Digest::xxh3(&number.to_le_bytes()).to_bytes();
        for opened in 0..3 {
            let store = RedbOptions::new().filter_after(reads).open(&path).unwrap();
            let begun = opened * 200;
            for stored in (begun..begun + 200).step_by(20) {
                let found = |number: &u32| store.get(Table::Tasks, &key(*number), &mut Vec::new()).unwrap();
                assert_eq!((0..800).filter(found).count() as u32, stored, "filter after {reads}");
                assert!((0..stored).all(|number| found(&number)));
                let mut batch = Batch::new();
                (stored..stored + 20).for_each(|number| batch.put(Table::Tasks, &key(number), b"record"));
                store.commit(batch.writes()).unwrap();
            }
        }
    }
}

#[test]
fn a_store_that_holds_nothing_does_not_pass_for_one() {
    assert!(catch_unwind(|| conformance::check(|| NoStorage)).is_err());
}

/// Commits record by record: what the suite is there to find.
struct Torn(MemoryStorage);

impl BackingStorage for Torn {
    fn get(&self, table: Table, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StorageError> {
        self.0.get(table, key, value)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), StorageError> {
        self.0.scan(table, prefix, visit)
    }

    fn commit(&self, writes: Writes<'_>) -> Result<(), StorageError> {
        for write in writes.iter() {
            let mut one = Batch::new();
            match write.value {
                Some(value) => one.put(write.table, write.key, value),
                None => one.delete(write.table, write.key),
            }
            self.0.commit(one.writes())?;
            std::thread::yield_now();
        }
        Ok(())
    }
}

#[test]
fn the_suite_finds_a_store_that_is_not_atomic() {
    let panic = catch_unwind(|| conformance::check(|| Torn(MemoryStorage::new()))).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("half of a commit") || text.contains("scoped thread"), "{text}");
}

#[test]
fn an_error_at_any_call_leaves_the_store_usable() {
    let store = MemoryStorage::new();
    let mut batch = Batch::new();
    batch.put(Table::Tasks, b"a", b"1");
    batch.put(Table::Tasks, b"b", b"1");
    let mut value = Vec::new();
    for operation in [Operation::Get, Operation::Scan, Operation::Commit, Operation::Size, Operation::Compact]
    {
        store.faults().fail_nth(operation, 1);
        let failed = match operation {
            Operation::Get => store.get(Table::Tasks, b"a", &mut value).is_err(),
            Operation::Scan => store.scan(Table::Tasks, b"", &mut |_, _| Visit::Continue).is_err(),
            Operation::Commit => store.commit(batch.writes()).is_err(),
            Operation::Size => store.size().is_err(),
            _ => store.compact().is_err(),
        };
        assert!(failed, "{operation}");
    }
    store.faults().tear_nth_commit(1);
    assert!(store.commit(batch.writes()).is_err());
    assert!(store.is_empty(), "half of a batch was applied");
    store.commit(batch.writes()).unwrap();
    assert_eq!(store.len(Table::Tasks), 2);
}

#[test]
fn a_batch_is_sorted_and_the_last_write_of_a_key_counts() {
    let mut batch = Batch::new();
    batch.put(Table::Tasks, b"longer than eight bytes b", b"1");
    batch.put(Table::Meta, b"z", b"2");
    batch.put(Table::Tasks, b"longer than eight bytes a", b"3");
    batch.put(Table::Meta, b"z", b"4");
    batch.put(Table::Tasks, b"", b"5");
    batch.delete(Table::Tasks, b"longer than eight bytes b");
    let mut other = Batch::new();
    other.put(Table::Meta, b"a", b"6");
    other.delete(Table::Meta, b"b");
    batch.append(&other);
    let writes: Vec<_> = batch.writes().iter().map(|write| (write.table, write.key, write.value)).collect();
    assert_eq!(
        writes,
        [
            (Table::Meta, &b"a"[..], Some(&b"6"[..])),
            (Table::Meta, b"b", None),
            (Table::Meta, b"z", Some(b"4")),
            (Table::Tasks, b"", Some(b"5")),
            (Table::Tasks, b"longer than eight bytes a", Some(b"3")),
            (Table::Tasks, b"longer than eight bytes b", None),
        ]
    );
    assert_eq!(batch.writes().by_table().map(|(_, writes)| writes.len()).collect::<Vec<_>>(), [3, 3]);
}
