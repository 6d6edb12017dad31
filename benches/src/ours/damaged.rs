//! A store file that is damaged, by a flipped bit or a page that is not what it was: whatever comes out of it has to be right.

use larder::storage::RedbStorage;
use larder::{Input, Runtime, emit};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tempfile::TempDir;

const LINES: u64 = 40;

const PAGE: usize = 4096;

/// The damage that is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One bit.
    Flip,
    /// One page is what it was in an earlier state: the disk has lost a write.
    OlderPage,
    /// One page is what another one is.
    CopiedPage,
}

/// The outcome of all damages of a kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Values that were not what evaluation from scratch gives.
    pub wrong: u64,
    /// Panics that reached the program.
    pub panics: u64,
    /// Files that cost at least one hit.
    pub missed: u64,
    /// Files that were set aside.
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

/// Returns `sum` and its notes, computed from scratch.
fn expected(state: u64) -> (u64, Vec<Note>) {
    let line = |number: u64| state % (number + 2);
    let notes = (0..LINES).filter(|number| line(*number) == 0).map(Note);
    ((0..LINES).map(|number| line(number) * (number + 1)).sum(), notes.collect())
}

/// States that the store has been in; then one that it has not.
const STATES: [u64; 4] = [1_000_003, 5040, 77, 123_456];

/// Damages so many store files, each once, and uses them.
pub fn damage(damage: Damage, files: u32) -> Outcome {
    let folder = fast_folder();
    let (original, path) = (folder.path().join("original"), folder.path().join("store"));
    let mut history = Vec::new();
    for state in [2, 1, 0] {
        let runtime = open(&original).0;
        assert!(is_right(&runtime, STATES[state]));
        drop(runtime);
        history.push(fs::read(&original).expect("the store was written"));
    }
    let hook = std::panic::take_hook();
    let told = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&told);
    // A panic of redb's is contained, and told to the hook nevertheless.
    std::panic::set_hook(Box::new(move |_| {
        counter.fetch_add(1, Relaxed);
    }));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut outcome = Outcome::default();
    for number in 0..files {
        fs::write(&path, damage.of(&history, &mut random)).expect("the folder takes a file");
        outcome.add(catch_unwind(AssertUnwindSafe(|| use_damaged(&path, number))));
        clear(&folder, &original);
    }
    std::panic::set_hook(hook);
    outcome.contained = told.load(Relaxed) - outcome.panics;
    outcome
}

impl Damage {
    /// The last of `history`, damaged.
    fn of(self, history: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
        let (mut file, before) = match history.split_last() {
            Some((last, before)) => (last.clone(), before),
            None => return Vec::new(),
        };
        let pages = file.len() / PAGE;
        let page = |number: usize| number * PAGE..(number + 1) * PAGE;
        // Most of the file holds nothing.
        let used: Vec<usize> =
            (0..pages).filter(|number| file[page(*number)].iter().any(|byte| *byte != 0)).collect();
        let some = used[random.below(used.len())];
        match self {
            Self::Flip => {
                let at = match random.below(2) {
                    0 => random.below(file.len()),
                    _ => some * PAGE + random.below(PAGE),
                };
                file[at] ^= 1 << random.below(8);
            }
            Self::OlderPage => {
                let old = &before[random.below(before.len())];
                let differs =
                    |number: &usize| old.get(page(*number)).is_some_and(|old| old != &file[page(*number)]);
                let all: Vec<usize> = (0..pages).filter(differs).collect();
                let one = all[random.below(all.len())];
                file[page(one)].copy_from_slice(&old[page(one)]);
            }
            Self::CopiedPage => file.copy_within(page(used[random.below(used.len())]), some * PAGE),
        }
        file
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

struct Use {
    wrong: u64,
    missed: bool,
    set_aside: bool,
}

impl Outcome {
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
