//! A store opened again: nothing has changed, or one file of many.
//!
//! ```text
//! root ── group(file), of all files ─┬─ item(file, 0) ──┐
//!                                    ├─ ..              ├─ text_of(file) ── file
//!                                    └─ item(file, 97) ─┘
//! ```

use super::stored::{folder, open};
use larder::storage::RedbStorage;
use std::fs::File;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

/// The tasks that a file has: its text, its items and its group.
const PER_FILE: u32 = 100;
const ITEMS: u32 = PER_FILE - 2;

#[larder::task_fn]
fn text_of(folder: &Path, file: u32) -> Arc<str> {
    larder::fs::read_to_string(path_of(folder, file)).expect("the file is there")
}

#[larder::task_fn]
fn item(folder: &Path, file: u32, number: u32) -> u64 {
    text_of(folder, file).bytes().fold(u64::from(number), |sum, byte| sum * 31 % 65_521 + u64::from(byte))
}

#[larder::task_fn]
fn group(folder: &Path, file: u32) -> u64 {
    (0..ITEMS).map(|number| item(folder, file, number)).sum()
}

#[larder::task_fn]
fn root(folder: &Path, files: u32) -> u64 {
    (0..files).map(|file| group(folder, file)).sum()
}

fn path_of(folder: &Path, file: u32) -> PathBuf {
    folder.join(format!("{file}.txt"))
}

/// Files, and a store of all that is computed from them.
pub struct Tree {
    folder: TempDir,
    files: u32,
    value: u64,
}

/// The time to open the store and ask the root.
pub struct Reopened {
    /// All of it.
    pub total: Duration,
    /// Opening the store by itself, right after.
    pub opening: Duration,
    /// Looking at the stamps of all files, by itself, right after.
    pub stamping: Duration,
    /// Bodies that ran.
    pub runs: u64,
    /// Tasks taken out of the store.
    pub restored: u64,
    /// Tasks found current by their record.
    pub verified: u64,
    /// Stored tasks that the walk after a change met.
    pub walked: u64,
}

impl Tree {
    /// Computes and stores `tasks` tasks over a hundredth of so many files.
    pub fn of(tasks: u32) -> Tree {
        let folder = folder();
        let files = tasks / PER_FILE;
        for file in 0..files {
            let path = path_of(folder.path(), file);
            std::fs::write(&path, format!("the text of file {file}")).expect("a file can be written");
            settle(&path, 1000);
        }
        // A stamp is trusted when its time of change, which cannot be set, is two seconds old.
        std::thread::sleep(Duration::from_millis(2_500));
        let runtime = open(&store_of(&folder));
        let value = runtime.run(|| root(folder.path(), files));
        drop(runtime);
        Tree { folder, files, value }
    }

    /// Opens the store again and asks the root.
    pub fn reopen(&self) -> Reopened {
        let start = Instant::now();
        let runtime = open(&store_of(&self.folder));
        let value = runtime.run(|| root(self.folder.path(), self.files));
        let total = start.elapsed();
        let start = Instant::now();
        for file in 0..self.files {
            black_box(std::fs::metadata(path_of(self.folder.path(), file)).expect("the file is there"));
        }
        let stamping = start.elapsed();
        assert_eq!(value, self.value, "a wrong value");
        let stats = runtime.stats();
        let storage = stats.storage.as_ref().expect("there is a store");
        drop(runtime);
        let start = Instant::now();
        let store = RedbStorage::open(store_of(&self.folder)).expect("the store can be opened");
        let opening = start.elapsed();
        drop(store);
        Reopened {
            total,
            opening,
            stamping,
            runs: stats.runs(),
            restored: storage.restored,
            verified: storage.verified,
            walked: storage.walked,
        }
    }

    /// Changes one file.
    pub fn edit(&mut self, number: u32) {
        let path = path_of(self.folder.path(), self.files / 2);
        let old = std::fs::read_to_string(&path).expect("the file is there");
        let text = format!("another text, number {number}");
        std::fs::write(&path, &text).expect("the file can be written");
        settle(&path, 500 - u64::from(number));
        let sum = |text: &str| -> u64 {
            let one = |number: u32| {
                text.bytes().fold(u64::from(number), |sum, byte| sum * 31 % 65_521 + u64::from(byte))
            };
            (0..ITEMS).map(one).sum()
        };
        self.value = self.value - sum(&old) + sum(&text);
    }

    /// The length of the store's file.
    pub fn file_bytes(&self) -> u64 {
        std::fs::metadata(store_of(&self.folder)).expect("the store's file is there").len()
    }
}

fn store_of(folder: &TempDir) -> PathBuf {
    folder.path().join("store.redb")
}

/// Makes a file look as if it had been written some time ago.
fn settle(path: &Path, seconds: u64) {
    let time = SystemTime::now() - Duration::from_secs(seconds);
    let file = File::options().write(true).open(path);
    file.and_then(|file| file.set_modified(time)).expect("the time of an own file can be set");
}
