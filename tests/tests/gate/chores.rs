//! Results that expire, volatile tasks and what is forgotten, while sessions overlap all the time.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use larder::testing::advance_clock;
use larder::{Runtime, task_fn};
use larder_tests::deadline::in_time;
use larder_tests::executor;

use super::Flag;

/// Runs `work` while the sessions of two other threads overlap, so that one is open at any time.
fn among_sessions(rt: &Runtime, work: impl FnOnce()) {
    let over = Flag::default();
    let opened = AtomicU64::new(0);
    thread::scope(|s| {
        for first in [0, 1] {
            let (over, opened) = (&over, &opened);
            s.spawn(move || {
                while !over.is_set() {
                    let number = opened.load(SeqCst);
                    rt.run(|| {
                        opened.fetch_add(1, SeqCst);
                        // Until the other one is in, or waits in its turn because of chores.
                        let mut looks = 0;
                        while opened.load(SeqCst) < number + 2 && looks < 10 + first && !over.is_set() {
                            thread::sleep(Duration::from_millis(1));
                            looks += 1;
                        }
                    });
                }
            });
        }
        while opened.load(SeqCst) < 4 {
            thread::yield_now();
        }
        work();
        over.set();
    });
}

#[task_fn(transient, ttl = Duration::from_secs(60))]
fn price(#[skip] runs: &'static AtomicU64) -> u64 {
    runs.fetch_add(1, SeqCst)
}

#[task_fn(transient, volatile)]
fn weather(#[skip] runs: &'static AtomicU64) -> u64 {
    runs.fetch_add(1, SeqCst)
}

/// A result with a time to live was computed once and never again, and a volatile one neither, as long as sessions
/// of other threads overlapped: each of them was judged when a session opened alone.
#[test]
fn results_expire_and_volatile_tasks_run_again_while_sessions_overlap() {
    static PRICE: AtomicU64 = AtomicU64::new(0);
    static WEATHER: AtomicU64 = AtomicU64::new(0);
    in_time(|| {
        let rt = Runtime::new();
        among_sessions(&rt, || {
            while PRICE.load(SeqCst) < 5 || WEATHER.load(SeqCst) < 5 {
                rt.run(|| (price(&PRICE), weather(&WEATHER)));
                executor::block_on(rt.run_async(async { price(&PRICE) }));
                advance_clock(&rt, Duration::from_secs(1));
            }
        });
    });
}

#[task_fn(transient)]
fn big(n: u64) -> u64 {
    n
}

/// Tasks that were forgotten stayed in memory while sessions overlapped.
#[test]
fn what_is_forgotten_is_freed_while_sessions_overlap() {
    in_time(|| {
        let rt = Runtime::new();
        among_sessions(&rt, || {
            rt.run(|| (0..100).map(big).sum::<u64>());
            rt.run(|| (0..100).for_each(|n| assert!(big::forget(n))));
            while rt.activity().tasks > 0 {
                rt.run(|| ());
                thread::sleep(Duration::from_millis(2));
            }
        });
    });
}

/// A session that stays open keeps chores waiting, and must not keep the others from opening.
#[test]
fn a_session_that_stays_open_holds_up_others_for_a_limited_time() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    in_time(|| {
        let rt = Runtime::builder().patience(Duration::from_millis(2)).build();
        let (open, over) = (Flag::default(), Flag::default());
        thread::scope(|s| {
            s.spawn(|| {
                rt.run(|| {
                    open.set();
                    over.wait();
                });
            });
            open.wait();
            for _ in 0..200 {
                rt.run(|| weather(&RUNS));
                executor::block_on(rt.run_async(async { weather(&RUNS) }));
                thread::sleep(Duration::from_millis(1));
            }
            over.set();
        });
        assert_eq!(RUNS.load(SeqCst), 1, "the world stands still for the session that is open");
        assert_eq!(rt.run(|| weather(&RUNS)), 1);
    });
}

/// A session that joins a thread which opens a session must not hang because of chores.
#[test]
fn a_session_that_an_open_one_waits_for_goes_past_chores() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    in_time(|| {
        let rt = Runtime::builder().patience(Duration::from_millis(2)).build();
        rt.run(|| {
            weather(&RUNS);
            for _ in 0..5 {
                thread::sleep(Duration::from_millis(10));
                thread::scope(|s| s.spawn(|| rt.run(|| weather(&RUNS))).join().unwrap());
                let session = rt.run_async(async { weather(&RUNS) });
                thread::scope(|s| s.spawn(|| executor::block_on(session)).join().unwrap());
            }
        });
        assert_eq!(RUNS.load(SeqCst), 1);
    });
}
