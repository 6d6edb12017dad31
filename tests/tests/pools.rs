//! Carried work on thread pools: whatever a pool's thread has below on its stack, and whatever waits in the pool's queue, all ends.
//!
//! `LARDER_STRESS_SECONDS=n` lets each kind of work in the stress test run that long.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]
#![expect(clippy::print_stdout, reason = "a long run tells what it has done")]

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

/// Computes its value when the test lets it; a run apart does at once.
struct Held {
    runs: AtomicUsize,
    meet: Barrier,
}

impl Held {
    fn new() -> Arc<Self> {
        Arc::new(Self { runs: AtomicUsize::new(0), meet: Barrier::new(2) })
    }
}

#[task_fn(transient)]
fn held(#[skip] held: Arc<Held>, input: Input<u64>) -> u64 {
    if held.runs.fetch_add(1, SeqCst) == 0 {
        held.meet.wait();
        held.meet.wait();
        // Where it sees whether its session was cancelled.
        part(input.clone(), 99);
    }
    emit(format!("held {}", input.get()));
    input.get() + 1
}

#[task_fn(transient)]
fn above_held(#[skip] given: Arc<Held>, input: Input<u64>) -> u64 {
    held(given, input) * 2
}

#[task_fn(transient)]
fn far_above_held(#[skip] given: Arc<Held>, input: Input<u64>) -> u64 {
    above_held(given, input) + 1
}

/// Runs `work` as carried work while another thread computes `held`, in a session that `token` may cancel. The other one goes on
/// when `work` has ended.
fn while_held<R: Send>(
    rt: &Runtime,
    given: &Arc<Held>,
    input: &Input<u64>,
    token: &larder::CancelToken,
    work: impl Fn() -> R + Sync,
) -> (R, Result<u64, TaskError>) {
    thread::scope(|s| {
        let owner = s.spawn(|| rt.session().token(token).try_run(|| held(given.clone(), input.clone())));
        given.meet.wait();
        let result = rt.run(|| {
            let carried = current();
            thread::scope(|s| s.spawn(|| carried.run(&work)).join().unwrap())
        });
        given.meet.wait();
        (result, owner.join().unwrap())
    })
}

/// A task that was run apart for a reader had no reads of its own when its owner was cancelled, and the reader depended on it alone:
/// it was taken for current after any change of the input.
#[test]
fn a_reader_of_a_twin_sees_changes_though_the_owner_was_cancelled() {
    in_time(|| {
        let rt = impatient();
        let (given, input) = (Held::new(), rt.input("in", 10));
        let token = larder::CancelToken::new();
        let ask = || {
            let value = far_above_held(given.clone(), input.clone());
            token.cancel();
            value
        };
        let (value, owner) = while_held(&rt, &given, &input, &token, ask);
        assert_eq!(value, 23);
        assert!(matches!(owner, Err(TaskError::Cancelled)), "{owner:?}");
        for (set, expected) in [(20, 43), (30, 63)] {
            rt.update(|u| u.set(&input, set)).unwrap();
            assert_eq!(rt.run(|| far_above_held(given.clone(), input.clone())), expected);
        }
    });
}

#[test]
fn a_twin_serves_all_that_cannot_wait() {
    in_time(|| {
        let rt = impatient();
        let (given, input) = (Held::new(), rt.input("in", 10));
        let token = larder::CancelToken::new();
        let ask = || (0..5).map(|_| held(given.clone(), input.clone())).sum::<u64>();
        let (sum, owner) = while_held(&rt, &given, &input, &token, ask);
        assert_eq!((sum, owner.unwrap()), (55, 11));
        let stats = rt.stats();
        let held = stats.get("held").unwrap();
        assert_eq!((held.runs, held.apart), (1, 1));
        assert_eq!(given.runs.load(SeqCst), 2);
    });
}

