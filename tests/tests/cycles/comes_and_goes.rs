//! Cycles that are there in some states of the inputs and not in others, over a store: back in a state, no body runs.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use super::*;

fn open() -> (Runtime, Input<u32>) {
    let store = MemoryStorage::new();
    let runtime = Runtime::builder().storage(store).code_identity("cycles").try_build().unwrap();
    let x = runtime.input("x", 0_u32);
    (runtime, x)
}

fn all_runs(runtime: &Runtime) -> u64 {
    runtime.stats().functions.iter().map(|function| function.runs).sum()
}

#[task_fn(cycle_initial = 0)]
fn near(x: &Input<u32>) -> u32 {
    far(x)
}

/// It leads back while the input is 1.
#[task_fn(cycle_initial = 0)]
fn far(x: &Input<u32>) -> u32 {
    if x.get() == 1 { back(x) } else { 5 }
}

#[task_fn(cycle_initial = 0)]
fn back(x: &Input<u32>) -> u32 {
    near(x).min(7)
}

/// Members that were no members before were each waiting for the other to be verified, so their bodies ran.
#[test]
fn former_members_come_back_as_tasks_by_themselves() {
    type Ask = fn(&Input<u32>) -> u32;
    let orders: [[Ask; 3]; 3] = [[near, far, back], [far, back, near], [back, near, far]];
    for first in orders {
        for then in orders {
            let (runtime, x) = open();
            let ask = |state: u32, order: [Ask; 3]| {
                runtime.update(|update| update.set(&x, state)).unwrap();
                let value = if state == 1 { 0 } else { 5 };
                order.into_iter().for_each(|ask| assert_eq!(runtime.run(|| ask(&x)), value, "{state}"));
            };
            [2, 0, 1].into_iter().for_each(|state| ask(state, first));
            let runs = all_runs(&runtime);
            // The order of reads in a component is that of its first member.
            [0, 1, 0, 2, 1, 1, 2, 0]
                .into_iter()
                .for_each(|state| ask(state, if state == 1 { first } else { then }));
            assert_eq!(all_runs(&runtime), runs);
        }
    }
}

#[task_fn(cycle_initial = 0)]
fn left(x: &Input<u32>) -> u32 {
    if x.get() == 0 { right(x) } else { 1 }
}

#[task_fn(cycle_initial = 0)]
fn right(x: &Input<u32>) -> u32 {
    if x.get() == 0 { left(x) } else { 2 }
}

/// A member that was not asked for in the other state had to run whatever came then.
#[test]
fn a_member_that_is_not_asked_for_meanwhile_comes_back() {
    let (runtime, x) = open();
    let set = |state: u32| runtime.update(|update| update.set(&x, state)).unwrap();
    assert_eq!(runtime.run(|| left(&x)), 0);
    set(1);
    assert_eq!(runtime.run(|| right(&x)), 2);
    let runs = all_runs(&runtime);
    for _ in 0..3 {
        set(0);
        assert_eq!(runtime.run(|| left(&x)), 0);
        set(1);
        assert_eq!(runtime.run(|| right(&x)), 2);
    }
    assert_eq!(all_runs(&runtime), runs);
    // In this state it has never been asked for.
    assert_eq!(runtime.run(|| left(&x)), 1);
    assert_eq!(all_runs(&runtime), runs + 1);
}

/// A member that was invalidated runs all the same, and once.
#[test]
fn a_member_that_was_invalidated_runs() {
    let (runtime, x) = open();
    let set = |state: u32| runtime.update(|update| update.set(&x, state)).unwrap();
    assert_eq!(runtime.run(|| left(&x)), 0);
    let task = runtime.run(|| left::task(&x));
    runtime.update(|update| update.invalidate(&task)).unwrap();
    set(1);
    assert_eq!(runtime.run(|| right(&x)), 2);
    set(0);
    let runs = all_runs(&runtime);
    assert_eq!(runtime.run(|| left(&x)), 0);
    assert!(all_runs(&runtime) > runs);
}
