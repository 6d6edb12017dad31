//! Errors of async tasks that were found and mended: each test opens with what happened.

#![allow(dead_code, reason = "task functions used by their companions only seem unused to the compiler")]
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use larder::{CancelToken, Input, Runtime, TaskError, par_map, task_fn};
use larder_tests::deadline::in_time;

/// Where bodies wait until it is opened.
static CLOSED: AtomicBool = AtomicBool::new(false);
static WAITING: Mutex<Vec<Waker>> = Mutex::new(Vec::new());

async fn pass() {
    poll_fn(|context| {
        let mut waiting = WAITING.lock().unwrap();
        if !CLOSED.load(SeqCst) {
            return Poll::Ready(());
        }
        waiting.push(context.waker().clone());
        Poll::Pending
    })
    .await;
}

fn open() {
    let waiting = {
        let mut waiting = WAITING.lock().unwrap();
        CLOSED.store(false, SeqCst);
        std::mem::take(&mut *waiting)
    };
    waiting.into_iter().for_each(Waker::wake);
}

#[task_fn(transient)]
async fn slow(input: &Input<u64>) -> u64 {
    let value = input.get();
    pass().await;
    value
}

#[task_fn(transient)]
fn between(input: &Input<u64>) -> u64 {
    slow::task(input).get() / 2
}

#[task_fn(transient)]
async fn top(input: &Input<u64>) -> u64 {
    std::future::ready(between(input)).await + 1
}

