//! Time in bodies, as statistics tell it: also of the rounds of a cycle, and of second runs.
//!
//! A body sleeps for a known time, which is the least that it can take. Each function runs fewer times than are timed one by one.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use larder::{Runtime, task_fn};

const NAP: Duration = Duration::from_millis(20);

static ROUNDS: AtomicU32 = AtomicU32::new(0);

#[task_fn(transient, cycle_initial = 0)]
fn even(n: u32) -> u32 {
    if ROUNDS.fetch_add(1, Relaxed) > 0 {
        thread::sleep(NAP);
    }
    odd(n).min(2) + 1
}

#[task_fn(transient, cycle_initial = 0)]
fn odd(n: u32) -> u32 {
    even(n)
}

#[test]
fn each_round_of_a_cycle_is_timed() {
    let runtime = Runtime::new();
    assert_eq!(runtime.run(|| even(1)), 3);
    let of = runtime.stats().get("even").unwrap().clone();
    let naps = ROUNDS.load(Relaxed) - 1;
    assert!(naps > 1 && u64::from(naps) < of.runs && of.runs <= 16, "{of:?}");
    assert!(of.time >= NAP * naps, "{naps} rounds: {of:?}");
    let progress = runtime.progress(["even"]).now();
    assert_eq!(progress.running, 0, "no body is under way: {progress:?}");
}

#[task_fn]
fn slow(n: u32) -> u32 {
    thread::sleep(NAP);
    n
}

#[test]
fn second_runs_are_timed_and_no_runs() {
    let runtime = Runtime::builder().check_determinism(1.0).build();
    assert_eq!(runtime.run(|| slow(1)), 1);
    let of = runtime.stats().get("slow").unwrap().clone();
    assert_eq!(of.runs, 1);
    assert!(of.time >= NAP * 2, "{of:?}");
    assert_eq!(runtime.progress(["slow"]).now().running, 0);
}
