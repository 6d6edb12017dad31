//! Scopes: order, edges, panics, cycles, cancellation, speed of hand-out.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use larder::{Input, Runtime, TaskError, emit, par_each, par_map, scope, task_fn, try_par_map};
use larder_tests::deadline::in_time;

fn spin_until(done: impl Fn() -> bool) {
    while !done() {
        thread::yield_now();
    }
}

fn runtime(threads: usize) -> Runtime {
    Runtime::builder().threads(threads).build()
}

#[test]
fn results_are_in_the_order_of_the_items() {
    for threads in [1, 2, 4] {
        for len in [0, 1, 2, 3, 17, 1000, 10_000] {
            let doubled = runtime(threads).run(|| par_map(0..len, |n| n * 2));
            assert_eq!(
                doubled,
                (0..len).map(|n| n * 2).collect::<Vec<u64>>(),
                "{threads} threads, {len} items"
            );
        }
    }
}

#[test]
fn items_and_results_are_moved_and_dropped_once() {
    static LIVE: AtomicUsize = AtomicUsize::new(0);
    struct Counted(u32);
    impl Counted {
        fn new(n: u32) -> Self {
            LIVE.fetch_add(1, SeqCst);
            Self(n)
        }
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            LIVE.fetch_sub(1, SeqCst);
        }
    }
    let rt = runtime(2);
    let results = rt.run(|| par_map((0..500).map(Counted::new), |c| Counted::new(c.0 + 1)));
    assert_eq!(LIVE.load(SeqCst), 500);
    assert!(results.iter().enumerate().all(|(i, c)| c.0 as usize == i + 1));
    drop(results);
    let panicked = catch_unwind(|| {
        rt.run(|| {
            par_map((0..500).map(Counted::new), |c| {
                assert_ne!(c.0, 77);
                Counted::new(c.0)
            })
        })
    });
    assert!(panicked.is_err());
    assert_eq!(LIVE.load(SeqCst), 0);
}

#[task_fn(transient)]
fn one(input: Input<u64>, factor: u64) -> u64 {
    input.get() * factor
}

static SUMS: AtomicUsize = AtomicUsize::new(0);

#[task_fn(transient)]
fn sum(inputs: Vec<Input<u64>>) -> u64 {
    SUMS.fetch_add(1, SeqCst);
    par_map(&inputs, |input| one(input.clone(), 2)).iter().sum()
}

#[test]
fn reads_of_items_are_dependencies_of_the_calling_task() {
    let rt = runtime(2);
    let inputs: Vec<_> = (0..200).map(|n| rt.input(&format!("in{n}"), n)).collect();
    let total = || rt.run(|| sum(inputs.clone()));
    assert_eq!(total(), 199 * 200);
    assert_eq!(total(), 199 * 200);
    assert_eq!(SUMS.load(SeqCst), 1);
    for changed in [0, 99, 199] {
        let before = total();
        let runs = SUMS.load(SeqCst);
        rt.update(|u| u.set(&inputs[changed], 1000)).unwrap();
        assert_eq!(total(), before - 2 * changed as u64 + 2000);
        assert_eq!(SUMS.load(SeqCst), runs + 1);
        assert_eq!(rt.stats().get("one").unwrap().runs as usize, 200 + runs);
    }
    // Equal values behind changed inputs: nothing above them runs.
    rt.update(|u| u.set(&inputs[5], 5)).unwrap();
    let runs = SUMS.load(SeqCst);
    total();
    assert_eq!(SUMS.load(SeqCst), runs);
}

#[task_fn(transient)]
fn noisy(n: u32) -> u32 {
    if n % 3 == 0 {
        emit(format!("noise {n}"));
    }
    n
}

#[allow(dead_code, reason = "asked for by its companion only")]
#[task_fn(transient)]
fn crowd(len: u32) -> u32 {
    par_map(0..len, |n| {
        emit(format!("item {n}"));
        noisy(n)
    })
    .iter()
    .sum()
}

#[test]
fn reads_and_emitted_values_are_in_item_order_whatever_the_threads_do() {
    let mut all = HashSet::new();
    for round in 0..20 {
        let rt = runtime(1 + round % 4);
        let found = rt.run(|| crowd::collect::<String>(300));
        assert_eq!(found.len(), 400);
        all.insert(found);
    }
    assert_eq!(all.len(), 1, "the order depends on the number of threads or on time");
}

#[test]
fn one_task_asked_for_by_all_items_runs_once() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    #[task_fn(transient)]
    fn shared(n: u32) -> u32 {
        RUNS.fetch_add(1, SeqCst);
        thread::sleep(Duration::from_millis(2));
        n
    }
    let rt = runtime(4);
    assert_eq!(rt.run(|| par_map(0..400, |n| shared(n % 4)).iter().sum::<u32>()), 600);
    assert_eq!(RUNS.load(SeqCst), 4);
}

