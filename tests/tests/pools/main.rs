//! Carried work on thread pools: whatever a pool's thread has below on its stack, and whatever waits in the pool's queue, all ends.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]
#![expect(clippy::print_stdout, reason = "a long run tells what it has done")]

mod sharing;
mod twins;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use larder::{Carried, Input, Runtime, TaskError, UpdateError, current, emit, par_map, task_fn};
use larder_tests::deadline::in_time;
use rayon::ThreadPool;
use rayon::prelude::*;

/// A runtime whose carried work waits for nothing that another thread computes.
fn impatient() -> Runtime {
    Runtime::builder().run_apart_after(Duration::ZERO).build()
}

/// A runtime whose carried work waits for ever.
fn patient() -> Runtime {
    Runtime::builder().run_apart_after(Duration::MAX).build()
}

fn pool(threads: usize) -> ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

fn spin_until(done: impl Fn() -> bool) {
    while !done() {
        thread::yield_now();
    }
}

#[task_fn(transient)]
fn part(input: Input<u64>, n: u64) -> u64 {
    input.get() + n
}

/// The work of `interrupted`'s body in the middle of rayon's frames.
type Interruption = Box<dyn Fn() + Send + Sync>;

struct Interrupted {
    pool: ThreadPool,
    interruption: Mutex<Option<Interruption>>,
    result: Mutex<Option<Result<u64, TaskError>>>,
}

impl Interrupted {
    fn new(threads: usize) -> Arc<Self> {
        Arc::new(Self { pool: pool(threads), interruption: Mutex::default(), result: Mutex::default() })
    }
}

/// Its first run has a rayon thread run a job in the middle of frames that are not part of carried work.
#[task_fn(transient)]
fn interrupted(#[skip] given: Arc<Interrupted>, input: Input<u64>) -> u64 {
    let carried = current();
    given.pool.install(|| {
        let interruption = given.interruption.lock().unwrap().take();
        if let Some(interruption) = interruption {
            interruption();
            // Every wait of rayon's does this: it runs what is queued.
            while rayon::yield_now() == Some(rayon::Yield::Executed) {}
        }
        let (a, b) =
            rayon::join(|| carried.run(|| part(input.clone(), 1)), || carried.run(|| part(input.clone(), 2)));
        a + b
    })
}

/// Asks for `interrupted` in a job that runs on top of that task's own frames.
fn ask_on_top(given: &Arc<Interrupted>, session: &Carried, input: &Input<u64>) {
    let (of_job, session, input) = (given.clone(), session.clone(), input.clone());
    *given.interruption.lock().unwrap() = Some(Box::new(move || {
        let (given, session, input) = (of_job.clone(), session.clone(), input.clone());
        rayon::spawn(move || {
            let result = session.run(|| interrupted::task(given.clone(), input).try_get());
            *given.result.lock().unwrap() = Some(result);
        });
    }));
}

/// A worker of the pool is inside of the task's own closure, outside of `Carried::run`, when rayon has it run a job that asks for the
/// task. The job waited for the task, and the task for the frames below the job: seen with `join`, `scope` and `par_iter` within half
/// a second, as no wait but the last is known to the runtime.
#[test]
fn a_job_on_top_of_frames_of_the_task_that_it_asks_for_ends() {
    in_time(|| {
        for threads in [1, 2] {
            let rt = Runtime::new();
            let (given, input) = (Interrupted::new(threads), rt.input("in", 10));
            let value = rt.run(|| {
                ask_on_top(&given, &current(), &input);
                interrupted(given.clone(), input.clone())
            });
            assert_eq!(value, 23);
            rt.update(|u| u.set(&input, 20)).unwrap();
            assert_eq!(given.result.lock().unwrap().take().unwrap().unwrap(), 23);
            let stats = rt.stats();
            let interrupted = stats.get("interrupted").unwrap();
            assert_eq!((interrupted.runs, interrupted.apart), (1, 1));
        }
    });
}

