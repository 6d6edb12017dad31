//! Views of maps against the same over a `BTreeMap`, after random edits, over restarts and caps.

use std::collections::BTreeMap;

use larder::collections::{Rows, Transient};
use larder::storage::MemoryStorage;
use larder::{InputMap, Runtime, TaskMap, task_fn};
use proptest::prelude::*;

use super::{most_bodies, over, runs_of};

type Map = InputMap<u32, u64>;
type Plain = BTreeMap<u32, u64>;

#[task_fn]
fn half(value: u64) -> u64 {
    value / 2
}

fn halves(map: &Map) -> TaskMap<impl Rows<u32, u64> + use<>> {
    map.view().map_values(|_, value| half(*value)).filter(|_, half| half % 3 != 0)
}

/// The values of keys that one of two maps has, and the differences where both do, but for those that are 1.
fn joined(one: &Map, other: &Map) -> TaskMap<impl Rows<u32, u64> + use<>> {
    one.view().merge(&other.view(), |_, one, other| match (one, other) {
        (Some(one), Some(other)) => Some(one.abs_diff(*other)).filter(|difference| *difference != 1),
        (one, other) => one.or(other).copied(),
    })
}

fn by_tens(map: &Map) -> TaskMap<impl Rows<u64, (usize, u64)> + use<>, Transient> {
    map.view().group_by(|_, value| value / 10).fold(|_, value| (1, *value), |a, b| (a.0 + b.0, a.1.max(b.1)))
}

#[task_fn]
fn sum_of_halves(map: &Map) -> (usize, u64) {
    let halves = halves(map);
    (halves.len(), halves.fold(0, |_, half| *half, |a, b| a + b))
}

#[task_fn]
fn sum_of_joined(one: &Map, other: &Map) -> (u64, Vec<u32>) {
    let joined = joined(one, other);
    let mut keys = joined.keys();
    keys.sort_unstable();
    (joined.fold(0, |_, value| *value, |a, b| a + b), keys)
}

/// The number of groups, the largest value of all, and the rows of the first group.
#[task_fn(transient)]
fn groups(map: &Map) -> (usize, u64, Option<(usize, u64)>) {
    let groups = by_tens(map);
    (groups.len(), groups.fold(0, |_, group| group.1, u64::max), groups.get(&0))
}

#[task_fn]
fn value_of_half(map: &Map, key: u32) -> Option<u64> {
    halves(map).get(&key)
}

fn plain_halves(map: &Plain) -> Plain {
    map.iter().map(|(key, value)| (*key, value / 2)).filter(|(_, half)| half % 3 != 0).collect()
}

fn plain_joined(one: &Plain, other: &Plain) -> Plain {
    let keys = one.keys().chain(other.keys());
    keys.filter_map(|key| match (one.get(key), other.get(key)) {
        (Some(one), Some(other)) => {
            Some((*key, one.abs_diff(*other))).filter(|(_, difference)| *difference != 1)
        }
        (one, other) => Some((*key, *one.or(other)?)),
    })
    .collect()
}

fn plain_groups(map: &Plain) -> BTreeMap<u64, (usize, u64)> {
    let mut groups = BTreeMap::new();
    for value in map.values() {
        let group: &mut (usize, u64) = groups.entry(value / 10).or_default();
        *group = (group.0 + 1, group.1.max(*value));
    }
    groups
}

/// Asks for everything, and compares.
fn check(runtime: &Runtime, maps: &[Map; 2], plain: &[Plain; 2]) {
    let [one, other] = maps;
    runtime.run(|| {
        let expected = plain_halves(&plain[0]);
        assert_eq!(sum_of_halves(one), (expected.len(), expected.values().sum()));
        for key in [0, 1, 50] {
            assert_eq!(value_of_half(one, key), expected.get(&key).copied());
        }
        let expected = plain_joined(&plain[0], &plain[1]);
        let keys = expected.keys().copied().collect();
        assert_eq!(sum_of_joined(one, other), (expected.values().sum(), keys));
        assert_eq!(joined(one, other).entries().into_iter().collect::<Plain>(), expected);
        for map in 0..2 {
            let expected = plain_groups(&plain[map]);
            let largest = expected.values().map(|group| group.1).max().unwrap_or(0);
            assert_eq!(groups(&maps[map]), (expected.len(), largest, expected.get(&0).copied()));
            let groups = maps[map].view().group_by(|_, value| value / 10);
            let results = groups.fold(|_, value| (1, *value), |a, b| (a.0 + b.0, a.1.max(b.1))).results();
            assert_eq!((results.len(), results.get(&1)), (expected.len(), expected.get(&1)));
            results.for_each(|group, result| assert_eq!(expected.get(group), Some(result)));
            assert_eq!(by_tens(&maps[map]).entries().into_iter().collect::<BTreeMap<_, _>>(), expected);
        }
        assert!(one.entries().into_iter().collect::<Plain>() == plain[0]);
        assert_eq!((one.len(), other.get(&7)), (plain[0].len(), plain[1].get(&7).copied()));
    });
}

#[derive(Clone, Debug)]
enum Edit {
    Insert(usize, u32, u64),
    Remove(usize, u32),
    /// Many entries at once: lists are divided, and put together again.
    Fill(usize, u32),
    Clear(usize),
    Ask,
    Restart,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        6 => (0..2_usize, 0..200_u32, 0..300_u64).prop_map(|(map, key, value)| Edit::Insert(map, key, value)),
        6 => (0..2_usize, 0..200_u32).prop_map(|(map, key)| Edit::Remove(map, key)),
        2 => (0..2_usize, 0..400_u32).prop_map(|(map, keys)| Edit::Fill(map, keys)),
        1 => (0..2_usize).prop_map(Edit::Clear),
        6 => Just(Edit::Ask),
        1 => Just(Edit::Restart),
    ];
    proptest::collection::vec(edit, 1..40)
}

