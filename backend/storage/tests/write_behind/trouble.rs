//! A store that fails: for a moment, for longer, for good.

use super::*;
use larder_storage::Fingerprints;

#[test]
fn an_error_that_passes_costs_nothing_but_a_retry() {
    let disk = MemoryStorage::new();
    let (store, _) = open(disk.clone());
    disk.faults().fail_nth(Operation::Commit, 1);
    disk.faults().tear_nth_commit(2);
    disk.faults().fail_nth(Operation::Get, 3);
    fill(&store, 100, 1);
    assert_eq!(stored_output(&store, 99), Some(output_of(99, 1)));
    assert!(verify_store(&store).unwrap().is_sound());
}

/// A disk that was full for a moment switched the store off for the life of the process.
#[test]
fn an_error_that_stays_is_reported_once_and_what_waited_is_stored_when_it_has_passed() {
    let disk = MemoryStorage::new();
    let (store, _) = open(disk.clone());
    let options = WriteBehindOptions { attempts: 2, pause: Duration::from_secs(3600), ..Default::default() };
    let writer = WriteBehind::start(store.clone(), options).unwrap();
    disk.faults().fail_all(Operation::Commit);
    let mut group = Group::new(Fingerprints::Xxh3);
    ran(&mut group, 0, 1);
    accepted(writer.push(&mut group));
    let before = std::time::SystemTime::now();
    let error = writer.flush().unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("commit") && cause.contains("injected"), "{cause}");
    assert!(writer.take_report().unwrap().to_string().contains("injected"));
    assert!(writer.take_report().is_none(), "reported once");
    let stats = writer.stats();
    assert!(!stats.gave_up && stats.errors == 2 && stats.refused == 0, "{stats:?}");
    assert!(
        stats.failing_since.is_some_and(|since| since <= std::time::SystemTime::now()),
        "{stats:?} {before:?}"
    );
    // Later groups wait behind it, and each flush is one more attempt.
    ran(&mut group, 1, 1);
    accepted(writer.push(&mut group));
    assert!(writer.flush().is_err());
    assert_eq!((writer.stats().errors, writer.stats().failing_since), (3, stats.failing_since));
    assert_eq!(disk.len(Table::Tasks), 0);
    disk.faults().heal();
    writer.flush().unwrap();
    assert_eq!((writer.stats().failing_since, disk.len(Table::Tasks)), (None, 2));
    assert!(verify_store(&store).unwrap().is_sound());
    // Trouble that comes back is reported again.
    disk.faults().fail_all(Operation::Commit);
    ran(&mut group, 2, 1);
    accepted(writer.push(&mut group));
    assert!(writer.flush().is_err() && writer.take_report().is_some());
    drop(writer);
    assert_eq!(disk.len(Table::Tasks), 2);
}

#[test]
fn a_store_that_works_again_is_found_without_being_asked() {
    let disk = MemoryStorage::new();
    let (store, _) = open(disk.clone());
    let options = WriteBehindOptions {
        attempts: 1,
        pause: Duration::from_millis(1),
        batch_delay: Duration::ZERO,
        ..Default::default()
    };
    let writer = WriteBehind::start(store, options).unwrap();
    disk.faults().fail_all(Operation::Commit);
    let mut group = Group::new(Fingerprints::Xxh3);
    ran(&mut group, 0, 1);
    let ticket = accepted(writer.push(&mut group));
    let until = |reached: &dyn Fn() -> bool| {
        (0..60_000).any(|_| {
            reached() || {
                std::thread::sleep(Duration::from_millis(1));
                false
            }
        })
    };
    assert!(until(&|| writer.stats().errors >= 3));
    disk.faults().heal();
    assert!(until(&|| writer.committed() == ticket), "{:?}", writer.stats());
    assert_eq!(disk.len(Table::Tasks), 1);
}

/// Says that it is damaged, or whatever else cannot pass.
struct Broken;

impl BackingStorage for Broken {
    fn get(&self, _: Table, _: &[u8], _: &mut Vec<u8>) -> Result<bool, StorageError> {
        Ok(false)
    }

    fn scan(&self, _: Table, _: &[u8], _: &mut dyn FnMut(&[u8], &[u8]) -> Visit) -> Result<(), StorageError> {
        Ok(())
    }

    fn commit(&self, _: Writes<'_>) -> Result<(), StorageError> {
        Err(StorageError::ReadOnly)
    }
}

#[test]
fn an_error_that_cannot_pass_ends_the_writer() {
    let writer = WriteBehind::start(guard(Broken), WriteBehindOptions::default()).unwrap();
    let mut group = Group::new(Fingerprints::Xxh3);
    ran(&mut group, 0, 1);
    accepted(writer.push(&mut group));
    assert!(writer.flush().is_err());
    ran(&mut group, 1, 1);
    assert_eq!(writer.push(&mut group), Delivery::Refused);
    assert!(!group.is_empty(), "a refused group is left to its owner");
    let stats = writer.stats();
    assert!(
        stats.gave_up && stats.errors == 1 && stats.refused == 1 && stats.failing_since.is_some(),
        "{stats:?}"
    );
    assert!(writer.flush().is_err());
}
