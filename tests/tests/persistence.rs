//! What survives a runtime: results, and nothing that is not right any more.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use larder::storage::{BackingStorage, MemoryStorage, Operation, RedbStorage, Table};
use larder::{Input, Reason, Runtime, emit, fs, task_fn};

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

/// A runtime over a store whose code does not change.
fn open(store: &(impl BackingStorage + Clone)) -> Runtime {
    Runtime::builder().storage(store.clone()).code_identity("test").try_build().unwrap()
}

/// Runs `test` on every kind of store.
fn on_each_store(test: impl Fn(&dyn Fn() -> Runtime)) {
    let memory = MemoryStorage::new();
    test(&|| open(&memory));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    test(&|| {
        Runtime::builder()
            .storage(RedbStorage::open(&path).unwrap())
            .code_identity("test")
            .try_build()
            .unwrap()
    });
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

#[test]
fn a_second_runtime_over_the_same_store_runs_nothing() {
    on_each_store(|open| {
        let first = open();
        assert_eq!(first.run(|| longest("a bcd ef")), "bcd");
        assert_eq!(take_ran(), ["longest a bcd ef", "words a bcd ef"]);
        drop(first);
        let second = open();
        assert_eq!(second.run(|| longest("a bcd ef")), "bcd");
        assert_eq!(second.run(|| words("a bcd ef").len()), 3);
        assert_eq!(take_ran(), [""; 0]);
        let stats = second.stats();
        assert_eq!((stats.runs(), stats.get("longest").unwrap().storage_hits), (0, 1));
        assert_eq!(second.run(|| longest("another")), "another");
        assert_eq!(take_ran(), ["longest another", "words another"]);
    });
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

#[test]
fn inputs_are_durable_by_name_and_only_what_is_affected_runs() {
    on_each_store(|open| {
        let first = open();
        text_is(&first, &Sums::of(&first, 10, 1), 7);
        assert_eq!(take_ran(), ["half_x", "text", "total", "twice_y"]);
        drop(first);
        // The same values.
        let second = open();
        text_is(&second, &Sums::of(&second, 10, 1), 7);
        assert_eq!(take_ran(), [""; 0]);
        drop(second);
        // Another value that comes to the same. In a new process those that read `half_x` are found first, and it cannot be
        // run for them by its record; in one that has it in memory, one body runs.
        let third = open();
        let sums = Sums::of(&third, 11, 1);
        text_is(&third, &sums, 7);
        assert_eq!(take_ran(), ["half_x", "text", "total"]);
        third.update(|update| update.set(&sums.x, 15)).unwrap();
        text_is(&third, &sums, 9);
        take_ran();
        third.update(|update| update.set(&sums.x, 14)).unwrap();
        text_is(&third, &sums, 9);
        assert_eq!(take_ran(), ["half_x"]);
        drop(third);
        // Another value.
        let fourth = open();
        text_is(&fourth, &Sums::of(&fourth, 12, 1), 8);
        assert_eq!(take_ran(), ["half_x", "text", "total"]);
        drop(fourth);
        // Back to where it was.
        let fifth = open();
        text_is(&fifth, &Sums::of(&fifth, 10, 1), 7);
        assert_eq!(take_ran(), [""; 0]);
        // And forth, and back, in one process.
        let sums = Sums::of(&fifth, 10, 1);
        for (x, total) in [(12, 8), (11, 7), (12, 8), (10, 7)] {
            fifth.update(|update| update.set(&sums.x, x)).unwrap();
            text_is(&fifth, &sums, total);
        }
        assert_eq!(take_ran(), [""; 0]);
    });
}

#[test]
fn a_state_that_this_process_has_left_is_entered_again_without_running() {
    on_each_store(|open| {
        let runtime = open();
        let sums = Sums::of(&runtime, 0, 0);
        for x in [0, 2, 4] {
            runtime.update(|update| update.set(&sums.x, x)).unwrap();
            text_is(&runtime, &sums, x / 2);
        }
        take_ran();
        for x in [2, 0, 4, 2] {
            runtime.update(|update| update.set(&sums.x, x)).unwrap();
            text_is(&runtime, &sums, x / 2);
        }
        assert_eq!(take_ran(), [""; 0]);
        // What was restored depends on what it reads, as if it had run.
        runtime.update(|update| update.set(&sums.y, 5)).unwrap();
        text_is(&runtime, &sums, 11);
        assert_eq!(take_ran(), ["text", "total", "twice_y"]);
    });
}

#[test]
fn a_change_in_one_process_is_known_to_the_next_one() {
    on_each_store(|open| {
        let first = open();
        let sums = Sums::of(&first, 2, 0);
        text_is(&first, &sums, 1);
        // Nobody asks for what depends on it any more.
        first.update(|update| update.set(&sums.x, 20)).unwrap();
        drop(first);
        take_ran();
        let second = open();
        text_is(&second, &Sums::of(&second, 20, 0), 10);
        assert_eq!(take_ran(), ["half_x", "text", "total"]);
    });
}

#[test]
fn an_update_reaches_what_was_restored_and_what_is_only_stored() {
    on_each_store(|open| {
        let first = open();
        text_is(&first, &Sums::of(&first, 2, 3), 7);
        drop(first);
        take_ran();
        let second = open();
        let sums = Sums::of(&second, 2, 3);
        // `text` is in memory; `total` and what it reads are not.
        text_is(&second, &sums, 7);
        second.update(|update| update.set(&sums.y, 4)).unwrap();
        text_is(&second, &sums, 9);
        assert_eq!(take_ran(), ["text", "total", "twice_y"]);
        second.update(|update| update.set(&sums.y, 4)).unwrap();
        text_is(&second, &sums, 9);
        assert_eq!(take_ran(), [""; 0]);
    });
}

// ---- what is not stored ----

#[task_fn(transient)]
fn in_memory(x: u32) -> u32 {
    ran("in_memory");
    x
}

#[task_fn]
fn reads_transient(x: u32) -> u32 {
    ran("reads_transient");
    in_memory(x) + 1
}

#[task_fn]
fn reads_the_reader(x: u32) -> u32 {
    ran("reads_the_reader");
    reads_transient(x) + 1
}

#[test]
fn what_reads_something_that_is_not_stored_is_not_stored_and_statistics_say_why() {
    on_each_store(|open| {
        for _ in 0..2 {
            let runtime = open();
            assert_eq!(runtime.run(|| reads_the_reader(1)), 3);
            assert_eq!(take_ran(), ["in_memory", "reads_the_reader", "reads_transient"]);
            let storage = runtime.stats().storage.unwrap();
            assert_eq!((storage.stored, storage.unstored_runs()), (0, 2));
            assert!(storage.unstored.iter().all(|unstored| unstored.reason == Reason::ReadsUnstored));
        }
    });
}

#[task_fn]
fn reads_input(input: Input<u32>) -> u32 {
    ran("reads_input");
    input.get()
}

#[test]
fn what_reads_a_transient_input_is_not_stored() {
    on_each_store(|open| {
        let first = open();
        assert_eq!(first.run(|| reads_input(first.transient_input("t", 1))), 1);
        drop(first);
        let second = open();
        assert_eq!(second.run(|| reads_input(second.input("t", 1))), 1);
        drop(second);
        assert_eq!(take_ran(), ["reads_input", "reads_input"]);
        // A transient input of the name of one that was stored.
        let third = open();
        assert_eq!(third.run(|| reads_input(third.transient_input("t", 1))), 1);
        assert_eq!(take_ran(), ["reads_input"]);
    });
}

#[task_fn(volatile)]
fn always(x: u32) -> u32 {
    ran("always");
    x
}

#[allow(dead_code, reason = "asked for by its companion only")]
#[task_fn]
fn fails(x: u32) -> u32 {
    ran("fails");
    assert!(x != 1, "x is 1");
    x
}

#[task_fn]
fn attempts(x: u32) -> bool {
    ran("attempts");
    fails::task(x).try_get().is_ok()
}

#[test]
fn failures_and_volatile_tasks_are_not_stored() {
    on_each_store(|open| {
        for _ in 0..2 {
            let runtime = open();
            assert!(!runtime.run(|| attempts(1)));
            assert_eq!(runtime.run(|| always(1)), 1);
            assert_eq!(take_ran(), ["always", "attempts", "fails"]);
        }
    });
}

#[task_fn]
fn float_map(x: u32) -> BTreeMap<String, Option<f64>> {
    ran("float_map");
    BTreeMap::from([("x".to_owned(), Some(f64::from(x))), ("none".to_owned(), None)])
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Skipping {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    first: Option<u32>,
    second: u32,
}

#[task_fn]
fn skipping(second: u32) -> Skipping {
    ran("skipping");
    Skipping { first: None, second }
}

#[test]
fn types_whose_encoding_does_not_decode_are_not_stored() {
    on_each_store(|open| {
        for round in 0..2 {
            let runtime = open();
            assert_eq!(runtime.run(|| skipping(7)).second, 7);
            assert_eq!(runtime.run(|| float_map(1))["x"], Some(1.0));
            assert_eq!(take_ran(), ["float_map", "skipping"][round..]);
            if cfg!(debug_assertions) {
                let unstored = runtime.stats().storage.unwrap().unstored;
                assert_eq!(unstored[0].reason, Reason::NoRoundTrip);
            }
        }
    });
}

// ---- emitted values ----

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Warning(String);

#[task_fn]
fn warns(text: &str) -> usize {
    ran("warns");
    if text.len() > 3 {
        emit(Warning(format!("{text} is long")));
    }
    text.len()
}

#[allow(dead_code, reason = "asked for by its companion only")]
#[task_fn]
fn warns_about_all(text: &str) -> usize {
    ran("warns_about_all");
    emit(Warning("all".to_owned()));
    words(text).iter().map(|word| warns(word)).sum()
}

#[test]
fn emitted_values_are_replayed_from_the_store() {
    on_each_store(|open| {
        let expected = ["longer is long", "longest is long", "all"].map(|text| Warning(text.to_owned()));
        let first = open();
        assert_eq!(first.run(|| warns_about_all::collect::<Warning>("longer is longest")), expected);
        drop(first);
        take_ran();
        let second = open();
        assert_eq!(second.run(|| warns_about_all::collect::<Warning>("longer is longest")), expected);
        assert_eq!(second.run(|| warns::collect::<Warning>("longer")), expected[..1]);
        assert_eq!(second.run(|| warns_about_all::collect::<Warning>("longer is longest")), expected);
        assert_eq!(take_ran(), [""; 0]);
    });
}

#[task_fn]
fn counts_warnings(text: &str) -> usize {
    ran("counts_warnings");
    warns_about_all::collect::<Warning>(text).len()
}

#[test]
fn who_collects_runs_again_over_what_is_restored() {
    on_each_store(|open| {
        for _ in 0..2 {
            let runtime = open();
            assert_eq!(runtime.run(|| counts_warnings("longer is longest")), 3);
            assert!(take_ran().contains(&"counts_warnings".to_owned()));
        }
        let runtime = open();
        assert_eq!(runtime.run(|| counts_warnings("longer is longest")), 3);
        assert_eq!(take_ran(), ["counts_warnings"]);
    });
}

// ---- handles, forgetting ----

#[test]
fn a_handle_and_a_forgotten_task_find_their_results() {
    on_each_store(|open| {
        let first = open();
        assert_eq!(first.run(|| words("a b").len()), 2);
        drop(first);
        take_ran();
        let second = open();
        let handle = second.run(|| words::task("a b"));
        assert_eq!(second.run(|| handle.get().len()), 2);
        assert_eq!(take_ran(), [""; 0]);
        // To forget is to forget everywhere.
        assert!(second.run(|| words::forget("a b")));
        assert_eq!(second.run(|| words("a b").len()), 2);
        assert_eq!(take_ran(), ["words a b"]);
        assert!(second.run(|| words::forget("a b")));
        second.run(|| ());
        drop((second, handle));
        let third = open();
        assert_eq!(third.run(|| words("a b").len()), 2);
        assert_eq!(take_ran(), ["words a b"]);
    });
}

// ---- code identity ----

mod versions {
    pub(crate) mod old {
        #[larder::task_fn(version = 1)]
        pub(crate) fn declared(x: u32) -> u32 {
            super::super::ran("declared");
            x + 1
        }
    }
}

#[task_fn]
fn by_build(x: u32) -> u32 {
    ran("by_build");
    x + 1
}

#[test]
fn another_build_starts_cold_but_for_declared_versions() {
    let store = MemoryStorage::new();
    let open = |code: &str| Runtime::builder().storage(store.clone()).code_identity(code).build();
    for (code, expected) in [
        ("one", vec!["by_build", "declared"]),
        ("one", vec![]),
        ("two", vec!["by_build"]),
        ("two", vec![]),
        ("one", vec![]),
    ] {
        let runtime = open(code);
        assert_eq!(runtime.run(|| (by_build(1), versions::old::declared(1))), (2, 2));
        assert_eq!(take_ran(), expected, "{code}");
    }
}

// ---- sources ----

#[task_fn]
fn read(path: &Path) -> Result<String, String> {
    ran(format!("read {}", path.file_name().unwrap().display()));
    fs::read_to_string(path).map(|text| text.to_string()).map_err(|error| error.to_string())
}

#[task_fn]
fn length(path: &Path) -> usize {
    ran(format!("length {}", path.file_name().unwrap().display()));
    read(path).map_or(0, |text| text.trim().len())
}

#[task_fn]
fn total_length(folder: &Path) -> usize {
    ran("total_length");
    fs::read_dir(folder).unwrap().iter().map(|entry| length(&entry.path)).sum()
}

/// Makes a file look as if it had been written long ago: its stamp is to be trusted.
fn settle(path: &Path, seconds: u64) {
    let time = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn with_files(test: impl Fn(&dyn Fn() -> Runtime, &Path)) {
    on_each_store(|open| {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("a", "1"), ("b", "22"), ("c", "333")] {
            std::fs::write(folder.path().join(name), text).unwrap();
            settle(&folder.path().join(name), 100);
        }
        let first = open();
        assert_eq!(first.run(|| total_length(folder.path())), 6);
        drop(first);
        take_ran();
        test(open, folder.path());
    });
}

#[test]
fn unchanged_files_are_not_read_and_touched_ones_change_nothing() {
    with_files(|open, folder| {
        let second = open();
        assert_eq!(second.run(|| total_length(folder)), 6);
        drop(second);
        settle(&folder.join("b"), 50);
        for _ in 0..2 {
            let runtime = open();
            assert_eq!(runtime.run(|| total_length(folder)), 6);
            assert_eq!(runtime.run(|| read(&folder.join("b"))).unwrap(), "22");
        }
        assert_eq!(take_ran(), [""; 0]);
    });
}

#[test]
fn a_changed_file_is_noticed_at_opening() {
    with_files(|open, folder| {
        std::fs::write(folder.join("b"), "22 ").unwrap();
        let second = open();
        assert_eq!(second.run(|| total_length(folder)), 6);
        assert_eq!(take_ran(), ["length b", "read b", "total_length"]);
        drop(second);
        std::fs::write(folder.join("b"), "4444").unwrap();
        let third = open();
        assert_eq!(third.run(|| total_length(folder)), 8);
        assert_eq!(take_ran(), ["length b", "read b", "total_length"]);
        drop(third);
        // And back, with another stamp.
        std::fs::write(folder.join("b"), "22").unwrap();
        let fourth = open();
        assert_eq!(fourth.run(|| total_length(folder)), 6);
        assert_eq!(take_ran(), [""; 0]);
    });
}

#[test]
fn a_file_that_is_changed_within_the_granularity_of_times_is_noticed() {
    with_files(|open, folder| {
        let path = folder.join("b");
        let stamped = std::fs::metadata(&path).unwrap().modified().unwrap();
        // Racy: written now, seen now, and changed in the same instant.
        std::fs::write(&path, "4444").unwrap();
        let now = std::fs::metadata(&path).unwrap().modified().unwrap();
        let second = open();
        assert_eq!(second.run(|| total_length(folder)), 8);
        drop(second);
        std::fs::write(&path, "55555".get(..4).unwrap()).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(now).unwrap();
        let third = open();
        assert_eq!(third.run(|| read(&path)).unwrap(), "5555");
        assert_ne!(now, stamped);
    });
}

#[test]
fn deleted_and_new_files_are_noticed() {
    with_files(|open, folder| {
        std::fs::remove_file(folder.join("c")).unwrap();
        let second = open();
        assert_eq!(second.run(|| total_length(folder)), 3);
        assert_eq!(take_ran(), ["total_length"]);
        assert!(second.run(|| read(&folder.join("c"))).is_err());
        drop(second);
        std::fs::write(folder.join("c"), "55555").unwrap();
        let third = open();
        assert_eq!(third.run(|| total_length(folder)), 8);
        assert_eq!(third.run(|| read(&folder.join("c"))).unwrap(), "55555");
        take_ran();
    });
}

#[test]
fn a_refresh_looks_at_files_that_no_task_of_this_process_has_read() {
    with_files(|open, folder| {
        let runtime = open();
        assert_eq!(runtime.run(|| total_length(folder)), 6);
        std::fs::write(folder.join("a"), "999999").unwrap();
        let refreshed = runtime.refresh().unwrap();
        assert_eq!(refreshed.changed, 1, "{refreshed:?}");
        assert!(refreshed.checked >= 4, "{refreshed:?}");
        assert_eq!(runtime.run(|| total_length(folder)), 11);
        assert_eq!(take_ran(), ["length a", "read a", "total_length"]);
        std::fs::write(folder.join("a"), "1").unwrap();
        assert_eq!(runtime.refresh().unwrap().changed, 1);
        assert_eq!(runtime.run(|| total_length(folder)), 6);
        assert_eq!(take_ran(), [""; 0]);
    });
}

#[test]
fn a_file_that_changes_after_opening_is_one_thing_in_a_session() {
    // A restored task had seen the file as it was at opening; another one read it as it is later.
    with_files(|open, folder| {
        let runtime = open();
        assert_eq!(runtime.run(|| length(&folder.join("b"))), 2);
        std::fs::write(folder.join("b"), "4444").unwrap();
        let failure = runtime.run(|| other_read(&folder.join("b"))).unwrap_err();
        assert!(failure.contains("changed"), "{failure}");
        runtime.refresh().unwrap();
        assert_eq!(runtime.run(|| other_read(&folder.join("b"))).unwrap(), "4444");
        assert_eq!(runtime.run(|| length(&folder.join("b"))), 4);
        // With the content that the failed attempt was asked about, it is not the failure that comes back.
        std::fs::write(folder.join("b"), "22").unwrap();
        runtime.refresh().unwrap();
        assert_eq!(runtime.run(|| other_read(&folder.join("b"))).unwrap(), "22");
        drop(runtime);
        let next = open();
        assert_eq!(next.run(|| other_read(&folder.join("b"))).unwrap(), "22");
        take_ran();
    });
}

#[task_fn]
fn other_read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map(|text| text.to_string()).map_err(|error| error.to_string())
}

#[task_fn]
fn variable() -> Option<String> {
    ran("variable");
    larder::env::var("LARDER_TEST_VARIABLE")
}

#[test]
fn an_environment_variable_is_looked_at_again() {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock();
    on_each_store(|open| {
        for (value, expected) in [(Some("1"), true), (Some("1"), false), (None, true), (Some("1"), false)] {
            match value {
                // SAFETY: no other test of this binary reads or writes the environment.
                Some(value) => unsafe { std::env::set_var("LARDER_TEST_VARIABLE", value) },
                // SAFETY: as above.
                None => unsafe { std::env::remove_var("LARDER_TEST_VARIABLE") },
            }
            let runtime = open();
            assert_eq!(runtime.run(variable).as_deref(), value);
            assert_eq!(!take_ran().is_empty(), expected, "{value:?}");
        }
    });
}

#[task_fn]
fn matches(pattern: &str) -> usize {
    ran("matches");
    fs::glob(pattern).unwrap().len()
}

#[test]
fn a_pattern_is_looked_at_again() {
    with_files(|open, folder| {
        let pattern = format!("{}/*", folder.display());
        for (count, expected) in [(3, 1), (3, 0)] {
            assert_eq!(open().run(|| matches(&pattern)), count);
            assert_eq!(take_ran().len(), expected);
        }
        std::fs::write(folder.join("d"), "").unwrap();
        assert_eq!(open().run(|| matches(&pattern)), 4);
        assert_eq!(take_ran(), ["matches"]);
    });
}

// ---- trouble ----

#[test]
fn errors_at_any_call_are_misses_and_fail_nothing() {
    let mut most = 0;
    for operation in [Operation::Get, Operation::Scan, Operation::Commit] {
        for nth in 1..40 {
            let store = MemoryStorage::new();
            let first = open(&store);
            text_is(&first, &Sums::of(&first, 2, 3), 7);
            drop(first);
            let store = store.crash();
            store.faults().fail_nth(operation, nth);
            if let Ok(second) = Runtime::builder().storage(store.clone()).code_identity("test").try_build() {
                let sums = Sums::of(&second, 4, 3);
                text_is(&second, &sums, 8);
                second.update(|update| update.set(&sums.y, 0)).unwrap();
                text_is(&second, &sums, 2);
                let _ = second.flush();
            }
            most = most.max(store.faults().calls(operation));
            let store = store.crash();
            let third = open(&store);
            text_is(&third, &Sums::of(&third, 2, 0), 1);
            let sums = Sums::of(&third, 2, 0);
            third.update(|update| update.set(&sums.y, 3)).unwrap();
            text_is(&third, &sums, 7);
        }
    }
    assert!(most > 10, "{most} calls");
    take_ran();
}

#[test]
fn a_store_that_takes_nothing_costs_hits_and_no_answers() {
    let store = MemoryStorage::new();
    let first = open(&store);
    text_is(&first, &Sums::of(&first, 2, 3), 7);
    drop(first);
    store.faults().fail_all(Operation::Commit);
    let second = open(&store);
    let sums = Sums::of(&second, 2, 3);
    take_ran();
    text_is(&second, &sums, 7);
    assert_eq!(take_ran(), [""; 0]);
    for x in [4, 6, 2, 4] {
        second.update(|update| update.set(&sums.x, x)).unwrap();
        text_is(&second, &sums, x / 2 + 6);
    }
    assert!(second.flush().is_err());
    assert!(second.take_storage_error().is_some());
    assert!(second.take_storage_error().is_none());
    let storage = second.stats().storage.unwrap();
    assert!(storage.writer.gave_up && storage.to_string().contains("given up"), "{storage}");
    second.update(|update| update.set(&sums.x, 8)).unwrap();
    text_is(&second, &sums, 10);
    drop(second);
    store.faults().heal();
    let third = open(&store);
    text_is(&third, &Sums::of(&third, 8, 3), 10);
    drop(third);
    let fourth = open(&store);
    text_is(&fourth, &Sums::of(&fourth, 2, 3), 7);
    take_ran();
}

#[test]
fn a_crash_loses_no_more_than_what_was_not_flushed() {
    let store = MemoryStorage::new();
    let first = Runtime::builder()
        .storage(store.clone())
        .code_identity("test")
        .delay(std::time::Duration::from_secs(1000))
        .build();
    let sums = Sums::of(&first, 2, 3);
    text_is(&first, &sums, 7);
    first.flush().unwrap();
    first.update(|update| update.set(&sums.x, 4)).unwrap();
    text_is(&first, &sums, 8);
    take_ran();
    let crashed = store.crash();
    let second = open(&crashed);
    text_is(&second, &Sums::of(&second, 2, 3), 7);
    assert_eq!(take_ran(), [""; 0]);
    drop(second);
    let third = open(&crashed);
    text_is(&third, &Sums::of(&third, 4, 3), 8);
    assert_eq!(take_ran(), ["half_x", "text", "total"]);
}

#[test]
fn a_store_that_is_held_is_a_clear_error_or_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let first = RedbStorage::open(&path).unwrap();
    let error = RedbStorage::open(&path).err().unwrap();
    assert!(error.is_held(), "{error}");
    drop(first);
}

#[test]
fn an_unusable_store_leaves_a_runtime_without_one_unless_it_was_demanded() {
    let store = MemoryStorage::new();
    store.faults().fail_all(Operation::Commit);
    let runtime = Runtime::builder().storage(store.clone()).build();
    assert!(runtime.storage_failure().is_some());
    assert_eq!(runtime.run(|| by_build(1)), 2);
    assert!(runtime.stats().storage.is_none());
    assert!(Runtime::builder().storage(store).try_build().is_err());
    take_ran();
}

#[test]
fn a_report_names_functions_and_finds_the_store_sound() {
    let store = MemoryStorage::new();
    let first = open(&store);
    text_is(&first, &Sums::of(&first, 2, 3), 7);
    let report = first.storage_report().unwrap().unwrap();
    assert!(report.is_sound(), "{:?}", report.damage);
    let text = report.functions.iter().find(|(_, size)| size.path.ends_with("::text")).unwrap();
    assert!(text.1.tasks == 1 && text.1.bytes > 2000, "{text:?}");
    assert_eq!(store.len(Table::Tasks), 4);
    take_ran();
}

#[test]
fn a_cap_drops_what_was_not_used() {
    let store = MemoryStorage::new();
    let open = |cap| Runtime::builder().storage(store.clone()).code_identity("test").cap(cap).build();
    let first = open(1 << 20);
    first.run(|| (0..100).for_each(|x| assert_eq!(long(x).len(), 3000)));
    drop(first);
    let second = open(100_000);
    second.run(|| assert_eq!(long(5).len(), 3000));
    drop(second);
    take_ran();
    let third = open(100_000);
    third.run(|| assert_eq!(long(5).len(), 3000));
    assert_eq!(take_ran(), [""; 0]);
    third.run(|| (0..100).for_each(|x| assert_eq!(long(x).len(), 3000)));
    assert!(take_ran().len() > 50);
}

#[task_fn]
fn long(x: u32) -> String {
    ran("long");
    format!("{x:>3000}")
}

#[test]
fn flipped_bits_never_give_a_wrong_value() {
    let flips = std::env::var("LARDER_FLIPS").ok().and_then(|flips| flips.parse().ok()).unwrap_or(400);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, "12345").unwrap();
    settle(&path, 100);
    let store = MemoryStorage::new();
    let first = open(&store);
    let ask = |runtime: &Runtime, x: i64| {
        text_is(runtime, &Sums::of(runtime, x, 3), x / 2 + 6);
        let expected = std::fs::read_to_string(&path).unwrap().len();
        assert_eq!(runtime.run(|| length(&path)), expected);
        assert_eq!(runtime.run(|| warns_about_all::collect::<Warning>("longer is longest")).len(), 3);
    };
    ask(&first, 2);
    drop(first);
    for flip in 0..flips {
        let damaged = store.crash();
        damaged.flip_bit(flip * 1_234_577);
        // Nothing, an input, or a file has changed since.
        std::fs::write(&path, if flip % 3 == 2 { "123" } else { "12345" }).unwrap();
        if flip % 3 != 2 {
            settle(&path, 100);
        }
        let x = if flip % 3 == 1 { 8 } else { 2 };
        for _ in 0..2 {
            let runtime = open(&damaged);
            ask(&runtime, x);
        }
        let runtime = open(&damaged);
        ask(&runtime, 10);
    }
    take_ran();
}
