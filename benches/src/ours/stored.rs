//! Larder over a store: hits, what storing costs and takes, and the way back to an earlier state.

use crate::busy::spin_60_ns;
use crate::lane::{Lane, timed};
use crate::work::{Record, STORED, STORED_HITS, Work, record, scattered};
use larder::storage::{BackingStorage, MemoryStorage, RedbStorage, Table, Visit};
use larder::{Input, Runtime};
use std::hint::black_box;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tempfile::TempDir;

#[larder::task_fn]
fn record_of(number: u32) -> Record {
    record(number)
}

pub(super) fn enter(work: Work) -> Option<Lane> {
    match work {
        Work::Probe => probes(),
        _ => None,
    }
}

/// A folder for stores: on a disk, since that is what is measured.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("the system's folder for temporary files can be written")
}

/// A runtime over the store at `path`.
pub(crate) fn open(path: &Path) -> Runtime {
    over(RedbStorage::open(path).expect("a store that nobody else has can be opened"))
}

fn over(storage: impl BackingStorage) -> Runtime {
    Runtime::builder().storage(storage).try_build().expect("the store can be used")
}

/// The store at `path` with the records of all numbers.
pub(crate) fn filled(path: &Path) -> Arc<RedbStorage> {
    let storage = Arc::new(RedbStorage::open(path).expect("a new store can be opened"));
    over(Arc::clone(&storage)).run(|| (0..STORED).for_each(|number| drop(record_of(number))));
    storage
}

/// Hits of a new runtime each time, over one store.
fn probes() -> Option<Lane> {
    let folder = folder();
    let storage = filled(&folder.path().join("store"));
    let mut samples = 0;
    Some(Box::new(move || {
        let _alive = &folder;
        let runtime = over(Arc::clone(&storage));
        samples += 1;
        let sample = runtime.run(|| {
            // The first hit meets the function, the thread and the allocator.
            black_box(record_of(STORED - 1));
            timed(STORED_HITS, || scattered(samples).for_each(|number| drop(black_box(record_of(number)))))
        });
        assert_eq!(runtime.stats().runs(), 0, "what was to be a hit has run");
        sample
    }))
}

/// Outputs that come back from the store into a runtime that had them, and has shrunk to nothing. Unit: one.
#[must_use]
pub fn spills() -> Lane {
    let folder = folder();
    let storage = filled(&folder.path().join("store"));
    let runtime = over(Arc::clone(&storage));
    let mut samples = 0;
    Box::new(move || {
        let _alive = &folder;
        samples += 1;
        let hits = || scattered(samples).for_each(|number| drop(black_box(record_of(number))));
        runtime.run(hits);
        runtime.flush().expect("nothing is wrong with the store");
        let swept = runtime.shrink_to(0).expect("no session is open");
        assert_eq!(swept.after, 0, "all of them go");
        let sample = runtime.run(|| {
            black_box(record_of(STORED - 1));
            timed(STORED_HITS, hits)
        });
        assert_eq!(runtime.stats().runs(), 0, "what was to come back has run");
        sample
    })
}

/// The outcome of storing [`STORED`] tasks.
pub struct Stored {
    /// Seconds from the first call until everything is durable, the calls themselves among them.
    pub seconds: f64,
    /// Seconds of the same calls without a store.
    pub unstored: f64,
    /// Seconds of one batch of the same records, by the store alone.
    pub batch: f64,
    /// The length of the file.
    pub file: u64,
    /// The bytes of all keys and records in it, as they were handed to the store.
    pub records: u64,
    /// The bytes of the encoded arguments and outputs alone.
    pub encoded: u64,
}

/// Stores [`STORED`] tasks, and checks all that was stored.
pub fn store() -> Stored {
    let all = || (0..STORED).for_each(|number| drop(black_box(record_of(number))));
    let start = Instant::now();
    Runtime::new().run(all);
    let unstored = start.elapsed().as_secs_f64();

    let folder = folder();
    let path = folder.path().join("store");
    let runtime = open(&path);
    let start = Instant::now();
    runtime.run(all);
    runtime.flush().expect("the disk takes it");
    let seconds = start.elapsed().as_secs_f64();
    let report = runtime.storage_report().expect("there is a store").expect("the store can be read");
    assert!(report.is_sound(), "{:?}", report.damage);
    let stored: u64 = report.functions.iter().map(|(_, size)| size.tasks).sum();
    assert_eq!(stored, u64::from(STORED));
    drop(runtime);
    let file = std::fs::metadata(&path).expect("the store's file is there").len();
    let batch = one_batch(&path, &folder.path().join("another"));
    Stored { seconds, unstored, batch, file, records: report.total_bytes(), encoded: encoded_bytes() }
}

/// Seconds that the store takes for one durable batch of all records that stand in the file at `from`.
fn one_batch(from: &Path, to: &Path) -> f64 {
    let store = RedbStorage::open(from).expect("the store can be opened");
    let records = Table::ALL.map(|table| {
        let mut records = Vec::new();
        let scanned = store.scan(table, &[], &mut |key, record| {
            records.push((key.to_vec(), record.to_vec()));
            Visit::Continue
        });
        scanned.expect("the store can be read");
        records
    });
    crate::peers::disk::one_batch(to, &records)
}

