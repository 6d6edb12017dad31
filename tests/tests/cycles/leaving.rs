//! Members that do not settle leave a cycle that has settled otherwise.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use larder::{Input, Runtime, TaskError, TaskExt, task_fn};
use larder_tests::deadline::in_time;
use larder_tests::executor::block_on;

#[task_fn(transient, cycle_initial = 0)]
fn outer(x: &Input<u32>) -> u32 {
    match outer(x) {
        0 => inner(x) + 1,
        value => (value + 1).min(4),
    }
}

#[task_fn(transient, cycle_initial = 0)]
fn inner(x: &Input<u32>) -> u32 {
    inner(x) + outer(x).max(1)
}

fn is_unsettled(answer: Result<u32, TaskError>) -> bool {
    matches!(answer, Err(TaskError::NoFixpoint(error)) if error.path == ["inner(input(\"x\"))"])
}

/// `inner` is read in the first round only, and never settles. Both failed.
#[test]
fn an_inner_cycle_that_is_read_in_the_first_round_only_does_not_fail_the_outer_one() {
    in_time(|| {
        for first in [0, 1] {
            let runtime = Runtime::new();
            let x = runtime.input("x", 0);
            let ask = |which| runtime.try_run(|| if which == 0 { outer(&x) } else { inner(&x) });
            for which in [first, 1 - first, first] {
                match ask(which) {
                    Ok(value) => assert_eq!((value, which), (4, 0)),
                    error => assert!(which == 1 && is_unsettled(error)),
                }
            }
            let caught = || catch_unwind(AssertUnwindSafe(|| inner(&x))).is_err();
            runtime.run(|| {
                assert!(caught());
                assert_eq!(outer(&x), 4);
                assert!(caught());
            });
        }
    });
}

/// While `settling` changes, this goes off, and never comes to rest; by itself it does.
#[task_fn(transient, cycle_initial = 0)]
fn easily_upset(x: &Input<u32>) -> u32 {
    match (easily_upset(x), settling(x)) {
        (0, 0..=4) => 1,
        (0, _) => 0,
        (value, _) => value + 1,
    }
}

#[task_fn(transient, cycle_initial = 0)]
fn settling(x: &Input<u32>) -> u32 {
    match settling(x) {
        0 => {
            easily_upset(x);
            1 + x.get()
        }
        value => (value + 1).min(7),
    }
}

#[task_fn(transient)]
fn reads_both(x: &Input<u32>) -> u32 {
    easily_upset(x) * 10 + settling(x)
}

#[test]
fn a_task_that_has_left_is_resolved_over_those_that_have_settled() {
    in_time(|| {
        for first in 0..3 {
            let runtime = Runtime::new();
            let x = runtime.input("x", 0);
            let ask = |which| match which {
                0 => easily_upset(&x),
                1 => settling(&x),
                _ => reads_both(&x),
            };
            for value in [0, 1, 0] {
                runtime.update(|update| update.set(&x, value)).expect("no session is open");
                runtime.run(|| ask(first));
                assert_eq!(runtime.run(|| [ask(0), ask(1), ask(2)]), [0, 7, 7]);
            }
        }
    });
}

#[task_fn(transient, cycle_initial = 0)]
fn keeps_the_first(x: &Input<u32>, y: &Input<u32>) -> u32 {
    match keeps_the_first(x, y) {
        0 => told_once(x, y),
        value => value,
    }
}

#[task_fn(transient)]
fn told_once(x: &Input<u32>, y: &Input<u32>) -> u32 {
    counts_on(x, y);
    tenth(y) + 1
}

#[task_fn(transient)]
fn tenth(y: &Input<u32>) -> u32 {
    y.get() / 10
}

#[task_fn(transient, cycle_initial = 0)]
fn counts_on(x: &Input<u32>, y: &Input<u32>) -> u32 {
    keeps_the_first(x, y);
    counts_on(x, y) + 1 + x.get()
}

