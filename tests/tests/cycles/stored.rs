//! Components in a store: members come back together or not at all, and what reads them is stored like anything else.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use larder::storage::{BackingStorage, RedbStorage, Table, Visit};
use larder_storage::Batch;

use super::*;

pub(super) fn open(store: &(impl BackingStorage + Clone)) -> Runtime {
    open_as("cycles", store)
}

fn open_as(code: &str, store: &(impl BackingStorage + Clone)) -> Runtime {
    Runtime::builder().storage(store.clone()).code_identity(code).try_build().unwrap()
}

pub(super) fn all_runs(runtime: &Runtime) -> u64 {
    runtime.stats().functions.iter().map(|function| function.runs).sum()
}

fn inputs(runtime: &Runtime, x: u32, y: u32) -> (Input<u32>, Input<u32>) {
    (runtime.input_or_set("x", x).unwrap(), runtime.input_or_set("y", y).unwrap())
}

/// Grows to what `x` allows, by steps of `y`.
#[task_fn(cycle_initial = 0, cycle_rounds = 100)]
fn climbs(x: &Input<u32>, y: &Input<u32>) -> u32 {
    rests(x, y).min(x.get())
}

#[task_fn]
fn rests(x: &Input<u32>, y: &Input<u32>) -> u32 {
    climbs(x, y) + step(y)
}

#[task_fn]
fn step(y: &Input<u32>) -> u32 {
    y.get().min(3)
}

#[task_fn]
fn tells_height(x: &Input<u32>, y: &Input<u32>) -> String {
    format!("{}", climbs(x, y))
}

fn is_member_function(name: &str) -> bool {
    matches!(name, "climbs" | "rests")
}

fn member_runs(runtime: &Runtime) -> u64 {
    let functions = runtime.stats().functions;
    functions.iter().filter(|function| is_member_function(function.name)).map(|function| function.runs).sum()
}

#[test]
fn nothing_of_a_cycle_or_above_it_runs_in_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    for (run, order) in [[0, 1, 2], [2, 1, 0], [1, 0, 2]].into_iter().enumerate() {
        let store = RedbStorage::open(&path).unwrap();
        let runtime = Runtime::builder().storage(store).code_identity("cycles").try_build().unwrap();
        let (x, y) = inputs(&runtime, 10, 3);
        for which in order {
            runtime.run(|| match which {
                0 => assert_eq!(climbs(&x, &y), 10),
                1 => assert_eq!(rests(&x, &y), 13),
                _ => assert_eq!(tells_height(&x, &y), "10"),
            });
        }
        assert_eq!(all_runs(&runtime) == 0, run > 0, "run {run}");
        let storage = runtime.stats().storage.unwrap();
        assert_eq!(storage.unstored_runs(), 0, "{:?}", storage.unstored);
    }
}

#[test]
fn a_changed_read_of_one_member_computes_the_whole_from_its_initial_values() {
    let store = MemoryStorage::new();
    {
        let runtime = open(&store);
        let (x, y) = inputs(&runtime, 10, 3);
        assert_eq!(runtime.run(|| tells_height(&x, &y)), "10");
    }
    // Lower: from the values before, it would stay where it is.
    let runtime = open(&store);
    let (x, y) = inputs(&runtime, 10, 0);
    assert_eq!(runtime.run(|| (tells_height(&x, &y), rests(&x, &y))), ("0".to_owned(), 0));
    assert!(member_runs(&runtime) > 0);
    drop(runtime);
    // Back: nothing runs.
    let runtime = open(&store);
    let (x, y) = inputs(&runtime, 10, 3);
    assert_eq!(runtime.run(|| (rests(&x, &y), tells_height(&x, &y))), (13, "10".to_owned()));
    assert_eq!(all_runs(&runtime), 0);
}

#[test]
fn early_cutoff_works_below_and_above_a_component() {
    let store = MemoryStorage::new();
    let ask = |x, y, expected: &str| {
        let runtime = open(&store);
        let (x, y) = inputs(&runtime, x, y);
        assert_eq!(runtime.run(|| tells_height(&x, &y)), expected);
        (runs_of(&runtime, "step"), member_runs(&runtime), runs_of(&runtime, "tells_height"))
    };
    ask(10, 3, "10");
    // `step` runs, and is what it was: the component holds.
    assert_eq!(ask(10, 4, "10"), (1, 0, 0));
    // The component runs, and `climbs` comes to what it was: what reads it holds.
    let (steps, members, above) = ask(10, 2, "10");
    assert_eq!((steps, above), (1, 0));
    assert!(members > 0);
}

