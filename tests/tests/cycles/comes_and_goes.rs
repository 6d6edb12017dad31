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

/// A cycle goes by here in both states of the input: by a short way, or by a long one.
#[task_fn(cycle_fallback = 0)]
fn centre(x: &Input<u32>) -> u32 {
    if x.get() == 0 { short_way(x) } else { long_way(x) }
}

#[task_fn(cycle_fallback = 0)]
fn short_way(x: &Input<u32>) -> u32 {
    centre(x)
}

#[task_fn(cycle_fallback = 0)]
fn long_way(x: &Input<u32>) -> u32 {
    beside(x) / 10
}

/// It falls back on the long way alone, and reads the centre by either.
#[task_fn(cycle_fallback = 7)]
fn beside(x: &Input<u32>) -> u32 {
    centre(x)
}

/// Back on the long way, `beside` was found current by what it had read beside the short one: the centre is 0 on both. Before its value came
/// from the component, that was stored as a run of it, and the next process took 0 for its value.
#[test]
fn a_former_reader_of_a_cycle_that_joins_it_is_not_stored_as_a_reader() {
    type Ask = fn(&Input<u32>) -> u32;
    let asked: [Ask; 4] = [centre, short_way, long_way, beside];
    for first in asked {
        for then in asked {
            let store = MemoryStorage::new();
            let open =
                || Runtime::builder().storage(store.clone()).code_identity("cycles").try_build().unwrap();
            let runtime = open();
            let x = runtime.input("x", 1_u32);
            for state in [1, 0, 1] {
                runtime.update(|update| update.set(&x, state)).unwrap();
                runtime.run(|| (first(&x), then(&x), first(&x)));
            }
            drop(runtime);
            let runtime = open();
            let x = runtime.input("x", 1_u32);
            assert_eq!(runtime.run(|| beside(&x)), 7);
            runtime.update(|update| update.set(&x, 0)).unwrap();
            assert_eq!(runtime.run(|| beside(&x)), 0);
        }
    }
}

/// Reads an input once the other one has left round 0.
#[task_fn(cycle_initial = 0)]
fn this(x: &Input<u32>, y: &Input<u32>) -> u32 {
    1 + if that(x, y) > 0 { x.get() } else { 0 }
}

#[task_fn(cycle_initial = 0)]
fn that(x: &Input<u32>, y: &Input<u32>) -> u32 {
    1 + if this(x, y) > 0 { y.get() } else { 0 }
}

/// In the rounds after the first one, the bodies of members run in the order in which they were come to, so the order of later reads depends
/// on the member that was asked first when a run was stored. An older run that had them in another order was not looked at.
#[test]
fn an_older_run_of_a_component_holds_in_whichever_order_it_has_read() {
    type Ask = fn(&Input<u32>, &Input<u32>) -> u32;
    let members: [Ask; 2] = [this, that];
    for orders in [[0, 0], [0, 1], [1, 0], [1, 1]] {
        let store = MemoryStorage::new();
        let visit = |state: u32, order: usize| {
            let builder = Runtime::builder().storage(store.clone()).code_identity("cycles");
            let runtime = builder.try_build().unwrap();
            let x = runtime.input_or_set("x", state).unwrap();
            let y = runtime.input_or_set("y", state * 2).unwrap();
            for which in [order, 1 - order] {
                let value = 1 + state * if which == 0 { 1 } else { 2 };
                assert_eq!(runtime.run(|| members[which](&x, &y)), value);
            }
            all_runs(&runtime)
        };
        assert!(visit(0, orders[0]) > 0);
        assert!(visit(1, orders[1]) > 0);
        for (state, order) in [(0, 0), (1, 1), (0, 1), (1, 0), (1, 1), (0, 0)] {
            assert_eq!(visit(state, order), 0, "{orders:?}, {state}, {order}");
        }
    }
}

/// Lies on a cycle with [`inner`] while `x` is 1, and else on a larger one that reads `y`.
#[task_fn(cycle_fallback = 4)]
fn border(x: &Input<u32>, y: &Input<u32>) -> u32 {
    (if x.get() == 1 { inner(x, y) } else { around(x, y) }) / 10
}

#[task_fn(cycle_fallback = 3)]
fn inner(x: &Input<u32>, y: &Input<u32>) -> u32 {
    border(x, y) / 10
}

#[task_fn(cycle_fallback = 2)]
fn around(x: &Input<u32>, y: &Input<u32>) -> u32 {
    y.get() + tells_border(x, y)
}

#[task_fn]
fn tells_border(x: &Input<u32>, y: &Input<u32>) -> u32 {
    border(x, y)
}

/// A member was marked by what it had read on the larger cycle, and the component was live no more; the other member stayed as it was, and then
/// kept the component from coming back. So the body of the first one ran beside it, and came to 0.
#[test]
fn the_members_of_a_component_out_of_the_store_are_marked_together() {
    type Ask = fn(&Input<u32>, &Input<u32>) -> u32;
    let asked: [Ask; 4] = [border, inner, around, tells_border];
    let pairs = || asked.into_iter().flat_map(|one| asked.into_iter().map(move |other| (one, other)));
    for (first, second) in pairs() {
        for (third, fourth) in pairs() {
            let runtime =
                Runtime::builder().storage(MemoryStorage::new()).code_identity("cycles").try_build().unwrap();
            let (x, y) = (runtime.input("x", 1_u32), runtime.input("y", 1_u32));
            let set = |now: (u32, u32)| {
                runtime.update(|update| (update.set(&x, now.0), update.set(&y, now.1))).unwrap();
            };
            let all = || runtime.run(|| (border(&x, &y), inner(&x, &y)));
            assert_eq!(all(), (4, 3));
            set((0, 0));
            runtime.run(|| (first(&x, &y), second(&x, &y)));
            set((1, 0));
            runtime.run(|| (third(&x, &y), fourth(&x, &y)));
            let runs = all_runs(&runtime);
            set((1, 1));
            assert_eq!(all(), (4, 3));
            assert_eq!(all_runs(&runtime), runs);
        }
    }
}
