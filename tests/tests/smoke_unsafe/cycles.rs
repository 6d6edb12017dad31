//! Cycles that are resolved: twins, rounds, publishing, verifying as one, giving way.

use std::sync::Barrier;

use larder::{CancelToken, Input, Runtime, TaskError, emit, task_fn};

/// Counts up to `most` in a circle of `of`, and drops texts.
#[task_fn(transient, cycle_initial = String::new(), cycle_rounds = 30)]
fn grows(most: &Input<usize>, of: usize, at: usize) -> String {
    let mut text = grows(most, of, (at + 1) % of);
    assert_ne!(most.get(), 13, "unlucky");
    if text.len() < most.get() {
        text.push('x');
    }
    emit(text.len());
    text
}

#[task_fn(transient)]
fn shown(most: &Input<usize>, of: usize) -> usize {
    grows(most, of, 0).len()
}

/// Once it has grown, another cycle is part of it.
#[task_fn(transient, cycle_initial = 0, cycle_rounds = 30)]
fn late(most: &Input<usize>) -> usize {
    let value = late(most);
    if value < 2 { value + 1 } else { between(most).max(value) }
}

#[task_fn(transient)]
fn between(most: &Input<usize>) -> usize {
    late(most).max(grows(most, 2, 1).len())
}

/// Goes back and forth over the heap, by steps, and falls back.
#[task_fn(transient, cycle_initial = vec![most.get()], cycle_step = |previous, new, round| longer(previous, new, round), cycle_rounds = 6)]
fn steps(most: &Input<usize>, at: usize) -> Vec<usize> {
    let mut all = steps(most, 1 - at);
    all.truncate(3);
    all.extend(falls(most));
    all
}

fn longer(previous: &[usize], new: Vec<usize>, round: u32) -> Vec<usize> {
    if round > 2 && previous.len() >= new.len() { previous.to_vec() } else { new }
}

#[task_fn(transient, cycle_fallback = vec![steps.get(); 2])]
fn falls(steps: &Input<usize>) -> Vec<usize> {
    self::steps(steps, 0)
}

#[task_fn(transient, cycle_initial = String::new(), cycle_step = |_, new, _| new + "y", cycle_rounds = 4)]
fn never_settles(most: &Input<usize>) -> String {
    never_settles(most)
}

#[test]
fn values_go_through_steps_and_fall_back() {
    let runtime = Runtime::new();
    let most = runtime.input("most", 3);
    for value in [3, 4, 4, 3] {
        runtime.update(|update| update.set(&most, value)).unwrap();
        let (all, fallback) = runtime.run(|| (steps(&most, 1), falls(&most)));
        assert_eq!((all.len(), fallback), (5, vec![value; 2]));
        let error = runtime.try_run(|| never_settles(&most)).expect_err("it grows");
        assert!(error.to_string().contains("from \"yyyy\" to \"yyyyy\""), "{error}");
    }
}

#[test]
fn members_and_their_twins_live_and_die_well() {
    let runtime = Runtime::new();
    let most = runtime.input("most", 3);
    for value in [3, 13, 4, 40] {
        runtime.update(|update| update.set(&most, value)).unwrap();
        let answer = runtime.try_run(|| (shown(&most, 3), grows(&most, 3, 2).len(), late(&most)));
        match value {
            13 => assert!(matches!(answer, Err(TaskError::Panicked { .. }))),
            40 => assert!(matches!(answer, Err(TaskError::NoFixpoint(_)))),
            _ => assert_eq!(answer.unwrap(), (value, value, value.max(2))),
        }
    }
    runtime.update(|update| update.set(&most, 5)).unwrap();
    runtime.run(|| {
        assert_eq!(shown(&most, 3), 5);
        assert!(!grows::collect::<usize>(&most, 3, 1).is_empty());
        assert!(grows::forget(&most, 3, 1));
    });
    assert_eq!(runtime.run(|| (shown(&most, 3), late(&most))), (5, 5));
}

#[test]
fn strands_that_enter_a_cycle_at_once_and_are_cancelled_leave_it_whole() {
    let runtime = Runtime::new();
    let most = runtime.input("most", 3);
    for round in 0..2 {
        runtime.update(|update| update.set(&most, 3 + round)).unwrap();
        let meet = Barrier::new(3);
        let token = CancelToken::new();
        std::thread::scope(|scope| {
            let asks = [0, 1].map(|at| {
                let (runtime, most, meet) = (&runtime, &most, &meet);
                scope.spawn(move || {
                    meet.wait();
                    runtime.run(|| grows(most, 4, at * 2).len())
                })
            });
            let cancelled = scope.spawn(|| {
                meet.wait();
                runtime.session().token(&token).try_run(|| grows(&most, 4, 1).len())
            });
            token.cancel();
            for ask in asks {
                assert_eq!(ask.join().unwrap(), 3 + round);
            }
            assert!(cancelled.join().unwrap().map_or(true, |length| length == 3 + round));
        });
    }
}
