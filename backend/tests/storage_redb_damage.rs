//! Damaged, truncated and foreign files: misses, never a wrong value, never a panic that gets out.
#![cfg(feature = "redb")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its support code too")]

mod storage_support;

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;

use larder_backend::storage::record::{read_dependents, read_leaves};
use larder_backend::storage::{
    BackingStorage, Batch, Opening, RedbOptions, RedbStorage, StorageError, Table, verify_store,
};
use redb::{Database, TableDefinition};
use storage_support::*;

const TASKS: u32 = 120;

/// Panics inside redb are contained, and told to the panic hook nevertheless: thousands of them here.
fn quiet() {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.location().is_some_and(|location| location.file().contains("redb-")) {
                before(info);
            }
        }));
    });
}

/// Uses everything in the store at `path`; whatever it finds must be right. The number of tasks found.
fn use_store(opened: Result<RedbStorage, StorageError>) -> usize {
    let Ok(storage) = opened else { return 0 };
    let store = guard(storage);
    let mut found = 0;
    for number in 0..TASKS {
        if let Some(output) = stored_output(&store, number) {
            assert_eq!(output, output_of(number, 1), "a wrong value for task {number}");
            found += 1;
        }
        let mut dependents = Vec::new();
        if read_dependents(&store, task(number).0, &mut dependents).is_ok() && number + 1 < TASKS {
            assert_eq!(dependents, [task(number + 1)], "a dependent was lost unnoticed");
        }
    }
    let mut leaves = 0;
    if read_leaves(&store, |_| leaves += 1).is_ok() {
        assert_eq!(leaves, 10, "a source was lost unnoticed");
    }
    let _ = verify_store(&store);
    found
}

/// Whether a store works after whatever was done about its damage. What only writing meets ends it once more; the run
/// after that one starts cold.
fn works_again(path: &Path) -> bool {
    (0..3).any(|_| {
        let (store, _) = open(RedbStorage::open(path).unwrap());
        try_fill(&store, 3, 1).is_ok() && stored_output(&store, 2) == Some(output_of(2, 1))
    })
}

/// A store with all tasks, closed.
fn make(path: &Path) {
    let (store, opening) = open(RedbStorage::open(path).unwrap());
    assert!(matches!(opening, Opening::Fresh));
    fill(&store, TASKS, 1);
    drop(store);
    assert_eq!(use_store(RedbStorage::open(path)), TASKS as usize);
}

#[test]
fn a_flipped_bit_in_the_file_is_never_a_wrong_value() {
    quiet();
    let folder = fast_folder();
    let (original, path) = (folder.path().join("original"), folder.path().join("store"));
    make(&original);
    let length = fs::metadata(&original).unwrap().len();
    let mut random = Random(0x9e37_79b9);
    let flips = count("LARDER_FLIPS", 10_000);
    let (mut misses, mut cold) = (0, 0);
    fs::copy(&original, &path).unwrap();
    // Pages that hold something are the interesting ones; most of the file is not.
    let bytes = fs::read(&original).unwrap();
    let used: Vec<u64> = (0..length / 512)
        .filter(|&block| bytes[block as usize * 512..][..512].iter().any(|&byte| byte != 0))
        .collect();
    for round in 0..flips {
        let at = if round % 4 == 0 {
            random.below(length)
        } else {
            used[random.below(used.len() as u64) as usize] * 512 + random.below(512)
        };
        let bit = random.below(8);
        let flip = || {
            let mut file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
            let mut byte = [0];
            file.seek(SeekFrom::Start(at)).unwrap();
            file.read_exact(&mut byte).unwrap();
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(&[byte[0] ^ (1 << bit)]).unwrap();
        };
        let writable = round % 8 == 0;
        if writable {
            fs::copy(&original, &path).unwrap();
        }
        flip();
        let opened = if writable { RedbStorage::open(&path) } else { RedbStorage::open_read_only(&path) };
        let aside = opened.as_ref().is_ok_and(|store| store.set_aside().is_some());
        cold += u32::from(aside || opened.is_err());
        let found = catch_unwind(AssertUnwindSafe(|| use_store(opened)))
            .unwrap_or_else(|_| panic!("bit {bit} of byte {at} of {}", original.display()));
        misses += u32::from(found < TASKS as usize);
        if writable {
            // What was done about the damage must leave a store that works.
            assert!(works_again(&path), "bit {bit} of byte {at}");
            for entry in fs::read_dir(folder.path()).unwrap() {
                let entry = entry.unwrap();
                if entry.file_name().to_string_lossy().contains("damaged") {
                    fs::remove_file(entry.path()).unwrap();
                }
            }
            fs::copy(&original, &path).unwrap();
        } else {
            flip();
        }
    }
    assert!(misses > 0, "no flip had any effect: the test tests nothing");
    println!("{flips} flips: {misses} with misses, {cold} started cold, 0 wrong values, 0 panics");
}

