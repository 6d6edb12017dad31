//! The current task, carried to other threads and through rayon.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use larder::{Carried, Input, Runtime, TaskError, current, emit, task_fn};
use rayon::prelude::*;

/// The numbers below `n`, each a rayon job of its own.
fn each(n: u64) -> impl ParallelIterator<Item = u64> {
    (0..n as usize).into_par_iter().with_max_len(1).map(|n| n as u64)
}

#[task_fn(transient)]
fn one(input: Input<u64>) -> u64 {
    input.get() * 2
}

#[task_fn(transient)]
fn on_threads(inputs: Vec<Input<u64>>) -> u64 {
    let carried = current();
    thread::scope(|s| {
        let threads: Vec<_> =
            inputs.iter().map(|input| s.spawn(|| carried.run(|| one(input.clone())))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

#[task_fn(transient)]
fn on_rayon(inputs: Vec<Input<u64>>) -> u64 {
    let carried = current();
    inputs.par_iter().map(|input| carried.run(|| one(input.clone()))).sum()
}

#[test]
fn what_carried_work_reads_is_a_dependency() {
    for sum in [on_threads, on_rayon] {
        let rt = Runtime::new();
        let inputs: Vec<_> = (0..20).map(|n| rt.input(&format!("in{n}"), n)).collect();
        assert_eq!(rt.run(|| sum(inputs.clone())), 380);
        for n in 0..20 {
            rt.update(|u| u.set(&inputs[n], 100 + n as u64)).unwrap();
            assert_eq!(rt.run(|| sum(inputs.clone())), 380 + 200 * (n as u64 + 1));
        }
        assert_eq!(rt.stats().get("one").unwrap().runs, 40);
        let sums = |rt: &Runtime| rt.stats().get("on_threads").or(rt.stats().get("on_rayon")).unwrap().runs;
        assert_eq!(sums(&rt), 21);
        rt.run(|| sum(inputs.clone()));
        assert_eq!(sums(&rt), 21);
    }
}

#[task_fn(transient)]
fn says(n: u32) -> u32 {
    emit(format!("said {n}"));
    n
}

#[allow(dead_code, reason = "asked for by its companion only")]
#[task_fn(transient)]
fn carries_what_is_said() -> u32 {
    let carried = current();
    thread::scope(|s| s.spawn(|| carried.run(|| says(1) + says(2))).join().unwrap())
}

#[test]
fn what_carried_work_emits_is_kept() {
    let found = Runtime::new().run(carries_what_is_said::collect::<String>);
    assert_eq!(found, ["said 1", "said 2"]);
}

/// A read that exists only because of what carried work returned must come after that work's reads: else verification
/// would run it with arguments that the current inputs never lead to.
#[task_fn(transient)]
fn picks(which: Input<u64>) -> u64 {
    let carried = current();
    let n = thread::scope(|s| s.spawn(|| carried.run(|| one(which.clone()))).join().unwrap());
    at_most_ten(n, which.clone())
}

#[task_fn(transient)]
fn at_most_ten(n: u64, which: Input<u64>) -> u64 {
    assert!(which.get() * 2 == n, "asked for with an argument of another time");
    n
}

#[test]
fn reads_that_follow_carried_work_are_recorded_behind_it() {
    let rt = Runtime::new();
    let which = rt.input("which", 1);
    assert_eq!(rt.run(|| picks(which.clone())), 2);
    rt.update(|u| u.set(&which, 5)).unwrap();
    assert_eq!(rt.try_run(|| picks(which.clone())).unwrap(), 10);
    assert_eq!(rt.stats().get("at_most_ten").unwrap().failed, 0);
}

/// The trap of [`a_stolen_job_that_asks_for_what_its_thread_computes_does_not_deadlock`], step by step.
struct Trap {
    second_child_runs: AtomicBool,
    job_runs: AtomicBool,
    runs: AtomicUsize,
    session: Mutex<Option<Carried>>,
    result: Mutex<Option<u64>>,
}

static TRAP: Trap = Trap {
    second_child_runs: AtomicBool::new(false),
    job_runs: AtomicBool::new(false),
    runs: AtomicUsize::new(0),
    session: Mutex::new(None),
    result: Mutex::new(None),
};

fn spin_until(flag: &AtomicBool) {
    while !flag.load(SeqCst) {
        std::hint::spin_loop();
    }
}

#[task_fn(transient)]
fn child(input: Input<u64>, n: u64) -> u64 {
    input.get() + n
}

#[task_fn(transient)]
fn trapped(input: Input<u64>) -> u64 {
    TRAP.runs.fetch_add(1, SeqCst);
    let carried = current();
    let (first, second) = rayon::join(
        || {
            // Ends when the second child has been stolen by the other thread; then this one waits by stealing.
            spin_until(&TRAP.second_child_runs);
            carried.run(|| child(input.clone(), 1))
        },
        || {
            if !TRAP.second_child_runs.swap(true, SeqCst) {
                let session = TRAP.session.lock().unwrap().take().unwrap();
                let input = input.clone();
                rayon::spawn(move || {
                    TRAP.job_runs.store(true, SeqCst);
                    let result = session.run(|| trapped(input));
                    *TRAP.result.lock().unwrap() = Some(result);
                });
                // Only the first thread can take that job.
                spin_until(&TRAP.job_runs);
                thread::sleep(Duration::from_millis(5));
            }
            carried.run(|| child(input.clone(), 2))
        },
    );
    first + second
}

/// Key x computes its children on rayon; while its thread waits for them, rayon has it run a stolen job which asks for x.
/// The owner of x cannot go on before the job on top of it ends, and the job waits for x: a deadlock without any cycle
/// of dependencies, in every run, if one waits.
#[test]
fn a_stolen_job_that_asks_for_what_its_thread_computes_does_not_deadlock() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let rt = Runtime::new();
    let input = rt.input("in", 10);
    rt.run(|| {
        let carried = current();
        *TRAP.session.lock().unwrap() = Some(carried.clone());
        assert_eq!(pool.install(|| carried.run(|| trapped(input.clone()))), 23);
    });
    // The job, too, has its value; the session lasted as long as it did.
    rt.update(|u| u.set(&input, 20)).unwrap();
    assert_eq!(TRAP.result.lock().unwrap().take(), Some(23));
    assert_eq!(TRAP.runs.load(SeqCst), 2, "the trap did not close");
    // Results that were run apart are not kept, and bodies that ran as always ran once.
    assert_eq!(rt.stats().get("trapped").unwrap().runs, 1);
    assert_eq!(rt.stats().get("child").unwrap().runs, 2);
    assert_eq!(rt.run(|| trapped::uncached(input.clone())), 43);
}

#[task_fn(transient)]
fn parent_of_inputs(inputs: Vec<Input<u64>>, x: u64) -> u64 {
    let carried = current();
    x + inputs.par_iter().with_max_len(1).map(|input| carried.run(|| one(input.clone()))).sum::<u64>()
}

#[task_fn(transient)]
fn all_parents(inputs: Vec<Input<u64>>) -> u64 {
    let carried = current();
    each(32).map(|job| carried.run(|| parent_of_inputs(inputs.clone(), job % 3))).sum()
}

#[test]
fn stolen_jobs_lose_no_edges() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let rt = Runtime::new();
    let inputs: Vec<_> = (0..8).map(|n| rt.input(&format!("in{n}"), n)).collect();
    for change in 0..200u64 {
        let at = (change * 7 % 8) as usize;
        rt.update(|u| u.set(&inputs[at], change)).unwrap();
        let carried_in = |inputs: &Vec<Input<u64>>| pool.install(|| rt.run(|| all_parents(inputs.clone())));
        let sum: u64 = rt.run(|| inputs.iter().map(|input| input.get() * 2).sum());
        assert_eq!(carried_in(&inputs), sum * 32 + 31, "after change {change}");
    }
}

#[task_fn(transient)]
fn really_cyclic(n: u64) -> u64 {
    let carried = current();
    each(8).map(|job| carried.run(|| if job == 7 { really_cyclic(n) } else { job })).sum()
}

#[test]
fn a_cycle_through_rayon_is_an_error() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    for n in 0..50 {
        let rt = Runtime::new();
        let error = rt.try_run(|| {
            let carried = current();
            pool.install(|| (0..8).into_par_iter().map(|_| carried.run(|| really_cyclic(n))).sum::<u64>())
        });
        assert!(matches!(error, Err(TaskError::Cycle(_))), "{error:?}");
    }
}

#[test]
fn carried_work_waits_for_what_its_own_task_computes_elsewhere() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    #[task_fn(transient)]
    fn slow(n: u64) -> u64 {
        RUNS.fetch_add(1, SeqCst);
        thread::sleep(Duration::from_millis(20));
        n
    }
    // However busy the machine is.
    let rt = Runtime::builder().run_apart_after(Duration::MAX).build();
    rt.run(|| {
        let carried = current();
        thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| assert_eq!(carried.run(|| slow(3)), 3));
            }
        });
    });
    assert_eq!(RUNS.load(SeqCst), 1);
}