#[task_fn(transient)]
fn down(#[skip] given: Arc<Interrupted>, input: Input<u64>, n: u64) -> u64 {
    if n == 0 { interrupted(given, input) } else { down(given, input, n - 1) + 1 }
}

/// A thread that has waited in vain for one task of an owner does not wait anew for each of the others that lie below: with a wait for
/// each, a chain of tasks would take as many times as long.
#[test]
fn a_whole_chain_of_tasks_runs_apart_after_one_wait() {
    const DEPTH: u64 = 300;
    in_time(|| {
        // Three hundred such waits would take longer than this test may.
        let rt = Runtime::builder().run_apart_after(Duration::from_secs(2)).build();
        let (given, input) = (Interrupted::new(1), rt.input("in", 10));
        let value = rt.run(|| {
            let (of_job, session, input_of_job) = (given.clone(), current(), input.clone());
            *given.interruption.lock().unwrap() = Some(Box::new(move || {
                let (given, session, input) = (of_job.clone(), session.clone(), input_of_job.clone());
                rayon::spawn(move || {
                    let result = session.run(|| down::task(given.clone(), input, DEPTH).try_get());
                    *given.result.lock().unwrap() = Some(result);
                });
            }));
            down(given.clone(), input.clone(), DEPTH)
        });
        assert_eq!(value, 23 + DEPTH);
        rt.update(|u| u.set(&input, 20)).unwrap();
        assert_eq!(given.result.lock().unwrap().take().unwrap().unwrap(), 23 + DEPTH);
        let stats = rt.stats();
        assert_eq!(stats.get("down").unwrap().apart, DEPTH + 1);
    });
}

#[test]
fn a_cancelling_update_ends_a_wait_that_would_never_end() {
    in_time(|| {
        let rt = patient();
        let (given, input) = (Interrupted::new(1), rt.input("in", 10));
        thread::scope(|s| {
            let session = s.spawn(|| {
                rt.try_run(|| {
                    ask_on_top(&given, &current(), &input);
                    interrupted(given.clone(), input.clone())
                })
            });
            spin_until(|| rt.activity().waiting > 0);
            rt.update_with(larder::UpdatePolicy::Cancel, |u| u.set(&input, 20)).unwrap();
            assert!(matches!(session.join().unwrap(), Err(TaskError::Cancelled)));
        });
        let result = given.result.lock().unwrap().take();
        assert!(matches!(result, Some(Err(TaskError::Cancelled))), "{result:?}");
        assert_eq!(rt.run(|| interrupted(given.clone(), input.clone())), 43);
    });
}

#[test]
fn a_deadline_ends_a_wait_that_would_never_end() {
    in_time(|| {
        let rt = patient();
        let (given, input) = (Interrupted::new(1), rt.input("in", 10));
        let token = larder::CancelToken::with_deadline(Instant::now() + Duration::from_millis(50));
        let ended = rt.session().token(&token).try_run(|| {
            ask_on_top(&given, &current(), &input);
            interrupted(given.clone(), input.clone())
        });
        assert!(matches!(ended, Err(TaskError::Cancelled)), "{ended:?}");
        assert_eq!(rt.run(|| interrupted(given.clone(), input.clone())), 23);
    });
}

#[task_fn(transient)]
fn fails_apart(#[skip] runs: Arc<AtomicUsize>, #[skip] meet: Arc<Barrier>) -> u64 {
    if runs.fetch_add(1, SeqCst) > 0 {
        panic!("no second time");
    }
    meet.wait();
    meet.wait();
    7
}

#[test]
fn a_panic_of_a_body_run_apart_belongs_to_the_work_that_asked() {
    in_time(|| {
        let rt = impatient();
        let (runs, meet) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(2)));
        thread::scope(|s| {
            let owner = s.spawn(|| rt.run(|| fails_apart(runs.clone(), meet.clone())));
            meet.wait();
            let asked = rt.run(|| {
                let carried = current();
                let ask = || fails_apart::task(runs.clone(), meet.clone()).try_get();
                thread::scope(|s| s.spawn(|| carried.run(ask)).join().unwrap())
            });
            assert!(
                matches!(&asked, Err(TaskError::Panicked { message, .. }) if message == "no second time"),
                "{asked:?}"
            );
            meet.wait();
            assert_eq!(owner.join().unwrap(), 7);
        });
        assert_eq!(rt.run(|| fails_apart(runs.clone(), meet.clone())), 7);
    });
}

