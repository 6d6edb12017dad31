//! Which tasks lie on a cycle, when bodies catch its error: the same ones wherever the cycle was entered.

use std::panic::{AssertUnwindSafe, catch_unwind};

use larder::{Runtime, TaskError, task_fn};

/// Calls a task and goes on if it fails.
fn attempt(call: impl FnOnce() -> u64) -> Option<u64> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

/// Reads the tasks in turn, whether they fail or not.
fn read_all(calls: &[fn() -> u64]) -> u64 {
    calls.iter().filter_map(attempt).sum()
}

#[task_fn(transient)]
fn a() -> u64 {
    read_all(&[b, d])
}

/// Closes at `a`, after `c` has closed here.
#[task_fn(transient)]
fn b() -> u64 {
    read_all(&[c, a])
}

#[task_fn(transient)]
fn c() -> u64 {
    read_all(&[b])
}

/// Reads `c` alone, whose cycle has closed at `b`: that of `b` closes at `a`.
#[task_fn(transient)]
fn d() -> u64 {
    read_all(&[c])
}

#[test]
fn a_task_on_a_cycle_of_cycles_fails_wherever_it_is_entered() {
    let calls: [fn() -> u64; 4] = [a, b, c, d];
    for first in calls {
        for asked in calls {
            let runtime = Runtime::new();
            let _ = runtime.try_run(first);
            let got = runtime.try_run(asked);
            assert!(matches!(got, Err(TaskError::Cycle(_))), "{got:?}");
        }
    }
}
