//! Mistakes that the oracle or a second reading of the engine found, each told before its test.

#![allow(dead_code, reason = "task functions used by their companions only seem unused to the compiler")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Barrier, OnceLock};

use larder::{Input, Runtime, Task, TaskError, UpdateError, emit, task_fn};
use larder_tests::deadline::in_time;

fn set(runtime: &Runtime, input: &Input<i64>, value: i64) {
    runtime.update(|update| update.set(input, value)).expect("no session is open");
}

/// Updates with cancellation from another thread while the caller is in a session, and lets it get that far.
fn cancel_meanwhile(runtime: &Runtime) {
    let runtime = runtime.clone();
    std::thread::spawn(move || runtime.update_cancelling(|_| ()));
    std::thread::sleep(std::time::Duration::from_millis(30));
}

/// Reads the first input, and the second if the first is odd.
#[task_fn(transient)]
fn one_or_both(a: &Input<i64>, b: &Input<i64>) -> i64 {
    let a = a.get();
    if a % 2 == 1 { a + b.get() } else { a }
}

/// Reverse edges are dropped late: what a task does not read any more keeps a dead edge to it for a while. When the task was
/// forgotten and freed, only what it read last forgot it; an update of the other input followed a dangling pointer. (Crashes
/// for certain under Miri and the address sanitizer only.)
#[test]
fn what_a_freed_task_read_once_does_not_point_at_it() {
    let runtime = Runtime::new();
    let (a, b) = (runtime.input("a", 1), runtime.input("b", 1));
    assert_eq!(runtime.run(|| one_or_both(&a, &b)), 2);
    set(&runtime, &a, 2);
    assert_eq!(runtime.run(|| one_or_both(&a, &b)), 2);
    assert!(runtime.run(|| one_or_both::forget(&a, &b)));
    runtime.run(|| ());
    assert_eq!(runtime.stats().tasks, 0);
    set(&runtime, &b, 5);
    set(&runtime, &a, 3);
    assert_eq!(runtime.run(|| one_or_both(&a, &b)), 8);
}

static CANCEL: AtomicBool = AtomicBool::new(false);

#[task_fn(transient)]
fn middle(x: &Input<i64>) -> i64 {
    x.get() / 10
}

#[task_fn(transient)]
fn in_steps(x: &Input<i64>, y: &Input<i64>, runtime: Runtimes) -> i64 {
    if CANCEL.swap(false, Relaxed) {
        cancel_meanwhile(runtime.get());
    }
    middle(x) + middle(y)
}

#[task_fn(transient)]
fn over_steps(x: &Input<i64>, y: &Input<i64>, runtime: Runtimes) -> i64 {
    in_steps(x, y, runtime) * 2
}

/// A runtime as an argument: of these tests, each has one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Runtimes(usize);

static RUNTIMES: [OnceLock<Runtime>; 4] = [const { OnceLock::new() }; 4];

impl Runtimes {
    fn get(self) -> &'static Runtime {
        RUNTIMES[self.0].get_or_init(Runtime::new)
    }
}

/// A forgotten task (whose readers stay current) ran again, was cancelled after its first read, and recorded that as all
/// that it reads. A change of what it had read second never reached its readers.
#[test]
fn a_cancelled_run_keeps_the_reads_of_the_run_before() {
    let at = Runtimes(0);
    let runtime = at.get();
    let (x, y) = (runtime.input("x", 10), runtime.input("y", 10));
    assert_eq!(runtime.run(|| over_steps(&x, &y, at)), 4);
    runtime.run(|| assert!(in_steps::forget(&x, &y, at) && middle::forget(&x)));
    CANCEL.store(true, Relaxed);
    let cancelled = runtime.try_run(|| in_steps(&x, &y, at));
    assert!(matches!(cancelled, Err(TaskError::Cancelled)), "{cancelled:?}");
    set(runtime, &y, 30);
    assert_eq!(runtime.run(|| over_steps(&x, &y, at)), 8);
}

static CANCEL_NOW: AtomicBool = AtomicBool::new(false);

#[task_fn(transient)]
fn same(x: i64) -> i64 {
    x
}

#[task_fn(transient)]
fn child(x: &Input<i64>, runtime: Runtimes) -> i64 {
    if CANCEL_NOW.swap(false, Relaxed) {
        cancel_meanwhile(runtime.get());
    }
    same(x.get() / 10)
}

#[task_fn(transient)]
fn child_or_7(x: &Input<i64>, runtime: Runtimes) -> i64 {
    child::task(x, runtime).try_get().unwrap_or(7)
}

#[task_fn(transient)]
fn over_child(x: &Input<i64>, runtime: Runtimes) -> i64 {
    child_or_7(x, runtime) + 1
}

