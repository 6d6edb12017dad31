//! Results that are not kept for ever: errors of functions that ask for it, and results that expire.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use larder::testing::advance_clock;
use larder::{Runtime, task_fn};
use larder_tests::deadline::in_time;

fn runs(rt: &Runtime, name: &str) -> u64 {
    rt.stats().get(name).map_or(0, |function| function.runs)
}

static TRIES: AtomicUsize = AtomicUsize::new(0);

#[task_fn(transient, no_errors)]
fn flaky(succeeds_at: usize) -> Result<usize, String> {
    let tries = TRIES.fetch_add(1, SeqCst) + 1;
    if tries >= succeeds_at { Ok(tries) } else { Err("not yet".to_owned()) }
}

#[task_fn(transient)]
fn reader(succeeds_at: usize) -> String {
    format!("{:?} {:?}", flaky(succeeds_at), flaky(succeeds_at))
}

#[test]
fn an_error_stands_for_its_session_and_is_tried_again_in_the_next() {
    let rt = Runtime::new();
    for _ in 0..2 {
        assert_eq!(
            rt.run(|| (reader(3), reader(3))),
            ("Err(\"not yet\") Err(\"not yet\")".into(), reader_error())
        );
    }
    assert_eq!(TRIES.load(SeqCst), 2);
    assert_eq!(runs(&rt, "reader"), 1, "an equal error changes nothing for who read it");
    for _ in 0..3 {
        assert_eq!(rt.run(|| reader(3)), "Ok(3) Ok(3)");
    }
    assert_eq!(TRIES.load(SeqCst), 3, "a success is kept");
    assert_eq!(runs(&rt, "reader"), 2);
}

fn reader_error() -> String {
    "Err(\"not yet\") Err(\"not yet\")".to_owned()
}

#[task_fn(transient, no_errors)]
async fn flaky_async(n: usize) -> Result<usize, String> {
    std::future::ready(()).await;
    if n % 2 == 0 { Err("never".to_owned()) } else { Ok(n) }
}

#[test]
fn errors_of_async_functions_are_tried_again_as_well() {
    let rt = Runtime::new();
    for session in 1..4 {
        let both = smol::block_on(rt.run_async(async { (flaky_async(1).await, flaky_async(2).await) }));
        assert_eq!(both, (Ok(1), Err("never".to_owned())));
        assert_eq!(runs(&rt, "flaky_async"), 1 + session);
    }
}

static TICKS: AtomicUsize = AtomicUsize::new(0);
static LASTS: AtomicU64 = AtomicU64::new(0);

/// Asks how long it lasts whenever its body has run.
#[task_fn(transient, ttl = Duration::from_millis(LASTS.load(SeqCst)))]
fn ticks() -> usize {
    TICKS.fetch_add(1, SeqCst)
}

#[task_fn(transient)]
fn halved() -> usize {
    ticks() / 2
}

/// No time to live is so short that a slow machine could reach it where the test says that a result is kept, nor so long that the test
/// would not see the end of it.
#[test]
fn a_result_expires_at_the_start_of_a_session_and_not_within_one() {
    const HOUR: u64 = 3_600_000;
    in_time(|| {
        let rt = Runtime::new();
        rt.run(|| {
            // It has expired as soon as it is there.
            assert_eq!(halved(), 0);
            assert_eq!(ticks(), 0, "a session sees one state of the world");
        });
        LASTS.store(HOUR, SeqCst);
        for _ in 0..3 {
            assert_eq!(rt.run(|| (halved(), ticks())), (0, 1));
            assert_eq!(runs(&rt, "halved"), 2, "it has read a value that has changed");
        }
        // By the clock it expires again and again; both are from one state of the world each time.
        for round in 2..10 {
            advance_clock(&rt, Duration::from_millis(HOUR - 60_000));
            assert_eq!(rt.run(|| (halved(), ticks())), ((round - 1) / 2, round - 1));
            advance_clock(&rt, Duration::from_millis(60_000));
            assert_eq!(rt.run(|| (halved(), ticks())), (round / 2, round));
        }
    });
}

#[test]
fn an_expired_result_that_is_forgotten_is_not_touched() {
    #[task_fn(transient, ttl = Duration::from_secs(60))]
    fn short(n: u64) -> u64 {
        n
    }
    let rt = Runtime::new();
    rt.run(|| (0..100).map(short).sum::<u64>());
    rt.run(|| (0..100).for_each(|n| assert!(short::forget(n))));
    rt.run(|| {});
    advance_clock(&rt, Duration::from_secs(61));
    rt.run(|| {});
    assert_eq!(rt.run(|| (0..100).map(short).sum::<u64>()), 4950);
}
