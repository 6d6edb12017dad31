//! Steps: what a round goes on with, given the value before and the one that the body returns.

use super::*;

/// An interval of numbers, which widens to all of them where it keeps on growing.
#[task_fn(transient, cycle_initial = (0, 0), cycle_step = |previous, new, round| widened(*previous, new, round))]
fn interval(most: &Input<u32>) -> (u32, u32) {
    let (from, to) = next_interval(most);
    (from, to.saturating_add(1).min(most.get()))
}

#[task_fn(transient)]
fn next_interval(most: &Input<u32>) -> (u32, u32) {
    interval(most)
}

fn widened((from, to): (u32, u32), new: (u32, u32), round: u32) -> (u32, u32) {
    if round >= 3 && new.1 > to { (from, u32::MAX) } else { new }
}

/// Without the step it would take a million rounds.
#[test]
fn a_step_widens_what_would_grow_for_long() {
    for first in [0, 1] {
        let runtime = Runtime::new();
        let most = runtime.input("most", 2);
        let ask = |which| if which == 0 { interval(&most) } else { next_interval(&most) };
        for value in [2, 1_000_000] {
            runtime.update(|update| update.set(&most, value)).unwrap();
            runtime.run(|| ask(first));
            assert_eq!(runtime.run(|| (ask(0), ask(1))), ((0, value), (0, value)));
        }
        assert!(runs_of(&runtime, "interval") < 20);
    }
}

thread_local! {
    static STEPS: std::cell::RefCell<Vec<(u32, u32, u32)>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn noted(previous: u32, new: u32, round: u32) -> u32 {
    STEPS.with_borrow_mut(|steps| steps.push((previous, new, round)));
    new
}

#[task_fn(transient, cycle_initial = 1, cycle_step = |previous, new, round| noted(*previous, new, round))]
fn doubles_to(most: &Input<u32>, is_cyclic: bool) -> u32 {
    if is_cyclic { (doubles_to(most, true) * 2).min(most.get()) } else { 5 }
}

#[test]
fn a_step_gets_the_value_before_the_new_one_and_the_number_of_the_round() {
    let runtime = Runtime::new();
    let most = runtime.input("most", 5);
    assert_eq!(runtime.run(|| doubles_to(&most, true)), 5);
    assert_eq!(STEPS.take(), [(1, 2, 1), (2, 4, 2), (4, 5, 3), (5, 5, 4)]);
    assert_eq!(runs_of(&runtime, "doubles_to"), 4, "once per round");
    assert_eq!(runtime.run(|| doubles_to(&most, false)), 5);
    assert_eq!(STEPS.take(), [], "a call off a cycle is plain");
}

#[task_fn(cycle_initial = 0, cycle_step = |_, _, _| unreachable!("it lies on no cycle"))]
fn plain(n: u32) -> u32 {
    if n == 0 { 1 } else { plain(n - 1) * 2 }
}

#[test]
fn calls_off_a_cycle_are_stored() {
    let store = MemoryStorage::new();
    for runs in [6, 0] {
        let runtime = Runtime::builder().storage(store.clone()).code_identity("steps").try_build().unwrap();
        assert_eq!(runtime.run(|| plain(5)), 32);
        assert_eq!(runs_of(&runtime, "plain"), runs);
        runtime.flush().unwrap();
    }
}

/// Goes up and down by itself; its step does not let it.
#[task_fn(transient, cycle_initial = 0, cycle_step = |previous, new, _| new.max(*previous))]
fn swings(n: u32) -> u32 {
    n - swings(n)
}

/// The body of `swings` reads nothing that changes in the last round but what the step has made.
#[test]
fn a_step_makes_what_alternates_settle() {
    assert_eq!(Runtime::new().run(|| swings(7)), 7);
}

/// Counts the rounds in which something has changed: by the step alone, as the body returns the same in each.
#[task_fn(transient, cycle_initial = 0, cycle_step = |previous, new, round| (*previous + 1).min(round.min(new)))]
fn climbs_to(most: u32) -> u32 {
    let _ = climbs_with(most);
    most
}

#[task_fn(transient)]
fn climbs_with(most: u32) -> u32 {
    climbs_to(most)
}

/// The value before is a read of the step, so that it is taken again when that has changed and nothing else has.
#[test]
fn a_step_is_taken_as_long_as_it_changes_the_value() {
    for first in [0, 1] {
        let runtime = Runtime::new();
        runtime.run(|| if first == 0 { climbs_to(9) } else { climbs_with(9) });
        assert_eq!(runtime.run(|| (climbs_to(9), climbs_with(9))), (9, 9));
    }
}

#[task_fn(transient, cycle_initial = 0, cycle_step = |previous, new, _| (*previous).max(new).min(bound(x)))]
fn bounded(x: &Input<u32>) -> u32 {
    bounded(x) + 3
}

#[task_fn(transient)]
fn bound(x: &Input<u32>) -> u32 {
    x.get()
}

#[test]
fn what_a_step_reads_is_a_dependency() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 10);
    for value in [10, 4, 4, 20] {
        runtime.update(|update| update.set(&x, value)).unwrap();
        assert_eq!(runtime.run(|| bounded(&x)), value);
    }
}

/// The step reads a task of the cycle, which only so becomes one.
#[task_fn(transient, cycle_initial = 0, cycle_step = |_, new, _| new.max(led_back(limit)).min(limit))]
fn leads(limit: u32) -> u32 {
    leads(limit)
}

#[task_fn(transient)]
fn led_back(limit: u32) -> u32 {
    leads(limit) + 1
}

#[test]
fn a_task_that_the_first_step_brings_into_the_cycle_has_been_there_from_the_beginning() {
    for first in [0, 1] {
        let runtime = Runtime::new();
        runtime.run(|| if first == 0 { leads(6) } else { led_back(6) });
        assert_eq!(runtime.run(|| (leads(6), led_back(6))), (6, 7));
    }
}

#[task_fn(transient, cycle_initial = 0, cycle_step = |_, new, round| refused(x, new, round))]
fn refused_in(x: &Input<u32>) -> u32 {
    (refused_in(x) + 1).min(4)
}

fn refused(x: &Input<u32>, new: u32, round: u32) -> u32 {
    assert_ne!(round, x.get(), "the step refuses");
    new
}

#[test]
fn if_a_step_fails_the_cycle_fails() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 0);
    for round in [1, 3, 5] {
        runtime.update(|update| update.set(&x, round)).unwrap();
        let error = runtime.try_run(|| refused_in(&x)).expect_err("it is refused").to_string();
        assert!(error.contains("the step refuses"), "{error}");
        runtime.update(|update| update.set(&x, 100)).unwrap();
        assert_eq!(runtime.run(|| refused_in(&x)), 4);
    }
}

/// Each swallows the other's text: outputs are moved into the step, lent to it, and dropped.
#[task_fn(transient, cycle_initial = String::new(), cycle_step = |previous, new, _| joined(previous, new))]
fn texts(n: usize) -> String {
    format!("{n}{}", texts(1 - n))
}

fn joined(previous: &str, new: String) -> String {
    if previous.len() > 6 { previous.to_owned() } else { new }
}

#[test]
fn values_on_the_heap_go_through_steps() {
    for first in [0, 1] {
        let runtime = Runtime::new();
        runtime.run(|| texts(first));
        let [zero, one] = runtime.run(|| [texts(0), texts(1)]);
        assert_eq!((zero.len(), one.len()), (7, 7));
    }
}