fn apply(edit: &Edit, runtime: &Runtime, maps: &[Map; 2], plain: &mut [Plain; 2]) {
    let change = |update: &mut larder::Update| match *edit {
        Edit::Insert(map, key, value) => {
            assert_eq!(maps[map].insert(update, key, value), plain[map].insert(key, value));
        }
        Edit::Remove(map, key) => assert_eq!(maps[map].remove(update, &key), plain[map].remove(&key)),
        Edit::Fill(map, keys) => {
            let entries = (0..keys).map(|key| (key, u64::from(key * 7 % 400)));
            maps[map].extend(update, entries.clone());
            plain[map].extend(entries);
        }
        Edit::Clear(map) => {
            maps[map].clear(update);
            plain[map].clear();
        }
        Edit::Ask | Edit::Restart => {}
    };
    runtime.update(change).expect("no session is open");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn views_are_what_they_would_be_from_scratch(edits in edits(), cap in proptest::option::of(0..50_000_usize)) {
        let store = MemoryStorage::new();
        let start = |plain: &[Plain; 2]| {
            let builder = cap.into_iter().fold(Runtime::builder(), larder::Builder::memory_cap);
            let runtime = builder.storage(store.clone()).build();
            let maps: [Map; 2] = ["one", "other"].map(|name| runtime.input_map(name));
            runtime.update(|update| {
                for (map, plain) in maps.iter().zip(plain) {
                    map.extend(update, plain.clone());
                }
            }).unwrap();
            (runtime, maps)
        };
        let mut plain = [Plain::new(), Plain::new()];
        let mut process = Some(start(&plain));
        for edit in edits.into_iter().chain([Edit::Ask, Edit::Restart, Edit::Ask]) {
            let (runtime, maps) = process.as_ref().expect("a process runs");
            match edit {
                Edit::Ask => check(runtime, maps, &plain),
                Edit::Restart => {
                    // One after the other: they share the store.
                    drop(process.take());
                    process = Some(start(&plain));
                }
                edit => apply(&edit, runtime, maps, &mut plain),
            }
        }
    }
}

fn filled(runtime: &Runtime, name: &str, n: u32) -> Map {
    let map = runtime.input_map(name);
    runtime
        .update(|update| map.extend(update, (0..n).map(|n| (n, u64::from(n) * 2))))
        .expect("no session is open");
    map
}

#[test]
fn a_changed_row_costs_a_view_what_it_costs_its_source() {
    const N: u32 = 20_000;
    let runtime = Runtime::new();
    let (one, other) = (filled(&runtime, "one", N), filled(&runtime, "other", N / 50));
    let ask = || (sum_of_halves(&one), sum_of_joined(&one, &other).0);
    runtime.run(ask);
    for at in [0, 777, N - 1] {
        runtime.update(|update| one.insert(update, at, 1_000_006)).unwrap();
        let (_, runs) = runs_of(&runtime, || sum_of_halves(&one));
        // The two folds, `half` and `sum_of_halves`.
        assert!(runs <= 2 * most_bodies(N as usize) + 2, "{runs} bodies");
        runtime.run(ask);
    }
}

#[test]
fn a_row_that_moves_to_another_group_runs_the_tasks_above_it() {
    const N: u32 = 20_000;
    #[task_fn(transient)]
    fn group(map: &Map, group: u64) -> Option<(usize, u64)> {
        by_tens(map).get(&group)
    }
    let runtime = Runtime::new();
    let map = filled(&runtime, "map", N);
    assert_eq!(
        runtime.run(|| (group(&map, 0), group(&map, 1), group(&map, 2))),
        (Some((5, 8)), Some((5, 18)), Some((5, 28)))
    );
    runtime.update(|update| map.insert(update, 0, 19)).unwrap();
    let (result, runs) = runs_of(&runtime, || (group(&map, 0), group(&map, 1), group(&map, 2)));
    assert_eq!(result, (Some((4, 8)), Some((6, 19)), Some((5, 28))));
    // The tasks of the groups; three of `get`, with two each on the way to them; and `group` for the two that have changed.
    assert!(runs <= most_bodies(N as usize) + 11, "{runs} bodies");
}

#[test]
fn a_fold_of_a_view_survives_the_process() {
    let store = MemoryStorage::new();
    let mut expected = None;
    for process in 0..2 {
        let runtime = over(&store);
        let (one, other) = (filled(&runtime, "one", 3000), filled(&runtime, "other", 200));
        let (result, runs) = runs_of(&runtime, || (sum_of_halves(&one), sum_of_joined(&one, &other)));
        assert_eq!(runs == 0, process == 1);
        assert_eq!(*expected.get_or_insert_with(|| result.clone()), result);
    }
}

#[test]
fn a_view_of_types_without_serde_is_transient() {
    #[derive(Clone, PartialEq)]
    struct Wide(u64);
    let runtime = Runtime::new();
    let map = filled(&runtime, "map", 100);
    let wide = map.view().transient().map_values(|_, value| Wide(*value));
    let most =
        runtime.run(|| wide.fold(Wide(0), |_, wide| wide.clone(), |a, b| if a.0 < b.0 { b } else { a }));
    assert!(most == Wide(198) && runtime.run(|| wide.get(&3)) == Some(Wide(6)));
}
