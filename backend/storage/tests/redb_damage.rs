//! Damaged, truncated and foreign files: misses, never a wrong value, never a panic that gets out, never an abort.
#![cfg(feature = "redb")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its support code too")]

mod support;

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use larder_storage::record::{read_dependents, read_leaves};
use larder_storage::{
    BackingStorage, Batch, Digest, Opening, RedbOptions, RedbStorage, StorageError, Table, verify_store,
};
use redb::{Database, TableDefinition};
use support::*;

const TASKS: u32 = 120;
/// The state that the store was left in.
const STATE: u32 = 4;
const PAGE: usize = 4096;

static PANICS_IN_REDB: AtomicU64 = AtomicU64::new(0);

/// Panics inside redb are contained, and told to the panic hook nevertheless.
fn quiet() {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.location().is_some_and(|location| location.file().contains("redb-")) {
                PANICS_IN_REDB.fetch_add(1, Relaxed);
            } else {
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
            assert_eq!(output, output_of(number, STATE), "a wrong value for task {number}");
            found += 1;
        }
        let mut dependents = Vec::new();
        let is_known = read_dependents(&store, task(number).0, &mut dependents).is_ok();
        if is_known && number + 1 < TASKS && stored_output(&store, number + 1).is_some() {
            assert_eq!(dependents, [task(number + 1)], "a dependent was lost unnoticed");
        }
    }
    let mut leaves = 0;
    let all = read_leaves(&store, |leaf| {
        leaves += 1;
        if let larder_storage::record::Leaf::Source(source) = leaf {
            assert!(source.content == Digest(u128::from(STATE)), "a source as it was before");
        }
    });
    if all.is_ok() {
        assert_eq!(leaves, 10, "a source was lost unnoticed");
    }
    let _ = verify_store(&store);
    found
}

/// Stores a few tasks in the state that they have; says whether that worked, and they are right afterwards.
fn update(path: &Path) -> bool {
    let Ok(storage) = RedbStorage::open(path) else { return false };
    let (store, _) = open(storage);
    let stored = try_fill(&store, 30, STATE).is_ok();
    let right =
        |number: u32| stored_output(&store, number).is_none_or(|output| output == output_of(number, STATE));
    assert!((0..TASKS).all(right), "a wrong value after an update");
    stored && (0..30).all(|number| stored_output(&store, number).is_some())
}

/// Whether a store works after whatever was done about its damage. Damage that only writing meets ends it once more; the run
/// after that one starts cold. A file that does not begin as one of ours any more is left alone.
fn works_again(path: &Path) -> bool {
    (0..3).any(|_| update(path)) || matches!(RedbStorage::open(path), Err(StorageError::NotAStore { .. }))
}

/// A store that has been through several states; the file as it was left each time.
fn history(path: &Path) -> Vec<Vec<u8>> {
    (1..=STATE)
        .map(|state| {
            let (store, _) = open(RedbStorage::open(path).unwrap());
            // Some tasks are older than others, as they are in life; all end in the last state.
            fill(&store, if state == STATE { TASKS } else { TASKS / state }, state);
            drop(store);
            fs::read(path).unwrap()
        })
        .collect()
}

fn fast_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The damage that is done to a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Flip,
    Zeroed,
    Overwritten,
    Older,
    Copied,
    Swapped,
    Truncated,
    GarbageTail,
}

impl Damage {
    /// The file after the damage.
    fn of(self, history: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
        let mut below = |bound: usize| random.below(bound.max(1) as u64) as usize;
        let mut file = history[history.len() - 1].clone();
        let pages = file.len() / PAGE;
        // Most of a file holds nothing: what happens there has no effect.
        let used: Vec<usize> =
            (0..pages).filter(|page| file[page * PAGE..][..PAGE].iter().any(|byte| *byte != 0)).collect();
        let some = used[below(used.len())] * PAGE;
        match self {
            Self::Flip => {
                let at = if below(4) == 0 { below(file.len()) } else { some + below(PAGE) };
                file[at] ^= 1 << below(8);
            }
            Self::Zeroed => file[some..][..PAGE].fill(0),
            Self::Overwritten => {
                let at = below(file.len());
                file[at..].iter_mut().take(600).for_each(|byte| *byte = below(256) as u8);
            }
            Self::Older => {
                let before = &history[below(history.len() - 1)];
                let differs = |page: &usize| {
                    before
                        .get(page * PAGE..(page + 1) * PAGE)
                        .is_some_and(|old| old != &file[page * PAGE..][..PAGE])
                };
                let candidates: Vec<usize> = (0..pages).filter(differs).collect();
                let page = candidates[below(candidates.len())] * PAGE;
                file[page..][..PAGE].copy_from_slice(&before[page..][..PAGE]);
            }
            Self::Copied => {
                let from = used[below(used.len())] * PAGE;
                file.copy_within(from..from + PAGE, some);
            }
            Self::Swapped => {
                let other = used[below(used.len())] * PAGE;
                let page = file[some..][..PAGE].to_vec();
                file.copy_within(other..other + PAGE, some);
                file[other..][..PAGE].copy_from_slice(&page);
            }
            Self::Truncated => {
                let to = below(file.len());
                file.truncate(if below(2) == 0 { to } else { to / PAGE * PAGE });
            }
            Self::GarbageTail => {
                let length = if below(2) == 0 { below(9000) } else { (1 + below(40)) * PAGE };
                file.extend((0..length).map(|_| below(256) as u8));
            }
        }
        file
    }
}

