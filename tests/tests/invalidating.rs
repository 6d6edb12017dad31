//! Tasks that are made to run again, though nothing that they have read has changed.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands, in its helpers too")]

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use larder::events::{Cause, Event, Outcome};
use larder::storage::MemoryStorage;
use larder::{Input, Runtime, Task, task_fn};
use larder_tests::executor::block_on;

/// The outside, which no runtime sees: a number for each test.
static OUTSIDE: [AtomicU32; 16] = [const { AtomicU32::new(0) }; 16];

fn set(number: usize, value: u32) {
    OUTSIDE[number].store(value, Relaxed);
}

#[task_fn]
fn looked(number: usize) -> u32 {
    OUTSIDE[number].load(Relaxed)
}

#[task_fn]
async fn awaited(number: usize) -> u32 {
    std::future::ready(()).await;
    OUTSIDE[number].load(Relaxed)
}

#[task_fn]
fn half(number: usize) -> u32 {
    looked(number) / 2
}

#[task_fn]
fn text(number: usize) -> String {
    half(number).to_string()
}

fn runs(runtime: &Runtime) -> [u64; 3] {
    ["looked", "half", "text"].map(|name| runtime.stats().get(name).map_or(0, |function| function.runs))
}

fn over(store: &MemoryStorage) -> Runtime {
    Runtime::builder().storage(store.clone()).code_identity("invalidating").try_build().unwrap()
}

#[test]
fn an_invalidated_task_runs_again_and_its_readers_if_it_differs() {
    for (number, runtime) in [(0, Runtime::new()), (1, over(&MemoryStorage::new()))] {
        set(number, 4);
        assert_eq!(runtime.run(|| text(number)), "2");
        let task = runtime.run(|| looked::task(number));
        set(number, 5);
        assert_eq!(runtime.run(|| text(number)), "2");
        runtime.update(|update| update.invalidate(&task)).unwrap();
        // No body has run: it was not asked for.
        assert_eq!(runs(&runtime), [1, 1, 1]);
        assert_eq!(runtime.run(|| text(number)), "2");
        assert_eq!(runs(&runtime), [2, 2, 1]);
        // It comes to the same: its readers are current.
        runtime.update(|update| update.invalidate(&task)).unwrap();
        assert_eq!(runtime.run(|| text(number)), "2");
        assert_eq!(runs(&runtime), [3, 2, 1]);
        set(number, 8);
        runtime.update(|update| update.invalidate(&task)).unwrap();
        assert_eq!(runtime.run(|| text(number)), "4");
        assert_eq!(runtime.run(|| text(number)), "4");
        assert_eq!(runs(&runtime), [4, 3, 2]);
    }
}

#[test]
fn by_a_call_it_is_invalid_when_the_session_has_ended() {
    let runtime = Runtime::new();
    set(2, 4);
    runtime.run(|| {
        assert_eq!(text(2), "2");
        set(2, 8);
        looked::invalidate(2);
        larder::ask(|| looked(2)).invalidate();
        assert_eq!(text(2), "2");
    });
    assert_eq!(runtime.run(|| text(2)), "4");
    assert_eq!(runs(&runtime), [2, 2, 2]);
    // A call that was never made has nothing to run again.
    runtime.run(|| half::invalidate(9));
    assert_eq!(runtime.run(|| half(9)), 0);
    assert_eq!(runs(&runtime), [3, 3, 2]);
}

#[test]
fn an_async_task_is_invalidated_like_any_other() {
    #[task_fn]
    async fn doubled(number: usize) -> u32 {
        awaited(number).await * 2
    }
    let runtime = Runtime::new();
    let ask = || block_on(runtime.run_async(async || doubled(3).await));
    set(3, 1);
    assert_eq!(ask(), 2);
    set(3, 2);
    let task: Task<u32> = runtime.run(|| awaited::task(3));
    runtime.update(|update| update.invalidate(&task)).unwrap();
    assert_eq!(ask(), 4);
    runtime.run(|| awaited::invalidate(3));
    set(3, 3);
    assert_eq!(ask(), 6);
}

