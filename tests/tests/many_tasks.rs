//! A thread's memory of more tasks than the near part of its cache holds.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use larder::{Input, Runtime, task_fn};
use larder_tests::executor::block_on;

const TASKS: u32 = 30_000;

#[task_fn(transient)]
fn times(scale: Input<u64>, number: u32) -> u64 {
    scale.get() * u64::from(number)
}

#[task_fn(transient)]
async fn times_async(scale: Input<u64>, number: u32) -> u64 {
    std::future::ready(()).await;
    scale.get() * u64::from(number)
}

/// Asks for all of them twice.
fn ask(runtime: &Runtime, scale: &Input<u64>, is_async: bool) -> u64 {
    let one = |number| match is_async {
        true => block_on(times_async(scale.clone(), number)),
        false => times(scale.clone(), number),
    };
    runtime.run(|| (0..2).map(|_| (0..TASKS).map(one).sum::<u64>()).sum())
}

fn expected(scale: u64) -> u64 {
    2 * scale * (0..u64::from(TASKS)).sum::<u64>()
}

/// The thread answers most of the calls for itself, as long as nothing changes, and never with what was.
fn many(is_async: bool) {
    let runtime = Runtime::new();
    let scale = runtime.input("scale", 1u64);
    let name = if is_async { "times_async" } else { "times" };
    for value in 1..=3 {
        runtime.update(|update| update.set(&scale, value)).unwrap();
        for _ in 0..8 {
            assert_eq!(ask(&runtime, &scale, is_async), expected(value));
        }
        let before = runtime.stats();
        assert_eq!(ask(&runtime, &scale, is_async), expected(value));
        let asked = runtime.stats().since(&before);
        let asked = asked.get(name).unwrap();
        assert_eq!((asked.calls, asked.runs), (2 * u64::from(TASKS), 0));
        assert!(asked.thread_hits * 10 > asked.calls * 9, "{asked:?}");
    }
    // Freed nodes are forgotten by the thread, too.
    runtime.run(|| {
        for number in (0..TASKS).step_by(2) {
            if is_async {
                times_async::forget(scale.clone(), number);
            } else {
                times::forget(scale.clone(), number);
            }
        }
    });
    let before = runtime.stats();
    assert_eq!(ask(&runtime, &scale, is_async), expected(3));
    assert_eq!(runtime.stats().since(&before).get(name).unwrap().runs, u64::from(TASKS / 2));
}

#[test]
fn a_thread_remembers_more_tasks_than_its_cache_has_near() {
    many(false);
}

#[test]
fn a_thread_remembers_as_many_async_tasks() {
    many(true);
}
