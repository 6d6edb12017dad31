//! Fallbacks: tasks on a cycle that have a value without iteration.

use super::*;

#[task_fn(transient, cycle_fallback = 0)]
fn left(x: &Input<u32>) -> u32 {
    right(x) * 10
}

#[task_fn(transient, cycle_fallback = 0)]
fn right(x: &Input<u32>) -> u32 {
    if x.get() == 0 { 7 } else { left(x) + 1 }
}

/// By its body one of the two would be 10 or 1, whichever is asked first.
#[test]
fn all_tasks_of_a_cycle_that_have_a_fallback_take_it_wherever_it_is_entered() {
    for first in [0, 1] {
        let runtime = Runtime::new();
        let x = runtime.input("x", 1);
        let ask = |which| if which == 0 { left(&x) } else { right(&x) };
        runtime.run(|| ask(first));
        assert_eq!(runtime.run(|| (left(&x), right(&x))), (0, 0));
        assert_eq!(runs_of(&runtime, "left") + runs_of(&runtime, "right"), 2, "no body runs twice");
        // The cycle opens, and closes again.
        runtime.update(|update| update.set(&x, 0)).unwrap();
        assert_eq!(runtime.run(|| (ask(first), left(&x), right(&x))).1, 70);
        runtime.update(|update| update.set(&x, 2)).unwrap();
        runtime.run(|| ask(first));
        assert_eq!(runtime.run(|| (left(&x), right(&x))), (0, 0));
    }
}

/// Follows aliases to their end: `None` if they lead back to this one.
#[task_fn(transient, cycle_fallback = None)]
fn target(aliases: &Input<Vec<usize>>, name: usize) -> Option<usize> {
    let next = aliases.get()[name];
    if next == usize::MAX { Some(name) } else { target_plainly(aliases, next) }
}

#[task_fn(transient)]
fn target_plainly(aliases: &Input<Vec<usize>>, name: usize) -> Option<usize> {
    target(aliases, name)
}

#[test]
fn tasks_without_a_fallback_are_computed_from_those_that_have_one() {
    const END: usize = usize::MAX;
    for first in 0..5 {
        let runtime = Runtime::new();
        // 0 -> 1 -> 2 -> 1, 3 -> 4.
        let aliases = runtime.input("aliases", vec![1, 2, 1, 4, END]);
        runtime.run(|| (target(&aliases, first), target_plainly(&aliases, first)));
        let all = runtime.run(|| (0..5).map(|name| target_plainly(&aliases, name)).collect::<Vec<_>>());
        // 0 leads to the cycle and does not lie on it: its body returns what it reads there.
        assert_eq!(all, [None, None, None, Some(4), Some(4)]);
    }
}

#[task_fn(transient, cycle_fallback = 100)]
fn behind(n: u32) -> u32 {
    on_the_way(n) + 1
}

#[task_fn(transient)]
fn on_the_way(n: u32) -> u32 {
    if n == 0 { behind(n) * 2 } else { round_about(n) }
}

#[task_fn(transient)]
fn round_about(n: u32) -> u32 {
    let around = if n == 1 { on_the_way(n) } else { 3 };
    around + behind(n)
}

/// `on_the_way(1)` and `round_about(1)` are a circle without a fallback, though another circle through them has one.
#[test]
fn a_circle_without_a_fallback_is_an_error_for_all_that_depend_on_it_in_turn() {
    for first in 0..3 {
        let runtime = Runtime::new();
        let ask = |which: u32, n| match which {
            0 => behind(n),
            1 => on_the_way(n),
            _ => round_about(n),
        };
        assert_eq!(runtime.run(|| (ask(first, 0), behind(0), on_the_way(0))).1, 100);
        assert_eq!(runtime.run(|| on_the_way(0)), 200);
        let _ = runtime.try_run(|| ask(first, 1));
        for which in 0..3 {
            let answer = runtime.try_run(|| ask(which, 1));
            assert!(matches!(answer, Err(TaskError::Cycle(_))), "{which} after {first}: {answer:?}");
        }
        runtime.run(|| ask(first, 2));
        assert_eq!(runtime.run(|| (behind(2), on_the_way(2), round_about(2))), (100, 103, 103));
    }
}

#[task_fn(transient, cycle_fallback = 3)]
fn constant(n: u32) -> u32 {
    counting(n) + 1
}

/// Iterates over the fallback.
#[task_fn(transient, cycle_initial = 0)]
fn counting(n: u32) -> u32 {
    (counting(n) + constant(n)).min(20)
}

