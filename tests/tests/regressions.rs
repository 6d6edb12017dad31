//! Mistakes that the oracle or a second reading of the engine found, each told before its test.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use larder::{Input, Runtime, Task, UpdateError, emit, task_fn};
use larder_tests::deadline::in_time;

fn set(runtime: &Runtime, input: &Input<i64>, value: i64) {
    runtime.update(|update| update.set(input, value)).expect("no session is open");
}

#[task_fn(transient)]
fn tenth(x: &Input<i64>) -> i64 {
    x.get() / 10
}

/// Reads what belongs to the first input, and to the second if that is odd.
#[task_fn(transient)]
fn one_or_both(a: &Input<i64>, b: &Input<i64>) -> i64 {
    let a = tenth(a);
    if a % 2 == 1 { a + tenth(b) } else { a }
}

/// Reverse edges are dropped late: what a task does not read any more keeps a dead edge to it for a while. When the task was
/// forgotten and freed, only what it read last forgot it; an update of the other input followed a dangling pointer. (Crashes
/// for certain under Miri and the address sanitizer only.)
#[test]
fn what_a_freed_task_read_once_does_not_point_at_it() {
    let runtime = Runtime::new();
    let (a, b) = (runtime.input("a", 10), runtime.input("b", 10));
    assert_eq!(runtime.run(|| one_or_both(&a, &b)), 2);
    set(&runtime, &a, 20);
    assert_eq!(runtime.run(|| one_or_both(&a, &b)), 2);
    assert!(runtime.run(|| one_or_both::forget(&a, &b)));
    runtime.run(|| ());
    assert_eq!(runtime.stats().tasks, 2);
    set(&runtime, &b, 50);
    set(&runtime, &a, 30);
    assert_eq!(runtime.run(|| one_or_both(&a, &b)), 8);
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Unprintable(u32);

impl std::fmt::Debug for Unprintable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("this cannot be printed")
    }
}

#[task_fn(transient)]
fn fails(of: Unprintable) -> u32 {
    panic!("on purpose: {}", of.0)
}

/// A task failed; naming it for the error ran a `Debug` that panicked, in the middle of publishing the failure. The task stayed
/// claimed for ever: a call that asked for it again waited.
#[test]
fn a_debug_that_panics_leaves_no_claim_behind() {
    in_time(|| {
        let runtime = Runtime::new();
        for _ in 0..2 {
            let error = runtime.try_run(|| fails(Unprintable(3))).expect_err("the body panics");
            assert_eq!(error.to_string(), "task fails(<a panic in Debug>) panicked: on purpose: 3");
        }
    });
}

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct EqPanics;

impl PartialEq for EqPanics {
    fn eq(&self, _: &Self) -> bool {
        panic!("these cannot be compared")
    }
}

#[task_fn(transient)]
fn emits_and_fails(x: &Input<i64>) -> i64 {
    emit(EqPanics);
    assert!(x.get() != 2, "two");
    x.get()
}

/// A task emitted the same as before and then failed; publishing the failure compared the emitted values by the user's `Eq`,
/// which panicked: again a claim without end.
#[test]
fn an_eq_of_emitted_values_that_panics_leaves_no_claim_behind() {
    in_time(|| {
        let runtime = Runtime::new();
        let x = runtime.input("x", 1);
        assert_eq!(runtime.run(|| emits_and_fails(&x)), 1);
        set(&runtime, &x, 2);
        for _ in 0..2 {
            let error = runtime.try_run(|| emits_and_fails(&x)).expect_err("the body panics");
            assert!(error.to_string().ends_with("panicked: two"), "{error}");
        }
    });
}

#[task_fn(transient)]
fn link(before: Option<Task<i64>>, n: u32) -> i64 {
    assert!(n < 20_000, "the end");
    before.map_or(0, |_| 1)
}

#[task_fn(transient)]
fn fork(left: Option<Task<i64>>, right: Option<Task<i64>>, n: u32) -> i64 {
    assert!(n < 60, "the end");
    i64::from(left == right)
}

/// A task's name prints its arguments, a handle among them its task, and so on: 20,000 deep the stack overflowed, and with
/// two handles each, 60 deep took 2^60 steps.
#[test]
fn handles_nested_in_arguments_print_in_bounded_time_and_stack() {
    in_time(|| {
        let runtime = Runtime::new();
        let error = runtime.try_run(|| {
            let last = (0..20_000).fold(None, |before, n| Some(link::task(before, n)));
            link(last, 20_000)
        });
        assert!(error.expect_err("the last link fails").to_string().contains("Task(..)"));
        let error = runtime.try_run(|| {
            let last = (0..60)
                .fold(None, |before: Option<Task<i64>>, n| Some(fork::task(before.clone(), before, n)));
            fork(last.clone(), last, 60)
        });
        assert!(error.is_err());
    });
}

