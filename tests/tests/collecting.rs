//! Collecting reads what was emitted, and no value: a body that collects runs again only when that has changed.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use larder::testing::{Ran, ran, watch};
use larder::{Emitted, Input, Runtime, emit, task_fn};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Number(u32);

/// Sets `x`, asks, and returns what ran then.
fn after<R>(runtime: &Runtime, x: &Input<u32>, value: u32, ask: impl FnOnce() -> R) -> (R, Ran) {
    let mut answer = None;
    let ran = watch(runtime, || {
        runtime.update(|update| update.set(x, value)).expect("no session is open");
        answer = Some(runtime.run(ask));
    });
    (answer.expect("it was asked"), ran)
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
    let ask = |value| {
        let ((numbers, none), ran) = after(&runtime, &x, value, || (collector(&x), collector_of_none(&x)));
        assert_eq!((numbers, none), (vec![Number(value / 10)], 0));
        ran
    };
    ask(1).assert_exactly(ran![collector(&x), producer(&x), collector_of_none(&x), quiet(&x)]);
    ask(2).assert_exactly(ran![producer(&x), quiet(&x)]);
    ask(12).assert_exactly(ran![collector(&x), producer(&x), quiet(&x)]);
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
    let ask = |value| {
        let (numbers, ran) = after(&runtime, &x, value, || collector_by_handle(&x));
        assert_eq!(numbers, [Number(value / 10)]);
        ran
    };
    for emits_another in [1, 12] {
        ask(emits_another).assert_exactly(ran![collector_by_handle(&x), producer(&x)]);
        ask(emits_another + 1).assert_exactly(ran![producer(&x)]);
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
    let ask = |value| {
        let (numbers, ran) = after(&runtime, &x, value, || collector_of_steady(&x));
        assert_eq!(numbers, [Number(value / 10)]);
        ran
    };
    for emits_another in [1, 12] {
        ask(emits_another).assert_exactly(ran![collector_of_steady(&x), steady(&x)]);
        ask(emits_another + 1).assert_exactly(ran![steady(&x)]);
    }
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
    let ask = |value, text| {
        let (told, ran) = after(&runtime, &x, value, || texts(&x));
        assert_eq!(told, [text]);
        let replayed = watch(&runtime, || {
            let again = runtime.run(|| (remarks::collect::<Remark>(&x), remarks::collect::<Number>(&x)));
            assert_eq!(again, (vec![remark(text)], vec![Number(value / 10)]));
        });
        // It is replayed on a hit.
        replayed.assert_nothing_ran();
        ran
    };
    for (emits_another, text) in [(1, "small"), (12, "large")] {
        ask(emits_another, text).assert_exactly(ran![texts(&x), remarks(&x)]);
        ask(emits_another + 1, text).assert_exactly(ran![remarks(&x)]);
    }
    let taken = runtime.run(|| (takes_remarks(&x), takes_remarks::collect::<Remark>(&x).len()));
    assert_eq!(taken, (1, 0));
}
