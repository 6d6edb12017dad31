//! Bytes that inputs leave behind, memory that filling a store takes, and the length of its file after many edits.

use std::hint::black_box;
use std::path::Path;
use std::thread;
use std::time::Duration;

use larder::storage::RedbStorage;
use larder::{Input, Runtime, task_fn};

use super::stored::{folder, open};
use crate::allocation::LiveBytes;

#[task_fn(version = 1)]
fn stored(key: u64) -> u64 {
    key
}

#[task_fn(version = 1)]
fn length(text: Input<String>) -> usize {
    text.with(String::len)
}

const INPUTS: usize = 10_000;

/// Makes inputs, reads them and removes them again.
fn come_and_go(runtime: &Runtime, round: usize) {
    let name = |number: usize| format!("{round}/{number}");
    let inputs: Vec<_> = (0..INPUTS).map(|number| runtime.input(&name(number), name(number))).collect();
    runtime.run(|| inputs.iter().for_each(|input| _ = black_box(length(input.clone()))));
    runtime.flush().expect("the disk takes it");
    runtime
        .update(|update| inputs.iter().for_each(|input| update.remove(input)))
        .expect("no session is open");
    drop(inputs);
    for _ in 0..3 {
        runtime.run(|| ());
        runtime.flush().expect("the disk takes it");
    }
}

/// Bytes in memory that are left of an input that was removed, with the task that read it.
#[must_use]
pub fn left_in_memory() -> f64 {
    let runtime = Runtime::new();
    // Until each shard of the table has been as full as it gets, and the thread has the far part of its cache: 1 MiB.
    (0..25).for_each(|round| come_and_go(&runtime, round));
    let live = LiveBytes::begin();
    (25..45).for_each(|round| come_and_go(&runtime, round));
    live.now() as f64 / (INPUTS * 20) as f64
}

/// The same, in the records of a store.
#[must_use]
pub fn left_on_disk() -> f64 {
    let folder = folder();
    let runtime = open(&folder.path().join("store"));
    let records = || {
        let report = runtime.storage_report().expect("there is a store").expect("the store can be read");
        report.total_bytes() as f64
    };
    // Lists are swept behind a flush, in slices.
    let swept = || {
        let mut before = records();
        loop {
            thread::sleep(Duration::from_millis(200));
            let now = records();
            if now >= before {
                return now;
            }
            before = now;
        }
    };
    come_and_go(&runtime, 0);
    let before = swept();
    (1..4).for_each(|round| come_and_go(&runtime, round));
    (swept() - before) / (INPUTS * 3) as f64
}

/// The most bytes that are live while a million tasks are computed and stored, and while they are computed alone.
#[must_use]
pub fn peaks() -> (f64, f64) {
    const TASKS: u64 = 1_000_000;
    let fill = |runtime: &Runtime| {
        // Programs have many sessions.
        for from in (0..TASKS).step_by(10_000) {
            runtime.run(|| (from..from + 10_000).for_each(|key| _ = black_box(stored(key))));
        }
    };
    let live = LiveBytes::begin();
    fill(&Runtime::new());
    let alone = live.peak();
    drop(live);
    let folder = folder();
    let live = LiveBytes::begin();
    let runtime = open(&folder.path().join("store"));
    fill(&runtime);
    runtime.flush().expect("the disk takes it");
    (live.peak() as f64, alone as f64)
}

/// The lengths of a store's file after fifty batches of edits and its end, and of one that was written at once with the same results.
#[must_use]
pub fn lengths() -> (f64, f64) {
    const INPUTS: u64 = 2_000;
    let text = |number: u64, edit: u64| format!("{number:0>100}{edit}");
    let folder = folder();
    let path = folder.path().join("edited");
    // Of each call one result is kept, as it is in a store that is written at once.
    let open = |path: &Path| {
        let store = RedbStorage::open(path).expect("nobody else has it open");
        Runtime::builder().storage(store).max_results_per_call(1).compact_on_close(true).build()
    };
    let runtime = open(&path);
    let inputs: Vec<_> =
        (0..INPUTS).map(|number| runtime.input(&number.to_string(), text(number, 0))).collect();
    for edit in 0..50 {
        let edited = inputs.iter().zip(0..).filter(|(_, number)| number % 4 == edit % 4);
        runtime
            .update(|update| edited.for_each(|(input, number)| update.set(input, text(number, edit))))
            .expect("no session is open");
        runtime.run(|| inputs.iter().for_each(|input| _ = black_box(length(input.clone()))));
        runtime.flush().expect("the disk takes it");
    }
    drop(runtime);
    let at_once = folder.path().join("at once");
    let runtime = open(&at_once);
    let last = |number: u64| (0..50).rev().find(|edit| number % 4 == edit % 4).unwrap_or(0);
    let inputs: Vec<_> =
        (0..INPUTS).map(|number| runtime.input(&number.to_string(), text(number, last(number)))).collect();
    runtime.run(|| inputs.iter().for_each(|input| _ = black_box(length(input.clone()))));
    drop(runtime);
    (length_of(&path), length_of(&at_once))
}

fn length_of(path: &Path) -> f64 {
    // It is opened and closed once more, as the next process would.
    drop(RedbStorage::open(path).expect("nobody else has it open"));
    std::fs::metadata(path).expect("the store's file is there").len() as f64
}
