//! Collecting reads what was emitted, and no value: a body that collects runs again only when that has changed.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use larder::{Emitted, Input, Runtime, emit, task_fn};
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

/// A type that serde has nothing for. Values of it are equal if their texts are.
#[derive(Clone, Debug)]
struct Remark {
    text: &'static str,
    _seen: Arc<AtomicUsize>,
}

impl Emitted for Remark {}

impl PartialEq for Remark {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

fn remark(text: &'static str) -> Remark {
    Remark { text, _seen: Arc::default() }
}

#[task_fn(transient)]
fn remarks(x: &Input<u32>) -> u32 {
    emit(remark(if x.get() < 10 { "small" } else { "large" }));
    emit(Number(x.get() / 10));
    x.get()
}

#[task_fn(transient)]
fn texts(x: &Input<u32>) -> Vec<&'static str> {
    remarks::task(x).collect::<Remark>().into_iter().map(|remark| remark.text).collect()
}

#[task_fn(transient)]
fn takes_remarks(x: &Input<u32>) -> usize {
    remarks::take::<Remark>(x).len()
}

#[test]
fn transient_tasks_emit_values_of_types_without_serde() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 1);
    for (value, text, ran) in [(1, "small", 1), (2, "small", 1), (12, "large", 2), (13, "large", 2)] {
        set(&runtime, &x, value);
        assert_eq!(runtime.run(|| texts(&x)), [text]);
        assert_eq!(runs(&runtime, "texts"), ran, "{value}");
        let again = runtime.run(|| (remarks::collect::<Remark>(&x), remarks::collect::<Number>(&x)));
        assert_eq!(again, (vec![remark(text)], vec![Number(value / 10)]));
    }
    assert_eq!(runs(&runtime, "remarks"), 4, "what was emitted is replayed on a hit");
    let taken = runtime.run(|| (takes_remarks(&x), takes_remarks::collect::<Remark>(&x).len()));
    assert_eq!(taken, (1, 0));
}