/// The bytes of arguments and outputs of all records, as the codec writes them.
pub fn encoded_bytes() -> u64 {
    let length = |number| {
        let bytes = bincode::serde::encode_to_vec((number, record(number)), bincode::config::standard());
        bytes.expect("a record can be encoded").len() as u64
    };
    (0..STORED).map(length).sum()
}

#[larder::task_fn]
fn of_10_us(round: u32, number: u32) -> u64 {
    arithmetic_of_10_us(u64::from(round) ^ u64::from(number) << 32)
}

pub(crate) fn arithmetic_of_10_us(seed: u64) -> u64 {
    (0..rounds_of_10_us()).fold(seed, |seed, _| spin_60_ns(seed))
}

/// How much arithmetic takes 10 us here. Arithmetic, and not the clock: that would stand still for a thread that waits.
fn rounds_of_10_us() -> u32 {
    static ROUNDS: OnceLock<u32> = OnceLock::new();
    *ROUNDS.get_or_init(|| {
        let nanoseconds = || {
            let start = Instant::now();
            black_box((0..1000).fold(1, |seed, _| spin_60_ns(seed)));
            start.elapsed().as_nanos() as u32
        };
        let least = (0..20).map(|_| nanoseconds()).min().unwrap_or(u32::MAX);
        (10_000_000 / least.max(1)).max(1)
    })
}

/// Seconds of computing 20,000 tasks of 10 us each.
pub struct Overhead {
    /// Without a store.
    pub without: f64,
    /// With one.
    pub with: f64,
    /// With one, until everything is durable.
    pub durable: f64,
}

/// Computes with a store and without one.
pub fn overhead(round: u32) -> Overhead {
    let work = move || {
        (0..20_000).for_each(|number| {
            black_box(of_10_us(round, number));
        })
    };
    let seconds = |start: Instant| start.elapsed().as_secs_f64();
    let runtime = Runtime::new();
    let start = Instant::now();
    runtime.run(work);
    let without = seconds(start);
    let folder = folder();
    let runtime = open(&folder.path().join("store"));
    let start = Instant::now();
    runtime.run(work);
    let with = seconds(start);
    runtime.flush().expect("the disk takes it");
    Overhead { without, with, durable: seconds(start) }
}

// ---- back to an earlier state ----

#[larder::task_fn]
fn field(input: &Input<u64>) -> u64 {
    input.get() >> 1
}

#[larder::task_fn]
fn pair(left: &Input<u64>, right: &Input<u64>) -> u64 {
    // Which of them is read depends on a value.
    let first = field(left);
    if first % 3 == 0 { first } else { first + field(right) }
}

#[larder::task_fn]
fn sum(inputs: &[Input<u64>]) -> u64 {
    inputs.windows(2).map(|two| pair(&two[0], &two[1])).sum()
}

/// Bodies that ran on the way back to states that had been computed before, in one process and in others, over
/// `storage`: [`MemoryStorage`] or a file.
pub fn revert(storage: &(impl BackingStorage + Clone)) -> u64 {
    const STATES: [u64; 4] = [0, 7, 100, 8];
    let open = || {
        let runtime = over(storage.clone());
        let inputs: Vec<_> =
            (0..100).map(|number| runtime.input(&format!("input {number}"), number)).collect();
        (runtime, inputs)
    };
    let enter = |runtime: &Runtime, inputs: &[Input<u64>], state: u64| {
        let set = runtime.update(|update| {
            for (number, input) in (0..).zip(inputs) {
                // Every third input is the same in all states, and so are some of those that read it.
                update.set(input, if number % 3 == 0 { number } else { number + state });
            }
        });
        set.expect("no session is open");
        black_box(runtime.run(|| sum(inputs)))
    };
    let mut ran = 0;
    let (runtime, inputs) = open();
    let values = STATES.map(|state| enter(&runtime, &inputs, state));
    let mut go_back = |runtime: &Runtime, inputs: &[Input<u64>]| {
        let before = runtime.stats();
        for at in [1, 0, 2, 3, 1, 2, 0] {
            assert_eq!(enter(runtime, inputs, STATES[at]), values[at], "a wrong value");
        }
        ran += runtime.stats().since(&before).runs();
    };
    go_back(&runtime, &inputs);
    drop(runtime);
    for _ in 0..2 {
        let (runtime, inputs) = open();
        go_back(&runtime, &inputs);
    }
    ran
}

/// [`revert`] over a store in memory and over one on disk.
pub fn reverts() -> [(&'static str, u64); 2] {
    let folder = folder();
    let redb = RedbStorage::open(folder.path().join("store")).expect("a new store can be opened");
    [("in memory", revert(&MemoryStorage::new())), ("on disk", revert(&Arc::new(redb)))]
}