#[test]
fn a_fallback_and_iteration_meet_on_one_cycle() {
    for first in [0, 1] {
        let runtime = Runtime::new();
        runtime.run(|| if first == 0 { constant(0) } else { counting(0) });
        assert_eq!(runtime.run(|| (constant(0), counting(0))), (3, 20));
        assert_eq!(runs_of(&runtime, "constant"), 1, "its value is known");
    }
}

#[task_fn(transient, cycle_fallback = said(x))]
fn says(x: &Input<u32>, n: u32) -> u32 {
    emit(n);
    says(x, (n + 1) % 2)
}

fn said(x: &Input<u32>) -> u32 {
    emit(x.get() + 50);
    x.get()
}

/// A body on a cycle has run to find out what the task depends on. Its value counts for nothing; so does what it has emitted.
#[test]
fn a_fallback_reads_and_emits_for_its_task() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 4);
    for value in [4, 5] {
        runtime.update(|update| update.set(&x, value)).unwrap();
        assert_eq!(runtime.run(|| (says(&x, 1), says(&x, 0))), (value, value));
        assert_eq!(runtime.run(|| says::collect::<u32>(&x, 0)), [value + 50, value + 50]);
    }
}

#[task_fn(transient, cycle_fallback = refuses(x))]
fn may_be_refused(x: &Input<u32>) -> u32 {
    may_be_refused_plainly(x) + 1
}

#[task_fn(transient)]
fn may_be_refused_plainly(x: &Input<u32>) -> u32 {
    let value = may_be_refused(x);
    assert_ne!(x.get(), 2, "the body refuses");
    value
}

fn refuses(x: &Input<u32>) -> u32 {
    assert_ne!(x.get(), 1, "the fallback refuses");
    9
}

#[test]
fn if_a_fallback_or_a_body_fails_all_of_the_cycle_fail() {
    for first in [0, 1] {
        let runtime = Runtime::new();
        let x = runtime.input("x", 0);
        let ask = |which| if which == 0 { may_be_refused(&x) } else { may_be_refused_plainly(&x) };
        for (value, message) in [(1, "the fallback refuses"), (2, "the body refuses")] {
            runtime.update(|update| update.set(&x, value)).unwrap();
            for which in [first, 1 - first] {
                let error = runtime.try_run(|| ask(which)).expect_err("it is refused").to_string();
                assert!(error.contains(message), "{error}");
            }
        }
        runtime.update(|update| update.set(&x, 3)).unwrap();
        assert_eq!(runtime.run(|| (ask(first), ask(0), ask(1))), (9, 9, 9));
    }
}

/// Not comparable, and never compared.
#[derive(Clone)]
struct Opaque(u32);

#[task_fn(transient, no_eq, cycle_fallback = Opaque(at))]
fn opaque(at: u32) -> Opaque {
    opaque(1 - at)
}

#[test]
fn values_with_a_fallback_need_not_be_comparable() {
    assert_eq!(Runtime::new().run(|| (opaque(0).0, opaque(1).0)), (0, 1));
}

#[test]
fn threads_that_enter_a_cycle_of_fallbacks_agree() {
    in_time(|| {
        for _ in 0..200 {
            let runtime = Runtime::new();
            let x = runtime.input("x", 1);
            let barrier = Barrier::new(2);
            std::thread::scope(|scope| {
                for ask in [left, right] {
                    let (runtime, x, barrier) = (&runtime, &x, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        assert_eq!(runtime.run(|| ask(x)), 0);
                    });
                }
            });
            assert_eq!(runtime.run(|| (left(&x), right(&x))), (0, 0));
        }
    });
}

#[task_fn(transient, cycle_fallback = 1)]
fn opens(x: &Input<u32>) -> u32 {
    closes(x)
}

#[task_fn(transient)]
fn closes(x: &Input<u32>) -> u32 {
    if x.get() == 1 { opens(x).saturating_sub(u32::MAX) } else { 0 }
}

#[task_fn(transient)]
fn reads_opens(x: &Input<u32>) -> u32 {
    opens(x) + 10
}

/// `closes` was the origin of the staleness of `reads_opens`, and stayed equal when the cycle came apart. So the reader was taken for current,
/// though `opens` no longer had its fallback.
#[test]
fn a_reader_is_not_current_because_the_task_at_which_the_cycle_opened_is_equal() {
    for between in [None, Some(opens as fn(&Input<u32>) -> u32), Some(closes)] {
        let runtime = Runtime::new();
        let x = runtime.input("x", 1);
        for (value, expected) in [(1, 11), (0, 10), (1, 11), (2, 10)] {
            runtime.update(|update| update.set(&x, value)).unwrap();
            if let Some(ask) = between {
                runtime.run(|| ask(&x));
            }
            assert_eq!(runtime.run(|| reads_opens(&x)), expected);
        }
    }
}
