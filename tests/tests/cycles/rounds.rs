//! Rounds: what is read in one of them only, and what joins or closes a cycle in a later one.

use super::*;

/// Keeps the first value of `x` that is not 0: what the last round reads does not tell where the value is from.
#[task_fn(transient, cycle_initial = 0)]
fn latch(x: &Input<i64>) -> i64 {
    match latch(x) {
        0 => x.get(),
        held => held,
    }
}

#[test]
fn what_only_an_early_round_has_read_is_a_dependency() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 1);
    assert_eq!(runtime.run(|| latch(&x)), 1);
    runtime.update(|update| update.set(&x, 2)).unwrap();
    assert_eq!(runtime.run(|| latch(&x)), 2);
    assert!(runtime.run(|| latch::forget(&x)));
    assert_eq!(runtime.run(|| latch(&x)), 2);
    runtime.update(|update| update.set(&x, 3)).unwrap();
    assert_eq!(runtime.run(|| latch(&x)), 3);
}

/// Counts up to `most`, and stays there.
#[task_fn(transient, cycle_initial = 0, cycle_rounds = 10)]
fn counts(most: u32) -> u32 {
    (counts(most) + 1).min(most)
}

#[task_fn(transient)]
fn counts_or(most: u32) -> u32 {
    counts::task(most).try_get().unwrap_or(99)
}

#[test]
fn without_a_fixpoint_within_the_bound_it_is_an_error_of_its_own() {
    let runtime = Runtime::new();
    assert_eq!(runtime.run(|| counts(10)), 10);
    let Err(TaskError::NoFixpoint(error)) = runtime.try_run(|| counts(11)) else { panic!("it has a value") };
    assert_eq!((error.path.as_slice(), error.rounds), (&["counts(11)".to_owned()][..], 10));
    assert_eq!(runtime.run(|| counts_or(11)), 99);
    assert_eq!(runtime.run(|| counts_or(10)), 10);
}

/// Values that follow each other around: no monotone function, so that only the rounds themselves say what it comes to.
#[task_fn(transient, cycle_initial = at, cycle_rounds = 50)]
fn turns(of: u32, at: u32, stop: &Input<u32>) -> u32 {
    let before = turns(of, (at + of - 1) % of, stop);
    let own = turns(of, at, stop);
    if own + before > stop.get() { own } else { own + before + u32::from(at == 0) }
}

#[test]
fn what_is_not_monotone_comes_to_the_same_from_everywhere() {
    let values = |order: &mut dyn Iterator<Item = u32>, stop| {
        let runtime = Runtime::new();
        let stop = runtime.input("stop", stop);
        let mut values: Vec<_> = order.map(|at| (at, runtime.run(|| turns(5, at, &stop)))).collect();
        values.sort_unstable();
        values
    };
    for stop in [3, 10, 50] {
        let forwards = values(&mut (0..5), stop);
        assert_eq!(forwards, values(&mut (0..5).rev(), stop));
        assert_eq!(forwards, values(&mut [2, 4, 1, 3, 0].into_iter(), stop));
    }
}

/// Reads `then` only when the value has grown to 3: a task joins the cycle when rounds have begun.
#[task_fn(transient, cycle_initial = 0)]
fn late(x: &Input<u32>) -> u32 {
    let value = late(x).max(x.get()).min(9);
    if value >= 3 { then(x, 0).max(value).min(9) } else { value + 1 }
}

#[task_fn(transient, cycle_initial = 5)]
fn then(x: &Input<u32>, steps: u32) -> u32 {
    if steps < 3 { then(x, steps + 1) } else { between(x) }
}

#[task_fn(transient)]
fn between(x: &Input<u32>) -> u32 {
    late(x) + 1
}