#[test]
fn all_items_run_and_the_first_panic_goes_on() {
    let rt = runtime(2);
    for _ in 0..10 {
        let ran = AtomicUsize::new(0);
        let error = rt.try_run(|| {
            par_map(0..100, |n| {
                ran.fetch_add(1, SeqCst);
                assert!(n % 10 != 7, "item {n} is bad");
            })
        });
        let Err(TaskError::Panicked { message, .. }) = error else { panic!("{error:?}") };
        assert!(message.contains("item 7 is bad"), "{message}");
        assert_eq!(ran.load(SeqCst), 100);
    }
    assert_eq!(rt.run(|| par_map(0..10, |n| n).len()), 10, "the crew is usable after panics");
}

#[task_fn(transient)]
fn picky(n: u32) -> u32 {
    assert!(n % 10 != 7, "{n} is not for me");
    n
}

#[test]
fn a_panic_is_named_after_the_task_that_it_came_from() {
    let error = runtime(2).try_run(|| par_map(0..100, picky));
    let Err(TaskError::Panicked { task, message, .. }) = error else { panic!("{error:?}") };
    assert_eq!((task.as_str(), message.as_str()), ("picky(7)", "7 is not for me"));
}

#[test]
fn an_early_exit_returns_the_first_error_in_item_order() {
    let rt = runtime(2);
    for round in 0..30 {
        let ran = AtomicUsize::new(0);
        let result: Result<Vec<u32>, u32> = rt.run(|| {
            try_par_map(0..5000, |n| {
                ran.fetch_add(1, SeqCst);
                if n == 300 + round {
                    thread::sleep(Duration::from_millis(1));
                }
                if n >= 300 + round && n % 2 == round % 2 { Err(n) } else { Ok(n) }
            })
        });
        assert_eq!(result, Err(300 + round));
        assert!(ran.load(SeqCst) < 5000, "later items are not begun");
    }
    assert_eq!(rt.run(|| try_par_map(0..50, Ok::<_, ()>)).unwrap().len(), 50);
}

#[task_fn(transient)]
fn fragile(inputs: Vec<Input<u32>>) -> Result<u32, u32> {
    try_par_map(&inputs, |input| match input.get() {
        n if n > 100 => Err(n),
        n => Ok(n),
    })
    .map(|all| all.iter().sum())
}

#[test]
fn an_early_exit_depends_on_nothing_behind_the_failing_item() {
    let rt = runtime(2);
    let inputs: Vec<_> = (0..100).map(|n| rt.input(&format!("in{n}"), 0)).collect();
    rt.update(|u| u.set(&inputs[40], 400)).unwrap();
    assert_eq!(rt.run(|| fragile(inputs.clone())), Err(400));
    rt.update(|u| u.set(&inputs[41], 410)).unwrap();
    assert_eq!(rt.run(|| fragile(inputs.clone())), Err(400));
    assert_eq!(rt.stats().get("fragile").unwrap().runs, 1);
    rt.update(|u| u.set(&inputs[39], 390)).unwrap();
    assert_eq!(rt.run(|| fragile(inputs.clone())), Err(390));
    rt.update(|u| [39, 40, 41].map(|n| u.set(&inputs[n], 1))).unwrap();
    assert_eq!(rt.run(|| fragile(inputs.clone())), Ok(3));
}

#[test]
fn results_come_while_a_slow_item_still_runs() {
    in_time(|| {
        let rt = runtime(2);
        let caller = thread::current().id();
        let (slow_runs, delivered) = (AtomicBool::new(false), AtomicUsize::new(0));
        let mut seen = HashSet::new();
        rt.run(|| {
            // The slow item is the first of the thread that does not deliver. It ends when all others have been delivered, but for those
            // that may stand behind it in its batch. The other thread leaves it time to come.
            par_each(
                0..100,
                |n| {
                    if thread::current().id() == caller {
                        spin_until(|| slow_runs.load(SeqCst));
                    } else if !slow_runs.swap(true, SeqCst) {
                        spin_until(|| delivered.load(SeqCst) >= 90);
                    }
                    n
                },
                |index, n| {
                    assert_eq!(index, n);
                    assert!(seen.insert(n));
                    delivered.fetch_add(1, SeqCst);
                },
            );
        });
        assert_eq!(seen.len(), 100);
    });
}

