//! Calls that look right are right: async calls that are written before their session is open, sessions and updates with settings,
//! and the messages of the ones that are wrong.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use larder::storage::MemoryStorage;
use larder::{
    CancelToken, Runtime, TaskError, UpdateError, UpdateOptions, UpdatePolicy, ask, par_map, task_fn,
};
use smol::block_on;

static RUNS: AtomicU32 = AtomicU32::new(0);

#[task_fn(version = 1)]
async fn length(text: &str, extra: usize) -> usize {
    RUNS.fetch_add(1, Relaxed);
    std::future::ready(text.len() + extra).await
}

#[task_fn(transient)]
fn double(n: u64) -> u64 {
    n * 2
}

fn message_of<R>(work: impl FnOnce() -> R) -> String {
    let payload = catch_unwind(AssertUnwindSafe(work)).err().expect("this panics");
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => payload.downcast::<&str>().unwrap().to_string(),
    }
}

/// A call that is written outside of a session owns its arguments, and is looked up where it is first polled: in memory, in the
/// store, or by running the body.
#[test]
fn an_async_call_may_be_written_before_its_session_is_open() {
    let store = MemoryStorage::new();
    let open = || Runtime::builder().storage(store.clone()).code_identity("test").build();
    let runtime = open();
    let call = {
        let text = String::from("abc");
        length(&text, 1)
    };
    assert!(!call.is_ready());
    assert_eq!(block_on(runtime.run_async(call)), 4);
    assert_eq!(RUNS.load(Relaxed), 1);
    // Again, now from memory; two of the same in one session; and one that is never awaited.
    assert_eq!(block_on(runtime.run_async(length("abc", 1))), 4);
    let (one, other, dropped) = (length("abc", 1), length("xy", 0), length("never", 0));
    drop(dropped);
    assert_eq!(block_on(runtime.run_async(async move { one.await + other.await })), 6);
    assert_eq!(RUNS.load(Relaxed), 2);
    drop(runtime);
    // In the next process from the store.
    let runtime = open();
    assert_eq!(block_on(runtime.run_async(length("abc", 1))), 4);
    assert_eq!(RUNS.load(Relaxed), 2);
}

#[test]
fn a_deferred_call_is_a_dependency_of_the_task_that_awaits_it() {
    #[task_fn(transient)]
    async fn reads(#[skip] input: larder::Input<usize>, n: usize) -> usize {
        std::future::ready(n).await + input.get()
    }
    let runtime = Runtime::new();
    let input = runtime.input("input", 1usize);
    assert_eq!(block_on(runtime.run_async(reads(input.clone(), 10))), 11);
    runtime.update(|update| update.set(&input, 2)).unwrap();
    assert_eq!(block_on(runtime.run_async(reads(input, 10))), 12);
}

#[test]
fn a_deferred_call_that_is_polled_outside_of_a_session_says_where_to_await_it() {
    let message = message_of(|| block_on(length("abc", 3)));
    assert!(message.contains("`length` was awaited outside of a session"), "{message}");
    assert!(message.contains("run_async") && message.contains("larder::current()"), "{message}");
    // A question about an async call is still a question, outside of a session, too.
    let message = message_of(|| ask(|| length("abc", 3)).is_cached());
    assert!(message.contains("outside of a session"), "{message}");
}

#[test]
fn work_of_an_async_session_is_a_future_or_a_closure() {
    let runtime = Runtime::new();
    let texts = [String::from("a"), String::from("bc")];
    let sum = block_on(runtime.run_async(async || {
        let mut sum = 0;
        for text in &texts {
            sum += length(text, 7).await;
        }
        sum
    }));
    assert_eq!(sum, 17);
    // Called inside of the session, so that plain calls in it work, too.
    assert_eq!(block_on(runtime.run_async(async move || double(4) + texts.len() as u64)), 10);
    assert_eq!(block_on(runtime.run_async(|| std::future::ready(double(5)))), 10);
    assert!(matches!(
        block_on(runtime.try_run_async(async || panic!("no") as u32)),
        Err(TaskError::Panicked { .. })
    ));
    // Such a future can be spawned.
    let (results, result) = channel();
    let other = runtime.clone();
    smol::spawn(async move { results.send(other.run_async(async || double(6)).await).unwrap() }).detach();
    assert_eq!(result.recv().unwrap(), 12);
}