#[test]
fn back_in_an_earlier_state_of_one_process_no_body_runs() {
    let runtime = open(&MemoryStorage::new());
    let (x, y) = inputs(&runtime, 10, 3);
    let ask = || runtime.run(|| (tells_height(&x, &y), rests(&x, &y)));
    let before = ask();
    for _ in 0..3 {
        runtime.update(|update| update.set(&y, 1)).unwrap();
        assert_eq!(ask(), ("10".to_owned(), 11));
        let runs = all_runs(&runtime);
        runtime.update(|update| update.set(&y, 3)).unwrap();
        assert_eq!(ask(), before);
        runtime.update(|update| update.set(&y, 1)).unwrap();
        assert_eq!(ask(), ("10".to_owned(), 11));
        assert_eq!(all_runs(&runtime), runs);
        runtime.update(|update| update.set(&y, 3)).unwrap();
    }
}

// ---- fallbacks: a member alone says something else than the component ----

#[task_fn(cycle_fallback = 0)]
fn left(x: &Input<u32>) -> u32 {
    right(x) * 10 + 5
}

#[task_fn(cycle_fallback = 0)]
fn right(x: &Input<u32>) -> u32 {
    if x.get() == 0 { 7 } else { left(x) + 1 }
}

#[task_fn(cycle_initial = 1, cycle_step = |previous: &u32, new: u32, _| (previous + new).min(40))]
fn adds_up(x: &Input<u32>) -> u32 {
    let around = if x.get() == 0 { 0 } else { adds_through(x) };
    around + 1
}

#[task_fn]
fn adds_through(x: &Input<u32>) -> u32 {
    adds_up(x)
}

#[task_fn]
fn above(x: &Input<u32>) -> (u32, u32) {
    (left(x) + 100, adds_up(x))
}

type Answers = (u32, u32, u32, u32, (u32, u32));

fn ask_all(runtime: &Runtime, first: usize, x: &Input<u32>) -> Answers {
    runtime.run(|| {
        let calls: [fn(&Input<u32>) -> u32; 5] = [left, right, adds_up, adds_through, |x| above(x).0];
        calls[first](x);
        (left(x), right(x), adds_up(x), adds_through(x), above(x))
    })
}

fn from_scratch(x: u32) -> Answers {
    let runtime = Runtime::new();
    ask_all(&runtime, 0, &runtime.input("x", x))
}

#[test]
fn members_that_fall_back_or_step_come_back_as_such() {
    let store = MemoryStorage::new();
    let (closed, apart) = (from_scratch(1), from_scratch(0));
    assert_eq!((closed.0, closed.1, apart.0, apart.1), (0, 0, 75, 7));
    for (run, x) in [1, 1, 0, 1, 0, 0, 1].into_iter().enumerate() {
        for first in 0..5 {
            let runtime = open(&store);
            let input = runtime.input_or_set("x", x).unwrap();
            assert_eq!(ask_all(&runtime, first, &input), if x == 0 { apart } else { closed });
            let is_new = first == 0 && (run == 0 || run == 2);
            assert_eq!(all_runs(&runtime) > 0, is_new, "run {run}, {first} first");
        }
    }
}

#[task_fn(cycle_fallback = 0)]
fn falls(x: &Input<u32>) -> u32 {
    if x.get() == 0 { 0 } else { reads_falls(x) + 5 }
}

#[task_fn(cycle_fallback = 0)]
fn reads_falls(x: &Input<u32>) -> u32 {
    falls(x) + 7
}

#[task_fn]
fn over_falls(x: &Input<u32>) -> u32 {
    reads_falls(x)
}

/// By itself, `reads_falls` has read 0 and is 7. On the cycle it would read 0 just so.
#[test]
fn a_run_by_itself_does_not_hold_when_what_it_read_has_the_same_value_on_a_cycle() {
    let calls: [fn(&Input<u32>) -> u32; 3] = [falls, reads_falls, over_falls];
    for asked in 0..3 {
        for last in 0..3 {
            let store = MemoryStorage::new();
            for (x, which) in [(1, 1), (0, asked), (1, 0), (1, last), (0, last), (1, asked)] {
                let runtime = open(&store);
                let input = runtime.input_or_set("x", x).unwrap();
                let expected = if x == 0 { [0, 7, 7] } else { [0, 0, 0] };
                assert_eq!(runtime.run(|| calls[which](&input)), expected[which], "{x}: {which}");
            }
            let runtime = open(&store);
            let input = runtime.input_or_set("x", 1).unwrap();
            for x in [1, 0, 1] {
                runtime.update(|update| update.set(&input, x)).unwrap();
                let expected = if x == 0 { [0, 7, 7] } else { [0, 0, 0] };
                for which in [asked, last, 0, 1, 2] {
                    assert_eq!(
                        runtime.run(|| calls[which](&input)),
                        expected[which],
                        "{x}: {which} {asked} {last}"
                    );
                }
            }
        }
    }
}

