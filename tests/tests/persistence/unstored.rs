//! Runs that are not stored, and why.

use super::*;

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