#[test]
fn a_session_with_settings_ends_by_its_token_or_its_deadline() {
    let runtime = Runtime::new();
    let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or_else(Instant::now);
    let token = CancelToken::new();
    assert_eq!(runtime.session().run(|| double(1)), 2);
    assert_eq!(
        runtime.session().token(&token).timeout(Duration::from_secs(600)).try_run(|| double(1)).ok(),
        Some(2)
    );
    let is_cancelled = |outcome: Result<u64, TaskError>| matches!(outcome, Err(TaskError::Cancelled));
    assert!(is_cancelled(runtime.session().deadline(past).try_run(|| double(2))));
    // The earliest deadline counts, in whatever order things are said.
    let long = Duration::from_secs(600);
    assert!(is_cancelled(runtime.session().deadline(past).timeout(long).try_run(|| double(2))));
    assert!(is_cancelled(runtime.session().timeout(long).deadline(past).token(&token).try_run(|| double(2))));
    assert!(is_cancelled(block_on(runtime.session().deadline(past).try_run_async(async || double(2)))));
    // A token with a deadline of the session's is still cancelled by its owner.
    token.cancel();
    assert!(is_cancelled(runtime.session().token(&token).timeout(long).try_run(|| double(2))));
    assert!(is_cancelled(runtime.session().timeout(long).token(&token).try_run(|| double(2))));
    assert!(is_cancelled(block_on(
        runtime.session().token(&token).timeout(long).try_run_async(async || double(2))
    )));
    assert!(message_of(|| runtime.session().token(&token).run(|| double(2))).contains("cancelled"));
}

/// A session that waits inside of a task is woken by its token through a deadline that was put on it.
#[test]
fn a_token_under_a_deadline_wakes_a_session_that_waits() {
    #[task_fn(transient)]
    fn held(#[skip] until: std::sync::Arc<std::sync::Barrier>) -> u64 {
        until.wait();
        until.wait();
        1
    }
    let runtime = Runtime::new();
    let until = std::sync::Arc::new(std::sync::Barrier::new(2));
    let token = CancelToken::new();
    thread::scope(|scope| {
        let holder = scope.spawn(|| runtime.run(|| held(until.clone())));
        until.wait();
        let waiter = scope.spawn(|| {
            runtime.session().token(&token).timeout(Duration::from_secs(600)).try_run(|| held(until.clone()))
        });
        token.cancel();
        assert!(matches!(waiter.join().unwrap(), Err(TaskError::Cancelled)));
        until.wait();
        assert_eq!(holder.join().unwrap(), 1);
    });
}

#[test]
fn updates_and_refreshes_take_a_policy_a_token_and_a_deadline() {
    let runtime = Runtime::new();
    let input = runtime.input("input", 1u64);
    let cancelled = CancelToken::new();
    cancelled.cancel();
    let held = |work: &dyn Fn()| {
        thread::scope(|scope| {
            let (opened, open) = channel();
            let (end, ends) = channel::<()>();
            let runtime = &runtime;
            scope.spawn(move || {
                runtime.run(|| {
                    opened.send(()).unwrap();
                    let _ = ends.recv();
                });
            });
            open.recv().unwrap();
            work();
            drop(end);
        });
    };
    let set =
        |options: UpdateOptions, value| runtime.update_with(options, |update| update.set(&input, value));
    held(&|| {
        let gave_up = |outcome: Result<(), UpdateError>| matches!(outcome, Err(UpdateError::Cancelled(_)));
        assert!(gave_up(set((&cancelled).into(), 2)));
        assert!(gave_up(set(UpdateOptions::default().timeout(Duration::from_millis(1)), 2)));
        assert!(gave_up(set(UpdateOptions::from(UpdatePolicy::Cancel).token(&cancelled), 2)));
        let waits = UpdateOptions::default().deadline(Instant::now());
        assert!(matches!(runtime.refresh_with(waits), Err(UpdateError::Cancelled(_))));
        let waits = runtime.update_async_with(&cancelled, |update| update.set(&input, 2));
        assert!(matches!(block_on(waits), Err(UpdateError::Cancelled(_))));
    });
    assert_eq!(runtime.run(|| input.get()), 1);
    runtime.update_with(UpdatePolicy::Cancel, |update| update.set(&input, 3)).unwrap();
    assert_eq!(runtime.run(|| input.get()), 3);
}