/// An execution that verified its reads claimed a sync task on its way, and gave way with the claim. A thread that waited for that
/// task found no execution under it to drive, and slept; if it was the one to drive the first, or if nothing polled that, for ever.
#[test]
fn a_suspended_verification_keeps_no_sync_task_from_others() {
    in_time(|| {
        let rt = Runtime::new();
        let input = rt.input("input", 4u64);
        assert_eq!(rt.run(|| top::task(&input).get()), 3);
        rt.update(|update| update.set(&input, 8)).unwrap();
        CLOSED.store(true, SeqCst);
        // Polled once, then held by a future that is not polled.
        let mut held = Box::pin(rt.run_async(async { top(&input).await }));
        assert!(held.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let opener = thread::spawn(|| {
            thread::sleep(Duration::from_millis(50));
            open();
        });
        assert_eq!(rt.run(|| between(&input)), 4);
        opener.join().unwrap();
        assert!(matches!(held.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(5)));
    });
}

#[task_fn(transient)]
async fn short(n: u64) -> u64 {
    std::future::ready(n).await
}

/// A session that was cancelled after it had launched an execution and before it waited for it left an execution without anybody
/// to drive or end it: its claim and its hold on the gate stayed, and the next update waited for ever.
#[test]
fn a_cancelled_launcher_takes_its_execution_along() {
    in_time(|| {
        let rt = Runtime::new();
        let input = rt.input("input", 0u64);
        let key = AtomicU64::new(0);
        for round in 0..200 {
            let token = CancelToken::new();
            let begun = Arc::new(AtomicBool::new(false));
            let canceller = thread::spawn({
                let (token, begun) = (token.clone(), begun.clone());
                move || {
                    while !begun.load(SeqCst) {
                        std::hint::spin_loop();
                    }
                    (0..round * 20).for_each(|_| std::hint::spin_loop());
                    token.cancel();
                }
            });
            let outcome = rt.session().token(&token).try_run(|| {
                begun.store(true, SeqCst);
                loop {
                    _ = short::task(key.fetch_add(1, SeqCst)).get();
                }
            });
            assert!(outcome.map(|never: ()| never).is_err());
            canceller.join().unwrap();
            let activity = rt.activity();
            assert_eq!((activity.running, activity.async_runs, activity.waiting), (0, 0, 0), "round {round}");
            rt.update(|update| update.set(&input, round)).unwrap();
        }
    });
}

#[task_fn(transient)]
fn read(input: &Input<u64>) -> u64 {
    input.get()
}

#[task_fn(transient)]
fn reads(input: &Input<u64>) -> u64 {
    read(input) + 1
}

#[task_fn(transient)]
fn turns(input: &Input<u64>, n: u64) -> u64 {
    input.get() + turns(input, 1 - n)
}

/// A task that had been the first to become stale after a change was never freed, whatever was forgotten; neither were tasks on a
/// cycle, each of which the other one had read.
#[test]
fn what_is_forgotten_goes_although_it_was_stale_or_on_a_cycle() {
    let rt = Runtime::new();
    let input = rt.input("input", 1u64);
    let at_first = rt.activity().tasks;
    for value in 2..5 {
        rt.update(|update| update.set(&input, value)).unwrap();
        assert_eq!(rt.run(|| reads(&input)), value + 1);
        assert!(rt.try_run(|| turns(&input, 0)).is_err());
    }
    assert_eq!(rt.activity().tasks, at_first + 4);
    rt.run(|| {
        assert!(reads::forget(&input) && read::forget(&input));
        assert!(turns::forget(&input, 0) && turns::forget(&input, 1));
    });
    assert_eq!(rt.activity().tasks, at_first);
    assert_eq!(rt.run(|| reads(&input)), 5);
}

static BEGUN: AtomicBool = AtomicBool::new(false);
static ENDLESS: AtomicBool = AtomicBool::new(true);

/// Runs until it is cancelled.
#[task_fn(transient)]
async fn endless(_n: u64) -> u64 {
    BEGUN.store(true, SeqCst);
    let mut key = 1_000_000;
    while ENDLESS.load(SeqCst) {
        key = std::future::ready(key + 1).await;
        _ = short::task(key).get();
    }
    1
}

#[task_fn(transient)]
fn catches(n: u64) -> u64 {
    endless::task(n).try_get().unwrap_or(7)
}

#[task_fn(transient)]
fn catches_in_a_scope(n: u64) -> u64 {
    // By the time of the cancellation the second item has ended, so that no participant looks again.
    let of = |n: Option<u64>| n.map_or(1, |n| endless::task(n).try_get().unwrap_or(7));
    par_map([Some(n), None], of).into_iter().sum()
}

#[task_fn(transient)]
async fn catches_and_panics(n: u64) -> u64 {
    let n = std::future::ready(n).await;
    endless::task(n).try_get().expect("it caught an error")
}

/// How a task is asked for, and its value.
type Case = (fn(u64) -> u64, u64);

/// An execution that was cancelled told its waiters so, but their tasks were not held to it: what a body made of the error, having
/// caught it, was its output, in that session and later; and an async body that panicked over it told its waiters the panic.
#[test]
fn what_a_body_makes_of_a_cancelled_execution_is_not_kept() {
    in_time(|| {
        let cases: [Case; 3] =
            [(catches, 1), (catches_in_a_scope, 2), (|n| catches_and_panics::task(n).get(), 1)];
        let rt = Runtime::builder().threads(2).build();
        let other = rt.input("other", 0u64);
        for (number, (ask, wanted)) in (0..).zip(cases) {
            ENDLESS.store(true, SeqCst);
            BEGUN.store(false, SeqCst);
            let outcome = thread::scope(|threads| {
                let asking = threads.spawn(|| rt.try_run(|| ask(number)));
                while !BEGUN.load(SeqCst) {
                    thread::yield_now();
                }
                thread::sleep(Duration::from_millis(20));
                rt.update_with(larder::UpdatePolicy::Cancel, |update| update.set(&other, number + 1))
                    .unwrap();
                asking.join().unwrap()
            });
            assert!(matches!(outcome, Err(TaskError::Cancelled)), "case {number}: {outcome:?}");
            ENDLESS.store(false, SeqCst);
            assert_eq!(rt.run(|| ask(number)), wanted, "case {number}");
        }
    });
}

#[task_fn(transient)]
async fn fails(input: &Input<u64>) -> u64 {
    let value = std::future::ready(input.get()).await;
    panic!("always, this time for {value}")
}

#[task_fn(transient)]
fn is_calm(input: &Input<u64>) -> bool {
    fails::task(input).try_get().is_err()
}

#[task_fn(transient)]
fn is_still_calm(input: &Input<u64>) -> bool {
    is_calm(input)
}

static TOPS: AtomicU64 = AtomicU64::new(0);

#[task_fn(transient)]
async fn calm_top(input: &Input<u64>) -> bool {
    TOPS.fetch_add(1, SeqCst);
    std::future::ready(is_still_calm(input)).await
}

/// An execution that verified its task awaited the origin of the wave; when that failed it ran the body at once, as if the origin
/// had been a read of it. A task in between had caught the failure, and its value had not changed.
#[test]
fn a_failure_that_somebody_in_between_catches_is_no_reason_to_run() {
    in_time(|| {
        let rt = Runtime::new();
        let input = rt.input("input", 0u64);
        for value in 0..4 {
            rt.update(|update| update.set(&input, value)).unwrap();
            assert!(rt.run(|| calm_top::task(&input).get()));
            assert_eq!(TOPS.load(SeqCst), 1, "at {value}");
        }
    });
}

static IS_HELD: AtomicBool = AtomicBool::new(false);
static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// Takes its time when a body is dropped that holds it.
struct Slow;

impl Drop for Slow {
    fn drop(&mut self) {
        if !IS_HELD.swap(false, SeqCst) {
            return;
        }
        IS_ENDING.store(true, SeqCst);
        thread::sleep(Duration::from_millis(100));
    }
}

#[task_fn(transient)]
async fn failed_once(input: &Input<u64>) -> u64 {
    let value = input.get();
    assert!(value > 0, "it cannot be 0");
    let _slow = Slow;
    poll_fn(|_| if IS_HELD.load(SeqCst) { Poll::Pending } else { Poll::Ready(()) }).await;
    value
}

/// A task had failed, and its input had changed since. An execution of it was dropped; a strand that waited meanwhile for its claim to end
/// found a task without a value, and took the failure from before the change for the reason.
#[test]
fn a_dropped_execution_does_not_tell_of_an_earlier_failure() {
    in_time(|| {
        let rt = Runtime::new();
        let input = rt.input("input", 0u64);
        assert!(rt.try_run(|| failed_once::task(&input).get()).is_err());
        rt.update(|update| update.set(&input, 4)).unwrap();
        IS_HELD.store(true, SeqCst);
        let mut held = Box::pin(rt.run_async(async { failed_once(&input).await }));
        assert!(held.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let outcome = thread::scope(|threads| {
            let waiting = threads.spawn(|| {
                while !IS_ENDING.load(SeqCst) {
                    thread::yield_now();
                }
                rt.try_run(|| failed_once::task(&input).get())
            });
            drop(held);
            waiting.join().unwrap()
        });
        assert!(matches!(outcome, Ok(4)), "{outcome:?}");
    });
}
