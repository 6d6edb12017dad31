//! Wakers and executors that do what none should, and what many do.

use std::collections::VecDeque;
use std::task::{Wake, Waker};

use super::*;

#[task_fn(transient)]
async fn waits(n: u64, #[skip] gate: Gate) -> u64 {
    gate.pass().await;
    n
}

#[task_fn(transient)]
async fn over(n: u64, #[skip] gate: Gate) -> u64 {
    waits(n, gate.clone()).await
}

type Held = Pin<Box<dyn Future<Output = u64> + Send>>;

/// A waker that holds a future, and drops it when it is woken, or with itself.
struct Holds(Mutex<Option<Held>>);

impl Holds {
    fn waker(future: Held) -> Waker {
        Waker::from(Arc::new(Self(Mutex::new(Some(future)))))
    }
}

impl Wake for Holds {
    fn wake(self: Arc<Self>) {
        let held = self.0.lock().unwrap().take();
        drop(held);
    }
}

fn poll_with<F: Future + ?Sized>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

/// A simple executor's waker is its task, so the last waker drops the future. A seat in an execution was given up so while the waiters
/// were locked, in which another waker took the place of that one: the thread waited for itself.
#[test]
fn a_waker_that_is_replaced_may_give_up_another_seat() {
    in_time(|| {
        let rt = Runtime::new();
        let gate = Gate::default();
        rt.run(|| {
            let call = || Box::pin(waits(1, gate.clone()));
            let (mut kept, mut other) = (call(), call());
            assert!(poll_once(kept.as_mut()).is_pending() && poll_once(other.as_mut()).is_pending());
            let holds = Holds::waker(other);
            assert!(poll_with(kept.as_mut(), &holds).is_pending());
            drop(holds);
            assert!(poll_once(kept.as_mut()).is_pending());
            gate.open();
            assert_eq!(poll_once(kept.as_mut()), Poll::Ready(1));
        });
        assert_eq!((rt.activity().async_runs, runs(&rt, "waits")), (0, 1));
    });
}

/// Of three waiters one drops itself when it is woken, one drops another, and one panics: the last gets its value.
#[test]
fn wakers_that_drop_waiters_or_panic_hold_nobody_up() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new("a waker panics"));
        }
    }
    in_time(|| {
        let rt = Runtime::new();
        for ask in [waits as fn(u64, Gate) -> TaskCall<u64>, over] {
            let gate = Gate::default();
            rt.run(|| {
                let call = || Box::pin(ask(2, gate.clone()));
                let [mut first, mut second, mut third] = [(); 3].map(|()| call());
                let mut last = call();
                assert!(poll_with(first.as_mut(), &Waker::from(Arc::new(Panics))).is_pending());
                assert!(poll_once(second.as_mut()).is_pending());
                assert!(poll_with(third.as_mut(), &Holds::waker(second)).is_pending());
                let me = Arc::new(Holds(Mutex::new(None)));
                let mut fourth: Held = call();
                assert!(poll_with(fourth.as_mut(), &Waker::from(me.clone())).is_pending());
                *me.0.lock().unwrap() = Some(fourth);
                assert!(poll_once(last.as_mut()).is_pending());
                gate.open();
                assert!(me.0.lock().unwrap().is_none(), "it was woken");
                assert_eq!(block_on(last), 2);
                assert_eq!(poll_once(third.as_mut()), Poll::Ready(2));
                assert_eq!(block_on(first), 2);
            });
            assert_eq!(rt.activity().async_runs, 0);
            rt.run(|| ask(2, gate.clone())).try_ready().unwrap();
            rt.run(|| assert!(waits::forget(2, gate.clone())));
        }
    });
}

