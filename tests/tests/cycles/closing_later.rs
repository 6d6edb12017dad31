//! Cycles that close only after a change, behind tasks that are verified.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use larder::{Input, Runtime, TaskError, task_fn};
use larder_tests::deadline::in_time;

/// Two tasks below a third, one of which comes to read it once the input is set.
#[task_fn(transient)]
fn top(x: &Input<u32>) -> u32 {
    between(x) + 1
}

#[task_fn(transient, cycle_initial = 0)]
fn between(x: &Input<u32>) -> u32 {
    below(x).min(20)
}

#[task_fn(transient)]
fn below(x: &Input<u32>) -> u32 {
    if x.get() == 0 { 0 } else { top(x) }
}

/// The strand that verified `top` went straight to `below`, so the cycle seemed to have no fixpoint task on it.
#[test]
fn a_cycle_that_closes_after_a_change_has_all_its_tasks() {
    in_time(|| {
        let runtime = Runtime::new();
        let x = runtime.input("x", 0);
        assert_eq!(runtime.run(|| top(&x)), 1);
        runtime.update(|update| update.set(&x, 1)).expect("no session is open");
        assert_eq!(runtime.run(|| top(&x)), 21);
        assert_eq!(runtime.run(|| between(&x)), 20);
        runtime.update(|update| update.set(&x, 0)).expect("no session is open");
        assert_eq!(runtime.run(|| top(&x)), 1);
    });
}

#[task_fn(transient)]
fn plain_top(x: &Input<u32>) -> u32 {
    plain_between(x) + 1
}

#[task_fn(transient)]
fn plain_between(x: &Input<u32>) -> u32 {
    plain_below(x)
}

static BELOW_RUNS: AtomicU32 = AtomicU32::new(0);

#[task_fn(transient)]
fn plain_below(x: &Input<u32>) -> u32 {
    BELOW_RUNS.fetch_add(1, Relaxed);
    if x.get() == 0 { 0 } else { plain_top(x) }
}

/// The same, of a cycle that is an error: its path left out the task between.
#[test]
fn the_path_of_a_cycle_that_closes_after_a_change_is_complete() {
    in_time(|| {
        let runtime = Runtime::new();
        let x = runtime.input("x", 0);
        assert_eq!(runtime.run(|| plain_top(&x)), 1);
        runtime.update(|update| update.set(&x, 1)).expect("no session is open");
        BELOW_RUNS.store(0, Relaxed);
        let Err(TaskError::Cycle(cycle)) = runtime.try_run(|| plain_top(&x)) else {
            panic!("there is a cycle");
        };
        let names: Vec<_> = cycle.path.iter().map(|task| task.split('(').next()).collect();
        assert_eq!(names, ["plain_top", "plain_between", "plain_below"].map(Some));
        assert_eq!(BELOW_RUNS.load(Relaxed), 2, "once ahead of `plain_between`, and once behind it");
    });
}

/// Across threads: one has gone straight to `low`, and each waits for what the other one has claimed.
#[test]
fn a_cycle_that_closes_after_a_change_is_entered_by_two() {
    #[task_fn(transient)]
    fn high(x: &Input<u32>) -> u32 {
        middle(x) + 1
    }
    #[task_fn(transient, cycle_initial = 0)]
    fn middle(x: &Input<u32>) -> u32 {
        low(x).min(20)
    }
    #[task_fn(transient)]
    fn low(x: &Input<u32>) -> u32 {
        if x.get() == 0 {
            return 0;
        }
        meet(0);
        aside(x)
    }
    #[task_fn(transient)]
    fn aside(x: &Input<u32>) -> u32 {
        if x.get() == 0 {
            return 0;
        }
        meet(1);
        high(x)
    }
    /// The first run of each of the two waits for that of the other.
    fn meet(who: usize) {
        let meeting = MEETING[who].lock().expect("nobody panics with it").take();
        if let Some(meeting) = meeting {
            meeting.wait();
        }
    }
    static MEETING: [Mutex<Option<Arc<Barrier>>>; 2] = [Mutex::new(None), Mutex::new(None)];
    for _ in 0..20 {
        in_time(|| {
            let runtime = Runtime::new();
            let x = runtime.input("x", 0);
            assert_eq!(runtime.run(|| (high(&x), aside(&x))), (1, 0));
            runtime.update(|update| update.set(&x, 1)).expect("no session is open");
            let barrier = Arc::new(Barrier::new(2));
            for meeting in &MEETING {
                *meeting.lock().expect("nobody panics with it") = Some(barrier.clone());
            }
            std::thread::scope(|scope| {
                let one = scope.spawn(|| runtime.run(|| high(&x)));
                let other = scope.spawn(|| runtime.run(|| aside(&x)));
                assert_eq!(one.join().expect("no panic"), 21);
                assert_eq!(other.join().expect("no panic"), 21);
            });
        });
    }
}

