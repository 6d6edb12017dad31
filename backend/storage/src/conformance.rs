//! The duties of every store, as a test to run on it.
//!
//! ```
//! use larder_storage::{MemoryStorage, conformance};
//!
//! conformance::check(MemoryStorage::new);
//! ```
//! Each behaviour gets a store of its own. A failure panics and names the behaviour; the panic of an assertion
//! stands before it.

mod cases;
mod concurrent;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::{BackingStorage, Batch, StorageError, Table, Visit};

/// Runs the whole suite; `make` gives a new, empty store with each call.
///
/// Stores that survive their process are to be checked with [`check_durable`].
#[track_caller]
pub fn check<S: BackingStorage>(make: impl Fn() -> S) {
    for (name, case) in cases::CASES {
        run(name, || case(&make()));
    }
    for (name, case) in concurrent::CASES {
        run(name, || case(&make()));
    }
}

/// Runs the whole suite, and checks that what was committed is there when the store is opened again.
///
/// `reopen` gets a store that `make` made, closes it, and opens it again.
#[track_caller]
pub fn check_durable<S: BackingStorage>(make: impl Fn() -> S, reopen: impl Fn(S) -> S) {
    check(&make);
    run("what was committed is there after opening again", || {
        let store = make();
        let mut batch = Batch::new();
        for number in 0..1000_u32 {
            batch.put(Table::Tasks, &number.to_be_bytes(), &number.to_le_bytes());
        }
        put(&store, &mut batch);
        batch.delete(Table::Tasks, &7_u32.to_be_bytes());
        batch.put(Table::Values, b"big", &vec![0xa5; 3 << 20]);
        put(&store, &mut batch);
        let store = reopen(store);
        assert_eq!(all(&store, Table::Tasks).len(), 999);
        assert_eq!(get(&store, Table::Tasks, &7_u32.to_be_bytes()), None);
        assert_eq!(get(&store, Table::Tasks, &8_u32.to_be_bytes()), Some(8_u32.to_le_bytes().to_vec()));
        assert_eq!(get(&store, Table::Values, b"big"), Some(vec![0xa5; 3 << 20]));
        let store = reopen(store);
        batch.put(Table::Tasks, b"later", b"too");
        put(&store, &mut batch);
        assert_eq!(get(&reopen(store), Table::Tasks, b"later"), Some(b"too".to_vec()));
    });
}

type Case = (&'static str, fn(&dyn BackingStorage));

#[track_caller]
fn run(name: &str, case: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(case)) {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        match text {
            Some(text) => panic!("the store fails at: {name}\n{text}"),
            None => resume_unwind(panic),
        }
    }
}

/// The suite's stores are healthy: every error is a failure.
#[track_caller]
fn works<T>(result: Result<T, StorageError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn put(store: &(impl BackingStorage + ?Sized), batch: &mut Batch) {
    works(store.commit(batch.writes()));
    batch.clear();
}

#[track_caller]
fn get(store: &(impl BackingStorage + ?Sized), table: Table, key: &[u8]) -> Option<Vec<u8>> {
    // Not empty: what was there before must be gone.
    let mut value = b"left over from another read".to_vec();
    works(store.get(table, key, &mut value)).then_some(value)
}

type Record = (Vec<u8>, Vec<u8>);

#[track_caller]
fn all(store: &(impl BackingStorage + ?Sized), table: Table) -> Vec<Record> {
    under(store, table, &[])
}

#[track_caller]
fn under(store: &(impl BackingStorage + ?Sized), table: Table, prefix: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    works(store.scan(table, prefix, &mut |key, value| {
        records.push((key.to_vec(), value.to_vec()));
        Visit::Continue
    }));
    records
}
