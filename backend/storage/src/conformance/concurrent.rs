//! Duties that threads can see of each other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::{Case, all, get, put};
use crate::{BackingStorage, Batch, Table};

pub(super) const CASES: &[Case] = &[
    ("no scan sees half of a commit", no_scan_sees_half_of_a_commit),
    ("a read after a commit returned sees it", a_read_sees_what_was_committed_before),
    ("readers do not disturb each other or the writer", readers_do_not_disturb),
];

const ROUNDS: u64 = 60;
const READERS: usize = 3;
const KEYS: u8 = 50;

/// Runs `write` for each round on this thread while readers run `read` in a loop. They end also when one panics.
fn beside_readers(write: impl Fn(u64), read: impl Fn() + Sync) {
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        for _ in 0..READERS {
            scope.spawn(|| {
                let _stop = Stop(&stop);
                while !stop.load(Ordering::Relaxed) {
                    read();
                }
            });
        }
        for round in 1..=ROUNDS {
            if !stop.load(Ordering::Relaxed) {
                write(round);
            }
        }
    });
}

fn write_round(store: &dyn BackingStorage, round: u64) {
    let mut batch = Batch::new();
    for key in 0..KEYS {
        batch.put(Table::Tasks, &[key], &round.to_le_bytes());
    }
    put(store, &mut batch);
}

fn no_scan_sees_half_of_a_commit(store: &dyn BackingStorage) {
    let read = || {
        let records = all(store, Table::Tasks);
        assert!(records.is_empty() || records.len() == KEYS.into());
        assert!(records.iter().all(|(_, value)| *value == records[0].1), "two rounds in one scan");
    };
    beside_readers(|round| write_round(store, round), read);
}

fn a_read_sees_what_was_committed_before(store: &dyn BackingStorage) {
    let committed = AtomicU64::new(0);
    let write = |round| {
        write_round(store, round);
        // Pairs with the Acquire below.
        committed.store(round, Ordering::Release);
    };
    let read = || {
        let before = committed.load(Ordering::Acquire);
        let seen = get(store, Table::Tasks, &[KEYS / 2])
            .map_or(0, |value| u64::from_le_bytes(value.try_into().unwrap_or_default()));
        assert!(seen >= before, "round {seen} seen after round {before} was committed");
    };
    beside_readers(write, read);
}

fn readers_do_not_disturb(store: &dyn BackingStorage) {
    let mut batch = Batch::new();
    batch.put(Table::Values, b"constant", &[3; 100_000]);
    put(store, &mut batch);
    let read = || {
        assert!(get(store, Table::Values, b"constant").is_some_and(|value| value == [3; 100_000]));
        assert_eq!(get(store, Table::Values, b"absent"), None);
    };
    beside_readers(|round| write_round(store, round), read);
    assert_eq!(get(store, Table::Tasks, &[0]), Some(ROUNDS.to_le_bytes().to_vec()));
}