#[test]
fn a_straggler_holds_nobody_up() {
    let rt = runtime(2);
    rt.run(|| par_map(0..2, |_| thread::sleep(Duration::from_millis(1))));
    let (done, late) = (AtomicUsize::new(0), AtomicUsize::new(0));
    rt.run(|| {
        par_map(0..1000, |n| {
            if n == 3 {
                // Until all others have run, but for a few that may be in its batch.
                let all_others = || done.load(SeqCst) >= 995;
                for _ in (0..60_000).take_while(|_| !all_others()) {
                    thread::sleep(Duration::from_millis(1));
                }
                late.store(999 - done.load(SeqCst), SeqCst);
            } else {
                done.fetch_add(1, SeqCst);
            }
        });
    });
    assert!(late.load(SeqCst) < 5, "{} items waited for the straggler", late.load(SeqCst));
}

#[test]
fn a_panicking_callback_ends_the_scope() {
    let rt = runtime(2);
    let caller = thread::current().id();
    let (ran, panics) = (AtomicUsize::new(0), AtomicBool::new(false));
    let error = rt.try_run(|| {
        par_each(
            0..10_000,
            |_| {
                ran.fetch_add(1, SeqCst);
                if thread::current().id() != caller {
                    // The thread that delivers may be slow.
                    spin_until(|| panics.load(SeqCst));
                    thread::sleep(Duration::from_millis(1));
                }
            },
            |_, ()| {
                panics.store(true, SeqCst);
                panic!("no more")
            },
        );
    });
    assert!(matches!(error, Err(TaskError::Panicked { message, .. }) if message == "no more"));
    assert!(ran.load(SeqCst) < 10_000);
}

#[test]
fn jobs_borrow_and_write_to_their_own_places() {
    for threads in [1, 2, 3] {
        let text = "a b c".to_owned();
        let (mut words, mut letters, mut sums) = (0, 0, vec![0; 100]);
        let returned = runtime(threads).run(|| {
            scope(|s| {
                s.spawn(|| words = text.split(' ').count());
                s.spawn(|| letters = text.len());
                for (n, place) in sums.iter_mut().enumerate() {
                    s.spawn(move || *place = n);
                }
                "returned"
            })
        });
        assert_eq!((words, letters, returned), (3, 5, "returned"));
        assert_eq!(sums, (0..100).collect::<Vec<_>>());
    }
}

#[task_fn(transient)]
fn two_jobs(a: Input<u32>, b: Input<u32>) -> (u32, u32) {
    let (mut left, mut right) = (0, 0);
    scope(|s| {
        s.spawn(|| left = a.get());
        s.spawn(|| right = b.get());
    });
    (left, right)
}

#[test]
fn what_jobs_read_is_a_dependency() {
    let rt = runtime(2);
    let (a, b) = (rt.input("a", 1), rt.input("b", 2));
    assert_eq!(rt.run(|| two_jobs(a.clone(), b.clone())), (1, 2));
    rt.update(|u| u.set(&b, 3)).unwrap();
    assert_eq!(rt.run(|| two_jobs(a.clone(), b.clone())), (1, 3));
    rt.update(|u| u.set(&a, 4)).unwrap();
    assert_eq!(rt.run(|| two_jobs(a.clone(), b.clone())), (4, 3));
}

#[test]
fn all_jobs_end_before_a_panic_goes_on() {
    let rt = runtime(2);
    let ended = AtomicUsize::new(0);
    let job = |bad: Option<&'static str>| {
        thread::sleep(Duration::from_millis(1));
        ended.fetch_add(1, SeqCst);
        if let Some(bad) = bad {
            panic!("{bad}");
        }
    };
    let error = rt.try_run(|| {
        scope(|s| {
            s.spawn(|| job(None));
            s.spawn(|| job(Some("second")));
            s.spawn(|| job(Some("third")));
        });
    });
    assert!(matches!(error, Err(TaskError::Panicked { message, .. }) if message == "second"));
    assert_eq!(ended.load(SeqCst), 3);
    let error = rt.try_run(|| {
        scope(|s| {
            s.spawn(|| job(Some("job")));
            panic!("body");
        });
    });
    assert!(matches!(error, Err(TaskError::Panicked { message, .. }) if message == "body"));
    assert_eq!(ended.load(SeqCst), 4);
}

#[task_fn(transient)]
fn tree(depth: u32, path: u64) -> u64 {
    if depth == 0 {
        return 1;
    }
    par_map(0..3, |child| tree(depth - 1, path * 3 + child)).iter().sum()
}

#[test]
fn scopes_nest() {
    for threads in [1, 2, 5] {
        let rt = runtime(threads);
        assert_eq!(rt.run(|| tree(7, 0)), 3u64.pow(7));
        assert_eq!(rt.stats().get("tree").unwrap().runs, (3u64.pow(8) - 1) / 2);
    }
}