#[test]
fn a_task_that_joins_late_has_been_there_from_the_beginning() {
    let mut seen = Vec::new();
    for first in 0..4 {
        let runtime = Runtime::new();
        let x = runtime.input("x", 0);
        let ask = |which: u32| match which {
            0 => late(&x),
            1 => then(&x, 0),
            2 => then(&x, 3),
            _ => between(&x),
        };
        let values: Vec<_> = [0, 2, 0]
            .map(|value| {
                runtime.update(|update| update.set(&x, value)).unwrap();
                runtime.run(|| ask(first));
                runtime.run(|| (0..4).map(ask).collect::<Vec<_>>())
            })
            .into();
        assert_eq!(values[0], values[2]);
        seen.push(values);
    }
    assert!(seen.iter().all(|values| *values == seen[0]), "{seen:?}");
}

#[task_fn(transient, cycle_initial = 1, cycle_rounds = 10)]
fn opens(n: u32) -> u32 {
    swaps(n) / 8
}

#[task_fn(transient, cycle_initial = 0, cycle_rounds = 10)]
fn swaps(n: u32) -> u32 {
    swaps_when_open(n)
}

#[task_fn(transient, cycle_initial = 1, cycle_rounds = 10)]
fn swaps_when_open(n: u32) -> u32 {
    if opens(n) == 1 { 0 } else { swaps(n) }
}

/// In the round in which `swaps_when_open` read `swaps` for the first time, that changed. The list of the next round had been
/// gathered before the new reader was known, so it kept a value that no further round gave it, and the rounds ended.
#[test]
fn a_change_is_seen_by_who_reads_it_for_the_first_time_in_the_same_round() {
    for first in 0..3 {
        let runtime = Runtime::new();
        let answer = runtime.try_run(|| match first {
            0 => opens(0),
            1 => swaps(0),
            _ => swaps_when_open(0),
        });
        assert!(matches!(answer, Err(TaskError::NoFixpoint(_))), "{answer:?}");
    }
}

#[task_fn(transient)]
fn leads_there(n: u32) -> u32 {
    falls(n)
}

#[task_fn(transient, cycle_initial = 1)]
fn falls(n: u32) -> u32 {
    leads_back(n) / 2
}

#[task_fn(transient)]
fn leads_back(n: u32) -> u32 {
    if falls(n) == 1 { 0 } else { leads_there(n) }
}

/// `falls` and `leads_back` are a cycle of their own in round 1, and `leads_there` joins in round 2. By then the body of `falls` had
/// ended, so that no task with an initial value was seen on the way, and it was called a cycle without one.
#[test]
fn a_cycle_that_closes_in_a_later_round_has_the_initial_value_of_the_inner_one() {
    for first in 0..3 {
        let runtime = Runtime::new();
        let answer = runtime.run(|| match first {
            0 => leads_there(0),
            1 => falls(0),
            _ => leads_back(0),
        });
        assert_eq!(answer, 0);
    }
}

/// Keeps the first value that is not 0, which depends on what `joins` reads meanwhile.
#[task_fn(transient, cycle_initial = 0)]
fn latches(x: &Input<u32>) -> u32 {
    let joined = joins(x);
    match latches(x) {
        0 => 1 + u32::from(joined == 0),
        held => held,
    }
}

/// Reads the cycle or not, and is 1 in the end.
#[task_fn(transient)]
fn joins(x: &Input<u32>) -> u32 {
    if x.get() == 0 { latches(x).min(1) } else { 1 }
}

#[task_fn(transient)]
fn reads_latch(x: &Input<u32>) -> u32 {
    latches(x) * 10
}

/// A cycle that was a part of the larger one comes to another fixpoint without it, and the task at which they parted is equal. A reader was
/// taken for current because of that.
#[test]
fn a_reader_of_what_is_left_of_a_cycle_is_not_current_because_what_has_parted_is_equal() {
    for asks_between in [false, true] {
        let runtime = Runtime::new();
        let x = runtime.input("x", 0);
        for (value, expected) in [(0, 20), (1, 10), (0, 20), (2, 10)] {
            runtime.update(|update| update.set(&x, value)).unwrap();
            if asks_between {
                runtime.run(|| joins(&x));
            }
            assert_eq!(runtime.run(|| reads_latch(&x)), expected, "{asks_between}");
        }
    }
}
