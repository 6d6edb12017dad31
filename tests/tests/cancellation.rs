//! Tokens and deadlines: sessions that are cancelled, those that are not, and results that are kept.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use larder::{CancelToken, Runtime, TaskError, current, par_map, task_fn};
use larder_tests::deadline::in_time;

fn runs(rt: &Runtime, name: &str) -> u64 {
    rt.stats().get(name).map_or(0, |function| function.runs)
}

/// Waits until so many threads and futures wait for a task.
fn until_waiting(rt: &Runtime, waiting: usize) {
    while rt.activity().waiting < waiting {
        thread::yield_now();
    }
}

#[task_fn(transient)]
fn leaf(n: u64) -> u64 {
    n
}

#[task_fn(transient)]
fn cancels_half_way(n: u64, #[skip] token: CancelToken) -> u64 {
    let first = leaf(n);
    token.cancel();
    first + leaf(n + 1)
}

#[test]
fn a_session_ends_at_the_next_task_boundary_and_keeps_nothing_unfinished() {
    let rt = Runtime::new();
    let token = CancelToken::new();
    let outcome = rt.session().token(&token).try_run(|| cancels_half_way(1, token.clone()));
    assert!(matches!(outcome, Err(TaskError::Cancelled)), "{outcome:?}");
    assert!(rt.run(|| leaf::is_cached(1)), "what was finished is kept");
    assert!(!rt.run(|| cancels_half_way::is_cached(1, token.clone())));
    assert!(
        matches!(rt.session().token(&token).try_run(|| 1), Err(TaskError::Cancelled)),
        "a cancelled token stays so"
    );
    assert_eq!(rt.run(|| cancels_half_way(1, CancelToken::new())), 3);
}

#[task_fn(transient)]
fn swallows(n: u64, #[skip] token: CancelToken) -> u64 {
    token.cancel();
    std::panic::catch_unwind(|| leaf(n)).unwrap_or(77)
}

#[test]
fn a_body_that_swallows_the_cancellation_is_not_cached() {
    let rt = Runtime::new();
    let token = CancelToken::new();
    assert!(matches!(
        rt.session().token(&token).try_run(|| swallows(1, token.clone())),
        Err(TaskError::Cancelled)
    ));
    assert_eq!(rt.run(|| swallows(1, token.clone())), 1);
}

#[test]
fn another_session_is_not_touched_and_takes_over() {
    #[task_fn(transient)]
    fn slow(n: u64, #[skip] began: Arc<Barrier>) -> u64 {
        if RUNS.fetch_add(1, SeqCst) == 0 {
            began.wait();
            began.wait();
        }
        leaf(n)
    }
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    in_time(|| {
        let rt = Runtime::new();
        let (token, began) = (CancelToken::new(), Arc::new(Barrier::new(2)));
        thread::scope(|s| {
            let cancelled = s.spawn(|| rt.session().token(&token).try_run(|| slow(5, began.clone())));
            began.wait();
            let other = s.spawn(|| rt.run(|| slow(5, began.clone())));
            until_waiting(&rt, 1);
            token.cancel();
            began.wait();
            assert!(matches!(cancelled.join().unwrap(), Err(TaskError::Cancelled)));
            assert_eq!(other.join().unwrap(), 5);
        });
        assert_eq!(RUNS.load(SeqCst), 2);
    });
}

#[test]
fn a_thread_that_waits_is_woken_and_what_it_waits_for_goes_on() {
    #[task_fn(transient)]
    fn waited_for(n: u64, #[skip] gate: Arc<(Barrier, Barrier)>) -> u64 {
        gate.0.wait();
        gate.1.wait();
        n
    }
    for by_deadline in [false, true] {
        let rt = Runtime::new();
        let gate = Arc::new((Barrier::new(2), Barrier::new(2)));
        thread::scope(|s| {
            let owner = s.spawn(|| rt.run(|| waited_for(1, gate.clone())));
            gate.0.wait();
            let token = if by_deadline {
                CancelToken::with_timeout(Duration::from_millis(20))
            } else {
                CancelToken::new()
            };
            let waiter = s.spawn({
                let (rt, token, gate) = (rt.clone(), token.clone(), gate.clone());
                move || rt.session().token(&token).try_run(|| waited_for(1, gate))
            });
            if !by_deadline {
                until_waiting(&rt, 1);
                token.cancel();
            }
            assert!(matches!(waiter.join().unwrap(), Err(TaskError::Cancelled)));
            gate.1.wait();
            assert_eq!(owner.join().unwrap(), 1);
        });
        assert_eq!(runs(&rt, "waited_for"), 1);
    }
}