/// An independent attack damaged 5,000 files of each kind. One page put back to an older version gave wrong values in 8 of 470 files,
/// and aborted the process in 6: redb believes every page, and panics while it unwinds from another panic.
#[track_caller]
fn check(damage: Damage) {
    quiet();
    let folder = fast_folder();
    let (original, path) = (folder.path().join("original"), folder.path().join("store"));
    let history = history(&original);
    let mut random = Random(0x5eed_0000 + damage as u64);
    let (mut misses, mut cold, files) = (0, 0, count("LARDER_DAMAGES", 60));
    for number in 0..files {
        let file = damage.of(&history, &mut random);
        fs::write(&path, &file).unwrap();
        let tried = catch_unwind(AssertUnwindSafe(|| {
            let read = use_store(RedbStorage::open_read_only(&path));
            let found = use_store(RedbStorage::open(&path));
            assert!(works_again(&path), "the store does not work again");
            use_store(RedbStorage::open(&path));
            (read, found)
        }));
        let (read, found) = tried.unwrap_or_else(|_| {
            let kept = std::env::temp_dir().join(format!("larder-damaged-{damage:?}-{number}"));
            fs::write(&kept, &file).unwrap();
            panic!("file {number} with {damage:?}, kept as {}", kept.display())
        });
        misses += u32::from(read.min(found) < TASKS as usize);
        for entry in fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            let is_aside = entry.file_name().to_string_lossy().contains("damaged");
            cold += u32::from(is_aside);
            if is_aside {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }
    // redb sees no page that is not as it was written.
    assert_eq!(PANICS_IN_REDB.load(Relaxed), 0, "redb panicked, {misses} with misses, {cold} set question");
    assert!(misses + cold > 0, "no damage had any effect: the test tests nothing");
}

#[test]
fn a_flipped_bit_is_a_miss() {
    check(Damage::Flip);
}

#[test]
fn a_zeroed_page_is_a_miss() {
    check(Damage::Zeroed);
}

#[test]
fn an_overwritten_range_is_a_miss() {
    check(Damage::Overwritten);
}

#[test]
fn an_older_version_of_a_page_is_a_miss() {
    check(Damage::Older);
}

#[test]
fn a_page_of_another_place_is_a_miss() {
    check(Damage::Copied);
}

#[test]
fn two_pages_that_changed_places_are_misses() {
    check(Damage::Swapped);
}

#[test]
fn a_file_that_was_cut_off_is_a_miss() {
    check(Damage::Truncated);
}

#[test]
fn garbage_behind_the_end_is_a_miss_or_ignored() {
    check(Damage::GarbageTail);
}

/// Each page in turn, from each earlier state: what a lost write of the disk leaves.
#[test]
fn no_older_version_of_any_page_gives_a_wrong_value() {
    quiet();
    let folder = fast_folder();
    let (original, path) = (folder.path().join("original"), folder.path().join("store"));
    let history = history(&original);
    let last = &history[history.len() - 1];
    let mut tried = 0;
    for before in &history[..history.len() - 1] {
        for page in 0..last.len() / PAGE {
            let range = page * PAGE..(page + 1) * PAGE;
            let Some(old) = before.get(range.clone()).filter(|old| *old != &last[range.clone()]) else {
                continue;
            };
            let mut file = last.clone();
            file[range].copy_from_slice(old);
            fs::write(&path, &file).unwrap();
            use_store(RedbStorage::open_read_only(&path));
            update(&path);
            use_store(RedbStorage::open(&path));
            for entry in fs::read_dir(folder.path()).unwrap() {
                let entry = entry.unwrap();
                if entry.file_name().to_string_lossy().contains("damaged") {
                    fs::remove_file(entry.path()).unwrap();
                }
            }
            tried += 1;
        }
    }
    assert!(tried > 20, "{tried} pages differ");
}

/// Pages are written, dropped from the cache before their commit, read again, freed, split, joined and moved; and none of that may
/// pass for damage. With a cache too small for anything, and readers at all times.
#[test]
fn no_sound_page_is_taken_for_damage() {
    quiet();
    let folder = fast_folder();
    let path = folder.path().join("store");
    let mut random = Random(0x50_0d);
    // The last stored values, by key; readers may find these or the next ones.
    let mut model = std::collections::BTreeMap::<[u8; 2], Vec<u8>>::new();
    for round in 0..count("LARDER_ROUNDS", 1) * 3 {
        let cache = [0, 40_000, 300_000][round as usize % 3];
        let storage = RedbOptions::new().cache_bytes(cache).filter_after(u32::MAX).open(&path).unwrap();
        assert_eq!(storage.set_aside(), None);
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..2_u64 {
                let (storage, stop) = (&storage, &stop);
                scope.spawn(move || {
                    let mut random = Random(0xabc + thread + round);
                    let mut value = Vec::new();
                    while !stop.load(Relaxed) {
                        let key = (random.below(600) as u16).to_be_bytes();
                        match storage.get(Table::Values, &key, &mut value) {
                            Ok(true) => assert!(value.iter().all(|byte| *byte == value[0])),
                            Ok(false) => {}
                            // While it is compacted.
                            Err(error) => assert!(error.is_transient(), "{error}"),
                        }
                        if random.below(50) == 0 {
                            let all = storage.scan(Table::Values, &[], &mut |_, value| {
                                assert!(value.iter().all(|byte| *byte == value[0]));
                                larder_storage::Visit::Continue
                            });
                            assert!(all.is_ok() || all.is_err_and(|error| error.is_transient()));
                        }
                    }
                });
            }
            for number in 0..25 {
                let mut batch = Batch::new();
                for _ in 0..random.below(120) {
                    let key = (random.below(600) as u16).to_be_bytes();
                    if random.below(3) == 0 {
                        batch.delete(Table::Values, &key);
                        model.remove(&key);
                    } else {
                        let length = if random.below(10) == 0 { 20_000 } else { 400 };
                        let value = vec![random.below(256) as u8; 1 + random.below(length) as usize];
                        batch.put(Table::Values, &key, &value);
                        model.insert(key, value);
                    }
                }
                storage.commit(batch.writes()).unwrap();
                if number % 20 == 19 {
                    storage.compact().unwrap();
                }
            }
            stop.store(true, Relaxed);
        });
        let mut all = std::collections::BTreeMap::new();
        let scan = storage.scan(Table::Values, &[], &mut |key, value| {
            all.insert([key[0], key[1]], value.to_vec());
            larder_storage::Visit::Continue
        });
        scan.unwrap();
        assert!(all == model, "round {round}");
        assert_eq!(storage.set_aside(), None);
    }
}