/// A body caught the cancellation of its child and returned 7, which was put in place although the run failed; the next run
/// returned a genuine 7, and was taken for unchanged: the readers of the value before stayed as they were.
#[test]
fn a_value_made_of_a_cancellation_is_not_taken_for_one_that_was_seen() {
    let at = Runtimes(1);
    let runtime = at.get();
    let x = runtime.input("x", 10);
    assert_eq!(runtime.run(|| over_child(&x, at)), 2);
    set(runtime, &x, 70);
    CANCEL_NOW.store(true, Relaxed);
    let cancelled = runtime.try_run(|| over_child(&x, at));
    assert!(matches!(cancelled, Err(TaskError::Cancelled)), "{cancelled:?}");
    assert_eq!(runtime.run(|| over_child(&x, at)), 8);
}

#[task_fn(transient)]
fn miss_after_miss(runtime: Runtimes, n: u32) -> u32 {
    if n == 3 {
        cancel_meanwhile(runtime.get());
    }
    if n == 1000 { n } else { miss_after_miss(runtime, n + 1) }
}

/// Only stale tasks looked whether the session was cancelled; one that met nothing but new tasks ran to its end.
#[test]
fn a_new_task_is_a_task_boundary() {
    let at = Runtimes(2);
    let cancelled = at.get().try_run(|| miss_after_miss(at, 0));
    assert!(matches!(cancelled, Err(TaskError::Cancelled)), "{cancelled:?}");
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
/// claimed for ever: whoever asked for it again waited.
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

#[derive(Clone)]
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

/// A volatile task was listed to run again in the next session when it succeeded only: who caught its failure kept it.
#[test]
fn a_volatile_task_that_failed_runs_again_in_the_next_session() {
    let runtime = Runtime::new();
    assert_eq!(runtime.run(over_outside), -1);
    BROKEN.store(false, Relaxed);
    assert_eq!(runtime.run(over_outside), 5);
}

#[task_fn(transient)]
fn through_another(x: &Input<i64>, at: Runtimes) -> i64 {
    let other = Runtime::new();
    other.run(|| at.get().run(|| x.get()))
}

/// A body opened a session of another runtime and, in it, one of its own again: what it read there was recorded for nobody.
#[test]
fn reads_through_another_runtimes_session_are_the_bodys() {
    let at = Runtimes(3);
    let runtime = at.get();
    let x = runtime.input("x", 1);
    assert_eq!(runtime.run(|| through_another(&x, at)), 1);
    set(runtime, &x, 2);
    assert_eq!(runtime.run(|| through_another(&x, at)), 2);
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
        let x = runtime.input("x", RunsWhenDropped(runtime.clone(), false));
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
fn innocent() -> i64 {
    1
}

#[task_fn(transient)]
fn caught_cycle(n: u32) -> i64 {
    caught_cycle::task(n).try_get().unwrap_or(0) + innocent()
}

#[task_fn(transient)]
fn around_a_cycle() -> i64 {
    caught_cycle::task(1).try_get().unwrap_or(10) + innocent()
}

/// A body on a cycle caught the error and called an innocent task, which failed with the error of the cycle, for all in the
/// same demand.
#[test]
fn tasks_that_a_task_on_a_cycle_calls_do_not_fail_with_it() {
    assert_eq!(Runtime::new().run(around_a_cycle), 11);
}

#[task_fn(transient)]
fn ring(n: u32, meet: Meeting) -> i64 {
    meet.first(n);
    let next = ring::task((n + 1) % 2, meet).try_get();
    next.unwrap_or(100)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Meeting;

static MET: [AtomicBool; 2] = [const { AtomicBool::new(false) }; 2];
static BARRIER: OnceLock<Barrier> = OnceLock::new();

impl Meeting {
    /// Both threads wait for each other when their first tasks begin.
    fn first(self, n: u32) {
        if !MET[n as usize].swap(true, Relaxed) {
            BARRIER.get_or_init(|| Barrier::new(2)).wait();
        }
    }
}

/// Of two threads on one cycle, only the one that closed it failed for certain: a body on the other caught the error and had a
/// value, unless it was asked alone.
#[test]
fn both_ends_of_a_cycle_fail_whichever_thread_closes_it() {
    in_time(|| {
        let runtime = Runtime::new();
        let ask = |n: u32| runtime.try_run(|| ring(n, Meeting));
        let (one, two) = std::thread::scope(|scope| {
            let other = scope.spawn(|| ask(1));
            (ask(0), other.join().expect("an error is no panic"))
        });
        assert!(
            matches!((&one, &two), (Err(TaskError::Cycle(_)), Err(TaskError::Cycle(_)))),
            "{one:?} {two:?}"
        );
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
