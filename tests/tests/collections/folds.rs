//! `larder::fold` over keys.

use std::sync::Barrier;

use larder::storage::MemoryStorage;
use larder::{Input, Keys, Runtime, task_fn};
use proptest::prelude::*;

use super::{most_bodies, over, runs_of};

#[task_fn]
fn half(input: &Input<u64>) -> u64 {
    input.get() / 2
}

/// Not commutative: the first and the last number, and the sum of all.
type Span = Option<(u64, u64, u64)>;

fn join(one: Span, other: Span) -> Span {
    match (one, other) {
        (Some((first, _, one)), Some((_, last, other))) => Some((first, last, one + other)),
        (one, other) => one.or(other),
    }
}

fn span(input: &Input<u64>) -> Span {
    let half = half(input);
    Some((half, half, half))
}

#[task_fn]
fn in_order(keys: &Keys<Input<u64>>) -> Span {
    larder::fold(keys, None, span, join)
}

#[task_fn]
fn in_parallel(keys: &Keys<Input<u64>>) -> Span {
    larder::par_fold(keys, None, span, join)
}

#[task_fn(transient)]
fn in_memory(keys: &Keys<Input<u64>>) -> Span {
    larder::transient_fold(keys, None, span, join)
}

fn naive(values: &[u64]) -> Span {
    let halves = values.iter().map(|value| value / 2);
    values.first().map(|first| (first / 2, values[values.len() - 1] / 2, halves.sum()))
}

fn inputs(runtime: &Runtime, values: &[u64]) -> Vec<Input<u64>> {
    values.iter().enumerate().map(|(at, value)| runtime.input(&format!("input {at}"), *value)).collect()
}

#[test]
fn a_changed_key_runs_the_tasks_on_the_way_to_it() {
    for n in [1, 10, 32, 1000, 40_000] {
        let runtime = Runtime::new();
        let mut values: Vec<u64> = (0..n).map(|n| n as u64 * 2).collect();
        let inputs = inputs(&runtime, &values);
        let keys = Keys::from(&inputs);
        assert_eq!(runtime.run(|| in_order(&keys)), naive(&values));
        for at in [0, n / 3, n - 1] {
            values[at] += 2;
            runtime.update(|update| update.set(&inputs[at], values[at])).unwrap();
            let (result, runs) = runs_of(&runtime, || in_order(&keys));
            assert_eq!(result, naive(&values));
            // `half` and `in_order` are not the fold's.
            assert!(runs <= most_bodies(n) + 2, "{runs} bodies for one of {n}");
            // A change that makes no difference ends at `half`.
            runtime.update(|update| update.set(&inputs[at], values[at] + 1)).unwrap();
            assert_eq!(runs_of(&runtime, || in_order(&keys)), (result, 1));
        }
    }
}

#[test]
fn a_key_that_is_inserted_or_removed_moves_no_other() {
    #[task_fn]
    fn sum(keys: &Keys<u32>) -> u64 {
        larder::fold(keys, 0, |key| u64::from(*key), |a, b| a + b)
    }
    let runtime = Runtime::new();
    let mut keys: Vec<u32> = (0..30_000).map(|n| n * 2).collect();
    runtime.run(|| sum(&Keys::from(&keys)));
    let mut most = 0;
    for at in [0, 1, 9_999, 20_000, 29_000] {
        keys.insert(at, at as u32 * 2 + 1);
        let (result, inserted) = runs_of(&runtime, || sum(&Keys::from(&keys)));
        assert_eq!(result, keys.iter().copied().map(u64::from).sum::<u64>());
        keys.remove(at + 1);
        let (result, removed) = runs_of(&runtime, || sum(&Keys::from(&keys)));
        assert_eq!(result, keys.iter().copied().map(u64::from).sum::<u64>());
        most = most.max(inserted).max(removed);
    }
    // A list, perhaps cut in two, and so at each level above; and `sum`.
    assert!(most <= 2 * most_bodies(keys.len()) + 1, "{most} bodies");
}

#[test]
fn a_later_process_runs_what_has_changed() {
    let store = MemoryStorage::new();
    let mut values: Vec<u64> = (0..5000).map(|n| n * 2).collect();
    let before = over(&store);
    let keys = Keys::from(&inputs(&before, &values));
    before.run(|| (in_order(&keys), in_parallel(&keys)));
    drop(before);

    let unchanged = over(&store);
    let keys = Keys::from(&inputs(&unchanged, &values));
    let result = Some(naive(&values)).map(|span| (span, span)).expect("there are values");
    assert_eq!(runs_of(&unchanged, || (in_order(&keys), in_parallel(&keys))), (result, 0));
    drop(unchanged);

    values[1234] += 10;
    let changed = over(&store);
    let keys = Keys::from(&inputs(&changed, &values));
    let (result, runs) = runs_of(&changed, || in_order(&keys));
    assert_eq!(result, naive(&values));
    assert!(runs <= most_bodies(values.len()) + 2, "{runs} bodies");
}

