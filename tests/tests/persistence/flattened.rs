//! Stored tasks over transient ones: they have read what the transient ones have read.

use std::sync::Arc;
use std::time::Duration;

use super::*;

/// A tree that no store could hold.
#[derive(PartialEq)]
struct Tree(Vec<i64>);

#[task_fn(transient)]
fn tree(input: &Input<i64>) -> Arc<Tree> {
    ran("tree");
    Arc::new(Tree((0..input.get() / 10).collect()))
}

#[task_fn(transient)]
fn deep(input: &Input<i64>) -> usize {
    ran("deep");
    tree(input).0.len()
}

#[task_fn]
fn count(input: &Input<i64>, other: &Input<i64>) -> i64 {
    ran("count");
    tree(input).0.len() as i64 + other.get()
}

#[task_fn]
fn of_deep(input: &Input<i64>) -> usize {
    ran("of_deep");
    deep(input)
}

#[task_fn]
fn report(input: &Input<i64>, other: &Input<i64>) -> String {
    ran("report");
    format!("{} {}", count(input, other), of_deep(input))
}

fn inputs(runtime: &Runtime, x: i64, y: i64) -> (Input<i64>, Input<i64>) {
    (runtime.input_or_set("x", x).unwrap(), runtime.input_or_set("y", y).unwrap())
}

#[track_caller]
fn check(runtime: &Runtime, x: i64, y: i64, expected: &[&str]) {
    let (input, other) = inputs(runtime, x, y);
    assert_eq!(runtime.run(|| report(&input, &other)), format!("{} {}", x / 10 + y, x / 10));
    assert_eq!(take_ran(), expected, "x = {x}, y = {y}");
}

#[test]
fn a_stored_task_over_a_transient_one_is_restored_if_what_that_read_is_as_it_was() {
    on_each_store(|open| {
        let runtime = open();
        check(&runtime, 42, 1, &["count", "deep", "of_deep", "report", "tree"]);
        assert_eq!(runtime.stats().storage.unwrap().unstored_runs(), 0);
        drop(runtime);
        // In another process nothing runs, and in yet another one what has read a change does.
        check(&open(), 42, 1, &[]);
        check(&open(), 42, 2, &["count", "report", "tree"]);
        check(&open(), 53, 2, &["count", "deep", "of_deep", "report", "tree"]);
        // Back in earlier states.
        check(&open(), 42, 1, &[]);
        check(&open(), 42, 2, &[]);
        check(&open(), 53, 2, &[]);
    });
}

#[test]
fn in_one_process_a_transient_task_that_comes_to_the_same_cuts_off_and_the_store_follows() {
    on_each_store(|open| {
        let runtime = open();
        check(&runtime, 42, 1, &["count", "deep", "of_deep", "report", "tree"]);
        check(&runtime, 43, 1, &["tree"]);
        check(&runtime, 44, 1, &["tree"]);
        drop(runtime);
        check(&open(), 44, 1, &[]);
        // Across processes there is no value to compare with.
        check(&open(), 45, 1, &["count", "deep", "of_deep", "tree"]);
        check(&open(), 45, 1, &[]);
    });
}

/// Restored tasks read what the transient one had read; from the first run on, the transient one itself.
#[test]
fn restored_tasks_see_changes_in_their_process() {
    on_each_store(|open| {
        check(&open(), 42, 1, &["count", "deep", "of_deep", "report", "tree"]);
        let runtime = open();
        check(&runtime, 42, 1, &[]);
        check(&runtime, 43, 1, &["count", "deep", "of_deep", "tree"]);
        check(&runtime, 44, 1, &["tree"]);
        check(&runtime, 64, 1, &["count", "deep", "of_deep", "report", "tree"]);
        // Memory asks the transient tasks whether they have changed, and the store has what their readers come to then.
        check(&runtime, 42, 1, &["deep", "tree"]);
        drop(runtime);
        check(&open(), 64, 1, &[]);
    });
}

#[task_fn(transient)]
fn chosen(which: &Input<i64>, of: &[Input<i64>]) -> i64 {
    ran("chosen");
    of[which.get() as usize].get()
}

#[task_fn]
fn over_chosen(which: &Input<i64>, of: &[Input<i64>]) -> i64 {
    ran("over_chosen");
    chosen(which, of) + 1
}