#[test]
fn a_large_record_is_checked_as_a_whole() {
    quiet();
    let folder = fast_folder();
    let path = folder.path().join("store");
    let large: Vec<u8> = (0..5_000_000_u32).map(|number| (number % 251) as u8).collect();
    let storage = RedbStorage::open(&path).unwrap();
    let mut batch = Batch::new();
    batch.put(Table::Values, b"large", &large);
    storage.commit(batch.writes()).unwrap();
    drop(storage);
    let mut value = Vec::new();
    for read_only in [true, false] {
        let options = if read_only { RedbOptions::new().read_only() } else { RedbOptions::new() };
        assert!(options.open(&path).unwrap().get(Table::Values, b"large", &mut value).unwrap());
        assert!(value == large);
    }
    let mut file = fs::read(&path).unwrap();
    let at =
        (4096..file.len()).rev().find(|at| file[*at..].starts_with(&large[2_510_000..2_511_000])).unwrap();
    file[at + 500] ^= 4;
    fs::write(&path, file).unwrap();
    // It is the root of its table, which redb reads when it opens the table.
    assert!(RedbStorage::open_read_only(&path).is_err());
    assert!(RedbStorage::open(&path).unwrap().set_aside().is_some());
}

/// redb's commits are one-phase: after a crash the header may name a commit whose pages are not all there. That is no damage.
#[test]
fn a_commit_that_was_cut_off_is_as_if_it_had_not_been() {
    let folder = fast_folder();
    let (original, path) = (folder.path().join("original"), folder.path().join("store"));
    let storage = RedbStorage::open(&original).unwrap();
    let write = |state: u8| {
        let mut batch = Batch::new();
        (0..60_u8).for_each(|key| batch.put(Table::Uses, &[key], &[state; 900]));
        // The file grows: redb cuts it off when a commit is complete, and then it is.
        (0..80_u8).for_each(|key| batch.put(Table::Functions, &[state, key], &[state; 2000]));
        storage.commit(batch.writes()).unwrap();
        // Like the file that a kill would leave.
        fs::read(&original).unwrap()
    };
    let states = [1, 2, 3, 4].map(write);
    let mut before = 0;
    for (state, file) in states.iter().enumerate().skip(1) {
        let older = &states[state - 1];
        assert!(file.len() >= older.len());
        let page = |number: usize| number * PAGE..(number + 1) * PAGE;
        for number in (1..file.len() / PAGE).step_by(5) {
            let Some(old) = older.get(page(number)).filter(|old| *old != &file[page(number)]) else {
                continue;
            };
            let mut torn = file.clone();
            torn[page(number)].copy_from_slice(old);
            fs::write(&path, &torn).unwrap();
            for way in 0..3 {
                let opened = match way {
                    0 => RedbStorage::open_read_only(&path),
                    1 => RedbStorage::open_snapshot(&path),
                    _ => RedbStorage::open(&path),
                };
                let opened = opened.unwrap();
                assert_eq!(opened.set_aside(), None);
                let mut value = Vec::new();
                let found: Vec<u8> = (0..60)
                    .map(|key| {
                        assert!(opened.get(Table::Uses, &[key], &mut value).unwrap());
                        assert!(value.len() == 900 && value.iter().all(|byte| *byte == value[0]));
                        value[0]
                    })
                    .collect();
                let one = found[0];
                assert!(found.iter().all(|other| *other == one), "two states in one: {found:?}");
                assert!(usize::from(one) == state || usize::from(one) == state + 1);
                before += usize::from(usize::from(one) == state);
            }
        }
    }
    assert!(before > 20, "{before} commits were taken back");
}

