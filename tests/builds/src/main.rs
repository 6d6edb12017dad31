//! A program whose results are stored, in one of several versions. `tests/tests/builds.rs` builds and runs them.

#![allow(clippy::print_stdout, reason = "a program talks to its user there")]

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use larder::storage::RedbStorage;
use larder::{Runtime, task_fn};

/// Without a declared version: any other build is another function.
#[task_fn]
fn by_build(x: u32) -> u32 {
    if cfg!(variant = "body") { x + 100 } else { x + 1 }
}

#[cfg(not(any(
    variant = "renamed",
    variant = "argument",
    variant = "output",
    variant = "version",
    variant = "removed"
)))]
#[task_fn(version = 1)]
fn declared(x: u32) -> u32 {
    x + 1
}

#[cfg(variant = "renamed")]
use renamed as declared;
/// A function of another name.
#[cfg(variant = "renamed")]
#[task_fn(version = 1)]
fn renamed(x: u32) -> u32 {
    x + 2
}

/// An argument of another type, whose encoding is the same.
#[cfg(variant = "argument")]
#[task_fn(version = 1)]
fn declared(x: u64) -> u32 {
    u32::try_from(x + 3).unwrap_or_default()
}

/// An output of another type, whose encoding may be the same.
#[cfg(variant = "output")]
#[task_fn(version = 1)]
fn declared(x: u32) -> i64 {
    i64::from(x + 4)
}

#[cfg(variant = "version")]
#[task_fn(version = 2)]
fn declared(x: u32) -> u32 {
    x + 5
}

#[cfg(variant = "removed")]
fn declared(x: u32) -> u32 {
    x + 6
}

#[task_fn(version = 1)]
fn reads_by_build(x: u32) -> u32 {
    by_build(x) * 10
}

mod moved {
    //! Functions whose place in the source changes from version to version.
    include!(concat!(env!("OUT_DIR"), "/moved.rs"));
}

/// The argument of a method.
#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize)]
struct Shape(u32);

/// A type argument.
trait Told: 'static {
    const VALUE: u32;
}
impl Told for u8 {
    const VALUE: u32 = 2;
}
static RUNS: AtomicU32 = AtomicU32::new(0);

fn count() {
    RUNS.fetch_add(1, Relaxed);
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("the path of a store is missing")?;
    let runtime = Runtime::builder().storage(RedbStorage::open(path)?).try_build()?;
    if std::env::args().nth(2).is_some() {
        println!("{:?} {}", runtime.run(moved::ask), RUNS.load(Relaxed));
        return Ok(());
    }
    let results = runtime.run(|| (by_build(1), declared(1), reads_by_build(1)));
    let stats = runtime.stats();
    let runs = |name| stats.get(name).map_or(0, |function| function.runs);
    let declared_runs = runs("declared") + runs("renamed");
    println!("{results:?} {} {declared_runs} {}", runs("by_build"), runs("reads_by_build"));
    Ok(())
}
