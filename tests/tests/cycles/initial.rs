//! Initial values that read inputs and call tasks: these are dependencies of the cycle.

use super::*;

#[task_fn(transient, cycle_initial = x.get())]
fn starts_at(x: &Input<u32>, most: u32) -> u32 {
    starts_at(x, most).max(1).min(most)
}

#[task_fn(transient)]
fn starts_behind(x: &Input<u32>, most: u32) -> u32 {
    starts_at(x, most) + 100
}

#[test]
fn an_input_that_an_initial_value_alone_has_read_is_a_dependency() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 3);
    for value in [3, 5, 0, 5, 20] {
        runtime.update(|update| update.set(&x, value)).unwrap();
        let expected = value.clamp(1, 9);
        assert_eq!(runtime.run(|| starts_behind(&x, 9)), expected + 100);
        assert_eq!(runtime.run(|| starts_at(&x, 9)), expected);
    }
    let runs = runs_of(&runtime, "starts_at");
    runtime.update(|update| update.set(&x, 20)).unwrap();
    assert_eq!(runtime.run(|| starts_behind(&x, 9)), 109);
    assert_eq!(runs_of(&runtime, "starts_at"), runs, "it is what it was");
}

/// The first of two tasks that both begin with a task's value.
#[task_fn(transient, cycle_initial = seed(x, at))]
fn seeded(x: &Input<Vec<u32>>, at: usize) -> u32 {
    seeded(x, 1 - at).max(seeded(x, at))
}

#[task_fn(transient)]
fn seed(x: &Input<Vec<u32>>, at: usize) -> u32 {
    x.get()[at]
}

#[test]
fn an_initial_value_may_call_tasks() {
    for first in [0, 1] {
        let runtime = Runtime::new();
        let x = runtime.input("x", vec![1, 2]);
        for value in [vec![1, 2], vec![5, 2], vec![5, 9], vec![0, 0]] {
            runtime.update(|update| update.set(&x, value.clone())).unwrap();
            runtime.run(|| seeded(&x, first));
            let most = value.iter().copied().max().unwrap();
            assert_eq!(runtime.run(|| (seeded(&x, 0), seeded(&x, 1))), (most, most));
        }
    }
}

#[task_fn(transient, cycle_initial = only_if_cyclic(x))]
fn may_be_cyclic(x: &Input<u32>) -> u32 {
    if x.get() == 0 { 1 } else { may_be_cyclic(x).min(8) }
}

#[task_fn(transient)]
fn only_if_cyclic(x: &Input<u32>) -> u32 {
    assert_ne!(x.get(), 0, "nothing asks for this unless there is a cycle");
    x.get()
}

/// It was looked at first whether the initial value had changed, so that a body ran which nothing asked for any more, and failed.
#[test]
fn when_a_cycle_opens_its_initial_value_is_not_asked_for() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 3);
    assert_eq!(runtime.run(|| may_be_cyclic(&x)), 3);
    assert_eq!(runs_of(&runtime, "only_if_cyclic"), 1);
    runtime.update(|update| update.set(&x, 0)).unwrap();
    assert_eq!(runtime.run(|| may_be_cyclic(&x)), 1);
    assert_eq!(runs_of(&runtime, "only_if_cyclic"), 1);
}

#[task_fn(transient, cycle_initial = calls_back(n))]
fn asks_itself(n: u32) -> u32 {
    asks_itself(n).min(4)
}

#[task_fn(transient)]
fn calls_back(n: u32) -> u32 {
    asks_itself(n) + 1
}

#[task_fn(transient, cycle_initial = itself_at_once(n))]
fn itself_at_once(n: u32) -> u32 {
    itself_at_once(n)
}

#[test]
fn an_initial_value_that_needs_itself_is_an_error() {
    let asks: [fn(u32) -> u32; 3] = [asks_itself, calls_back, itself_at_once];
    for ask in asks {
        for _ in 0..2 {
            let runtime = Runtime::new();
            let answer = runtime.try_run(|| ask(0));
            assert!(matches!(answer, Err(TaskError::Cycle(_))), "{answer:?}");
        }
    }
}

/// The initial value of one task of a cycle asks for another one of it, which has an initial value of its own.
#[task_fn(transient, cycle_initial = other_start(x) + 1)]
fn one_start(x: &Input<u32>) -> u32 {
    one_start(x).max(other_start(x)).min(50)
}

#[task_fn(transient, cycle_initial = x.get())]
fn other_start(x: &Input<u32>) -> u32 {
    one_start(x).max(other_start(x)).min(50)
}

/// Entered at `other_start` it had a value, and entered at `one_start` none: there the initial value waited for a body that waited for it.
#[test]
fn an_initial_value_that_depends_on_its_own_cycle_is_an_error_wherever_that_is_entered() {
    for first in [0, 1] {
        let runtime = Runtime::new();
        let x = runtime.input("x", 3);
        let ask = |which| if which == 0 { one_start(&x) } else { other_start(&x) };
        for which in [first, 1 - first, first] {
            let answer = runtime.try_run(|| ask(which));
            assert!(matches!(answer, Err(TaskError::Cycle(_))), "{which} after {first}: {answer:?}");
        }
    }
}

/// A cycle of its own, which the initial value of another one asks for.
#[task_fn(transient, cycle_initial = x.get())]
fn settles_first(x: &Input<u32>) -> u32 {
    settles_first(x).max(2)
}

#[task_fn(transient, cycle_initial = settles_first(x))]
fn settles_then(x: &Input<u32>) -> u32 {
    settles_then(x).min(6)
}

#[test]
fn an_initial_value_may_ask_for_another_cycle() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 0);
    for (value, expected) in [(0, 2), (4, 4), (9, 6)] {
        runtime.update(|update| update.set(&x, value)).unwrap();
        assert_eq!(runtime.run(|| settles_then(&x)), expected);
    }
}

#[task_fn(cycle_initial = x.get())]
fn kept(x: &Input<u32>) -> u32 {
    kept(x).min(30)
}

#[task_fn]
fn reads_kept(x: &Input<u32>) -> u32 {
    kept(x) + 1
}

#[test]
fn over_a_restart_an_initial_value_that_has_changed_is_followed() {
    let store = MemoryStorage::new();
    for value in [3, 3, 5, 90, 5] {
        let runtime = Runtime::builder().storage(store.clone()).code_identity("starts").try_build().unwrap();
        let x = runtime.input("x", value);
        assert_eq!(runtime.run(|| reads_kept(&x)), value.min(30) + 1);
        runtime.flush().unwrap();
    }
}

#[test]
fn a_removed_input_fails_the_cycle_that_begins_with_it() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 3);
    assert_eq!(runtime.run(|| starts_at(&x, 9)), 3);
    runtime.update(|update| update.remove(&x)).unwrap();
    assert!(matches!(runtime.try_run(|| starts_at(&x, 9)), Err(TaskError::Panicked { .. })));
}
