//! Data of a session: there on every thread that works for it, and no dependency.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands, in its helpers too")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use larder::{Runtime, TaskExt, current, par_map, scope, session_data, task_fn};
use larder_tests::deadline::in_time;
use larder_tests::executor::block_on;

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

fn log(line: impl Into<String>) {
    if let Some(log) = session_data::<Log>() {
        log.0.lock().unwrap().push(line.into());
    }
}

fn logged() -> Vec<String> {
    let mut lines = session_data::<Log>().unwrap().0.lock().unwrap().clone();
    lines.sort();
    lines
}

#[task_fn]
fn leaf(number: u32) -> u32 {
    log(format!("leaf {number}"));
    number
}

#[task_fn(heavy)]
fn heavy(number: u32) -> u32 {
    log(format!("heavy {number}"));
    leaf(number + 100)
}

#[task_fn]
async fn later(number: u32) -> u32 {
    std::future::ready(()).await;
    log(format!("later {number}"));
    heavy::task(number).get_async().await
}

#[task_fn]
fn everywhere() -> u32 {
    let mut sum: u32 = par_map(0..4, leaf).into_iter().sum();
    scope(|scope| {
        scope.spawn(|| log("scope"));
    });
    let carried = current();
    sum += std::thread::scope(|threads| threads.spawn(|| carried.run(|| leaf(10))).join().unwrap());
    sum
}

#[test]
fn it_is_there_in_scopes_carried_work_and_async_bodies() {
    let runtime = Runtime::builder().threads(3).build();
    let lines = runtime.session().with(Log::default()).run(|| {
        everywhere();
        logged()
    });
    assert_eq!(lines, ["leaf 0", "leaf 1", "leaf 10", "leaf 2", "leaf 3", "scope"]);
    let lines = block_on(runtime.session().with(Log::default()).run_async(async || {
        later(1).await;
        let spawned = current().future(async { leaf(20) });
        spawned.await;
        logged()
    }));
    assert_eq!(lines, ["heavy 1", "later 1", "leaf 101", "leaf 20"]);
    let lines = runtime.session().with(Log::default()).try_run(|| {
        // By threads that wait for async bodies.
        assert_eq!(later::task(2).get(), 102);
        logged()
    });
    assert_eq!(lines.unwrap(), ["heavy 2", "later 2", "leaf 102"]);
}

#[test]
fn other_data_runs_nothing_again() {
    let runtime = Runtime::new();
    runtime.session().with(Log::default()).run(|| (leaf(1), assert_eq!(logged(), ["leaf 1"])));
    runtime.session().with(Log::default()).run(|| (leaf(1), assert!(logged().is_empty())));
    runtime.run(|| leaf(1));
    assert_eq!(runtime.stats().runs(), 1);
}

#[test]
fn without_a_session_or_data_there_is_none() {
    assert!(session_data::<Log>().is_none());
    let runtime = Runtime::new();
    assert!(runtime.run(session_data::<Log>).is_none());
    assert!(runtime.session().with(1_u8).run(session_data::<Log>).is_none());
    let seen = runtime.update(|_| session_data::<Log>().is_none()).unwrap();
    assert!(seen);
    // A session leaves nothing behind, a panic in it neither.
    let failed = runtime.session().with(Log::default()).try_run(|| panic!("on purpose"));
    assert!(failed.is_err());
    assert!(runtime.run(session_data::<Log>).is_none());
}

#[test]
fn a_session_within_has_the_data_of_both() {
    let runtime = Runtime::new();
    let other = Runtime::new();
    let seen = || (session_data::<u8>().map(|one| *one), session_data::<u16>().map(|two| *two));
    runtime.session().with(1_u8).with(1_u16).with(2_u16).run(|| {
        assert_eq!(seen(), (Some(1), Some(2)));
        runtime.session().with(3_u16).run(|| assert_eq!(seen(), (Some(1), Some(3))));
        block_on(runtime.session().with(4_u8).run_async(async || assert_eq!(seen(), (Some(4), Some(2)))));
        assert_eq!(seen(), (Some(1), Some(2)));
        // Another runtime's session is another world.
        other.run(|| assert_eq!(seen(), (None, None)));
        assert_eq!(seen(), (Some(1), Some(2)));
    });
}

#[test]
fn it_is_dropped_when_the_session_has_ended() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    struct Told;
    impl Drop for Told {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Relaxed);
            // A `Drop` may open a session of its own.
            Runtime::new().run(|| leaf(7));
        }
    }
    // A thread of the crew may let go of it after the session has ended.
    let is_dropped = |sessions: usize| {
        in_time(move || {
            while DROPPED.load(Relaxed) < sessions {
                std::thread::yield_now();
            }
        });
        assert_eq!(DROPPED.load(Relaxed), sessions);
    };
    let runtime = Runtime::builder().threads(3).build();
    runtime.session().with(Told).run(everywhere);
    is_dropped(1);
    block_on(runtime.session().with(Told).run_async(later(30)));
    is_dropped(2);
    drop(runtime.session().with(Told));
    is_dropped(3);
}
