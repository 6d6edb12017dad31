//! Work that fans out: items and jobs on the crew, results handed out, panics, carried work, what runs apart.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

use larder::{Carried, Input, Runtime, current, emit, par_each, par_map, scope, task_fn, try_par_map};

#[task_fn(transient)]
fn one(x: &Input<u64>, n: u64) -> String {
    emit(n);
    "x".repeat((x.get() + n) as usize)
}

#[task_fn(transient)]
fn sum(x: &Input<u64>, items: u64) -> usize {
    par_map(0..items, |n| one(x, n)).iter().map(String::len).sum()
}

#[task_fn(transient)]
fn each(x: &Input<u64>, items: u64) -> usize {
    let mut sum = 0;
    par_each(0..items, |n| one(x, n), |_, text| sum += text.len());
    sum
}

#[task_fn(transient)]
fn until(x: &Input<u64>, items: u64) -> Result<usize, String> {
    let all = try_par_map(0..items, |n| match one(x, n) {
        text if text.len() == 5 => Err(text),
        text => Ok(text),
    })?;
    Ok(all.len())
}

#[task_fn(transient)]
fn jobs(x: &Input<u64>) -> Vec<String> {
    let mut places = vec![String::new(); 3];
    scope(|scope| {
        for (n, place) in (0..).zip(&mut places) {
            scope.spawn(move || *place = one(x, n));
        }
    });
    places
}

#[test]
fn items_results_and_jobs_are_moved_and_dropped_well() {
    for threads in [1, 3] {
        let runtime = Runtime::builder().threads(threads).build();
        let x = runtime.input("x", 0);
        for value in [1, 2] {
            runtime.update(|update| update.set(&x, value)).unwrap();
            let expected = (0..4).map(|n| (value + n) as usize).sum::<usize>();
            assert_eq!(runtime.run(|| (sum(&x, 4), each(&x, 4))), (expected, expected));
            assert_eq!(runtime.run(|| until(&x, 4)).is_err(), value == 2);
            assert_eq!(runtime.run(|| jobs(&x))[2].len() as u64, value + 2);
            assert_eq!(runtime.run(|| sum::collect::<u64>(&x, 4)), [0, 1, 2, 3]);
            // Enough for rations of several items, some of which are given back.
            assert_eq!(runtime.run(|| sum(&x, 24)) as u64, (0..24).map(|n| value + n).sum::<u64>());
        }
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            runtime.run(|| {
                par_map((0..6).map(|n| n.to_string()), |text| {
                    assert_ne!(text, "3");
                    text + "!"
                })
            })
        }));
        assert!(panicked.is_err());
    }
}

#[task_fn(transient)]
fn on_threads(x: &Input<u64>) -> usize {
    let carried = current();
    thread::scope(|scope| {
        [1, 2]
            .map(|n| {
                scope.spawn({
                    let carried = carried.clone();
                    move || carried.run(|| one(x, n).len())
                })
            })
            .map(|thread| thread.join().unwrap())
            .iter()
            .sum()
    })
}

#[test]
fn carried_work_brings_its_reads_along() {
    let runtime = Runtime::new();
    let x = runtime.input("x", 0);
    for value in 0..2 {
        runtime.update(|update| update.set(&x, value)).unwrap();
        assert_eq!(runtime.run(|| on_threads(&x)) as u64, 3 + 2 * value);
        let mut emitted = runtime.run(|| on_threads::collect::<u64>(&x));
        emitted.sort_unstable();
        assert_eq!(emitted, [1, 2]);
    }
}

static SESSION: Mutex<Option<Carried>> = Mutex::new(None);

/// Takes the session that a stolen job belongs to; there is one such job a test.
fn stolen() -> Option<Carried> {
    SESSION.lock().unwrap().take()
}

/// Waits for its own task from work that was put on top of it, as rayon does with stolen jobs.
#[task_fn(transient)]
fn stolen_from(x: &Input<u64>) -> String {
    if let Some(session) = stolen() {
        // Another strand of the session, on this very thread.
        assert_eq!(session.run(|| stolen_from(x)), "x");
    }
    "x".repeat(x.get() as usize)
}

#[task_fn(transient)]
async fn stolen_from_async(x: &Input<u64>) -> String {
    if let Some(session) = stolen() {
        assert_eq!(session.run(|| stolen_from_async::task(x).get()), "x");
    }
    std::future::ready("x".repeat(x.get() as usize)).await
}

/// The twins go when no session is open any more, or with their runtime.
#[test]
fn what_a_stolen_job_cannot_wait_for_runs_apart() {
    let asks: [fn(&Input<u64>) -> String; 2] = [stolen_from, |x| stolen_from_async::task(x).get()];
    for ask in asks {
        let runtime = Runtime::new();
        let x = runtime.input("x", 1);
        for value in [2, 1] {
            runtime.update(|update| update.set(&x, value)).unwrap();
            runtime.run(|| {
                *SESSION.lock().unwrap() = (value == 1).then(current);
                let carried = current();
                assert_eq!(carried.run(|| ask(&x)).len() as u64, value);
                assert!(SESSION.lock().unwrap().is_none());
            });
        }
    }
}