#[task_fn(transient)]
fn met(#[skip] meet: std::sync::Arc<Barrier>, n: u32) -> u32 {
    meet.wait();
    meet.wait();
    n
}

#[task_fn(transient)]
fn twice_met(#[skip] meet: std::sync::Arc<Barrier>, n: u32) -> u32 {
    asks_beside_its_own_work(&meet, n)
}

/// The sum of a task that this thread computes and of the same task, which carried work asks for meanwhile.
fn asks_beside_its_own_work(meet: &std::sync::Arc<Barrier>, n: u32) -> u32 {
    let carried = current();
    thread::scope(|s| {
        let other = s.spawn(|| {
            meet.wait();
            let asks = carried.run(|| {
                thread::scope(|s| {
                    let carried = current();
                    let asked = s.spawn(move || carried.run(|| met(meet.clone(), n)));
                    // Most of the time the wait has begun by then.
                    thread::sleep(Duration::from_millis(20));
                    meet.wait();
                    asked.join()
                })
            });
            asks.unwrap()
        });
        met(meet.clone(), n) + other.join().unwrap()
    })
}

/// A task that a thread computes beside the work which it has carried elsewhere does not wait for that work, though the task further
/// out does. Asked for by that work it was called a cycle, whose path was empty.
#[test]
fn carried_work_may_ask_for_what_the_carrying_thread_computes_itself() {
    let meet = std::sync::Arc::new(Barrier::new(2));
    let rt = Runtime::builder().run_apart_after(Duration::MAX).build();
    assert_eq!(rt.run(|| asks_beside_its_own_work(&meet, 3)), 6);
    assert_eq!(rt.run(|| twice_met(meet.clone(), 4)), 8);
    assert_eq!(rt.stats().get("met").unwrap().runs, 2);
}