/// A read that only the transient task knows of changes while that reads something else, and is read again.
#[test]
fn what_a_transient_task_reads_may_become_other_things() {
    on_each_store(|open| {
        let ask = |runtime: &Runtime, which: i64, a: i64, b: i64| {
            let which = runtime.input_or_set("which", which).unwrap();
            let of = [("a", a), ("b", b)].map(|(name, value)| runtime.input_or_set(name, value).unwrap());
            let value = runtime.run(|| over_chosen(&which, &of));
            (value, take_ran().len())
        };
        let runtime = open();
        assert_eq!(ask(&runtime, 0, 5, 5), (6, 2));
        // It comes to the same by another read.
        assert_eq!(ask(&runtime, 1, 5, 5), (6, 1));
        assert_eq!(ask(&runtime, 1, 7, 5), (6, 0));
        drop(runtime);
        assert_eq!(ask(&open(), 1, 8, 5), (6, 0));
        assert_eq!(ask(&open(), 1, 8, 6), (7, 2));
        assert_eq!(ask(&open(), 0, 8, 6), (9, 2));
        assert_eq!(ask(&open(), 0, 8, 9), (9, 0));
    });
}

#[task_fn(transient)]
fn by_file(path: &Path) -> usize {
    ran("by_file");
    fs::read(path).map_or(0, |bytes| bytes.len())
}

#[task_fn]
fn over_file(path: &Path) -> usize {
    ran("over_file");
    by_file(path) * 2
}

#[test]
fn files_behind_a_transient_task_are_looked_at() {
    on_each_store(|open| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let ask = |runtime: &Runtime| (runtime.run(|| over_file(&path)), take_ran().len());
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(ask(&open()), (6, 2));
        assert_eq!(ask(&open()), (6, 0));
        std::fs::write(&path, "abcd").unwrap();
        let runtime = open();
        assert_eq!(ask(&runtime), (8, 2));
        std::fs::write(&path, "abcde").unwrap();
        runtime.refresh().unwrap();
        assert_eq!(ask(&runtime), (10, 2));
        drop(runtime);
        assert_eq!(ask(&open()), (10, 0));
    });
}

// ---- what is not flattened ----

#[task_fn(transient, volatile)]
fn volatile_one() -> u32 {
    ran("volatile_one");
    1
}

#[task_fn(transient)]
fn volatile_within() -> u32 {
    ran("volatile_within");
    larder::volatile();
    1
}

#[task_fn(transient, ttl = Duration::from_secs(3600))]
fn expiring() -> u32 {
    ran("expiring");
    1
}

#[task_fn(transient, no_errors)]
fn with_errors() -> Result<u32, String> {
    ran("with_errors");
    Ok(1)
}

#[task_fn(transient)]
fn emitting() -> u32 {
    ran("emitting");
    emit(String::from("emitted"));
    1
}

#[task_fn(transient)]
fn over_transient_input(input: &Input<u32>) -> u32 {
    ran("over_transient_input");
    input.get()
}

#[task_fn]
fn reader(which: u32, input: &Input<u32>) -> u32 {
    ran("reader");
    match which {
        0 => volatile_one(),
        1 => volatile_within(),
        2 => expiring(),
        3 => with_errors().unwrap(),
        4 => emitting(),
        _ => over_transient_input(input),
    }
}

#[task_fn(version = 1)]
fn versioned() -> u32 {
    ran("versioned");
    plain()
}

#[task_fn(transient)]
fn plain() -> u32 {
    ran("plain");
    1
}

#[test]
fn what_is_not_decided_by_its_reads_makes_its_reader_unstored() {
    on_each_store(|open| {
        for which in 0..6 {
            for _ in 0..2 {
                let runtime = open();
                let input = runtime.input("key", 0);
                let other = runtime.transient_input("transient", 1);
                let input = if which == 5 { other } else { input };
                assert_eq!(runtime.run(|| reader(which, &input)), 1);
                assert_eq!(take_ran().len(), 2, "{which}");
                let unstored = runtime.stats().storage.unwrap().unstored_runs();
                assert_eq!(unstored, 1, "{which}");
            }
        }
        // The code of a function with a version is not known to be that of a transient one.
        for _ in 0..2 {
            assert_eq!(open().run(versioned), 1);
            assert_eq!(take_ran(), ["plain", "versioned"]);
        }
    });
}

#[test]
fn what_a_transient_task_emitted_is_collected_in_the_next_process() {
    on_each_store(|open| {
        for _ in 0..2 {
            let runtime = open();
            let input = runtime.input("key", 0);
            assert_eq!(runtime.run(|| reader::collect::<String>(4, &input)), ["emitted"]);
            take_ran();
        }
    });
}

#[task_fn(transient)]
fn wide(from: u32, to: u32, of: &Input<i64>) -> i64 {
    (from..to).map(|number| narrow(number, of)).sum()
}

#[task_fn]
fn narrow(number: u32, of: &Input<i64>) -> i64 {
    i64::from(number) + of.get()
}

#[task_fn]
fn over_wide(to: u32, of: &Input<i64>) -> i64 {
    ran("over_wide");
    wide(0, to, of)
}

