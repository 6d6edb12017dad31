//! Drivers of an execution, and its fate without one.

use super::*;

static SHARED_RUNS: AtomicUsize = AtomicUsize::new(0);

#[task_fn(transient)]
async fn shared(n: u64, #[skip] gate: Gate) -> u64 {
    SHARED_RUNS.fetch_add(1, SeqCst);
    gate.pass().await;
    n
}

#[test]
fn many_waiters_on_many_executors_cause_one_run() {
    let (rt, gate, tokio) = (Runtime::new(), Gate::default(), tokio());
    thread::scope(|s| {
        let waiters: Vec<_> = (0..3)
            .map(|_| s.spawn(|| smol::block_on(rt.run_async(async { shared(7, gate.clone()).await }))))
            .chain((0..2).map(|_| s.spawn(|| rt.run(|| block_on(shared(7, gate.clone()))))))
            .chain((0..2).map(|_| s.spawn(|| rt.run(|| shared::task(7, gate.clone()).get()))))
            .collect();
        let spawned: Vec<_> = (0..20)
            .map(|_| {
                let (rt, gate) = (rt.clone(), gate.clone());
                tokio.spawn(async move { rt.run_async(async { shared(7, gate).await }).await })
            })
            .collect();
        thread::sleep(Duration::from_millis(30));
        gate.open();
        assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap() == 7));
        for task in spawned {
            assert_eq!(tokio.block_on(task).unwrap(), 7);
        }
    });
    assert_eq!(SHARED_RUNS.load(SeqCst), 1);
    assert!(!rt.stats().get("shared").unwrap().time.is_zero(), "async bodies are timed");
}

#[test]
fn dropping_the_driver_hands_over_and_dropping_the_last_waiter_ends_the_execution() {
    let (rt, gate, drops) = (Runtime::new(), Gate::default(), Arc::<AtomicUsize>::default());
    rt.run(|| {
        let call = || guarded(1, gate.clone(), drops.clone());
        let mut driver = call();
        assert!(poll_once(pin!(&mut driver)).is_pending());
        let mut follower = call();
        assert!(poll_once(pin!(&mut follower)).is_pending());
        drop(driver);
        assert_eq!(drops.load(SeqCst), 0, "somebody still waits");
        drop(follower);
        assert_eq!(drops.load(SeqCst), 1, "nobody waits any more");
        assert!(!guarded::is_cached(1, gate.clone(), drops.clone()));
        // The claim was released: a later call begins anew, and a thread can take it over from a future.
        let mut driver = call();
        assert!(poll_once(pin!(&mut driver)).is_pending());
        let opener = thread::spawn({
            let gate = gate.clone();
            move || {
                thread::sleep(Duration::from_millis(20));
                gate.open();
            }
        });
        assert_eq!(guarded::task(1, gate.clone(), drops.clone()).get(), 1);
        assert_eq!(block_on(driver), 1);
        opener.join().unwrap();
    });
    assert_eq!(runs(&rt, "guarded"), 1);
    assert_eq!(drops.load(SeqCst), 2);
}

#[test]
fn a_waiter_that_is_never_polled_again_holds_nobody_up() {
    let (rt, gate, drops) = (Runtime::new(), Gate::default(), Arc::<AtomicUsize>::default());
    rt.run(|| {
        let mut kept = guarded(2, gate.clone(), drops.clone());
        assert!(poll_once(pin!(&mut kept)).is_pending());
        thread::scope(|s| {
            let other = s.spawn(|| rt.run(|| block_on(guarded(2, gate.clone(), drops.clone()))));
            thread::sleep(Duration::from_millis(10));
            gate.open();
            assert_eq!(other.join().unwrap(), 2);
        });
        assert_eq!(poll_once(pin!(&mut kept)), Poll::Ready(2));
    });
}