/// All records of a store but one.
fn without(store: &MemoryStorage, table: Table, key: &[u8]) -> MemoryStorage {
    let (copy, mut batch) = (MemoryStorage::new(), Batch::new());
    for each in Table::ALL {
        let mut put = |found: &[u8], value: &[u8]| {
            if (each, found) != (table, key) {
                batch.put(each, found, value);
            }
            Visit::Continue
        };
        store.scan(each, &[], &mut put).unwrap();
    }
    copy.commit(batch.writes()).unwrap();
    copy
}

fn keys(store: &MemoryStorage) -> Vec<(Table, Vec<u8>)> {
    let mut keys = Vec::new();
    for table in Table::ALL {
        let mut note = |key: &[u8], _: &[u8]| {
            keys.push((table, key.to_vec()));
            Visit::Continue
        };
        store.scan(table, &[], &mut note).unwrap();
    }
    keys
}

/// A store in which some tasks have been on cycles and off them.
fn moved_about() -> MemoryStorage {
    let store = MemoryStorage::new();
    for x in [1, 0, 2, 0, 1] {
        let runtime = open(&store);
        let input = runtime.input_or_set("x", x).unwrap();
        ask_all(&runtime, 0, &input);
        let (x, y) = (runtime.input_or_set("a", 4 + x).unwrap(), runtime.input_or_set("b", 1).unwrap());
        runtime.run(|| tells_height(&x, &y));
    }
    store
}

#[test]
fn whichever_record_is_lost_no_member_is_taken_for_a_task_by_itself() {
    let store = moved_about();
    let expected = [from_scratch(0), from_scratch(1)];
    for (table, key) in keys(&store) {
        for first in 0..5 {
            for x in [1, 0] {
                let runtime = open(&without(&store, table, &key));
                let input = runtime.input_or_set("x", x).unwrap();
                let answers = ask_all(&runtime, first, &input);
                assert_eq!(
                    answers, expected[x as usize],
                    "without {table:?} {key:x?}, {first} first, x = {x}"
                );
            }
        }
    }
}

#[test]
fn a_member_that_is_forgotten_takes_the_others_with_it() {
    for forgotten in 0..2 {
        let store = MemoryStorage::new();
        for (run, first) in [0, 1, 0, 1].into_iter().enumerate() {
            let runtime = open(&store);
            let x = runtime.input_or_set("x", 1).unwrap();
            assert_eq!(ask_all(&runtime, first, &x), from_scratch(1));
            assert_eq!(all_runs(&runtime) > 0, run != 1, "run {run}");
            if run > 0 {
                // Alone in memory with its component, and in the store with it.
                assert!(runtime.run(|| if forgotten == 0 { left::forget(&x) } else { right::forget(&x) }));
                let runs = all_runs(&runtime);
                assert_eq!(ask_all(&runtime, 1 - first, &x), from_scratch(1));
                assert!(all_runs(&runtime) > runs, "what is forgotten runs again");
                assert!(runtime.run(|| if forgotten == 0 { left::forget(&x) } else { right::forget(&x) }));
                runtime.update(|_| ()).unwrap();
            }
        }
    }
}

#[test]
fn a_member_that_is_invalidated_makes_the_others_and_their_readers_look_again() {
    for asks_first in [false, true] {
        for which in 0..2 {
            let store = MemoryStorage::new();
            {
                let runtime = open(&store);
                let x = runtime.input_or_set("x", 1).unwrap();
                ask_all(&runtime, 0, &x);
            }
            let runtime = open(&store);
            let x = runtime.input_or_set("x", 1).unwrap();
            if asks_first {
                ask_all(&runtime, which, &x);
                assert_eq!(all_runs(&runtime), 0);
            }
            let task = runtime.run(|| if which == 0 { left::task(&x) } else { right::task(&x) });
            runtime.update(|update| update.invalidate(&task)).unwrap();
            assert_eq!(ask_all(&runtime, 1 - which, &x), from_scratch(1));
            assert_eq!(runs_of(&runtime, "left") + runs_of(&runtime, "right"), 2);
            assert_eq!(runs_of(&runtime, "above"), 0, "it reads what it has read");
        }
    }
}

