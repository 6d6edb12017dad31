//! A library with task functions, in one of several versions. `tests/tests/builds.rs` builds it and loads it.

#![allow(clippy::print_stdout, reason = "a program talks to its user there")]

use larder::storage::RedbStorage;
use larder::{Runtime, task_fn};

#[task_fn]
fn by_build(x: u32) -> u32 {
    if cfg!(variant = "body") { x + 100 } else { x + 1 }
}

#[task_fn]
fn generic<T: Default + Into<u32>>(x: u32) -> u32 {
    T::default().into() + if cfg!(variant = "body") { x + 100 } else { x + 1 }
}

#[task_fn(version = 1)]
fn declared(x: u32) -> u32 {
    x + 1
}

#[task_fn(version = 1)]
fn reads_by_build(x: u32) -> u32 {
    by_build(x) * 10
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::var_os("LARDER_STORE").ok_or("the path of a store is missing")?;
    let runtime = Runtime::builder().storage(RedbStorage::open(path)?).try_build()?;
    let results = runtime.run(|| (by_build(1), generic::<u8>(1), declared(1), reads_by_build(1)));
    let stats = runtime.stats();
    let runs = ["by_build", "generic", "declared", "reads_by_build"]
        .map(|name| stats.get(name).map_or(0, |function| function.runs));
    let unstored = stats.storage.map_or(0, |storage| storage.unstored_runs());
    println!("{results:?} {runs:?} {unstored}");
    Ok(())
}

/// Asks all functions and prints the results, and which bodies ran.
#[unsafe(no_mangle)]
pub extern "C" fn larder_plugin() {
    if let Err(error) = run() {
        println!("{error}");
    }
}
