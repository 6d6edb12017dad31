//! Runs that are not stored, and why.

use super::*;

#[task_fn(transient, ttl = std::time::Duration::from_secs(3600))]
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
            let ways: Vec<_> = storage.unstored.iter().map(|unstored| unstored.way.join(" -> ")).collect();
            let way = "reads_transient(1) -> in_memory(1)";
            assert_eq!(ways, [format!("reads_the_reader(1) -> {way}"), way.to_owned()]);
            assert!(storage.to_string().contains(&format!("it read something that is not stored: {way}")));
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

#[task_fn(transient)]
fn between(x: u32) -> u32 {
    always(x)
}

#[task_fn]
fn over_between(x: u32) -> u32 {
    between(x) + longest("a").len() as u32
}

#[task_fn]
fn chain(left: u32, text: &str) -> u32 {
    if left == 0 { always(0) } else { chain(left - 1, text) + 1 }
}

#[task_fn]
fn collecting(x: u32) -> usize {
    between(x);
    longest::collect::<String>("a").len()
}

#[test]
fn the_way_to_what_is_not_stored_leads_through_transient_tasks_and_is_bounded() {
    let way_of = |runtime: &Runtime, name: &str| {
        let unstored = runtime.stats().storage.unwrap().unstored;
        unstored.into_iter().find(|unstored| unstored.path.ends_with(name)).unwrap().way
    };
    let runtime = open(&MemoryStorage::new());
    runtime.run(|| (over_between(1), over_between(2)));
    assert_eq!(way_of(&runtime, "::over_between"), ["over_between(1)", "between(1)", "always(1)"]);
    // A fault of the task itself has no way.
    assert_eq!(way_of(&runtime, "::always"), ["always(1)"]);
    runtime.run(|| collecting(1));
    assert_eq!(way_of(&runtime, "::collecting")[0], "collecting(1)");
    // Of the first run: that of the innermost one.
    runtime.run(|| chain(30, "x"));
    assert_eq!(way_of(&runtime, "::chain").len(), 2);

    let runtime = open(&MemoryStorage::new());
    let text = "\u{e4}".repeat(100_000);
    let ask = |left: u32| runtime.run(|| chain(left, &text));
    ask(0);
    for unstored in runtime.stats().storage.unwrap().unstored {
        assert!(unstored.way.iter().all(|name| name.len() <= 200), "{unstored:?}");
    }
    take_ran();
}

/// A long chain whose tasks become unstored when all of them have been stored already: the way is long, and is cut short.
#[test]
fn a_long_way_is_cut_in_the_middle() {
    #[task_fn]
    fn switched(switch: &Input<bool>) -> u32 {
        if switch.get() { always(1) } else { 1 }
    }
    #[task_fn]
    fn link(left: u32, switch: &Input<bool>) -> u32 {
        if left == 0 { switched(switch) } else { link(left - 1, switch) }
    }
    #[task_fn]
    fn top(switch: &Input<bool>) -> u32 {
        link(30, switch)
    }
    let runtime = open(&MemoryStorage::new());
    let switch = runtime.input("switch", true);
    assert_eq!(runtime.run(|| top(&switch)), 1);
    let unstored = runtime.stats().storage.unwrap().unstored;
    let way = &unstored.iter().find(|unstored| unstored.path.ends_with("::top")).unwrap().way;
    assert_eq!(way.len(), 10);
    assert!(way[1].starts_with("link(30, "), "{way:?}");
    assert_eq!(way[5], "(and 25 more)");
    assert_eq!(way[9], "always(1)");
    take_ran();
}