#[test]
fn threads_that_enter_a_stored_component_at_once_restore_it() {
    for x in [1, 0] {
        let store = MemoryStorage::new();
        {
            let runtime = open(&store);
            let input = runtime.input_or_set("x", x).unwrap();
            ask_all(&runtime, 0, &input);
        }
        for _ in 0..50 {
            let runtime = open(&store);
            let input = runtime.input_or_set("x", x).unwrap();
            let barrier = Barrier::new(4);
            std::thread::scope(|scope| {
                for first in 0..4 {
                    let (runtime, barrier, input) = (&runtime, &barrier, &input);
                    scope.spawn(move || {
                        barrier.wait();
                        assert_eq!(ask_all(runtime, first, input), from_scratch(x));
                    });
                }
            });
            assert_eq!(all_runs(&runtime), 0);
        }
    }
}

#[test]
fn another_build_computes_components_anew() {
    let store = MemoryStorage::new();
    for (code, runs) in [("one", true), ("two", true), ("two", false)] {
        let runtime = open_as(code, &store);
        let x = runtime.input_or_set("x", 1).unwrap();
        assert_eq!(ask_all(&runtime, 1, &x), from_scratch(1));
        assert_eq!(all_runs(&runtime) > 0, runs, "{code}");
    }
}

// ---- what is not stored ----

#[task_fn(transient, cycle_initial = 0)]
fn not_kept(x: &Input<u32>) -> u32 {
    kept(x).min(x.get())
}

#[task_fn]
fn kept(x: &Input<u32>) -> u32 {
    not_kept(x) + 1
}

#[task_fn]
fn over_kept(x: &Input<u32>) -> u32 {
    kept(x)
}

#[test]
fn a_component_with_a_transient_member_is_not_stored_and_says_so() {
    let store = MemoryStorage::new();
    for _ in 0..2 {
        let runtime = open(&store);
        let x = runtime.input_or_set("x", 3).unwrap();
        assert_eq!(runtime.run(|| over_kept(&x)), 4);
        let unstored = runtime.stats().storage.unwrap().unstored;
        let reason = |name| unstored.iter().find(|one| one.path.ends_with(name)).map(|one| one.reason);
        assert_eq!(
            (reason("::kept"), reason("::over_kept")),
            (Some(Reason::OnCycle), Some(Reason::ReadsUnstored))
        );
    }
}

// ---- wide, and emitting ----

#[task_fn]
fn one_of(sources: &[Input<u32>], number: usize) -> u32 {
    sources[number].get()
}

#[task_fn(cycle_initial = 0)]
fn most(sources: &[Input<u32>]) -> u32 {
    let largest = (0..sources.len()).map(|number| one_of(sources, number)).max().unwrap_or_default();
    largest.max(at_least(sources))
}

#[task_fn]
fn at_least(sources: &[Input<u32>]) -> u32 {
    most(sources)
}

#[test]
fn a_component_may_read_thousands_of_tasks() {
    let store = MemoryStorage::new();
    for run in 0..3 {
        let runtime = open(&store);
        let value = |number| if number == 7 && run == 2 { 5000 } else { number };
        let sources: Vec<_> = (0..1500)
            .map(|number| runtime.input_or_set(&format!("source{number}"), value(number)).unwrap())
            .collect();
        let expected = if run == 2 { 5000 } else { 1499 };
        assert_eq!(runtime.run(|| (at_least(&sources), most(&sources))), (expected, expected));
        assert_eq!(all_runs(&runtime) == 0, run == 1);
        assert_eq!(runs_of(&runtime, "one_of"), [1500, 0, 1][run as usize]);
    }
}

#[task_fn]
fn source_tells(x: &Input<u32>, n: u32) -> u32 {
    emit(1000 + n);
    x.get()
}

#[task_fn(cycle_initial = 0)]
fn tells_around(x: &Input<u32>, n: u32) -> u32 {
    let before = if n == 1 { source_tells(x, n) } else { 0 };
    let value = (tells_around(x, (n + 1) % 3) + 1).min(5) + before;
    let after = if n == 2 { source_tells(x, n) } else { 0 };
    emit(value * 10 + n);
    (value + after).min(6)
}

/// For whom memory tells in the order of reads, the store does.
#[test]
fn what_members_and_their_reads_emit_is_collected_in_order() {
    let store = MemoryStorage::new();
    let ask = |runtime: &Runtime, n| {
        let x = runtime.input_or_set("x", 0).unwrap();
        runtime.run(|| tells_around::collect::<u32>(&x, n))
    };
    let expected: Vec<_> = (0..3).map(|n| ask(&Runtime::new(), n)).collect();
    for (run, order) in [[0, 1, 2], [2, 0, 1], [1, 2, 0]].into_iter().enumerate() {
        let runtime = open(&store);
        for n in order {
            assert_eq!(ask(&runtime, n), expected[n as usize], "run {run}, {n}");
        }
        assert_eq!(all_runs(&runtime) == 0, run > 0);
    }
}
