//! Inputs that come and go, and the tasks over them.

use super::*;

#[test]
fn inputs_that_are_removed_leave_nothing() {
    check_in("inputs, forgotten", &Runtime::new(), |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.run(|| inputs.iter().map(twice).sum::<u64>());
        runtime.run(|| inputs.iter().for_each(|input| _ = (twice::forget(input), length::forget(input))));
        runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
    });
    check_in("inputs, forgotten from below", &Runtime::new(), |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.run(|| inputs.iter().map(twice).sum::<u64>());
        runtime.run(|| inputs.iter().for_each(|input| _ = (length::forget(input), twice::forget(input))));
        runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
    });
    check_in("inputs, removed before their tasks are forgotten", &Runtime::new(), |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.run(|| inputs.iter().map(twice).sum::<u64>());
        runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
        runtime.run(|| inputs.iter().for_each(|input| _ = (length::forget(input), twice::forget(input))));
    });
    check_in("inputs that only direct readers have", &Runtime::new(), |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.run(|| inputs.iter().map(length).sum::<u64>());
        runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
    });
    check_in("inputs that are made again", &Runtime::new(), |runtime, round| {
        for times in 0..3 {
            let inputs: Vec<_> = (0..MANY)
                .map(|n| runtime.transient_input(&n.to_string(), format!("{round} {times}")))
                .collect();
            runtime.run(|| inputs.iter().map(length).sum::<u64>());
            runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
        }
    });
    check_in("inputs that are not read", &Runtime::new(), |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
    });
    let runtime = Runtime::new();
    let root = runtime.transient_input("root", Vec::<Input<String>>::new());
    #[task_fn(transient)]
    fn through(root: &Input<Vec<Input<String>>>) -> u64 {
        root.with(|inputs| inputs.iter().map(length).sum())
    }
    runtime.run(|| through(&root));
    check_in("inputs below a task that stays", &runtime, |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.update(|update| update.set(&root, inputs.clone())).unwrap();
        runtime.run(|| through(&root));
        runtime
            .update(|update| {
                update.set(&root, Vec::new());
                inputs.iter().for_each(|input| update.remove(input));
            })
            .unwrap();
        runtime.run(|| through(&root));
    });
}

#[test]
fn slices_of_inputs_leave_nothing() {
    check_in("a key of many inputs", &Runtime::new(), |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.run(|| all(&inputs));
        runtime.run(|| {
            all::forget(&inputs);
            inputs.iter().for_each(|input| _ = (length::forget(input), twice::forget(input)));
        });
        runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
    });
}

#[task_fn(transient)]
fn slow(of: &Input<String>, n: u64) -> u64 {
    (0..n).map(|k| step(of, k)).sum()
}

#[task_fn(transient)]
fn step(of: &Input<String>, k: u64) -> u64 {
    of.with(|text| text.len() as u64) + k
}

#[task_fn(transient, cycle_initial = 0)]
fn climbs(of: &Input<String>) -> u64 {
    rests(of).min(length(of))
}

#[task_fn(transient)]
fn rests(of: &Input<String>) -> u64 {
    climbs(of) + 1
}

#[task_fn(transient)]
fn above_a_cycle(of: &Input<String>) -> u64 {
    rests(of) + 1
}

#[test]
fn tasks_over_inputs_that_were_removed_go_when_no_call_can_reach_them() {
    check_in("not forgotten", &Runtime::new(), |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.run(|| inputs.iter().map(|input| slow(input, 3) + twice(input)).sum::<u64>());
        runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
        drop(inputs);
        (0..3).for_each(|_| runtime.run(|| ()));
    });
    check_in("asked for once more", &Runtime::new(), |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.run(|| inputs.iter().map(|input| slow(input, 3)).sum::<u64>());
        runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
        for input in &inputs[..10] {
            runtime.run(|| slow::task(input, 3).try_get().unwrap_err());
        }
        drop(inputs);
        (0..3).for_each(|_| runtime.run(|| ()));
    });
    check_in("on cycles", &Runtime::new(), |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.run(|| inputs.iter().map(above_a_cycle).sum::<u64>());
        runtime.update(|update| inputs.iter().for_each(|input| update.remove(input))).unwrap();
        drop(inputs);
        (0..3).for_each(|_| runtime.run(|| ()));
    });
    check_in("several in a key, removed one after the other", &Runtime::new(), |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.run(|| all(&inputs));
        let (some, others) = inputs.split_at(20);
        for input in some {
            runtime.update(|update| update.remove(input)).unwrap();
        }
        runtime.update(|update| others.iter().for_each(|input| update.remove(input))).unwrap();
        drop(inputs);
        (0..3).for_each(|_| runtime.run(|| ()));
    });
    let runtime = Runtime::new();
    let root = runtime.transient_input("root", Vec::<Input<String>>::new());
    #[task_fn(transient)]
    fn through(root: &Input<Vec<Input<String>>>) -> u64 {
        root.get().iter().map(|input| slow(input, 2)).sum()
    }
    runtime.run(|| through(&root));
    check_in("below a task that stays", &runtime, |runtime, round| {
        let inputs = inputs(runtime, round);
        runtime.update(|update| update.set(&root, inputs.clone())).unwrap();
        runtime.run(|| through(&root));
        runtime
            .update(|update| {
                update.set(&root, Vec::new());
                inputs.iter().for_each(|input| update.remove(input));
            })
            .unwrap();
        drop(inputs);
        runtime.run(|| through(&root));
        (0..3).for_each(|_| runtime.run(|| ()));
    });
}

/// A task that marks may name waits until a quarter of all tasks do; and what it has read waits with it: 40,000 tasks below a hundred.
#[test]
fn tasks_that_marks_may_name_do_not_keep_ever_more_below_them() {
    let _alone = alone();
    let runtime = Runtime::new();
    assert_eq!(runtime.run(|| (0..2000).map(small).max()), Some(1999));
    for round in 0..100 {
        let inputs = inputs(&runtime, round);
        runtime.run(|| all(&inputs));
        for input in &inputs {
            runtime.update(|update| update.remove(input)).unwrap();
        }
        drop(inputs);
        (0..3).for_each(|_| runtime.run(|| ()));
    }
    let tasks = runtime.activity().tasks;
    assert!(tasks < 8000, "{tasks} tasks stay");
}