#[test]
fn together_with_a_change_of_an_input_each_body_runs_once() {
    #[task_fn]
    fn sum(number: usize, input: &Input<u32>) -> u32 {
        looked(number) + input.get()
    }
    let runtime = Runtime::new();
    let input = runtime.input("input", 1);
    set(4, 1);
    assert_eq!(runtime.run(|| sum(4, &input)), 2);
    let (leaf, root) = runtime.run(|| (looked::task(4), sum::task(4, &input)));
    set(4, 2);
    runtime
        .update(|update| {
            update.set(&input, 2);
            update.invalidate(&leaf);
            update.invalidate(&root);
            update.invalidate(&leaf);
        })
        .unwrap();
    assert_eq!(runtime.run(|| sum(4, &input)), 4);
    assert_eq!(runtime.stats().runs(), 4);
    // A panic in the closure of an update invalidates nothing.
    let caught = std::panic::catch_unwind(|| {
        runtime.update(|update| {
            update.invalidate(&leaf);
            panic!("on purpose");
        })
    });
    assert!(caught.is_err());
    assert_eq!(runtime.run(|| sum(4, &input)), 4);
    assert_eq!(runtime.stats().runs(), 4);
}

#[test]
fn what_is_stored_of_it_goes_so_that_the_next_process_runs_it() {
    let store = MemoryStorage::new();
    set(5, 4);
    assert_eq!(over(&store).run(|| text(5)), "2");
    set(5, 8);
    let runtime = over(&store);
    assert_eq!(runtime.run(|| text(5)), "2");
    assert_eq!(runs(&runtime), [0, 0, 0]);
    // It is known to the store alone, as is what has read it.
    let task = runtime.run(|| looked::task(5));
    runtime.update(|update| update.invalidate(&task)).unwrap();
    drop((task, runtime));
    let runtime = over(&store);
    assert_eq!(runtime.run(|| text(5)), "4");
    assert_eq!(runs(&runtime), [1, 1, 1]);
    // In one process, restored readers stay if it comes to the same.
    drop(runtime);
    let runtime = over(&store);
    assert_eq!(runtime.run(|| text(5)), "4");
    runtime.run(|| looked::invalidate(5));
    assert_eq!(runtime.run(|| text(5)), "4");
    assert_eq!(runs(&runtime), [1, 0, 0]);
    drop(runtime);
    let runtime = over(&store);
    assert_eq!(runtime.run(|| text(5)), "4");
    assert_eq!(runs(&runtime), [0, 0, 0]);
}

/// `forget` says that a result is right and takes memory, `invalidate` that it may be wrong.
#[test]
fn forgetting_leaves_readers_current_and_invalidating_does_not() {
    let runtime = Runtime::new();
    set(6, 4);
    assert_eq!(runtime.run(|| half(6)), 2);
    set(6, 8);
    runtime.run(|| looked::forget(6));
    assert_eq!(runtime.run(|| half(6)), 2);
    runtime.run(|| looked::invalidate(6));
    assert_eq!(runtime.run(|| half(6)), 4);
}

#[test]
fn under_a_cap_on_memory_it_runs_again_too() {
    let store = MemoryStorage::new();
    let runtime = Runtime::builder()
        .memory_cap(0)
        .storage(store.clone())
        .code_identity("invalidating")
        .try_build()
        .unwrap();
    set(7, 4);
    assert_eq!(runtime.run(|| text(7)), "2");
    runtime.flush().unwrap();
    for value in [8, 12] {
        set(7, value);
        runtime.run(|| looked::invalidate(7));
        runtime.run(|| ());
        assert_eq!(runtime.run(|| text(7)), (value / 2).to_string());
    }
}

#[test]
#[should_panic(expected = "the handle to invalidate belongs to another runtime")]
fn a_handle_of_another_runtime_is_refused() {
    let task = Runtime::new().run(|| looked::task(8));
    drop(Runtime::new().update(|update| update.invalidate(&task)));
}

#[test]
fn a_task_that_failed_is_asked_again_by_its_reader() {
    #[task_fn]
    fn failing(number: usize) -> u32 {
        let value = looked(number);
        assert!(value > 0, "nothing there");
        value
    }
    #[task_fn]
    fn coping(number: usize) -> u32 {
        failing::task(number).try_get().unwrap_or(99)
    }
    let runtime = Runtime::new();
    assert_eq!(runtime.run(|| coping(10)), 99);
    set(10, 3);
    runtime.run(|| looked::invalidate(10));
    assert_eq!(runtime.run(|| coping(10)), 3);
}

#[test]
fn observers_are_told_why_it_runs() {
    let runtime = Runtime::new();
    set(11, 4);
    runtime.run(|| text(11));
    let events = runtime.subscribe(100);
    runtime.run(|| looked::invalidate(11));
    runtime.run(|| text(11));
    let (events, _) = events.drain();
    let causes: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Ran(ran) => Some((ran.task.as_str(), ran.cause == Cause::Invalidated, ran.outcome)),
            _ => None,
        })
        .collect();
    assert_eq!(causes, [("looked(11)", true, Outcome::CutOff)]);
}