#[test]
fn a_truncated_or_overwritten_file_is_set_aside_or_missed() {
    quiet();
    let folder = fast_folder();
    let (original, path) = (folder.path().join("original"), folder.path().join("store"));
    make(&original);
    let bytes = fs::read(&original).unwrap();
    let mut random = Random(0x7777);
    for round in 0..count("LARDER_TRUNCATIONS", 150) {
        let mut damaged = bytes.clone();
        let at = random.below(bytes.len() as u64) as usize;
        match round % 3 {
            0 => damaged.truncate(at),
            1 => damaged[at..].iter_mut().take(4096).for_each(|byte| *byte = 0),
            _ => damaged[at..].iter_mut().take(600).for_each(|byte| *byte = random.below(256) as u8),
        }
        fs::write(&path, &damaged).unwrap();
        use_store(RedbStorage::open_read_only(&path));
        use_store(RedbStorage::open(&path));
        assert!(works_again(&path), "round {round}");
        for entry in fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name().to_string_lossy().contains("damaged") {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }
}

#[test]
fn a_file_of_another_program_is_set_aside_and_kept() {
    quiet();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let texts: [&[u8]; 4] =
        [b"#!/bin/sh\n", &[0; 100_000], &[0xff; 5000], b"SQLite format 3\0 and more of it"];
    for (number, text) in texts.iter().enumerate() {
        fs::write(&path, text).unwrap();
        let store = RedbStorage::open(&path).unwrap();
        let aside = store.set_aside().unwrap();
        assert_eq!(aside.path, folder.path().join(format!("store.redb.damaged-{}", number + 1)));
        assert_eq!(fs::read(&aside.path).unwrap(), *text);
        drop(store);
        assert_eq!(RedbStorage::open(&path).unwrap().set_aside(), None, "the new file is sound");
    }
    assert!(matches!(
        RedbStorage::open_read_only(folder.path().join("store.redb.damaged-1")),
        Err(StorageError::Damaged { .. })
    ));
}

#[test]
fn a_redb_database_of_another_program_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let table: TableDefinition<'_, u64, u64> = TableDefinition::new("theirs");
    let theirs = Database::create(&path).unwrap();
    let transaction = theirs.begin_write().unwrap();
    transaction.open_table(table).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    drop(theirs);
    let store = RedbStorage::open(&path).unwrap();
    let aside = store.set_aside().unwrap();
    assert!(aside.reason.contains("another program"), "{}", aside.reason);
    Database::open(&aside.path).unwrap();
}

#[test]
fn damage_found_while_open_ends_the_store_and_the_next_run_starts_cold() {
    quiet();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    make(&path);
    let storage = std::sync::Arc::new(RedbOptions::new().cache_bytes(0).open(&path).unwrap());
    let store = guard(storage.clone());
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    let length = file.metadata().unwrap().len();
    file.seek(SeekFrom::Start(4096)).unwrap();
    file.write_all(&vec![0xff; length as usize - 4096]).unwrap();
    assert!(
        (0..TASKS)
            .all(|number| stored_output(&store, number).is_none_or(|output| output == output_of(number, 1)))
    );
    let mut batch = Batch::new();
    batch.put(Table::Uses, b"key", b"value");
    let error = storage.commit(batch.writes()).unwrap_err();
    assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
    assert!(storage.set_aside().is_some());
    let error = storage.get(Table::Uses, b"key", &mut Vec::new()).unwrap_err();
    assert!(!error.is_transient(), "{error}");
    assert!(!path.exists(), "a store that went on empty would have lost what it relies on");
    let (_, opening) = open(RedbStorage::open(&path).unwrap());
    assert!(matches!(opening, Opening::Fresh));
}
