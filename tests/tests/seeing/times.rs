//! Time in bodies, as statistics tell it: also of the rounds of a cycle, of its steps, and of second runs.
//!
//! Bodies take hours, by a clock that they put ahead themselves. Each function runs fewer times than are timed one by one, so that the hours are counted in
//! full; the rest of the time is far below an hour.

use std::cell::Cell;
use std::time::Duration;

use larder::testing::{Clock, with_clock};
use larder::{Builder, Runtime, task_fn};

thread_local! {
    static CLOCK: Clock = Clock::new();
    static HOURS: Cell<u64> = const { Cell::new(0) };
}

fn take_hours(hours: u64) {
    HOURS.set(HOURS.get() + hours);
    CLOCK.with(|clock| clock.advance(Duration::from_secs(3600 * hours)));
}

fn by_the_clock(builder: Builder) -> Runtime {
    CLOCK.with(|clock| with_clock(builder, clock)).build()
}

fn hours_of(runtime: &Runtime, function: &str) -> u64 {
    runtime.stats().get(function).unwrap().time.as_secs() / 3600
}

#[task_fn(transient, cycle_initial = 0)]
fn even(n: u32) -> u32 {
    if HOURS.get() > 0 {
        take_hours(1);
    }
    HOURS.set(HOURS.get().max(1));
    odd(n).min(2) + 1
}

#[task_fn(transient, cycle_initial = 0)]
fn odd(n: u32) -> u32 {
    even(n)
}

#[test]
fn each_round_of_a_cycle_is_timed() {
    let runtime = by_the_clock(Runtime::builder());
    assert_eq!(runtime.run(|| even(1)), 3);
    let of = runtime.stats().get("even").unwrap().clone();
    let hours = HOURS.get() - 1;
    assert!(hours > 1 && hours < of.runs && of.runs <= 16, "{of:?}");
    assert_eq!(hours_of(&runtime, "even"), hours, "{of:?}");
    let progress = runtime.progress(["even"]).now();
    assert_eq!(progress.running, 0, "no body is under way: {progress:?}");
}

fn slowly(new: u32, round: u32) -> u32 {
    take_hours(if round == 1 { 100 } else { 1 });
    new
}

#[task_fn(transient, cycle_initial = 0, cycle_step = |_, new, round| slowly(new, round))]
fn grows(n: u32) -> u32 {
    (grows(n) + 1).min(3)
}

/// The step of round 1 is taken beside the body, which has run before, and was not timed.
#[test]
fn each_step_of_a_cycle_is_timed() {
    let runtime = by_the_clock(Runtime::builder());
    assert_eq!(runtime.run(|| grows(1)), 3);
    assert!(HOURS.get() > 101, "{}", HOURS.get());
    assert_eq!(hours_of(&runtime, "grows"), HOURS.get(), "{:?}", runtime.stats().get("grows"));
    assert_eq!(runtime.progress(["grows"]).now().running, 0, "a step is no body");
}

#[task_fn]
fn slow(n: u32) -> u32 {
    take_hours(1);
    n
}

#[test]
fn second_runs_are_timed_and_no_runs() {
    let runtime = by_the_clock(Runtime::builder().check_determinism(1.0));
    assert_eq!(runtime.run(|| slow(1)), 1);
    assert_eq!((runtime.stats().get("slow").unwrap().runs, HOURS.get()), (1, 2));
    // The check goes on inside of the first run, so its hour is also one of that.
    assert!(hours_of(&runtime, "slow") >= 2, "{:?}", runtime.stats().get("slow"));
    assert_eq!(runtime.progress(["slow"]).now().running, 0);
}
