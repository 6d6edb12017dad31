//! Errors of async tasks that were found and mended: each test opens with what happened.

#![allow(dead_code, reason = "task functions used by their companions only seem unused to the compiler")]
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use larder::{CancelToken, Input, Runtime, task_fn};
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
/// task found no execution under it to drive, and slept; if it was the one to drive the first, or if nobody polled that, for ever.
#[test]
fn a_suspended_verification_keeps_no_sync_task_from_others() {
    in_time(|| {
        let rt = Runtime::new();
        let input = rt.input("input", 4u64);
        assert_eq!(rt.run(|| top::task(&input).get()), 3);
        rt.update(|update| update.set(&input, 8)).unwrap();
        CLOSED.store(true, SeqCst);
        // Polled once, then held by somebody who does not poll.
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
            let outcome = rt.run_with(&token, || {
                begun.store(true, SeqCst);
                loop {
                    _ = short::task(key.fetch_add(1, SeqCst)).get();
                }
            });
            assert!(outcome.map(|never: ()| never).is_err());
            canceller.join().unwrap();
            let activity = rt.activity();
            assert_eq!((activity.running, activity.flights, activity.waiting), (0, 0, 0), "round {round}");
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