#[test]
fn closures_in_one_function_are_different_folds() {
    #[task_fn]
    fn both(keys: &Keys<u64>) -> (u64, u64) {
        let sum = larder::fold(keys, 0, |key| *key, |a, b| a + b);
        let most = larder::fold(keys, 0, |key| *key, |a, b| a.max(b));
        (sum, most)
    }
    let store = MemoryStorage::new();
    for runs in [3, 0] {
        let runtime = over(&store);
        assert_eq!(runs_of(&runtime, || both(&Keys::new(1..=4))), ((10, 4), runs));
    }
}

#[test]
fn two_threads_share_the_tasks_of_a_fold() {
    let runtime = Runtime::new();
    let values: Vec<u64> = (0..2000).collect();
    let keys = Keys::from(&inputs(&runtime, &values));
    let together = Barrier::new(2);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                together.wait();
                assert_eq!(runtime.run(|| in_order(&keys)), naive(&values));
            });
        }
    });
    assert_eq!(runtime.stats().get("half").map(|half| half.runs), Some(2000));
}

#[test]
fn lists_are_equal_by_their_keys() {
    let keys = Keys::new(0..1000_u32);
    assert_eq!(keys, (0..1000).collect());
    assert_ne!(keys, (1..1001).collect());
    assert_eq!((keys.len(), keys.iter().len(), keys.is_empty()), (1000, 1000, false));
    assert!(keys.iter().copied().eq(0..1000));
    assert_eq!(Keys::<u32>::default().iter().next(), None);
    // Equal keys make no cut; the list is cut all the same.
    assert_eq!(Keys::new([7; 10_000]).iter().len(), 10_000);
    assert_eq!(Runtime::new().run(|| larder::fold(&[7; 10_000], 0, |key| *key, |a, b| a + b)), 70_000);
    assert_eq!(Runtime::new().run(|| larder::fold(Vec::<u32>::new(), 5, |key| *key, |a, b| a + b)), 5);
}

#[derive(Clone, Debug)]
enum Edit {
    Set(usize, u64),
    Insert(usize, u64),
    Remove(usize),
    Restart,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        4 => (any::<usize>(), 0..1000_u64).prop_map(|(at, value)| Edit::Set(at, value)),
        2 => (any::<usize>(), 0..1000_u64).prop_map(|(at, value)| Edit::Insert(at, value)),
        2 => any::<usize>().prop_map(Edit::Remove),
        1 => Just(Edit::Restart),
    ];
    proptest::collection::vec(edit, 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_fold_is_what_a_loop_would_be(n in 0..400_usize, edits in edits(), cap in proptest::option::of(0..20_000_usize)) {
        let store = MemoryStorage::new();
        let start = || {
            let builder = cap.into_iter().fold(Runtime::builder(), larder::Builder::memory_cap);
            builder.storage(store.clone()).build()
        };
        let mut process = Some(start());
        // The names of the inputs in order, each with its value.
        let mut list: Vec<(usize, u64)> = (0..n).map(|n| (n, n as u64)).collect();
        let mut names = n;
        for edit in edits.into_iter().chain([Edit::Restart]) {
            match edit {
                Edit::Set(at, value) if !list.is_empty() => {
                    let at = at % list.len();
                    list[at].1 = value;
                }
                Edit::Insert(at, value) => {
                    list.insert(at % (list.len() + 1), (names, value));
                    names += 1;
                }
                Edit::Remove(at) if !list.is_empty() => drop(list.remove(at % list.len())),
                Edit::Restart => {
                    // One after the other: they share the store.
                    drop(process.take());
                    process = Some(start());
                }
                Edit::Set(..) | Edit::Remove(_) => {}
            }
            let runtime = process.as_ref().expect("a process runs");
            let keys = list.iter().map(|(name, value)| runtime.input_or_set(&name.to_string(), *value).unwrap()).collect();
            let values: Vec<u64> = list.iter().map(|(_, value)| *value).collect();
            let got = runtime.run(|| (in_order(&keys), in_parallel(&keys), in_memory(&keys)));
            prop_assert_eq!(got, (naive(&values), naive(&values), naive(&values)));
        }
    }
}
