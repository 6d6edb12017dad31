//! `InputMap`: its entries one by one, all of them, and over restarts.

use std::collections::BTreeMap;
use std::sync::Barrier;

use larder::collections::Transient;
use larder::storage::MemoryStorage;
use larder::{InputMap, Runtime, task_fn};

use super::{most_bodies, over, runs_of};

type Map = InputMap<String, u64>;

fn key(number: u64) -> String {
    format!("key {number}")
}

fn filled(runtime: &Runtime, n: u64) -> Map {
    let map = runtime.input_map("map");
    runtime.update(|update| map.extend(update, (0..n).map(|n| (key(n), n)))).expect("no session is open");
    map
}

#[task_fn]
fn sum(map: &Map) -> u64 {
    map.fold(0, |_, value| *value, |a, b| a + b)
}

#[task_fn]
fn length(map: &Map) -> usize {
    map.len()
}

#[task_fn]
fn value(map: &Map, key: &str) -> Option<u64> {
    map.get(key)
}

#[task_fn]
fn sorted_keys(map: &Map) -> Vec<String> {
    let mut keys = map.keys();
    keys.sort();
    keys
}

#[test]
fn entries_are_put_in_and_taken_out_as_of_a_hash_map() {
    let runtime = Runtime::new();
    let map: Map = runtime.input_map("map");
    let edit = |key: &str, value: Option<u64>| {
        let change = |update: &mut larder::Update| match value {
            Some(value) => map.insert(update, key.to_owned(), value),
            None => map.remove(update, key),
        };
        runtime.update(change).unwrap()
    };
    assert_eq!(
        runtime.run(|| (map.len(), map.is_empty(), map.get("a"), map.keys())),
        (0, true, None, vec![])
    );
    assert_eq!(edit("a", Some(1)), None);
    assert_eq!(edit("a", Some(2)), Some(1));
    assert_eq!(edit("b", None), None);
    assert_eq!(edit("b", Some(3)), None);
    assert_eq!(runtime.run(|| (map.len(), map.get("a"), map.contains_key("b"))), (2, Some(2), true));
    assert_eq!(edit("a", None), Some(2));
    assert_eq!(runtime.run(|| map.entries()), [("b".to_owned(), 3)]);
    // In one update, what was set before in it counts.
    let all = runtime.update(|update| {
        let all =
            [map.insert(update, "c".into(), 4), map.insert(update, "c".into(), 5), map.remove(update, "c")];
        map.clear(update);
        (all, map.insert(update, "b".into(), 6))
    });
    assert_eq!(all.unwrap(), ([None, Some(4), Some(5)], None));
    assert_eq!(runtime.run(|| map.entries()), [("b".to_owned(), 6)]);
    assert_eq!(runtime.input_map::<String, u64>("map"), map);
}

#[test]
fn an_update_that_panics_changes_nothing() {
    let runtime = Runtime::new();
    let map = filled(&runtime, 20);
    let before = runtime.run(|| (map.entries(), sum(&map)));
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.update(|update| {
            map.extend(update, (0..100).map(|n| (key(n), 1000)));
            panic!("in the middle");
        })
    }));
    assert!(failed.is_err());
    assert_eq!(runtime.run(|| (map.entries(), sum(&map))), before);
    runtime.update(|update| map.extend(update, (20..100).map(|n| (key(n), n)))).unwrap();
    assert_eq!(runtime.run(|| (map.len(), sum(&map))), (100, 4950));
}

#[test]
fn a_reader_of_an_entry_depends_on_it_alone() {
    let runtime = Runtime::new();
    let map = filled(&runtime, 1000);
    let of = |name: &str| runtime.stats().get(name).map_or(0, |function| function.runs);
    runtime.run(|| (value(&map, "key 1"), value(&map, "key 2"), value(&map, "none"), value(&map, "later")));
    for n in (0..1000).filter(|n| ![1, 2].contains(n)) {
        runtime.update(|update| map.insert(update, key(n), n + 1)).unwrap();
    }
    runtime.update(|update| map.extend(update, (2000..4000).map(|n| (key(n), n)))).unwrap();
    runtime.run(|| (value(&map, "key 1"), value(&map, "key 2"), value(&map, "none"), value(&map, "later")));
    assert_eq!(of("value"), 4);
    runtime.update(|update| map.insert(update, "later".into(), 7)).unwrap();
    runtime.update(|update| map.remove(update, "key 2")).unwrap();
    assert_eq!(
        runtime.run(|| [value(&map, "key 2"), value(&map, "later"), value(&map, "none")]),
        [None, Some(7), None]
    );
    assert_eq!(of("value"), 6);
}