#[test]
fn an_execution_that_was_given_up_is_as_stale_as_before() {
    let rt = Runtime::new();
    let (input, gate) = (rt.input("in", 1), Gate::default());
    #[task_fn(transient)]
    async fn gated(input: Input<u64>, #[skip] gate: Gate) -> u64 {
        let n = input.get();
        if n > 1 {
            gate.pass().await;
        }
        n
    }
    let call = || gated(input.clone(), gate.clone());
    assert_eq!(rt.run(|| block_on(call())), 1);
    rt.update(|u| u.set(&input, 2)).unwrap();
    rt.run(|| assert!(poll_once(pin!(call())).is_pending()));
    // Equal to what it was when the task last ran to its end, but not unchanged: it must not be taken for current.
    rt.update(|u| u.set(&input, 3)).unwrap();
    gate.open();
    assert_eq!(rt.run(|| block_on(call())), 3);
    assert_eq!(runs(&rt, "gated"), 2);
}

#[task_fn(transient)]
async fn fails(n: u64, #[skip] gate: Gate) -> u64 {
    gate.pass().await;
    panic!("no {n}")
}

#[task_fn(transient)]
async fn depends_on_failing(n: u64, #[skip] gate: Gate) -> u64 {
    fails(n, gate).await
}

#[test]
fn a_panic_reaches_all_waiters_and_leaves_the_runtime_usable() {
    let (rt, gate) = (Runtime::new(), Gate::default());
    thread::scope(|s| {
        let waiters: Vec<_> = (0..4)
            .map(|_| {
                s.spawn(|| {
                    smol::block_on(rt.try_run_async(async { depends_on_failing(1, gate.clone()).await }))
                })
            })
            .collect();
        // All four for the task, and its execution for the one that fails.
        while rt.activity().waiting < 5 {
            thread::yield_now();
        }
        gate.open();
        for waiter in waiters {
            let Err(TaskError::Panicked { task, message, .. }) = waiter.join().unwrap() else {
                panic!("must fail")
            };
            assert_eq!((task.as_str(), message.as_str()), ("fails(1, _)", "no 1"));
        }
    });
    assert_eq!(runs(&rt, "fails"), 1);
    // Within one demand the failure is thrown again; a later demand runs again.
    let caught = catch_unwind(AssertUnwindSafe(|| rt.run(|| block_on(fails(1, gate.clone())))));
    assert_eq!(caught.unwrap_err().downcast_ref::<String>().unwrap(), "no 1");
    assert_eq!(runs(&rt, "fails"), 2);
}

#[task_fn(transient)]
async fn fails_once(fails: Arc<Once>) -> u32 {
    // Each poll of a waiter drives it, the second's, too.
    give_way().await;
    give_way().await;
    assert!(fails.0.swap(true, SeqCst), "once");
    give_way().await;
    7
}

/// Whether something has happened. Equal by where it stands.
#[derive(Debug, Default)]
struct Once(AtomicBool);

impl PartialEq for Once {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Once {}

impl std::hash::Hash for Once {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::ptr::from_ref(self).hash(state);
    }
}

/// Of two that waited for an async run one was told that it had failed, and a third began anew. The second still had its seat in the first
/// async run, which said that it was over, while the task was being computed: it asked again, and again.
#[test]
fn a_waiter_whose_flight_was_begun_anew_by_another_goes_on_with_that() {
    in_time(|| {
        let rt = Runtime::new();
        rt.run(|| {
            let fails = Arc::<Once>::default();
            let [mut first, mut second, mut third] = [0; 3].map(|_| Box::pin(fails_once(fails.clone())));
            assert!(poll_once(first.as_mut()).is_pending() && poll_once(second.as_mut()).is_pending());
            assert!(catch_unwind(AssertUnwindSafe(|| poll_once(first.as_mut()))).is_err());
            assert!(poll_once(third.as_mut()).is_pending());
            assert!(poll_once(second.as_mut()).is_pending());
            assert_eq!(block_on(second), 7);
            assert_eq!(block_on(third), 7);
        });
    });
}