#[task_fn(transient)]
fn boom(n: u32) -> u32 {
    panic!("boom {n}")
}

#[task_fn(transient)]
fn ignores_its_handle(of: Task<u32>) -> u32 {
    drop(of);
    panic!("a reason of its own")
}

#[task_fn(transient)]
fn catches_and_fails() -> u32 {
    let caught = catch_unwind(AssertUnwindSafe(|| boom(2)));
    drop(caught);
    panic!("another reason")
}

/// An argument's handle is computed before the body runs. That failed, the body did not care and panicked for a reason of its
/// own; the session's error told of the argument.
#[test]
fn a_panic_is_named_after_the_task_that_panicked() {
    let runtime = Runtime::new();
    let error =
        runtime.try_run(|| ignores_its_handle(boom::task(1))).expect_err("the body panics").to_string();
    assert!(
        error.ends_with("panicked: a reason of its own") && error.contains("ignores_its_handle"),
        "{error}"
    );
    let error = runtime.try_run(catches_and_fails).expect_err("the body panics").to_string();
    assert_eq!(error, "task catches_and_fails() panicked: another reason");
}

static BROKEN: AtomicBool = AtomicBool::new(true);
static OVER: AtomicU32 = AtomicU32::new(0);

#[task_fn(transient, volatile)]
fn outside() -> i64 {
    assert!(!BROKEN.load(Relaxed), "broken");
    5
}

#[task_fn(transient)]
fn over_outside() -> i64 {
    OVER.fetch_add(1, Relaxed);
    outside::task().try_get().unwrap_or(-1)
}

/// A volatile task was listed to run again in the next session when it succeeded only: a reader that caught its failure kept it.
#[test]
fn a_volatile_task_that_failed_runs_again_in_the_next_session() {
    let runtime = Runtime::new();
    assert_eq!(runtime.run(over_outside), -1);
    BROKEN.store(false, Relaxed);
    assert_eq!(runtime.run(over_outside), 5);
}

/// The closure of an update that opened a session, or another update, waited for itself.
#[test]
fn inside_an_update_neither_sessions_nor_updates_open() {
    in_time(|| {
        let runtime = Runtime::new();
        let x = runtime.input("x", 1);
        let inner = runtime.update(|_| {
            let session = catch_unwind(AssertUnwindSafe(|| runtime.run(|| ())));
            let message = session.expect_err("it is refused");
            assert!(message.downcast_ref::<&str>().is_some_and(|text| text.contains("inside an update")));
            runtime.update(|_| ())
        });
        assert_eq!(inner, Ok(Err(UpdateError::InUpdate)));
        set(&runtime, &x, 2);
        assert_eq!(runtime.run(|| x.get()), 2);
    });
}

#[derive(Clone)]
struct RunsWhenDropped(Arc<Runtime>, bool);

impl PartialEq for RunsWhenDropped {
    fn eq(&self, _: &Self) -> bool {
        panic!("these cannot be compared")
    }
}

impl Drop for RunsWhenDropped {
    fn drop(&mut self) {
        if self.1 {
            self.0.run(|| ());
        }
    }
}

/// An update panicked, and the values that it was to set were dropped while it still held the gate: a `Drop` that opened a
/// session waited for ever.
#[test]
fn what_a_failed_update_leaves_is_dropped_without_the_gate() {
    in_time(|| {
        let runtime = Arc::new(Runtime::new());
        let x = runtime.transient_input("x", RunsWhenDropped(runtime.clone(), false));
        let update = |panics: bool| {
            let set = |update: &mut larder::Update| {
                update.set(&x, RunsWhenDropped(runtime.clone(), true));
                assert!(!panics, "in the closure");
            };
            catch_unwind(AssertUnwindSafe(|| runtime.update(set))).is_err()
        };
        assert!(update(true) && update(false));
        assert!(!runtime.run(|| x.with(|x| x.1)));
    });
}

#[task_fn(transient)]
fn emits_if_odd(x: &Input<i64>) -> i64 {
    let x = x.get();
    assert!(x % 2 == 1, "even");
    emit(x);
    0
}

#[task_fn(transient)]
fn does_not_care(x: &Input<i64>) -> i64 {
    emits_if_odd::task(x).try_get().unwrap_or(0)
}

#[task_fn(transient)]
fn collects(x: &Input<i64>) -> Vec<i64> {
    does_not_care::collect(x)
}

/// A task collected below a read that failed. It was not recorded, so that its later success, which changed nothing for its
/// reader, did not reach the collector.
#[test]
fn a_collector_sees_when_a_failed_read_succeeds() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 2);
    assert_eq!(runtime.run(|| collects(&x)), Vec::<i64>::new());
    set(&runtime, &x, 3);
    assert_eq!(runtime.run(|| collects(&x)), [3]);
}
