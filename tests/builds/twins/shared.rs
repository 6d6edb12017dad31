//! A program whose task functions stand in it and in a library, which can be built anew without it.

use larder::storage::RedbStorage;
use larder::{Runtime, task_fn};

/// Reads a function of the library.
#[task_fn]
fn reads_library(x: u32) -> u32 {
    twin_one::plain(x) * 10
}

/// Reads that one.
#[task_fn]
fn reads_reader(x: u32) -> u32 {
    reads_library(x) * 10
}

/// Reads one that answers for itself.
#[task_fn]
fn reads_declared(x: u32) -> u32 {
    twin_one::declared(x) * 10
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = std::env::args().nth(1).ok_or("the path of a store is missing")?;
    let runtime = Runtime::builder().storage(RedbStorage::open(store)?).try_build()?;
    let values = runtime.run(|| (reads_reader(0), reads_declared(0), twin_one::Kind.told()));
    let stats = runtime.stats();
    let runs = ["plain", "reads_library", "reads_reader", "declared", "reads_declared", "told"]
        .map(|name| stats.get(name).map_or(0, |function| function.runs));
    let unstored = stats.storage.map(|storage| storage.unstored).unwrap_or_default();
    let unstored: Vec<_> = unstored.iter().map(|unstored| (unstored.path, unstored.reason)).collect();
    println!("{values:?} {runs:?} {unstored:?}");
    Ok(())
}
