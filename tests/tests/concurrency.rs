//! Many threads: one execution per task, cycles and panics across threads, updates against busy sessions.
//!
//! `LARDER_STRESS_SECONDS=n` lets the stress test run longer.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use larder::{Input, Runtime, TaskError, task_fn};
use larder_tests::deadline::in_time;

/// Runs `work` on several threads, which begin at once, and returns what they came to.
fn at_once<R: Send>(threads: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let barrier = Barrier::new(threads);
    let run = &|number| {
        barrier.wait();
        work(number)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|number| scope.spawn(move || run(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    })
}

static RUNS: AtomicU64 = AtomicU64::new(0);

#[task_fn(transient)]
fn counted(n: u64) -> u64 {
    RUNS.fetch_add(1, Relaxed);
    std::thread::yield_now();
    if n == 0 { 0 } else { counted(n - 1) + 1 }
}

#[test]
fn threads_that_ask_for_the_same_tasks_run_each_once() {
    in_time(|| {
        for round in 1..=20 {
            let runtime = Runtime::new();
            let answers = at_once(6, |thread| {
                runtime.run(|| (0..200).map(|n| counted((n * 7 + thread as u64) % 200)).sum::<u64>())
            });
            assert_eq!(answers, [19_900; 6]);
            assert_eq!(RUNS.load(Relaxed), round * 200);
        }
    });
}

#[task_fn(transient)]
fn around(n: u32, of: u32) -> u32 {
    std::thread::sleep(Duration::from_millis(2));
    around((n + 1) % of, of) + 1
}

/// The path of the cycle that a call on a ring of tasks meets.
fn cycle(answer: Result<u32, TaskError>) -> Vec<String> {
    match answer {
        Err(TaskError::Cycle(cycle)) => cycle.path.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cycle_is_an_error_that_names_its_path_on_however_many_threads() {
    in_time(|| {
        let runtime = Runtime::new();
        assert_eq!(cycle(runtime.try_run(|| around(0, 1))), ["around(0, 1)"]);
        assert_eq!(cycle(runtime.try_run(|| around(1, 3))), ["around(1, 3)", "around(2, 3)", "around(0, 3)"]);
        for threads in [2, 3, 4] {
            for _ in 0..10 {
                let of = threads as u32 * 2;
                let answers = at_once(threads, |thread| runtime.try_run(|| around(thread as u32 * 2, of)));
                for path in answers.into_iter().map(cycle) {
                    assert_eq!(path.len(), of as usize, "{path:?}");
                }
            }
        }
    });
}

#[task_fn(transient)]
fn busy(x: &Input<u64>, n: u64) -> u64 {
    std::thread::sleep(Duration::from_micros(200));
    if n == 0 { x.get() } else { busy(x, n - 1) }
}

#[test]
fn updates_of_either_kind_take_turns_with_busy_sessions() {
    in_time(|| {
        let runtime = Runtime::new();
        let x = runtime.input("x", 0);
        let over = AtomicBool::new(false);
        let (done, cancelled, last_set) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        at_once(4, |thread| {
            let mut last = 0;
            if thread == 0 {
                // Until sessions have come to both ends.
                let all_seen = || done.load(Relaxed) > 0 && cancelled.load(Relaxed) > 0;
                for value in (1..).take_while(|value| *value <= 60 || !all_seen()) {
                    let set = |update: &mut larder::Update| update.set(&x, value);
                    last_set.store(value, Relaxed);
                    let done = if value % 2 == 0 {
                        runtime.update(set)
                    } else {
                        runtime.update_with(larder::UpdatePolicy::Cancel, set)
                    };
                    done.expect("this thread has no session");
                    std::thread::sleep(Duration::from_millis(if value % 5 == 0 { 8 } else { 0 }));
                }
                over.store(true, Relaxed);
            }
            while thread != 0 && !over.load(Relaxed) {
                match runtime.try_run(|| [busy(&x, 12), x.get(), busy(&x, 3)]) {
                    Ok(values) => {
                        assert!(values == [values[0]; 3] && values[0] >= last, "{values:?} after {last}");
                        last = values[0];
                        done.fetch_add(1, Relaxed);
                    }
                    Err(TaskError::Cancelled) => _ = cancelled.fetch_add(1, Relaxed),
                    Err(error) => panic!("{error}"),
                }
            }
        });
        assert_eq!(runtime.run(|| busy(&x, 12)), last_set.into_inner());
    });
}

/// Reads one of two inputs and one or two tasks further down, chosen by the value; some fail.
#[task_fn(transient)]
fn knot(inputs: [Input<u64>; 2], n: u64) -> u64 {
    if n == 0 {
        return inputs[0].get() % 5;
    }
    let below = knot(inputs.clone(), n - 1);
    assert!(n % 23 != 7 || below % 4 != 1, "knot {n}");
    let far = knot::task(inputs.clone(), (n * 7 + below) % n).try_get().unwrap_or(3);
    (below + far * n + if n.is_multiple_of(3) { inputs[1].get() } else { 0 }) % 17
}

fn plain_knot(inputs: [u64; 2], n: u64, known: &[Option<u64>]) -> Option<u64> {
    if n == 0 {
        return Some(inputs[0] % 5);
    }
    let below = known[n as usize - 1]?;
    if n % 23 == 7 && below % 4 == 1 {
        return None;
    }
    let far = known[((n * 7 + below) % n) as usize].unwrap_or(3);
    Some((below + far * n + if n.is_multiple_of(3) { inputs[1] } else { 0 }) % 17)
}

/// A number from a generator that needs no state but one.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[test]
fn stress_of_everything_at_once_gives_right_answers() {
    const KNOTS: u64 = 120;
    const ROUNDS: u64 = 1_500;
    let seconds = std::env::var("LARDER_STRESS_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let work = move || {
        let runtime = Runtime::new();
        let inputs = [runtime.input("x", 0), runtime.input("y", 0)];
        let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        at_once(4, |thread| {
            let mut seed = thread as u64 + 1;
            let mut rounds = 0;
            while end.map_or(rounds < ROUNDS, |end| Instant::now() < end) {
                rounds += 1;
                let (n, dice) = (random(&mut seed) % KNOTS, random(&mut seed));
                if thread == 0 {
                    std::thread::sleep(Duration::from_micros(dice % 2000));
                    let set = |update: &mut larder::Update| update.set(&inputs[(dice % 2) as usize], n % 6);
                    let done = if dice.is_multiple_of(3) {
                        runtime.update_with(larder::UpdatePolicy::Cancel, set)
                    } else {
                        runtime.update(set)
                    };
                    done.expect("this thread has no session");
                    continue;
                }
                let answer = runtime.try_run(|| {
                    if dice.is_multiple_of(4) {
                        knot::forget(inputs.clone(), n);
                    }
                    let now = [inputs[0].get(), inputs[1].get()];
                    let mut known = Vec::new();
                    (0..KNOTS).for_each(|n| known.push(plain_knot(now, n, &known)));
                    (0..6).for_each(|step| {
                        let n = (n + step * 17) % KNOTS;
                        match knot::task(inputs.clone(), n).try_get() {
                            Ok(value) => assert_eq!(Some(value), known[n as usize], "knot {n} at {now:?}"),
                            Err(TaskError::Cancelled) => {}
                            Err(error) => assert_eq!(None, known[n as usize], "knot {n} at {now:?}: {error}"),
                        }
                    });
                });
                answer.unwrap_or_else(|error| panic!("{error}"));
            }
        });
        assert!(runtime.stats().runs() > 100);
    };
    // Longer than the deadline only if asked for.
    if seconds.is_none() { in_time(work) } else { work() }
}
