//! Collecting reads what was emitted, and no value: a body that collects runs again only when that has changed.

use larder::{Input, Runtime, emit, task_fn};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Number(u32);

fn runs(runtime: &Runtime, name: &str) -> u64 {
    let functions = runtime.stats().functions;
    functions.iter().filter(|function| function.name == name).map(|function| function.runs).sum()
}

fn set(runtime: &Runtime, x: &Input<u32>, value: u32) {
    runtime.update(|update| update.set(x, value)).expect("no session is open");
}

#[task_fn(transient)]
fn producer(x: &Input<u32>) -> u32 {
    emit(Number(x.get() / 10));
    x.get()
}

#[task_fn(transient)]
fn collector(x: &Input<u32>) -> Vec<Number> {
    producer::collect(x)
}

#[task_fn(transient)]
fn quiet(x: &Input<u32>) -> u32 {
    x.get()
}

#[task_fn(transient)]
fn collector_of_none(x: &Input<u32>) -> usize {
    quiet::collect::<Number>(x).len()
}

/// Collecting recorded a read of the value, too: a body that collected equal values ran again.
#[test]
fn a_collector_runs_again_only_when_what_was_emitted_changes() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 1);
    let ask = || runtime.run(|| (collector(&x), collector_of_none(&x)));
    let ran = || (runs(&runtime, "collector"), runs(&runtime, "collector_of_none"));
    assert_eq!(ask(), (vec![Number(0)], 0));
    set(&runtime, &x, 2);
    assert_eq!(ask(), (vec![Number(0)], 0));
    assert_eq!((runs(&runtime, "producer"), ran()), (2, (1, 1)));
    set(&runtime, &x, 12);
    assert_eq!(ask(), (vec![Number(1)], 0));
    assert_eq!(ran(), (2, 1));
}

#[task_fn(transient)]
fn collector_by_handle(x: &Input<u32>) -> Vec<Number> {
    producer::task(x).collect()
}

/// Collects by a handle.
#[test]
fn a_collector_by_a_handle_runs_again_only_when_what_was_emitted_changes() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 1);
    for (value, number, ran) in [(1, 0, 1), (2, 0, 1), (12, 1, 2), (13, 1, 2)] {
        set(&runtime, &x, value);
        assert_eq!(runtime.run(|| collector_by_handle(&x)), [Number(number)]);
        assert_eq!(runs(&runtime, "collector_by_handle"), ran, "{value}");
    }
}

#[task_fn(transient)]
fn steady(x: &Input<u32>) -> u32 {
    emit(Number(x.get() / 10));
    7
}

#[task_fn(transient)]
fn collector_of_steady(x: &Input<u32>) -> Vec<Number> {
    steady::collect(x)
}

/// The value stays equal throughout, so that what was emitted alone decides.
#[test]
fn a_collector_of_an_unchanged_value_runs_again_only_when_what_was_emitted_changes() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 1);
    for (value, number, ran) in [(1, 0, 1), (2, 0, 1), (12, 1, 2), (13, 1, 2)] {
        set(&runtime, &x, value);
        assert_eq!(runtime.run(|| collector_of_steady(&x)), [Number(number)]);
        assert_eq!(runs(&runtime, "collector_of_steady"), ran, "{value}");
    }
    assert_eq!(runs(&runtime, "steady"), 4);
}