/// When the last waiter is dropped where it is woken, its execution ends there, with all that are below it.
#[test]
fn a_waiter_that_is_dropped_where_it_is_woken_ends_its_execution() {
    in_time(|| {
        let rt = Runtime::new();
        let (gate, drops) = (Gate::default(), Arc::<AtomicUsize>::default());
        let me = Arc::new(Holds(Mutex::new(None)));
        let mut session: Held = {
            let (rt, gate, drops) = (rt.clone(), gate.clone(), drops.clone());
            Box::pin(async move {
                rt.run_async(async {
                    let guard = guarded(1, gate.clone(), drops);
                    join(guard, over(5, gate)).await.0
                })
                .await
            })
        };
        assert!(poll_with(session.as_mut(), &Waker::from(me.clone())).is_pending());
        *me.0.lock().unwrap() = Some(session);
        gate.open();
        assert_eq!((drops.load(SeqCst), rt.activity().async_runs), (1, 0));
        let input = rt.input("input", 1);
        rt.update(|update| update.set(&input, 2)).unwrap();
    });
}

/// The waker of an execution outlives it, and its runtime.
#[test]
fn a_waker_that_comes_late_does_nothing() {
    in_time(|| {
        static LATE: Mutex<Vec<Waker>> = Mutex::new(Vec::new());
        #[task_fn(transient)]
        async fn leaves_its_waker(n: u64) -> u64 {
            poll_fn(|context| {
                LATE.lock().unwrap().push(context.waker().clone());
                Poll::Ready(())
            })
            .await;
            if n == 0 { std::future::pending().await } else { n }
        }
        let rt = Runtime::new();
        rt.run(|| assert_eq!(block_on(leaves_its_waker(1)), 1));
        rt.run(|| assert!(poll_once(pin!(leaves_its_waker(0))).is_pending()));
        let again = || LATE.lock().unwrap().iter().for_each(Waker::wake_by_ref);
        again();
        rt.run(|| assert_eq!(leaves_its_waker(1).try_ready().unwrap(), 1));
        drop(rt);
        again();
        let late = std::mem::take(&mut *LATE.lock().unwrap());
        late.into_iter().for_each(Waker::wake);
    });
}

/// A body that is woken all the time, by itself, by others and while it runs, and whose waker is cloned all the time.
#[test]
fn a_storm_of_wakes_and_clones_ends() {
    #[task_fn(transient)]
    async fn stormy(n: u64) -> u64 {
        let mut left = 200;
        poll_fn(|context| {
            let wakers: Vec<_> = (0..50).map(|_| context.waker().clone()).collect();
            let (now, later) = wakers.split_at(20);
            now.iter().for_each(Waker::wake_by_ref);
            let later = later.to_vec();
            thread::spawn(move || later.into_iter().for_each(Waker::wake));
            left -= 1;
            if left == 0 { Poll::Ready(n) } else { Poll::Pending }
        })
        .await
    }
    #[task_fn(transient)]
    async fn over_stormy(n: u64) -> u64 {
        stormy(n).await + 1
    }
    in_time(|| {
        let rt = Runtime::new();
        let pool = tokio();
        let spawned: Vec<_> = (0..4)
            .map(|_| {
                let rt = rt.clone();
                pool.spawn(async move { rt.run_async(async { over_stormy(3).await }).await })
            })
            .collect();
        assert_eq!(rt.run(|| over_stormy::task(3).get()), 4);
        assert_eq!(smol::block_on(rt.run_async(async { stormy(3).await })), 3);
        for task in spawned {
            assert_eq!(pool.block_on(task).unwrap(), 4);
        }
        assert_eq!((runs(&rt, "stormy"), runs(&rt, "over_stormy")), (1, 1));
    });
}

#[task_fn(transient)]
async fn step(input: &Input<u64>, n: u64) -> u64 {
    match n % 4 {
        0 => give_way().await,
        1 => tokio::task::yield_now().await,
        2 => tokio::time::sleep(Duration::from_micros(n % 300)).await,
        _ => {
            let task = current();
            let input = input.clone();
            tokio::spawn(task.future(async move { input.get() })).await.unwrap();
        }
    }
    input.get() + n
}

#[task_fn(transient)]
async fn steps(input: &Input<u64>, n: u64) -> u64 {
    let mut sum = 0;
    for k in 0..3 {
        sum += tokio::select! {
            biased;
            sum = step(input, n + k) => sum,
            () = tokio::time::sleep(Duration::from_millis(1_000)) => 0,
        };
    }
    let (left, right) = tokio::join!(step(input, n), step(input, n + 5));
    sum + left + right
}