/// The value is what it is because of what a task has read that has left: the two are no edges apart.
#[test]
fn what_a_task_has_read_that_has_left_is_a_dependency() {
    in_time(|| {
        for first in 0..3 {
            let runtime = Runtime::new();
            let (x, y) = (runtime.input("x", 0), runtime.input("y", 0));
            let runs = || {
                let functions = runtime.stats().functions;
                functions.iter().filter(|of| of.name == "keeps_the_first").map(|of| of.runs).sum::<u64>()
            };
            for value in [0, 20, 70] {
                runtime.update(|update| update.set(&y, value)).expect("no session is open");
                let entered = runtime.try_run(|| match first {
                    0 => keeps_the_first(&x, &y),
                    1 => told_once(&x, &y),
                    _ => counts_on(&x, &y),
                });
                assert_eq!(entered.is_ok(), first == 0);
                assert_eq!(runtime.run(|| keeps_the_first(&x, &y)), value / 10 + 1);
                let before = runs();
                runtime.update(|update| update.set(&y, value + 1)).expect("no session is open");
                assert_eq!(runtime.run(|| keeps_the_first(&x, &y)), value / 10 + 1);
                assert_eq!(runs(), before, "nothing that was read has changed");
            }
        }
    });
}

#[task_fn(transient, cycle_initial = 0)]
fn keeps_the_third(x: &Input<u32>, y: &Input<u32>) -> u32 {
    match keeps_the_third(x, y) {
        0..=2 => told_late(x, y),
        value => value,
    }
}

#[task_fn(transient)]
fn told_late(x: &Input<u32>, y: &Input<u32>) -> u32 {
    match counts_late(x, y) {
        number @ 0..=1 => number + 1,
        _ => tenth(y) + 5,
    }
}

#[task_fn(transient, cycle_initial = 0)]
fn counts_late(x: &Input<u32>, y: &Input<u32>) -> u32 {
    keeps_the_third(x, y);
    counts_late(x, y) + 1
}

/// It holds for reads of a later round only, too.
#[test]
fn what_a_task_has_read_late_that_has_left_is_a_dependency() {
    in_time(|| {
        for first in 0..3 {
            let runtime = Runtime::new();
            let (x, y) = (runtime.input("x", 0), runtime.input("y", 0));
            for value in [0, 20, 70, 0] {
                runtime.update(|update| update.set(&y, value)).expect("no session is open");
                let entered = runtime.try_run(|| match first {
                    0 => keeps_the_third(&x, &y),
                    1 => told_late(&x, &y),
                    _ => counts_late(&x, &y),
                });
                assert_eq!(entered.is_ok(), first == 0);
                assert_eq!(runtime.run(|| keeps_the_third(&x, &y)), value / 10 + 5);
            }
        }
    });
}

static OUTSIDE: AtomicU32 = AtomicU32::new(0);

#[task_fn(transient, cycle_initial = 0)]
fn keeps_the_first_of_outside(x: &Input<u32>) -> u32 {
    match keeps_the_first_of_outside(x) {
        0 => looks_outside(x),
        value => value,
    }
}

#[task_fn(volatile)]
fn looks_outside(x: &Input<u32>) -> u32 {
    counts_on_outside(x);
    OUTSIDE.load(Relaxed) + 1
}

#[task_fn(transient, cycle_initial = 0)]
fn counts_on_outside(x: &Input<u32>) -> u32 {
    keeps_the_first_of_outside(x);
    counts_on_outside(x) + 1
}

/// Those that stay do not last longer than what they have come to be by.
#[test]
fn a_volatile_task_that_has_left_has_those_run_again_that_stay() {
    in_time(|| {
        let runtime = Runtime::new();
        let x = runtime.input("x", 0);
        for value in [0, 5, 3] {
            OUTSIDE.store(value, Relaxed);
            assert_eq!(runtime.run(|| keeps_the_first_of_outside(&x)), value + 1);
        }
    });
}

static ONCE: AtomicU32 = AtomicU32::new(0);

#[task_fn(transient, cycle_initial = 0)]
fn keeps_the_first_of_today(x: &Input<u32>) -> u32 {
    match keeps_the_first_of_today(x) {
        0 => expires(x),
        value => value,
    }
}

#[task_fn(ttl = std::time::Duration::from_nanos(1))]
fn expires(x: &Input<u32>) -> u32 {
    counts_on_today(x);
    ONCE.load(Relaxed) + 1
}

#[task_fn(transient, cycle_initial = 0)]
fn counts_on_today(x: &Input<u32>) -> u32 {
    keeps_the_first_of_today(x);
    counts_on_today(x) + 1
}

