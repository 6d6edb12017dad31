//! Reads of a resolved cycle that fail after a change: nothing behind them is looked at.

use super::*;

#[task_fn(transient)]
fn open_gate(x: &Input<u32>) -> u32 {
    assert!(x.get() != 0, "the gate is closed");
    1
}

#[task_fn(transient)]
fn behind_the_gate(x: &Input<u32>) -> u32 {
    open_gate(x) + around(x)
}

#[task_fn(transient, cycle_initial = 0)]
fn around(x: &Input<u32>) -> u32 {
    (behind_the_gate(x) + gate_then_late(x)).min(8)
}

#[task_fn(transient, cycle_initial = 0)]
fn gate_then_late(x: &Input<u32>) -> u32 {
    (behind_the_gate(x) + past_the_gate(x)).min(8)
}

static LATE_RUNS: AtomicU32 = AtomicU32::new(0);

#[task_fn(transient)]
fn past_the_gate(x: &Input<u32>) -> u32 {
    LATE_RUNS.fetch_add(1, Relaxed);
    x.get()
}

/// The reads of a member whose body first ran for a reader further in were not known to belong to round 1, so the component's
/// reads were looked at in another order than bodies come to them: one ran that no body asked for any more.
#[test]
fn a_resolved_cycle_looks_at_nothing_behind_a_read_that_fails() {
    in_time(|| {
        let runtime = Runtime::new();
        let x = runtime.input("x", 1);
        assert_eq!(runtime.run(|| behind_the_gate(&x)), 9);
        assert_eq!(LATE_RUNS.load(Relaxed), 1);
        runtime.update(|update| update.set(&x, 0)).expect("no session is open");
        let error = runtime.try_run(|| gate_then_late(&x)).expect_err("the gate is closed");
        assert!(error.to_string().contains("the gate is closed"), "{error}");
        assert_eq!(LATE_RUNS.load(Relaxed), 1, "it is not come to");
    });
}

#[task_fn(transient)]
fn passes_the_wheel(x: &Input<u32>) -> u32 {
    wheel(x) + x.get()
}

#[task_fn(transient, cycle_initial = 0)]
fn wheel(x: &Input<u32>) -> u32 {
    if passes_the_wheel(x) < 10 { behind_the_wheel(x).min(1) } else { 2 }
}

static BEHIND_RUNS: AtomicU32 = AtomicU32::new(0);

#[task_fn(transient)]
fn behind_the_wheel(x: &Input<u32>) -> u32 {
    BEHIND_RUNS.fetch_add(1, Relaxed);
    x.get()
}

/// `wheel` is on the way to the value of its reader, so the reader's body runs once more above it, and comes to the input before
/// `wheel` comes to anything else. The next read of `wheel` was looked at first, and ran though nothing read it any more
/// (found by the oracle, with the seed 634594775).
#[test]
fn a_resolved_cycle_looks_at_what_a_body_reads_that_runs_for_the_one_that_it_waits_for() {
    in_time(|| {
        let runtime = Runtime::new();
        let x = runtime.input("x", 1);
        assert_eq!(runtime.run(|| passes_the_wheel(&x)), 2);
        assert_eq!(BEHIND_RUNS.load(Relaxed), 1);
        runtime.update(|update| update.set(&x, 10)).expect("no session is open");
        assert_eq!(runtime.run(|| passes_the_wheel(&x)), 12);
        assert_eq!(BEHIND_RUNS.load(Relaxed), 1, "it is not come to");
    });
}