/// Across threads: one runs `low`, which the other one wants to go straight to. A strand that waits for a task that it does not
/// read leaves out of the way whatever lies between.
#[test]
fn a_cycle_that_closes_after_a_change_is_entered_at_the_change() {
    #[task_fn(transient)]
    fn high(x: &Input<u32>) -> u32 {
        middle(x) + 1
    }
    #[task_fn(transient, cycle_initial = 0)]
    fn middle(x: &Input<u32>) -> u32 {
        low(x).min(20)
    }
    #[task_fn(transient)]
    fn low(x: &Input<u32>) -> u32 {
        if x.get() == 0 {
            return 0;
        }
        let begun = BEGUN.lock().expect("nobody panics with it").take();
        if let Some(begun) = begun {
            begun.wait();
            // The other one comes to wait meanwhile. If it does not, this tests nothing.
            std::thread::sleep(Duration::from_millis(20));
        }
        high(x)
    }
    static BEGUN: Mutex<Option<Arc<Barrier>>> = Mutex::new(None);
    for _ in 0..10 {
        in_time(|| {
            let runtime = Runtime::new();
            let x = runtime.input("x", 0);
            assert_eq!(runtime.run(|| high(&x)), 1);
            runtime.update(|update| update.set(&x, 1)).expect("no session is open");
            let begun = Arc::new(Barrier::new(2));
            *BEGUN.lock().expect("nobody panics with it") = Some(begun.clone());
            std::thread::scope(|scope| {
                let one = scope.spawn(|| runtime.run(|| low(&x)));
                begun.wait();
                let other = scope.spawn(|| runtime.run(|| high(&x)));
                assert_eq!(one.join().expect("no panic"), 21);
                assert_eq!(other.join().expect("no panic"), 21);
            });
        });
    }
}

/// A task that was gone to straight away runs once more inside of another one, which it reads: that is a cycle of these two, and
/// no way that leaves a task out. It was tried again and again.
#[test]
fn a_cycle_without_a_fixpoint_task_inside_of_one_with_is_an_error() {
    #[task_fn(transient)]
    fn outermost(x: &Input<u32>) -> u32 {
        passing_on(x) + 1
    }
    #[task_fn(transient)]
    fn passing_on(x: &Input<u32>) -> u32 {
        changing(x)
    }
    #[task_fn(transient)]
    fn changing(x: &Input<u32>) -> u32 {
        if x.get() == 0 { 0 } else { resolving(x) + back(x) }
    }
    #[task_fn(transient, cycle_initial = 0)]
    fn resolving(x: &Input<u32>) -> u32 {
        back(x)
    }
    #[task_fn(transient)]
    fn back(x: &Input<u32>) -> u32 {
        changing(x)
    }
    in_time(|| {
        let runtime = Runtime::new();
        let x = runtime.input("x", 0);
        assert_eq!(runtime.run(|| outermost(&x)), 1);
        runtime.update(|update| update.set(&x, 1)).expect("no session is open");
        let error = runtime.try_run(|| outermost(&x));
        assert!(matches!(error, Err(TaskError::Cycle(_))), "{error:?}");
    });
}
