//! Processes that die, disks that fill up, files that others have.
#![cfg(all(feature = "redb", unix))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its support code too")]

mod support;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use larder_storage::{
    BackingStorage, Batch, Delivery, Fingerprints, Group, Opening, RedbStorage, StorageError, Table,
    WriteBehind, WriteBehindOptions, verify_store,
};
use support::*;

const STORE: &str = "LARDER_TEST_STORE";

/// Runs one of the tests below that are children, in a process of its own.
fn child(name: &str, path: &Path, limit: Option<u32>) -> Child {
    let binary = env::current_exe().unwrap();
    let mut command = match limit {
        // A write beyond the limit fails with EFBIG, as one on a full disk does with ENOSPC.
        Some(blocks) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")]).arg(binary);
            shell
        }
        None => Command::new(binary),
    };
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(STORE, path);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

fn store_of_child() -> Option<RedbStorage> {
    Some(RedbStorage::open(env::var_os(STORE)?).unwrap())
}

/// The numbers that a child prints after `word`.
fn numbers(child: &mut Child, word: &'static str) -> impl Iterator<Item = u32> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map_while(Result::ok).filter_map(move |line| line.trim().strip_prefix(word)?.trim().parse().ok())
}

#[test]
fn child_that_stores_until_it_is_killed() {
    let Some(storage) = store_of_child() else { return };
    let (store, _) = open(storage);
    let first = (0..).find(|&number| stored_output(&store, number).is_none()).unwrap();
    let options = WriteBehindOptions { batch_bytes: 20_000, ..Default::default() };
    let writer = WriteBehind::start(store, options).unwrap();
    let mut group = Group::new(Fingerprints::Xxh3);
    sources(&mut group, 1);
    for number in first.. {
        ran(&mut group, number, 1);
        while writer.push(&mut group) == Delivery::Refused {
            assert!(!writer.stats().gave_up);
            std::thread::sleep(Duration::from_millis(1));
        }
        if number % 64 == 0 {
            writer.flush().unwrap();
            println!("\nflushed {number}");
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_that_was_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let mut random = Random(0xdead);
    let mut flushed = None;
    for round in 0..count("LARDER_KILLS", 20) {
        let mut child = child("child_that_stores_until_it_is_killed", &path, None);
        let mut reports = numbers(&mut child, "flushed");
        let wait = random.below(30);
        flushed = reports.by_ref().take(wait as usize + 1).last().or(flushed);
        std::thread::sleep(Duration::from_micros(random.below(20_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        flushed = reports.last().or(flushed);

        let storage = RedbStorage::open(&path).unwrap();
        assert_eq!(storage.set_aside(), None, "round {round}");
        let (store, opening) = open(storage);
        assert!(matches!(opening, Opening::Warm { .. }), "round {round}: {opening:?}");
        let stored = (0..).take_while(|&number| stored_output(&store, number).is_some()).count() as u32;
        assert!(flushed.is_none_or(|flushed| stored > flushed), "{flushed:?} flushed, {stored} found");
        let report = verify_store(&store).unwrap();
        assert!(report.is_sound(), "round {round}: {:?}", report.damage);
        assert_eq!(report.records[Table::Tasks.index()], u64::from(stored), "round {round}: there is a gap");
        for number in (0..stored).rev().take(500) {
            assert_eq!(stored_output(&store, number), Some(output_of(number, 1)));
        }
    }
    assert!(flushed.is_some());
}

#[test]
fn child_on_a_full_disk() {
    let Some(storage) = store_of_child() else { return };
    let (store, _) = open(storage);
    let options = WriteBehindOptions { batch_bytes: 200_000, attempts: 2, ..Default::default() };
    let writer = WriteBehind::start(store.clone(), options).unwrap();
    let mut group = Group::new(Fingerprints::Xxh3);
    let mut flushed = 0;
    for number in 0..1_000_000 {
        ran(&mut group, number, 1);
        accepted(writer.push(&mut group));
        if number % 500 == 499 {
            if writer.flush().is_err() {
                break;
            }
            flushed = number;
        }
    }
    assert!(writer.stats().failing_since.is_some() && !writer.stats().gave_up);
    // The stored results are still served.
    let found = stored_output(&store, flushed) == Some(output_of(flushed, 1));
    println!("\nflushed {flushed}\nserved {}", u32::from(found));
}

#[test]
fn a_full_disk_degrades_to_memory_and_keeps_what_was_stored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let mut child = child("child_on_a_full_disk", &path, Some(12_000));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut number = |word: &str| {
        let line = lines.find(|line| line.trim().starts_with(word)).unwrap_or_default();
        line.trim().trim_start_matches(word).trim().parse::<u32>().ok()
    };
    let (flushed, served) = (number("flushed"), number("served"));
    assert!(child.wait().unwrap().success(), "a full disk must not take the process down");
    let flushed = flushed.unwrap();
    assert!(flushed > 1000, "{flushed}");
    assert_eq!(served, Some(1), "what is stored is served while the disk is full");
    let storage = RedbStorage::open(&path).unwrap();
    assert_eq!(storage.set_aside(), None);
    let (store, _) = open(storage);
    assert!((0..=flushed).all(|number| stored_output(&store, number) == Some(output_of(number, 1))));
    assert!(verify_store(&store).unwrap().is_sound());
}

#[test]
fn child_that_holds_the_store() {
    let Some(_storage) = store_of_child() else { return };
    println!("\nopened 1");
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_store_that_another_process_has_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    fill(&open(RedbStorage::open(&path).unwrap()).0, 10, 1);
    let mut child = child("child_that_holds_the_store", &path, None);
    numbers(&mut child, "opened").next().unwrap();
    let error = RedbStorage::open(&path).unwrap_err();
    assert!(error.is_held(), "{error}");
    assert!(error.to_string().contains("open in another process"), "{error}");
    assert!(RedbStorage::open_read_only(&path).unwrap_err().is_held());
    child.kill().unwrap();
    child.wait().unwrap();
    let (store, _) = open(RedbStorage::open(&path).unwrap());
    assert_eq!(stored_output(&store, 9), Some(output_of(9, 1)));
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_or_is_read_by_choice() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let missing = RedbStorage::open(folder.path().join("absent/store.redb")).unwrap_err();
    assert!(missing.is_transient() && missing.to_string().contains("could not open"), "{missing}");
    assert!(RedbStorage::open(folder.path()).is_err(), "a folder is no file");
    fill(&open(RedbStorage::open(&path).unwrap()).0, 10, 1);
    let writable = |mode, folder_mode| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(folder_mode)).unwrap();
    };
    writable(0o444, 0o555);
    // A super-user may write it all the same.
    if let Err(error) = RedbStorage::open(&path) {
        assert!(error.to_string().contains("could not open"), "{error}");
    }
    let one = RedbStorage::open_read_only(&path).unwrap();
    let other = RedbStorage::open_read_only(&path).unwrap();
    let mut batch = Batch::new();
    batch.put(Table::Uses, b"key", b"value");
    assert!(matches!(one.commit(batch.writes()), Err(StorageError::ReadOnly)));
    assert!(matches!(one.compact(), Err(StorageError::ReadOnly)));
    for storage in [one, other] {
        let (store, opening) = open(storage);
        assert!(matches!(opening, Opening::Warm { .. }));
        assert_eq!(stored_output(&store, 9), Some(output_of(9, 1)));
    }
    writable(0o644, 0o755);
}