struct Queue {
    pool: ThreadPool,
    begun: AtomicBool,
    asking: AtomicUsize,
    threads: usize,
}

/// Puts its jobs into a pool once all of the pool's threads are about to ask for it.
#[task_fn(transient)]
fn queued(#[skip] queue: Arc<Queue>, input: Input<u64>) -> u64 {
    queue.begun.store(true, SeqCst);
    spin_until(|| queue.asking.load(SeqCst) >= queue.threads);
    let carried = current();
    queue.pool.install(|| (0..8u64).into_par_iter().map(|n| carried.run(|| part(input.clone(), n))).sum())
}

/// All threads of a pool wait for a task whose jobs stand in the queue of that pool. There is no cycle of waits at all; it hung in
/// each run.
#[test]
fn a_pool_whose_threads_all_ask_for_a_task_that_queues_jobs_there_ends() {
    in_time(|| {
        for threads in [1, 2, 4] {
            let rt = Runtime::new();
            let input = rt.input("in", 1);
            let queue = Arc::new(Queue {
                pool: pool(threads),
                begun: AtomicBool::new(false),
                asking: AtomicUsize::new(0),
                threads,
            });
            let (answers, answered) = mpsc::channel();
            rt.run(|| {
                let carried = current();
                for _ in 0..2 * threads {
                    let (queue, carried, input) = (queue.clone(), carried.clone(), input.clone());
                    let answers = answers.clone();
                    let of_job = queue.clone();
                    queue.pool.spawn(move || {
                        spin_until(|| of_job.begun.load(SeqCst));
                        of_job.asking.fetch_add(1, SeqCst);
                        answers.send(carried.run(|| queued(of_job.clone(), input))).unwrap();
                    });
                }
                assert_eq!(queued(queue.clone(), input.clone()), 36);
                assert_eq!(answered.iter().take(2 * threads).collect::<Vec<_>>(), vec![36; 2 * threads]);
            });
            let stats = rt.stats();
            let queued = stats.get("queued").unwrap();
            assert_eq!(queued.runs, 1);
            assert!(queued.apart >= 1, "the trap did not close");
        }
    });
}

#[task_fn(transient)]
fn asks_itself(n: u64) -> u64 {
    let carried = current();
    let ask = |job| if job == 7 { asks_itself(n) } else { job };
    (0..8usize).into_par_iter().with_max_len(1).map(|job| carried.run(|| ask(job as u64))).sum()
}

#[test]
fn a_task_that_depends_on_itself_is_a_cycle_even_where_it_is_run_apart() {
    in_time(|| {
        for threads in [1, 2, 4] {
            let pool = pool(threads);
            for n in 0..20 {
                let rt = impatient();
                let asked = rt.run(|| {
                    let carried = current();
                    let ask = || carried.run(|| asks_itself::task(n).try_get());
                    pool.install(|| (0..8).into_par_iter().with_max_len(1).map(|_| ask()).collect::<Vec<_>>())
                });
                for error in asked {
                    assert!(matches!(error, Err(TaskError::Cycle(_))), "{error:?}");
                }
            }
        }
    });
}

#[test]
fn an_update_inside_of_carried_work_is_an_error() {
    let rt = Runtime::new();
    let input = rt.input("in", 10);
    let refused = rt.run(|| {
        let carried = current();
        let update = || carried.run(|| rt.update(|u| u.set(&input, 1)));
        thread::scope(|s| s.spawn(update).join().unwrap())
    });
    assert_eq!(refused, Err(UpdateError::InSession));
}