/// Futures that race, join, are left behind half-way and spawned, on executors with many threads and with one, with updates between.
#[test]
fn futures_that_race_and_are_left_agree_with_plain_evaluation() {
    in_time(|| {
        let rt = Runtime::new();
        let input = rt.input("input", 0u64);
        let pool = tokio();
        let single = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for round in 0..30u64 {
            rt.update(|update| update.set(&input, round)).unwrap();
            let spawned: VecDeque<_> = (0..6)
                .map(|n| {
                    let (rt, input) = (rt.clone(), input.clone());
                    pool.spawn(async move {
                        rt.run_async(async {
                            if n % 3 == 0 {
                                // Given up after some time.
                                tokio::select! {
                                    sum = steps(&input, n / 2) => Some(sum),
                                    () = tokio::time::sleep(Duration::from_micros(100 * n)) => None,
                                }
                            } else {
                                Some(steps(&input, n / 2).await)
                            }
                        })
                        .await
                    })
                })
                .collect();
            let wanted = |n: u64| (n + n + 1 + n + 2 + n + n + 5) + 5 * round;
            let here = single.block_on(rt.run_async(async { steps(&input, 1).await }));
            assert_eq!(here, wanted(1), "round {round}");
            for (n, task) in (0..).zip(spawned) {
                if let Some(found) = pool.block_on(task).unwrap() {
                    assert_eq!(found, wanted(n / 2), "round {round}");
                }
            }
            let activity = rt.activity();
            assert_eq!((activity.running, activity.async_runs, activity.waiting), (0, 0, 0), "round {round}");
        }
    });
}

/// Each future carries the task on to the next, and waits for it, or hands it back and ends.
fn relay(input: Input<u64>, left: u32, waits: bool) -> Held {
    let carried = current().future(async move {
        if left == 0 {
            return (step(&input, 1).await, None);
        }
        let next = tokio::spawn(relay(input, left - 1, waits));
        if waits { (next.await.unwrap() + 1, None) } else { (1, Some(next)) }
    });
    Box::pin(async move {
        let (mut sum, mut next) = carried.await;
        if let Some(handle) = next.take() {
            sum += handle.await.unwrap();
        }
        sum
    })
}

#[task_fn(transient)]
async fn relayed(input: &Input<u64>, length: u32, waits: bool) -> u64 {
    tokio::spawn(relay(input.clone(), length, waits)).await.unwrap()
}

/// The record of the waiters for carried work is a chain, as long as work is carried on by carried work; it was followed and dropped
/// by recursion.
#[test]
fn work_that_is_carried_on_and_on_does_not_recurse() {
    for waits in [true, false] {
        in_time(move || {
            let rt = Runtime::new();
            let input = rt.input("input", 4u64);
            let pool = tokio();
            for value in [4, 5] {
                rt.update(|update| update.set(&input, value)).unwrap();
                let found = pool.block_on(rt.run_async(async { relayed(&input, LONG, waits).await }));
                assert_eq!(found, value + 1 + u64::from(LONG));
            }
            assert_eq!(runs(&rt, "relayed"), 2);
        });
    }
}

/// So many futures that carry their task on.
const LONG: u32 = 20_000;

/// Futures that cannot leave their thread, and carry the session along.
#[test]
fn local_futures_carry_the_session_along() {
    in_time(|| {
        let rt = Runtime::new();
        let input = rt.input("input", 4u64);
        let single = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let local = tokio::task::LocalSet::new();
        let found = local.block_on(
            &single,
            rt.run_async(async {
                let here = std::rc::Rc::new(input.clone());
                let inner = current().future(async move {
                    let nested = here.clone();
                    let inner = tokio::task::spawn_local(current().future(async move {
                        tokio::task::yield_now().await;
                        step(&nested, 2).await
                    }));
                    step(&here, 1).await + inner.await.unwrap()
                });
                tokio::task::spawn_local(inner).await.unwrap()
            }),
        );
        assert_eq!(found, 11);
        rt.update(|update| update.set(&input, 5)).unwrap();
    });
}
