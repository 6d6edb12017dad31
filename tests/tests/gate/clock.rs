//! A clock that a test puts ahead: the patience of chores, deadlines, and tokens of the clock.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use larder::testing::{Clock, advance_clock, with_clock};
use larder::{Runtime, TaskError, UpdateError, UpdateOptions, task_fn};
use larder_tests::deadline::in_time;
use larder_tests::executor;

use super::{Flag, until_waiting};

const HOUR: Duration = Duration::from_secs(3600);

#[task_fn(transient, volatile)]
fn weather(#[skip] runs: &'static AtomicU64) -> u64 {
    runs.fetch_add(1, SeqCst)
}

/// A runtime with so much patience that none of this would end by the system's clock.
fn patient() -> (Runtime, Clock) {
    let clock = Clock::new();
    (with_clock(Runtime::builder().patience(HOUR), &clock).build(), clock)
}

/// Calls `work` while another thread has a session open in which a volatile task has run, and ends that session behind `work` or when
/// `over` is set.
fn beside_a_session(rt: &Runtime, runs: &'static AtomicU64, over: &Flag, work: impl FnOnce()) {
    let open = Flag::default();
    thread::scope(|s| {
        s.spawn(|| {
            rt.run(|| {
                weather(runs);
                open.set();
                over.wait();
            });
        });
        open.wait();
        work();
        over.set();
    });
}

#[test]
fn sessions_wait_for_chores_when_the_clock_says_that_patience_is_over() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    in_time(|| {
        let (rt, clock) = patient();
        let over = Flag::default();
        beside_a_session(&rt, &RUNS, &over, || {
            assert_eq!(rt.run(|| weather(&RUNS)), 0, "an hour has not passed");
            clock.advance(HOUR);
            thread::scope(|s| {
                let thread = s.spawn(|| rt.run(|| weather(&RUNS)));
                let future = s.spawn(|| executor::block_on(rt.run_async(async { weather(&RUNS) })));
                until_waiting(&rt, 2, 0);
                over.set();
                assert!(thread.join().unwrap().max(future.join().unwrap()) > 0, "it has run again");
            });
        });
    });
}

#[test]
fn a_session_that_stays_open_is_not_waited_for_when_the_clock_says_that_it_is_in_vain() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    in_time(|| {
        let (rt, clock) = patient();
        beside_a_session(&rt, &RUNS, &Flag::default(), || {
            rt.run(|| weather(&RUNS));
            clock.advance(HOUR);
            thread::scope(|s| {
                let thread = s.spawn(|| rt.run(|| weather(&RUNS)));
                let future = s.spawn(|| executor::block_on(rt.run_async(async { weather(&RUNS) })));
                until_waiting(&rt, 2, 0);
                // Ten times the patience.
                clock.advance(HOUR * 10);
                assert_eq!((thread.join().unwrap(), future.join().unwrap()), (0, 0));
            });
        });
    });
}

#[task_fn(transient)]
fn waits(#[skip] begun: &'static Flag, #[skip] over: &'static Flag) -> u64 {
    begun.set();
    over.wait();
    7
}

#[test]
fn sessions_and_updates_end_when_the_clock_says_that_their_time_is_over() {
    static BEGUN: Flag = Flag::new();
    static OVER: Flag = Flag::new();
    in_time(|| {
        let rt = Runtime::new();
        let other = Clock::new();
        let ended = Flag::default();
        let call = || waits(&BEGUN, &OVER);
        thread::scope(|s| {
            let first = s.spawn(|| rt.run(call));
            BEGUN.wait();
            let token = other.token(HOUR);
            assert!(!token.is_cancelled() && token.deadline().is_some());
            other.advance(HOUR);
            assert!(token.is_cancelled());
            let cancelled = rt.session().token(&token).try_run(call);
            assert!(matches!(cancelled, Err(TaskError::Cancelled)), "{cancelled:?}");
            let waiting = [
                s.spawn(|| rt.session().timeout(HOUR).try_run(call).is_err()),
                s.spawn(|| {
                    executor::block_on(rt.session().timeout(HOUR).try_run_async(async { call() })).is_err()
                }),
            ];
            let update = s.spawn(|| {
                let updated = rt.update_with(UpdateOptions::default().timeout(HOUR), |_| ());
                matches!(updated, Err(UpdateError::Cancelled(_)))
            });
            until_waiting(&rt, 0, 1);
            // Those that wait for the task have begun, or wait for the update: in both cases nothing but time ends that.
            s.spawn(|| {
                while !ended.is_set() {
                    advance_clock(&rt, HOUR);
                    thread::sleep(Duration::from_millis(1));
                }
            });
            assert!(update.join().unwrap());
            assert!(waiting.into_iter().all(|waiting| waiting.join().unwrap()));
            ended.set();
            OVER.set();
            assert_eq!(first.join().unwrap(), 7);
        });
    });
}

#[test]
fn a_wait_is_reported_when_the_clock_says_that_it_is_long() {
    static BEGUN: Flag = Flag::new();
    static OVER: Flag = Flag::new();
    in_time(|| {
        let (rt, clock) = patient();
        thread::scope(|s| {
            let session = s.spawn(|| rt.run(|| waits(&BEGUN, &OVER)));
            BEGUN.wait();
            let update = s.spawn(|| rt.update(|_| ()).unwrap());
            until_waiting(&rt, 0, 1);
            clock.advance(HOUR);
            // The waiter is woken by the clock, and notes what it waits for.
            while rt.stats().gate.long_waits == 0 {
                thread::yield_now();
            }
            let gate = rt.stats().gate;
            let [wait] = &gate.last[..] else { panic!("{gate:?}") };
            assert!(wait.waited >= HOUR && wait.held_by[0].age >= HOUR, "{wait}");
            OVER.set();
            session.join().unwrap();
            update.join().unwrap();
        });
        assert!(rt.stats().gate.last[0].waited >= HOUR, "also when it is over");
    });
}