/// It holds for results that expire, too; and those that stay can be freed.
#[test]
fn a_task_that_expires_and_has_left_has_those_run_again_that_stay() {
    in_time(|| {
        let runtime = Runtime::new();
        let x = runtime.input("x", 0);
        for value in [0, 5, 3] {
            ONCE.store(value, Relaxed);
            assert_eq!(runtime.run(|| keeps_the_first_of_today(&x)), value + 1);
        }
        runtime.run(|| assert!(keeps_the_first_of_today::forget(&x)));
        for _ in 0..3 {
            runtime.run(|| ());
        }
        assert_eq!(runtime.run(|| keeps_the_first_of_today(&x)), 4);
    });
}

/// The lowest settles, the others do not; each reads the one below, and in the first round the one above.
#[task_fn(transient, cycle_initial = 0, cycle_rounds = 10)]
fn ladder(n: u32, x: &Input<u32>) -> u32 {
    let own = ladder(n, x);
    if own == 0 && n < 6 {
        ladder(n + 1, x);
    }
    if n > 0 {
        ladder(n - 1, x);
    }
    if n == 0 { (own + 1).min(3) } else { own + 1 }
}

#[test]
fn a_ladder_comes_apart_at_the_first_rung_that_does_not_settle() {
    in_time(|| {
        for first in 0..7 {
            let runtime = Runtime::new();
            let x = runtime.input("x", 0);
            for n in [first].into_iter().chain(0..7) {
                let answer = runtime.try_run(|| ladder(n, &x));
                assert_eq!(answer.ok(), (n == 0).then_some(3), "{n} after {first}");
            }
        }
    });
}

#[task_fn(transient, heavy, cycle_initial = 0)]
fn heavy_upset(x: &Input<u32>) -> u32 {
    match (heavy_upset(x), heavy_settling(x)) {
        (0, 0..=4) => 1,
        (0, _) => x.get(),
        (value, _) => value + 1,
    }
}

#[task_fn(transient, heavy, cycle_initial = 0)]
fn heavy_settling(x: &Input<u32>) -> u32 {
    match heavy_settling(x) {
        0 => {
            heavy_upset(x);
            1
        }
        value => (value + 1).min(7),
    }
}

#[task_fn(transient)]
async fn awaits_both(x: Input<u32>) -> u32 {
    heavy_upset::task(&x).get_async().await * 10 + heavy_settling(&x) + easily_upset(&x)
}

#[task_fn(transient)]
fn hundredth_of_upset(x: &Input<u32>) -> u32 {
    heavy_upset(x) / 100
}

#[task_fn(transient)]
async fn awaits_above(x: Input<u32>) -> u32 {
    hundredth_of_upset::task(&x).get_async().await + 1
}

/// A strand that verifies for a future, or runs on a thread for it, asks again for a member that has left.
#[test]
fn futures_and_heavy_tasks_ask_again_for_what_has_left() {
    in_time(|| {
        let runtime = Runtime::new();
        let x = runtime.input("x", 0);
        for value in [0, 0, 1, 0] {
            runtime.update(|update| update.set(&x, value)).expect("no session is open");
            let answer = block_on(
                runtime
                    .try_run_async(async { (awaits_both(x.clone()).await, awaits_above(x.clone()).await) }),
            );
            match answer {
                Ok(found) => assert_eq!((found, value), ((7, 1), 0)),
                error => assert!(value == 1 && matches!(error, Err(TaskError::NoFixpoint(_))), "{error:?}"),
            }
            assert_eq!(runtime.run(|| heavy_settling(&x)), 7);
        }
    });
}

#[test]
fn threads_agree_on_what_has_left() {
    in_time(|| {
        for round in 0..60 {
            let runtime = Runtime::new();
            let x = runtime.input("x", 0);
            let barrier = Barrier::new(3);
            std::thread::scope(|scope| {
                for thread in 0..3 {
                    let (runtime, x, barrier) = (&runtime, &x, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        for step in 0..3 {
                            match (thread + round + step) % 3 {
                                0 => assert_eq!(runtime.run(|| reads_both(x)), 7),
                                1 => assert_eq!(runtime.run(|| easily_upset(x)), 0),
                                _ => assert_eq!(runtime.run(|| settling(x)), 7),
                            }
                            match (thread + round + step) % 2 {
                                0 => assert_eq!(runtime.run(|| outer(x)), 4),
                                _ => assert!(is_unsettled(runtime.try_run(|| inner(x)))),
                            }
                        }
                    });
                }
            });
        }
    });
}
