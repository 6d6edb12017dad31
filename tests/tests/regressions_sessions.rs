//! Mistakes that the oracle or a second reading of the engine found, each told before its test: cancellation, cycles,
//! sessions within sessions.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Barrier, OnceLock};

use larder::{Input, Runtime, TaskError, task_fn};
use larder_tests::deadline::in_time;

fn set(runtime: &Runtime, input: &Input<i64>, value: i64) {
    runtime.update(|update| update.set(input, value)).expect("no session is open");
}

/// Updates with cancellation from another thread while the caller is in a session, and returns when the update waits for that session.
fn cancel_meanwhile(runtime: &Runtime) {
    let updating = runtime.clone();
    std::thread::spawn(move || updating.update_with(larder::UpdatePolicy::Cancel, |_| ()));
    while runtime.activity().at_gate.is_empty() {
        std::thread::yield_now();
    }
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

static RUNTIMES: [OnceLock<Runtime>; 5] = [const { OnceLock::new() }; 5];

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

#[task_fn(transient)]
fn fails_if_its_child_does(at: Runtimes, n: u32) -> u32 {
    if n == 0 {
        cancel_meanwhile(at.get());
    }
    same::task(i64::from(n) + 1000).try_get().expect("the child has a value");
    n
}

/// A body caught the cancellation of its child and panicked over it: the session ended with that panic, as if the task were at
/// fault, and not with `Cancelled`.
#[test]
fn a_panic_over_a_cancellation_is_a_cancellation() {
    let at = Runtimes(4);
    let cancelled = at.get().try_run(|| fails_if_its_child_does(at, 0));
    assert!(matches!(cancelled, Err(TaskError::Cancelled)), "{cancelled:?}");
    assert_eq!(at.get().run(|| fails_if_its_child_does(at, 1)), 1);
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

#[task_fn(transient)]
fn through_another(x: &Input<i64>, at: Runtimes) -> i64 {
    let other = Runtime::new();
    other.run(|| at.get().run(|| x.get()))
}

/// A body opened a session of another runtime and, in it, one of its own again: its reads there were recorded for no task.
#[test]
fn reads_through_another_runtimes_session_are_the_bodys() {
    let at = Runtimes(3);
    let runtime = at.get();
    let x = runtime.input("x", 1);
    assert_eq!(runtime.run(|| through_another(&x, at)), 1);
    set(runtime, &x, 2);
    assert_eq!(runtime.run(|| through_another(&x, at)), 2);
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
