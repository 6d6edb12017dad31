//! Collections: their values against plain ones, and how many bodies run for a change.

mod folds;
mod maps;
mod views;

use larder::Runtime;
use larder::storage::MemoryStorage;

/// The bodies that `ask` runs in a session, and its result.
fn runs_of<R>(runtime: &Runtime, ask: impl FnOnce() -> R) -> (R, u64) {
    let before = runtime.stats().runs();
    let result = runtime.run(ask);
    (result, runtime.stats().runs() - before)
}

/// A runtime over a store, as of a process of its own.
fn over(store: &MemoryStorage) -> Runtime {
    Runtime::builder().storage(store.clone()).build()
}

/// The most bodies of the collection for one changed key of `n`.
fn most_bodies(n: usize) -> u64 {
    let (mut levels, mut reached) = (0, 1);
    while reached < n {
        levels += 1;
        reached *= 32;
    }
    3 + levels
}