#[test]
fn a_deadline_ends_a_long_session() {
    in_time(|| {
        let rt = Runtime::new();
        let token = CancelToken::with_timeout(Duration::from_millis(20));
        let outcome = rt.session().token(&token).try_run(|| {
            for n in 0.. {
                let is_over = token.is_cancelled();
                leaf(n);
                assert!(!is_over, "a call that begins after the deadline does not return");
            }
        });
        assert!(matches!(outcome, Err(TaskError::Cancelled)), "{outcome:?}");
        assert!(token.is_cancelled(), "not before the deadline");
    });
}

#[test]
fn scopes_and_carried_work_are_cancelled_with_their_session() {
    let rt = Runtime::builder().threads(2).build();
    let token = CancelToken::new();
    let ran = AtomicUsize::new(0);
    let outcome = rt.session().token(&token).try_run(|| {
        par_map(0..100_000u64, |n| {
            if ran.fetch_add(1, SeqCst) == 500 {
                token.cancel();
            }
            leaf(n)
        })
    });
    assert!(matches!(outcome, Err(TaskError::Cancelled)));
    assert!(ran.load(SeqCst) < 100_000);
    let token = CancelToken::new();
    let outcome = rt.session().token(&token).try_run(|| {
        let carried = current();
        token.cancel();
        thread::scope(|s| s.spawn(|| carried.run(|| leaf(200_000))).join().is_err())
    });
    assert_eq!(
        outcome.ok(),
        Some(true),
        "the carried call has failed, and the session itself made no further one"
    );
}

/// A call that is answered from memory does not look whether its session is cancelled. A loop of such calls has ways out.
#[test]
fn a_loop_of_hits_ends_where_it_looks_itself_or_between_the_items_of_a_scope() {
    let rt = Runtime::builder().threads(2).build();
    let (token, ran) = (CancelToken::new(), AtomicUsize::new(0));
    let hit = || {
        if ran.fetch_add(1, SeqCst) >= 500 {
            token.cancel();
        }
        leaf(1)
    };
    let outcome = rt.session().token(&token).try_run(|| par_map(0..100_000, |_| hit()).len());
    assert!(matches!(outcome, Err(TaskError::Cancelled)), "{outcome:?}");
    assert!(ran.load(SeqCst) < 1000, "{ran:?}");
    let (token, mut looked) = (CancelToken::new(), 0);
    let outcome = rt.session().token(&token).try_run(|| {
        while !token.is_cancelled() {
            looked += leaf(1);
            if looked == 500 {
                token.cancel();
            }
        }
    });
    assert!(outcome.is_ok() && looked == 500);
}

#[test]
fn a_part_of_a_session_can_be_cancelled_alone() {
    let rt = Runtime::new();
    rt.run(|| {
        let token = CancelToken::new();
        let inner = rt.session().token(&token).try_run(|| cancels_half_way(10, token.clone()));
        assert!(matches!(inner, Err(TaskError::Cancelled)));
        assert_eq!(leaf(500), 500);
        assert!(leaf::is_cached(500));
        assert_eq!(cancels_half_way(10, token), 21);
    });
}

type Gate = Arc<Mutex<(bool, Vec<Waker>)>>;

async fn pass(gate: &Gate) {
    poll_fn(|context| {
        let mut gate = gate.lock().expect("nobody panics with it");
        if gate.0 {
            return Poll::Ready(());
        }
        gate.1.push(context.waker().clone());
        Poll::Pending
    })
    .await;
}

fn open(gate: &Gate) {
    let wakers = {
        let mut gate = gate.lock().expect("nobody panics with it");
        gate.0 = true;
        std::mem::take(&mut gate.1)
    };
    wakers.into_iter().for_each(Waker::wake);
}

#[task_fn(transient)]
async fn gated(n: u64, #[skip] gate: Gate) -> u64 {
    pass(&gate).await;
    n
}

#[test]
fn a_cancelled_future_leaves_its_task_to_the_others() {
    let rt = Runtime::new();
    let (token, gate) = (CancelToken::new(), Gate::default());
    thread::scope(|s| {
        let cancelled = s.spawn(|| {
            smol::block_on(rt.session().token(&token).try_run_async(async { gated(1, gate.clone()).await }))
        });
        while gate.lock().expect("nobody panics with it").1.is_empty() {
            thread::yield_now();
        }
        let other = s.spawn(|| smol::block_on(rt.run_async(async { gated(1, gate.clone()).await })));
        until_waiting(&rt, 2);
        token.cancel();
        assert!(matches!(cancelled.join().unwrap(), Err(TaskError::Cancelled)));
        open(&gate);
        assert_eq!(other.join().unwrap(), 1);
    });
}
