//! A store that is full, held, damaged, foreign, read-only or too large; sources that misbehave; processes that are killed.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod keys;
mod kills;
mod owners;
mod size;
mod sources;
mod two_threads;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use larder::storage::{BackingStorage, MemoryStorage, RedbStorage, StorageError, Table, Visit, Writes};
use larder::{Input, Opened, Runtime, fs, task_fn};
use larder_tests::deadline::in_time;

thread_local! {
    /// How many bodies have run on this thread.
    static RUNS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

fn take_runs() -> u64 {
    RUNS.take()
}

fn over(storage: impl BackingStorage) -> Runtime {
    Runtime::builder().storage(storage).code_identity("test").try_build().unwrap()
}

#[task_fn]
fn page(number: u32) -> String {
    RUNS.set(RUNS.get() + 1);
    format!("{number:>2000}")
}

#[task_fn]
fn scaled(input: &Input<u32>, by: u32) -> String {
    RUNS.set(RUNS.get() + 1);
    format!("{:>2000}", input.get() * by)
}

fn pages(runtime: &Runtime, numbers: std::ops::Range<u32>) -> u64 {
    take_runs();
    runtime.run(|| numbers.for_each(|number| assert_eq!(page(number).trim().parse(), Ok(number))));
    take_runs()
}

const STORE: &str = "LARDER_TEST_STORE";

/// Runs one of the tests that are children, in a process of its own.
fn child(name: &str, path: &Path, round: u32) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(STORE, path)
        .env(ROUND, round.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Where the child that is to be killed goes on.
const ROUND: &str = "LARDER_TEST_ROUND";

fn store_of_child() -> Option<PathBuf> {
    std::env::var_os(STORE).map(PathBuf::from)
}

/// The numbers that a child prints after `word`.
fn numbers(child: &mut Child, word: &'static str) -> impl Iterator<Item = u32> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map_while(Result::ok).filter_map(move |line| line.trim().strip_prefix(word)?.trim().parse().ok())
}