#[task_fn(transient)]
fn leaks(#[skip] out: mpsc::Sender<Carried>) -> u32 {
    out.send(current()).unwrap();
    7
}

#[test]
fn work_after_the_task_has_ended_fails_loudly() {
    let rt = Runtime::new();
    let (out, leaked) = mpsc::channel();
    rt.run(|| leaks(out));
    let carried = leaked.recv().unwrap();
    let panic = thread::spawn(move || carried.run(|| says(1))).join().unwrap_err();
    assert!(panic.downcast_ref::<&str>().unwrap().contains("has ended"));
}

#[task_fn(transient)]
fn does_not_wait(#[skip] gate: std::sync::Arc<(Barrier, Barrier)>, again: bool) -> u32 {
    if again {
        return 2;
    }
    let carried = current();
    let gates = gate.clone();
    thread::spawn(move || {
        carried.run(|| {
            gates.0.wait();
            gates.1.wait();
            says(5)
        })
    });
    gate.0.wait();
    1
}

#[test]
fn a_task_that_ends_before_its_carried_work_fails() {
    let rt = Runtime::new();
    let gate = std::sync::Arc::new((Barrier::new(2), Barrier::new(2)));
    let error = rt.try_run(|| does_not_wait(gate.clone(), false));
    assert!(
        matches!(&error, Err(TaskError::Panicked { message, .. }) if message.contains("still runs")),
        "{error:?}"
    );
    gate.1.wait();
    // The carried work held the session open; when it has ended, an update goes through.
    let input = rt.input("in", 1);
    rt.update(|u| u.set(&input, 2)).unwrap();
    assert_eq!(rt.run(|| does_not_wait(gate, true)), 2);
}

#[test]
fn panics_pass_through_carried_work() {
    #[task_fn(transient)]
    fn bad(n: u32) -> u32 {
        panic!("bad {n}")
    }
    #[task_fn(transient)]
    fn carries(n: u32) -> u32 {
        let carried = current();
        (0..4u32).into_par_iter().map(|job| carried.run(|| if job == n { bad(n) } else { job })).sum()
    }
    let rt = Runtime::new();
    let error = rt.try_run(|| carries(2));
    assert!(matches!(&error, Err(TaskError::Panicked { message, .. }) if message == "bad 2"), "{error:?}");
    assert_eq!(rt.run(|| carries(9)), 6);
}