#[test]
fn scopes_of_many_sessions_share_the_crew() {
    let rt = runtime(3);
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(rt.run(|| tree(5, 0)), 243);
                    assert_eq!(rt.run(|| par_map(0..100, |n| n).len()), 100);
                }
            });
        }
    });
}

#[task_fn(transient)]
fn asks_for_itself(n: u32) -> u32 {
    par_map(0..4, |item| if item == n { asks_for_itself(n) } else { item }).iter().sum()
}

#[task_fn(transient)]
fn swallows(n: u32) -> u32 {
    let caught = catch_unwind(|| par_map(0..4, |item| if item == n { swallows(n) } else { item }));
    caught.map_or(0, |all| all.iter().sum())
}

#[test]
fn an_item_that_asks_for_its_own_task_is_a_cycle_and_no_hang() {
    for n in 0..4 {
        let rt = runtime(2);
        let error = rt.try_run(|| asks_for_itself(n));
        let Err(TaskError::Cycle(cycle)) = error else { panic!("{error:?}") };
        assert_eq!(cycle.path, [format!("asks_for_itself({n})")]);
        assert!(
            matches!(rt.try_run(|| swallows(n)), Err(TaskError::Cycle(_))),
            "a cycle cannot be swallowed"
        );
    }
}

#[task_fn(transient)]
fn ping(n: u32, meet: bool) -> u32 {
    if meet {
        MEET.wait();
    }
    par_map(0..2, |item| if item == 1 { pong(n, meet) } else { 0 }).iter().sum()
}

#[task_fn(transient)]
fn pong(n: u32, meet: bool) -> u32 {
    if meet {
        MEET.wait();
    }
    par_map(0..2, |item| if item == 1 { ping(n, meet) } else { 0 }).iter().sum()
}

static MEET: Barrier = Barrier::new(2);

#[test]
fn a_cycle_through_two_scopes_on_several_threads_is_found() {
    let rt = runtime(4);
    let errors: Vec<_> = thread::scope(|s| {
        let both = [s.spawn(|| rt.try_run(|| ping(1, true))), s.spawn(|| rt.try_run(|| pong(1, true)))];
        both.map(|thread| thread.join().unwrap()).into()
    });
    for error in errors {
        assert!(matches!(&error, Err(TaskError::Cycle(_))), "{error:?}");
    }
}

#[test]
fn a_cancelling_update_stops_between_items() {
    let rt = runtime(2);
    let input = rt.input("in", 1);
    let began = Barrier::new(2);
    let ran = AtomicUsize::new(0);
    thread::scope(|s| {
        let session = s.spawn(|| {
            rt.try_run(|| {
                par_map(0..1_000_000, |n| {
                    if n == 0 {
                        began.wait();
                    }
                    ran.fetch_add(1, SeqCst);
                    thread::sleep(Duration::from_micros(100));
                })
            })
        });
        began.wait();
        rt.update_with(larder::UpdatePolicy::Cancel, |u| u.set(&input, 2)).unwrap();
        assert!(matches!(session.join().unwrap(), Err(TaskError::Cancelled)));
    });
    assert!(ran.load(SeqCst) < 1_000_000);
    assert_eq!(rt.run(|| par_map(0..10, |_| input.get())), [2; 10]);
}

#[test]
fn two_items_run_at_once() {
    let rt = runtime(2);
    let both = Barrier::new(2);
    rt.run(|| {
        par_map(0..2, |_| {
            both.wait();
        })
    });
    rt.run(|| {
        scope(|s| {
            s.spawn(|| {
                both.wait();
            });
            s.spawn(|| {
                both.wait();
            });
        });
    });
    let threads = Mutex::new(HashSet::new());
    rt.run(|| par_map(0..1, |_| threads.lock().unwrap().insert(thread::current().id())));
    assert_eq!(threads.into_inner().unwrap(), HashSet::from([thread::current().id()]));
}

#[test]
fn the_crew_ends_with_its_runtime() {
    let count = || {
        std::fs::read_dir("/proc/self/task").map_or(0, |tasks| {
            tasks
                .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
                .filter(|name| name.starts_with("larder-crew-9"))
                .count()
        })
    };
    let rt = runtime(95);
    let go = Barrier::new(95);
    rt.run(|| {
        par_map(0..95, |_| {
            go.wait();
        })
    });
    let while_alive = count();
    drop(rt);
    assert_eq!(count(), 0);
    assert!(while_alive > 0 || !cfg!(target_os = "linux"));
}

#[test]
fn a_scope_outside_of_a_session_says_so() {
    let message = catch_unwind(AssertUnwindSafe(|| par_map(0..3, |n| n))).unwrap_err();
    assert!(message.downcast_ref::<String>().unwrap().contains("outside of a session"));
}