#[test]
fn a_file_of_another_program_is_an_error_and_is_not_touched() {
    quiet();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let texts: [&[u8]; 6] = [
        b"#!/bin/sh\n",
        &[0; 100_000],
        &[0xff; 5000],
        b"SQLite format 3\0 and more of it",
        b"larder store, not",
        b"redb\x1a\x0a\xa9\x0d\x0a and more",
    ];
    for text in texts {
        fs::write(&path, text).unwrap();
        for opened in
            [RedbStorage::open(&path), RedbStorage::open_read_only(&path), RedbStorage::open_snapshot(&path)]
        {
            let error = opened.unwrap_err();
            assert!(!error.is_transient(), "{error}");
            assert!(
                matches!(&error, StorageError::NotAStore { .. } | StorageError::Damaged { .. }),
                "{error}"
            );
        }
        assert_eq!(fs::read(&path).unwrap(), text);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_redb_database_of_another_program_is_an_error_and_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let table: TableDefinition<'_, u64, u64> = TableDefinition::new("theirs");
    let theirs = Database::create(&path).unwrap();
    let transaction = theirs.begin_write().unwrap();
    transaction.open_table(table).unwrap().insert(1, 2).unwrap();
    transaction.commit().unwrap();
    drop(theirs);
    let before = fs::read(&path).unwrap();
    let error = RedbStorage::open(&path).unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
    assert!(RedbStorage::open_read_only(&path).is_err());
    assert_eq!(fs::read(&path).unwrap(), before);
    // Damaged, it is theirs all the same.
    for page in (PAGE..before.len()).step_by(PAGE) {
        let mut damaged = before.clone();
        damaged[page..page + 100].fill(0x5a);
        fs::write(&path, &damaged).unwrap();
        assert!(matches!(RedbStorage::open(&path), Err(StorageError::NotAStore { .. })));
        assert_eq!(fs::read(&path).unwrap(), damaged);
    }
}

/// Stores have a mark of their own since pages are checked; those from before have none, and become marked.
#[test]
fn an_older_store_without_a_mark_is_opened_and_marked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    fill(&open(RedbStorage::open(&path).unwrap()).0, TASKS, STATE);
    let mut file = fs::read(&path).unwrap();
    assert_eq!(&file[512..524], b"larder store");
    file[512..528].fill(0);
    fs::write(&path, &file).unwrap();
    assert_eq!(use_store(RedbStorage::open_read_only(&path)), TASKS as usize);
    assert_eq!(fs::read(&path).unwrap(), file);
    assert_eq!(use_store(RedbStorage::open(&path)), TASKS as usize);
    assert_eq!(&fs::read(&path).unwrap()[512..524], b"larder store");
}

#[test]
fn damage_found_while_open_ends_the_store_and_the_next_run_starts_cold() {
    quiet();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    drop(history(&path));
    let storage = std::sync::Arc::new(RedbOptions::new().cache_bytes(0).open(&path).unwrap());
    let store = guard(storage.clone());
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    let length = file.metadata().unwrap().len();
    file.seek(SeekFrom::Start(4096)).unwrap();
    file.write_all(&vec![0xff; length as usize - 4096]).unwrap();
    assert!(
        (0..TASKS)
            .all(|number| stored_output(&store, number)
                .is_none_or(|output| output == output_of(number, STATE)))
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
