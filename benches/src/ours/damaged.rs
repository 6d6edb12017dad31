//! A store file with a flipped bit: whatever comes out of it has to be right.

use larder::storage::RedbStorage;
use larder::{Input, Runtime, emit};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tempfile::TempDir;

const LINES: u64 = 40;

/// What came of all flips.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flips {
    /// Values that were not what evaluation from scratch gives.
    pub wrong: u64,
    /// Panics that reached the program.
    pub panics: u64,
    /// Flips that cost at least one hit.
    pub missed: u64,
    /// Flips after which the file was set aside.
    pub set_aside: u64,
    /// Panics inside of redb that were contained.
    pub contained: u64,
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Note(u64);

#[larder::task_fn]
fn line(input: &Input<u64>, number: u64) -> u64 {
    let value = input.get() % (number + 2);
    if value == 0 {
        emit(Note(number));
    }
    value
}

#[larder::task_fn]
fn long(input: &Input<u64>, number: u64) -> String {
    // Too long to stand in the task's own record.
    format!("{:>1500}", line(input, number) * number)
}

#[larder::task_fn]
fn sum(input: &Input<u64>) -> u64 {
    (0..LINES)
        .map(|number| line(input, number) + long(input, number).trim().parse::<u64>().unwrap_or(0))
        .sum()
}

/// What `sum` and its notes are from scratch.
fn expected(state: u64) -> (u64, Vec<Note>) {
    let line = |number: u64| state % (number + 2);
    let notes = (0..LINES).filter(|number| line(*number) == 0).map(Note);
    ((0..LINES).map(|number| line(number) * (number + 1)).sum(), notes.collect())
}

/// States that the store has been in; then one that it has not.
const STATES: [u64; 4] = [1_000_003, 5040, 77, 123_456];

/// Flips `flips` single bits anywhere in a store file, one at a time.
pub fn flip(flips: u32) -> Flips {
    let folder = fast_folder();
    let (original, path) = (folder.path().join("original"), folder.path().join("store"));
    for state in [2, 1, 0] {
        let runtime = open(&original).0;
        assert!(is_right(&runtime, STATES[state]));
    }
    let bytes = fs::read(&original).expect("the store was written");
    // Most of the file holds nothing: half of the flips go where something is.
    let used: Vec<usize> = (0..bytes.len() / 512)
        .filter(|block| bytes[block * 512..][..512].iter().any(|byte| *byte != 0))
        .collect();
    let hook = std::panic::take_hook();
    let told = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&told);
    // redb's panics are contained, and told to the hook nevertheless.
    std::panic::set_hook(Box::new(move |_| {
        counter.fetch_add(1, Relaxed);
    }));
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = move |bound: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % bound as u64) as usize
    };
    let mut outcome = Flips::default();
    for number in 0..flips {
        let at =
            if number % 2 == 0 { below(bytes.len()) } else { used[below(used.len())] * 512 + below(512) };
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << below(8);
        fs::write(&path, &damaged).expect("the folder takes a file");
        outcome.add(catch_unwind(AssertUnwindSafe(|| use_damaged(&path, number))));
        clear(&folder, &original);
    }
    std::panic::set_hook(hook);
    outcome.contained = told.load(Relaxed) - outcome.panics;
    outcome
}

struct Use {
    wrong: u64,
    missed: bool,
    set_aside: bool,
}

impl Flips {
    fn add(&mut self, used: std::thread::Result<Use>) {
        match used {
            Err(_) => self.panics += 1,
            Ok(used) => {
                self.wrong += used.wrong;
                self.missed += u64::from(used.missed);
                self.set_aside += u64::from(used.set_aside);
            }
        }
    }
}

/// A first run, in the state that was stored last or another, and one after it.
fn use_damaged(path: &Path, number: u32) -> Use {
    let first = STATES[number as usize / 2 % STATES.len()];
    let (runtime, set_aside) = open(path);
    let mut wrong = u64::from(!is_right(&runtime, first));
    let missed = runtime.stats().runs() > 0 && first != STATES[3];
    wrong += u64::from(!is_right(&runtime, STATES[0]));
    drop(runtime);
    let (runtime, again) = open(path);
    wrong += u64::from(!is_right(&runtime, STATES[1]));
    Use { wrong, missed, set_aside: set_aside || again }
}

fn open(path: &Path) -> (Runtime, bool) {
    match RedbStorage::open(path) {
        Ok(storage) => {
            let aside = storage.set_aside().is_some();
            (Runtime::builder().storage(storage).build(), aside)
        }
        Err(_) => (Runtime::new(), true),
    }
}

fn is_right(runtime: &Runtime, state: u64) -> bool {
    let input = runtime.input("state", state);
    runtime.update(|update| update.set(&input, state)).expect("no session is open");
    let found = runtime.run(|| (sum(&input), sum::collect::<Note>(&input)));
    found == expected(state)
}

/// Memory, if files can be kept there: ten thousand stores are synced.
fn fast_folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("some folder can be written")
}

/// Removes all but the original.
fn clear(folder: &TempDir, original: &Path) {
    let entries = fs::read_dir(folder.path()).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.path() != original) {
        let _ = fs::remove_file(entry.path());
    }
}
