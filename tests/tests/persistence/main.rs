//! Persistence: results survive a runtime, and none that is not right any more.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod asking;
mod runs;
mod identity;
mod lossy;
mod unstored;
mod emitted;
mod expiring;
mod flattened;
mod minimal;
mod sources;
mod trouble;
mod wide;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use larder::storage::{BackingStorage, MemoryStorage, Operation, RedbOptions, RedbStorage, Table};
use larder::{Input, Reason, Runtime, Task, emit, fs, task_fn};

thread_local! {
    /// Which bodies have run on this thread.
    static RAN: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn ran(what: impl Into<String>) {
    RAN.with_borrow_mut(|ran| ran.push(what.into()));
}

fn take_ran() -> Vec<String> {
    let mut ran = RAN.take();
    ran.sort();
    ran
}

thread_local! {
    /// How far the clocks of processes that this thread opens are ahead.
    static AHEAD: std::cell::Cell<std::time::Duration> = const { std::cell::Cell::new(std::time::Duration::ZERO) };
}

fn builder() -> larder::Builder {
    larder::testing::with_clock_ahead(Runtime::builder(), AHEAD.get())
}

/// A runtime over a store whose code does not change.
fn open(store: &(impl BackingStorage + Clone)) -> Runtime {
    builder().storage(store.clone()).code_identity("test").try_build().unwrap()
}

/// Runs `test` on every kind of store.
fn on_each_store(test: impl Fn(&dyn Fn() -> Runtime)) {
    let memory = MemoryStorage::new();
    test(&|| open(&memory));
    let folder = tempfile::tempdir().unwrap();
    // By itself, and with a filter of what is stored from the first commit on.
    for (name, options) in [("a", RedbOptions::new()), ("b", RedbOptions::new().filter_after(0))] {
        let path = folder.path().join(name);
        test(&|| {
            let store = options.open(&path).unwrap();
            builder().storage(store).code_identity("test").try_build().unwrap()
        });
    }
}

// ---- a small program ----

#[task_fn]
fn words(text: &str) -> Vec<String> {
    ran(format!("words {text}"));
    text.split_whitespace().map(str::to_owned).collect()
}

#[task_fn]
fn longest(text: &str) -> String {
    ran(format!("longest {text}"));
    words(text).into_iter().max_by_key(String::len).unwrap_or_default()
}

#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize)]
struct Sums {
    x: Input<i64>,
    y: Input<i64>,
}

impl Sums {
    fn of(runtime: &Runtime, x: i64, y: i64) -> Self {
        Self { x: runtime.input("x", x), y: runtime.input("y", y) }
    }

    #[task_fn]
    fn half_x(&self) -> i64 {
        ran("half_x");
        self.x.get() / 2
    }

    #[task_fn]
    fn twice_y(&self) -> i64 {
        ran("twice_y");
        self.y.get() * 2
    }

    #[task_fn]
    fn total(&self) -> i64 {
        ran("total");
        self.half_x() + self.twice_y()
    }

    #[task_fn]
    fn text(&self) -> String {
        ran("text");
        // Large enough to stand in a table of its own.
        format!("{:>2000}", self.total())
    }
}

fn text_is(runtime: &Runtime, sums: &Sums, total: i64) {
    assert_eq!(runtime.run(|| sums.text().trim().parse()), Ok(total));
}
