//! Async executions: one box for call, wait and body; driven by futures and threads, dropped, failed, verified, moved off.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use larder::{Input, Runtime, TaskExt, current, emit, par_map, stream, task_fn};
use larder_tests::executor::{block_on, give_way};

#[task_fn(transient)]
async fn word(x: &Input<String>, n: usize) -> String {
    give_way().await;
    let text = x.with(|text| text.chars().take(n).collect::<String>());
    give_way().await;
    emit(text.len());
    assert_ne!(text, "abc", "on purpose");
    text
}

#[task_fn(transient)]
fn length(x: &Input<String>, n: usize) -> usize {
    word::task(x, n).try_get().map_or(0, |word| word.len())
}

#[task_fn(transient)]
async fn all(x: &Input<String>, up_to: usize) -> Vec<String> {
    let mut words = Vec::new();
    for n in 0..up_to {
        if length(x, n) == n {
            words.push(word(x, n).await);
        }
    }
    words.extend(par_map([1, 2], |n| format!("{n}")));
    words
}

#[task_fn(transient, heavy)]
async fn hashed(x: &Input<String>) -> usize {
    all(x, 3).await.concat().len() + spun(x)
}

#[task_fn(transient, heavy)]
fn spun(x: &Input<String>) -> usize {
    x.with(String::len)
}

#[task_fn(transient)]
async fn streamed(x: &Input<String>) -> usize {
    let mut words = stream([2, 1, 2], 2, |n| word(x, n));
    let mut length = 0;
    while let Some((_, word)) = words.next().await {
        length += word.len();
    }
    length
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn executions_are_driven_by_futures_and_threads() {
    let runtime = Runtime::builder().threads(2).build();
    let x = runtime.input("x", String::new());
    for text in ["abcd", "abce", "ab"] {
        block_on(runtime.update_async(|update| update.set(&x, text.to_owned()))).unwrap();
        let words = block_on(runtime.run_async(async { all(&x, 4).await }));
        assert_eq!(runtime.run(|| all::task(&x, 4).get()), words);
        assert!(words.len() > 4, "{words:?}");
        let lengths = block_on(runtime.run_async(async { (hashed(&x).await, streamed(&x).await) }));
        assert_eq!(lengths.0, text.len() + 5);
        assert_eq!(lengths.1, 5);
        assert_eq!(runtime.run(|| hashed::task(&x).get()), lengths.0);
        runtime.run(|| assert!(all::forget(&x, 4) && word::forget(&x, 1)));
    }
}

#[test]
fn waiters_come_and_go_and_the_last_one_drops_the_body() {
    let runtime = Runtime::new();
    let x = runtime.input("x", "abx".to_owned());
    for n in 1..4 {
        runtime.update(|update| update.set(&x, format!("{n}{n}c"))).unwrap();
        runtime.run(|| {
            let mut first = Box::pin(word(&x, n));
            assert!(poll_once(first.as_mut()).is_pending());
            let mut second = word(&x, n);
            assert!(poll_once(&mut second).is_pending());
            drop(first);
            if n == 2 {
                drop(second);
                assert!(!word::is_cached(&x, n));
            } else {
                assert_eq!(block_on(second).len(), n);
            }
            // A call that is never polled, and one that is answered from memory.
            drop(word(&x, 7));
            assert_eq!(word::task(&x, n).get().len(), n);
            assert_eq!(poll_once(word(&x, n)).map(|word| word.len()), Poll::Ready(n));
        });
        // A session that is dropped while its execution sleeps.
        let mut held = Box::pin(runtime.run_async(async { word(&x, 9).await }));
        assert!(poll_once(held.as_mut()).is_pending());
        drop(held);
    }
}

#[test]
fn executions_are_shared_by_threads_and_fail_for_all() {
    let runtime = Runtime::new();
    let x = runtime.input("x", String::new());
    for text in ["abd", "abc", "abe"] {
        runtime.update_with(larder::UpdatePolicy::Cancel, |update| update.set(&x, text.to_owned())).unwrap();
        std::thread::scope(|scope| {
            let by_future = scope.spawn(|| block_on(runtime.try_run_async(async { word(&x, 3).await })));
            let by_thread = runtime.try_run(|| word::task(&x, 3).get());
            assert_eq!(by_future.join().unwrap().ok(), by_thread.ok());
        });
    }
}

#[test]
fn carried_futures_and_boxed_calls_record_where_they_belong() {
    let runtime = Runtime::new();
    let x = runtime.input("x", "abde".to_owned());
    let length = block_on(runtime.run_async(async {
        let carried = current();
        let spawned = carried.future(async { word(&x, 2).await });
        let boxed = match word::call_boxed(word::boxed(&x, 3)) {
            Ok(call) => call.await,
            Err(_) => unreachable!("they are its arguments"),
        };
        let task = word::task(&x, 2);
        (spawned.await + &boxed + &task.get_async().await).len()
    }));
    assert_eq!(length, 7);
    assert_eq!(runtime.run(|| word::collect::<usize>(&x, 3)), [3]);
}

/// A call that is written outside of a session stands in a box of its own: dropped there, and left for a hit or for a wait.
#[test]
fn written_calls_are_dropped_and_made() {
    let runtime = Runtime::new();
    let x = runtime.input("x", String::from("ab"));
    drop(word(&x, 1));
    assert_eq!(block_on(runtime.run_async(word(&x, 1))), "a");
    // A hit, whose box is empty afterwards; and one that is dropped in between.
    assert_eq!(block_on(runtime.run_async(word(&x, 1))), "a");
    let mut call = Box::pin(runtime.run_async(word(&x, 2)));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(call);
    let mut call = word(&x, 2);
    let outside = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pin!(&mut call).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }));
    assert!(outside.is_err());
}