/// Too many reads for one record are as before: the reader is not stored.
#[test]
fn a_transient_task_with_very_many_reads_leaves_its_reader_unstored_and_right() {
    on_each_store(|open| {
        for (to, runs) in [(1000, [1, 0, 1]), (2000, [1, 1, 1])] {
            for (value, runs) in [3, 3, 4].into_iter().zip(runs) {
                let runtime = open();
                let of = runtime.input_or_set("of", value).unwrap();
                let sum: i64 = (0..i64::from(to)).sum::<i64>() + i64::from(to) * value;
                assert_eq!(runtime.run(|| over_wide(to, &of)), sum);
                assert_eq!(take_ran().len(), runs, "{to}");
            }
        }
    });
}

#[test]
fn removed_inputs_behind_transient_tasks_are_asked_anew() {
    on_each_store(|open| {
        let runtime = open();
        let (input, other) = inputs(&runtime, 42, 1);
        assert_eq!(runtime.run(|| count(&input, &other)), 5);
        runtime.update(|update| update.remove(&input)).unwrap();
        assert!(runtime.try_run(|| count(&input, &other)).is_err());
        drop((input, other, runtime));
        take_ran();
        let runtime = open();
        let (input, other) = inputs(&runtime, 52, 1);
        assert_eq!(runtime.run(|| count(&input, &other)), 6);
        take_ran();
    });
}

#[test]
fn under_a_cap_on_memory_values_stay_right() {
    let store = MemoryStorage::new();
    let open =
        || Runtime::builder().memory_cap(0).storage(store.clone()).code_identity("test").try_build().unwrap();
    for x in [42, 43, 55, 42, 61] {
        let runtime = open();
        for x in [x, x + 1, x + 20] {
            let (input, other) = inputs(&runtime, x, 1);
            for _ in 0..2 {
                let expected = format!("{} {}", x / 10 + 1, x / 10);
                assert_eq!(runtime.run(|| report(&input, &other)), expected);
            }
            runtime.flush().unwrap();
            runtime.run(|| ());
        }
    }
    take_ran();
}

#[task_fn(transient)]
fn pair(input: &Input<i64>) -> (i64, i64) {
    (input.get() / 10, input.get() % 10)
}

#[task_fn]
fn over_part(input: &Input<i64>) -> i64 {
    ran("over_part");
    pair::part(input, &(), |both, ()| both.0)
}

/// A part that was restored with the reads of its source in place of the source would select from these.
#[test]
fn a_part_of_a_transient_task_is_no_transient_task() {
    on_each_store(|open| {
        for x in [42, 42, 43, 57] {
            let runtime = open();
            let input = runtime.input_or_set("x", x).unwrap();
            assert_eq!(runtime.run(|| over_part(&input)), x / 10);
            for x in [x + 1, x + 10, x] {
                runtime.update(|update| update.set(&input, x)).unwrap();
                assert_eq!(runtime.run(|| over_part(&input)), x / 10);
            }
        }
        take_ran();
    });
}

#[task_fn]
fn first_over(input: &Input<i64>) -> usize {
    ran("first_over");
    tree(input).0.len()
}

#[task_fn]
fn second_over(input: &Input<i64>) -> usize {
    ran("second_over");
    first_over(input)
}

#[task_fn]
fn third_over(input: &Input<i64>) -> usize {
    ran("third_over");
    second_over(input)
}

/// `third_over` was found current by `tree`, which nothing stores, past the two tasks between: the records of these had read what is not so any more, and its
/// own was given up.
#[test]
fn tasks_that_are_passed_over_on_the_way_to_a_transient_one_are_stored_as_they_are_now() {
    on_each_store(|open| {
        let runtime = open();
        let input = runtime.input("x", 42);
        assert_eq!(runtime.run(|| third_over(&input)), 4);
        assert_eq!(take_ran(), ["first_over", "second_over", "third_over", "tree"]);
        runtime.update(|update| update.set(&input, 43)).unwrap();
        assert_eq!(runtime.run(|| third_over(&input)), 4);
        assert_eq!(take_ran(), ["tree"]);
        drop((input, runtime));
        let runtime = open();
        let input = runtime.input_or_set("x", 43).unwrap();
        assert_eq!(runtime.run(|| third_over(&input)), 4);
        assert_eq!(take_ran(), [""; 0]);
        runtime.update(|update| update.set(&input, 52)).unwrap();
        assert_eq!(runtime.run(|| third_over(&input)), 5);
        take_ran();
        runtime.update(|update| update.set(&input, 43)).unwrap();
        assert_eq!(runtime.run(|| third_over(&input)), 4);
        assert_eq!(take_ran(), ["tree"], "memory has no value of it for an earlier state");
    });
}
