//! Results of other machines: they save bodies where they hold, and never change a value.
//!
//! Two machines are two runtimes over stores of their own, with base directories of their own. The way between them is a [`Remote`] that
//! reads the one's store for the other.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod checking;
mod fake;
mod hostile;
mod leases;
mod link;
mod oracle;
mod records;

use std::path::Path;
use std::sync::Arc;

use larder::storage::MemoryStorage;
use larder::{Runtime, StoredBuilder, fs, task_fn};
use larder_backend::RemoteStats;

use self::fake::Fake;

#[task_fn]
fn words(path: &str) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.split_whitespace().count())
}

#[task_fn]
fn total(dir: &str) -> usize {
    fs::read_dir(dir).map_or(0, |entries| entries.iter().map(|entry| words(&text(&entry.path))).sum())
}

/// An output that stands in a table of its own.
#[task_fn]
fn page(dir: &str) -> String {
    format!("{:>2000}", total(dir))
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A machine: a checkout and a store.
struct Machine {
    base: tempfile::TempDir,
    store: MemoryStorage,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { base: tempfile::tempdir().unwrap(), store: MemoryStorage::new() };
        std::fs::create_dir(machine.base.path().join("src")).unwrap();
        machine
    }

    /// One with so many files, of which each has so many words as its number says.
    fn with_files(files: usize) -> Self {
        let machine = Self::new();
        (0..files).for_each(|file| machine.write(file, file));
        machine
    }

    fn write(&self, file: usize, words: usize) {
        std::fs::write(self.base.path().join(format!("src/{file:03}")), "word ".repeat(words)).unwrap();
    }

    fn builder(&self) -> StoredBuilder {
        Runtime::builder().base(self.base.path()).storage(self.store.clone()).code_identity("test")
    }

    /// Runs the program without results of others. Returns what it came to, and the number of bodies.
    fn run_alone(&self) -> (usize, u64) {
        run(&self.builder().build())
    }

    fn run_with(&self, remote: &Arc<Fake>) -> (usize, u64, RemoteStats) {
        let runtime = self.builder().remote(remote.clone()).build();
        let (page, bodies) = run(&runtime);
        let stats = runtime.stats().storage.unwrap();
        assert!(!stats.distrusted);
        (page, bodies, stats.remote.unwrap())
    }
}

fn run(runtime: &Runtime) -> (usize, u64) {
    let page = runtime.run(|| page("src"));
    (page.trim().parse().unwrap(), runtime.stats().runs())
}
