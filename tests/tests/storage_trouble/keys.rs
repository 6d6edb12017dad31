//! Arguments that encode alike.

use super::*;

/// Differs from another one in what is not encoded.
#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize)]
struct Hidden {
    shown: u32,
    #[serde(skip)]
    hidden: u32,
}

#[task_fn]
fn hides(key: &Hidden, input: &Input<u32>) -> u32 {
    RUNS.set(RUNS.get() + 1);
    key.shown + input.get()
}

#[test]
fn tasks_whose_arguments_encode_alike_are_all_marked_when_what_they_read_changes() {
    let store = MemoryStorage::new();
    let ask = |runtime: &Runtime, state: u32| {
        let input = runtime.input("x", state);
        for hidden in 0..3 {
            assert_eq!(runtime.run(|| hides(&Hidden { shown: 10, hidden }, &input)), 10 + state);
        }
        input
    };
    ask(&over(store.clone()), 1);
    for round in 0..3 {
        let runtime = over(store.clone());
        let input = ask(&runtime, 1);
        for state in [2, 3, 1] {
            runtime.update(|update| update.set(&input, state + round)).unwrap();
            ask(&runtime, state + round);
        }
        runtime.update(|update| update.set(&input, 1)).unwrap();
        ask(&runtime, 1);
    }
    assert!(store.len(Table::Tasks) > 0);
}
