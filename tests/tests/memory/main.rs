//! Bounds on memory: what goes, what stays, and that no answer changes by it.

mod cap;
mod collect;
mod forgetting;
mod larger;
mod lifetimes;
mod lru;
mod on_cycles;
mod over_a_store;

use larder::Runtime;

/// How often the bodies of a function have run.
fn runs_of(runtime: &Runtime, name: &str) -> u64 {
    runtime.stats().get(name).map_or(0, |function| function.runs)
}

/// The number of a function's tasks in memory.
fn tasks_of(runtime: &Runtime, name: &str) -> usize {
    runtime.memory().get(name).map_or(0, |function| function.tasks)
}

/// The number of a function's outputs in memory.
fn outputs_of(runtime: &Runtime, name: &str) -> usize {
    runtime.memory().get(name).map_or(0, |function| function.outputs)
}