/// A task's readers that are run apart have its edges once it is there: nothing runs again without need.
#[test]
fn readers_of_twins_are_cut_off_like_others_once_they_have_run_again() {
    in_time(|| {
        let rt = impatient();
        let (given, input) = (Held::new(), rt.input("in", 10));
        let other = rt.input("other", 1);
        let token = larder::CancelToken::new();
        let _ = while_held(&rt, &given, &input, &token, || above_held(given.clone(), input.clone()));
        let before = rt.stats();
        rt.update(|u| u.set(&other, 2)).unwrap();
        assert_eq!(rt.run(|| above_held(given.clone(), input.clone())), 22);
        assert_eq!(rt.stats().since(&before).runs(), 0);
    });
}

/// Emitted values are known when the owner has finished. Work that collects them waits for that, however impatient it is.
#[test]
fn work_that_collects_waits_for_the_owner() {
    in_time(|| {
        let rt = impatient();
        let (given, input) = (Held::new(), rt.input("in", 10));
        thread::scope(|s| {
            let owner = s.spawn(|| rt.run(|| held(given.clone(), input.clone())));
            given.meet.wait();
            let collects = s.spawn(|| {
                rt.run(|| {
                    let carried = current();
                    let collect = || held::collect::<String>(given.clone(), input.clone());
                    thread::scope(|s| s.spawn(|| carried.run(collect)).join().unwrap())
                })
            });
            // Without the twin of another thread, and with it.
            spin_until(|| rt.activity().waiting > 0 || collects.is_finished());
            given.meet.wait();
            assert_eq!(owner.join().unwrap(), 11);
            assert_eq!(collects.join().unwrap(), ["held 10"]);
        });
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
fn threads_that_open_their_sessions_themselves_wait_however_long_it_takes() {
    in_time(|| {
        let rt = impatient();
        let (given, input) = (Held::new(), rt.input("in", 10));
        thread::scope(|s| {
            let owner = s.spawn(|| rt.run(|| held(given.clone(), input.clone())));
            given.meet.wait();
            let asks = s.spawn(|| rt.run(|| par_map(0..4, |_| held(given.clone(), input.clone()))));
            spin_until(|| rt.activity().waiting > 0);
            given.meet.wait();
            assert_eq!((owner.join().unwrap(), asks.join().unwrap()), (11, vec![11; 4]));
        });
        assert_eq!(given.runs.load(SeqCst), 1);
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

/// A way to spread the work of a task.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum How {
    Scope,
    Join,
    ParIter,
    /// The closure of the scope is carried, too.
    Wrapped,
    /// Jobs of rayon's, in which the runtime's own threads work; and the reverse. The pool has to have more threads than the runtime
    /// can keep waiting: that work on one of these waits for the pool is the program's own affair.
    ParMapInRayon,
    RayonInParMap,
    /// The jobs of each task go to another pool than those of the one above it.
    TwoPools,
    /// Work that does not ask for anything, as a sort does, before the jobs.
    Uncarried,
}

const KINDS: [How; 8] = [
    How::Scope,
    How::Join,
    How::ParIter,
    How::Wrapped,
    How::ParMapInRayon,
    How::RayonInParMap,
    How::TwoPools,
    How::Uncarried,
];

struct Pools([ThreadPool; 2]);

fn halve(range: std::ops::Range<u64>, f: &(dyn Fn(u64) -> u64 + Sync)) -> u64 {
    if range.end - range.start == 1 {
        return f(range.start);
    }
    let middle = u64::midpoint(range.start, range.end);
    let (a, b) = rayon::join(|| halve(range.start..middle, f), || halve(middle..range.end, f));
    a + b
}

/// The sum of `f` over the numbers below `n`, each a job.
fn spread(pools: &Pools, depth: usize, how: How, n: u64, f: &(dyn Fn(u64) -> u64 + Sync)) -> u64 {
    let task = current();
    let f = &|n| task.run(|| f(n));
    let each = || (0..n as usize).into_par_iter().with_max_len(1).map(|n| n as u64);
    let pool = &pools.0[if how == How::TwoPools { depth % 2 } else { 0 }];
    match how {
        How::Join => pool.install(|| halve(0..n, f)),
        How::ParIter | How::TwoPools => pool.install(|| each().map(f).sum()),
        How::Uncarried => pool.install(|| {
            let mut numbers: Vec<_> = (0..2000u64).rev().collect();
            numbers.par_sort_by_key(|n| n % 97);
            each().map(f).sum()
        }),
        How::ParMapInRayon => pool.install(|| each().map(|n| task.run(|| par_map(0..2, |_| f(n))[1])).sum()),
        How::RayonInParMap => par_map(0..2, |half| {
            let half = half * n / 2..(half + 1) * n / 2;
            pool.install(|| halve(half, f))
        })
        .into_iter()
        .sum(),
        How::Scope | How::Wrapped => {
            let sum = std::sync::atomic::AtomicU64::new(0);
            pool.scope(|s| {
                let spawn_all = || {
                    for n in 0..n {
                        let sum = &sum;
                        s.spawn(move |_| {
                            sum.fetch_add(f(n), SeqCst);
                        });
                    }
                };
                if how == How::Wrapped { task.run(spawn_all) } else { spawn_all() }
            });
            sum.into_inner()
        }
    }
}

#[task_fn(transient)]
fn leaf(round: &Input<u64>, n: u64) -> u64 {
    (0..200).for_each(|_| std::hint::spin_loop());
    round.get() + n
}

#[task_fn(transient)]
fn lower(#[skip] pools: Arc<Pools>, how: How, round: &Input<u64>, k: u64) -> u64 {
    spread(&pools, 1, how, 8, &|n| leaf(round, k + n))
}

#[task_fn(transient)]
fn upper(#[skip] pools: Arc<Pools>, how: How, round: &Input<u64>, k: u64) -> u64 {
    spread(&pools, 0, how, 3, &|n| lower(pools.clone(), how, round, k + n % 2))
}

/// Two sessions, each with a task that uses rayon inside; the one reads what the other computes. Each kind of work hung within half a
/// second, but for those that leave no frames behind.
#[test]
fn sessions_that_share_tasks_and_pools_never_hang() {
    let seconds = std::env::var("LARDER_STRESS_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    for threads in [1, 2, 4, 8] {
        for how in KINDS {
            if threads == 1 && matches!(how, How::ParMapInRayon | How::RayonInParMap) {
                continue;
            }
            let work = move || share_tasks_and_pools(threads, how, seconds);
            if seconds.is_some() { work() } else { in_time(work) }
        }
    }
}

fn share_tasks_and_pools(threads: usize, how: How, seconds: Option<u64>) {
    let rt = Runtime::builder().threads(2).run_apart_after(Duration::from_millis(20)).build();
    let round = rt.input("round", 0);
    let pools = Arc::new(Pools([pool(threads), pool(threads)]));
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut rounds = 0;
    while end.map_or(rounds < 25, |end| Instant::now() < end) {
        rounds += 1;
        rt.update(|u| u.set(&round, rounds)).unwrap();
        let lower_sum = |k: u64| 8 * (rounds + k) + 28;
        thread::scope(|s| {
            for thread in 0..3 {
                let (rt, pools, round) = (&rt, &pools, &round);
                s.spawn(move || {
                    for k in 0..4 {
                        if thread == 0 {
                            let sum = rt.run(|| lower(pools.clone(), how, round, k));
                            assert_eq!(sum, lower_sum(k), "{how:?}, {threads} threads, round {rounds}");
                        } else {
                            let sum = rt.run(|| upper(pools.clone(), how, round, k));
                            let expected = 2 * lower_sum(k) + lower_sum(k + 1);
                            assert_eq!(sum, expected, "{how:?}, {threads} threads, round {rounds}");
                        }
                    }
                });
            }
        });
    }
    if seconds.is_some() {
        println!("{how:?}, {threads} threads, {rounds} rounds:\n{}", rt.stats());
    }
}