#[test]
fn an_input_keeps_its_value_or_is_set_as_its_name_says() {
    let runtime = Runtime::new();
    let input = runtime.input_or_set("level", 1u64).unwrap();
    assert_eq!(runtime.run(|| double(input.get())), 2);
    assert_eq!(runtime.run(|| runtime.input("level", 5u64).get()), 1, "`input` keeps what is there");
    let same = runtime.input_or_set("level", 5u64).unwrap();
    assert_eq!(same, input);
    assert_eq!(runtime.run(|| input.get()), 5);
    // Inside of a session a new one can be made, and one that is there cannot be set.
    runtime.run(|| {
        assert_eq!(runtime.input_or_set("fresh", 7u64).unwrap().get(), 7);
        assert!(matches!(runtime.input_or_set("level", 6u64), Err(UpdateError::InSession)));
    });
    assert_eq!(runtime.run(|| input.get()), 5);
}

/// On a thread that a task starts, a session of its own would lose the dependency: the message names what does not.
#[test]
fn misuse_outside_of_a_session_names_the_ways_to_take_it_along() {
    let runtime = Runtime::new();
    let handle = runtime.run(|| double::task(3));
    let spawned = runtime.run(|| thread::spawn(|| message_of(|| double(1))).join().unwrap());
    for message in [
        spawned,
        message_of(|| handle.get()),
        message_of(|| par_map(0..3, double)),
        message_of(|| larder::scope(|_| ())),
        message_of(larder::current),
        message_of(|| larder::emit(1u64)),
    ] {
        assert!(message.contains("outside of a session"), "{message}");
        assert!(
            message.contains("`larder::current()`") && message.contains("`par_map` or `scope`"),
            "{message}"
        );
    }
}

/// The place of a panic for misuse is the user's line.
#[test]
fn misuse_is_reported_at_the_users_line() {
    use std::sync::Mutex;
    static AT: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let runtime = Runtime::new();
    let (handle, input) = (runtime.run(|| double::task(3)), runtime.input("place", 1u64));
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|info| {
        if thread::current().name().is_some_and(|name| name.contains("users_line")) {
            AT.lock().unwrap().push(info.location().map(|at| at.file().to_owned()).unwrap_or_default());
        }
    }));
    let _ = message_of(|| double(1));
    let _ = message_of(|| double::is_cached(1));
    let _ = message_of(|| double::with(1, |n| *n));
    let _ = message_of(|| double::task(1));
    let _ = message_of(|| handle.get());
    let _ = message_of(|| input.get());
    let _ = message_of(|| larder::emit(1u64));
    let _ = message_of(larder::current as fn() -> larder::Carried);
    std::panic::set_hook(before);
    let at = AT.lock().unwrap();
    let here = at.iter().filter(|file| file.ends_with("public_face.rs")).count();
    // A function that is called by a pointer has no caller's line.
    assert_eq!((here, at.len()), (7, 8), "{at:?}");
}

/// Options could not be named behind the store: they are methods of another type then.
#[test]
fn options_may_stand_behind_the_store() {
    #[task_fn]
    fn content(name: &str) -> String {
        larder::fs::read_to_string(name).unwrap().to_string()
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), "here").unwrap();
    let runtime = Runtime::builder()
        .storage(MemoryStorage::new())
        .shards(4)
        .threads(1)
        .patience(None)
        .memory_cap(1 << 20)
        .collect_after(1000)
        .run_apart_after(Duration::from_secs(1))
        .base(folder.path())
        .check_determinism(0.0)
        .record_causes(true)
        .code_identity("options")
        .build();
    assert_eq!(runtime.run(|| content("a")), "here");
    assert_eq!(runtime.memory().cap, Some(1 << 20));
    std::fs::write(folder.path().join("a"), "there").unwrap();
    runtime.refresh().unwrap();
    assert_eq!(runtime.run(|| content("a")), "there");
    let explanation = runtime.explain(|| content("a"));
    assert!(explanation.records_causes);
}