#[test]
fn a_changed_entry_runs_the_tasks_on_the_way_to_it() {
    for n in [1, 30, 1000, 40_000] {
        let runtime = Runtime::new();
        let map = filled(&runtime, n);
        runtime.run(|| (sum(&map), length(&map), sorted_keys(&map)));
        for (round, at) in (1..).zip([0, n / 2, n - 1]) {
            let old = runtime.update(|update| map.insert(update, key(at), n + round)).unwrap();
            assert!(old.is_some());
            let (_, runs) = runs_of(&runtime, || sum(&map));
            assert!(runs <= most_bodies(n as usize) + 1, "{runs} bodies for one of {n}");
            // A task that looks at no value looks at the list, and ends there.
            assert_eq!(runs_of(&runtime, || length(&map)), (n as usize, 1));
            let before = runtime.stats().get("sorted_keys").map(|function| function.runs);
            assert!(runs_of(&runtime, || sorted_keys(&map)).1 <= 2);
            assert_eq!(runtime.stats().get("sorted_keys").map(|function| function.runs), before);
            // An equal value is no change.
            runtime.update(|update| map.insert(update, key(at), n + round)).unwrap();
            assert_eq!(runs_of(&runtime, || (sum(&map), length(&map))).1, 0);
        }
    }
}

#[test]
fn a_map_follows_from_its_entries_and_not_from_their_history() {
    let runtime = Runtime::new();
    let straight = filled(&runtime, 500);
    let crooked: Map = runtime.input_map("crooked");
    runtime.update(|update| crooked.extend(update, (0..5000).map(|n| (key(n), 0)))).unwrap();
    for n in 500..5000 {
        runtime.update(|update| crooked.remove(update, &key(n))).unwrap();
    }
    for n in (0..500).rev() {
        runtime.update(|update| crooked.insert(update, key(n), n)).unwrap();
    }
    assert!(runtime.run(|| straight.entries() == crooked.entries()));
    runtime.update(|update| crooked.clear(update)).unwrap();
    assert!(runtime.run(|| crooked.is_empty() && crooked.entries().is_empty()));
}

#[test]
fn a_later_process_runs_what_has_changed() {
    const N: u64 = 2000;
    #[task_fn]
    fn all(map: &Map) -> (u64, usize, Option<u64>, Vec<String>) {
        (sum(map), length(map), value(map, "key 77"), sorted_keys(map))
    }
    let store = MemoryStorage::new();
    let before = over(&store);
    let map = filled(&before, N);
    let expected = before.run(|| all(&map));
    drop((map, before));

    let unchanged = over(&store);
    let map = filled(&unchanged, N);
    assert_eq!(runs_of(&unchanged, || all(&map)), (expected, 0));
    drop((map, unchanged));

    let changed = over(&store);
    let map = filled(&changed, N);
    changed.update(|update| map.insert(update, "key 77".into(), 0)).unwrap();
    let (result, runs) = runs_of(&changed, || all(&map));
    assert_eq!((result.0, result.1, result.2), (N * (N - 1) / 2 - 77, N as usize, Some(0)));
    // The tasks of a fold and of `get`, the list of `len` and of `keys`, and the four functions here.
    assert!(runs <= most_bodies(N as usize) + 8, "{runs} bodies");
}

#[test]
fn a_transient_map_takes_any_types() {
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Name(&'static str);
    #[derive(Clone, PartialEq)]
    struct Page(f64);
    let runtime = over(&MemoryStorage::new());
    let map: InputMap<Name, Page, Transient> = runtime.transient_input_map("pages");
    runtime.update(|update| map.insert(update, Name("a"), Page(1.5))).unwrap();
    let sum = || map.fold(0.0, |_, page| page.0, |a, b| a + b);
    assert!(runtime.run(|| map.get(&Name("a")) == Some(Page(1.5)) && sum() == 1.5 && map.keys().len() == 1));
}

#[test]
fn a_map_can_be_iterated_into_another_collection() {
    let runtime = Runtime::new();
    let map = filled(&runtime, 100);
    let sorted: BTreeMap<String, u64> = runtime.run(|| map.entries()).into_iter().collect();
    assert!(sorted.keys().cloned().eq(runtime.run(|| sorted_keys(&map))));
    assert_eq!(sorted.len(), 100);
}

#[test]
fn two_threads_share_the_tasks_of_a_map() {
    let runtime = Runtime::new();
    let map = filled(&runtime, 3000);
    let together = Barrier::new(2);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for n in 0..20 {
                    together.wait();
                    let counts =
                        runtime.run(|| (sum(&map), length(&map), map.view().group_by(|_, value| value % 7)));
                    let groups = counts.2.fold(|_, value| *value, |a, b| a + b);
                    let of_groups = runtime.run(|| groups.entries().iter().map(|(_, sum)| sum).sum::<u64>());
                    assert_eq!((counts.1, counts.0), (3000, of_groups));
                    if together.wait().is_leader() {
                        runtime.update(|update| map.insert(update, key(n * 100), n)).unwrap();
                    }
                }
            });
        }
    });
}
