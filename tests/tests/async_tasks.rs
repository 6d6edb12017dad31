//! Async task functions: hits, edges, driving, hand-over, cancellation, panics, cycles, on several executors.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use larder::{Input, Runtime, Task, TaskCall, TaskError, TaskExt, current, emit, par_map, task_fn};
use larder_tests::deadline::in_time;
use larder_tests::executor::{block_on, give_way};

fn tokio() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

/// A gate that futures wait at, from any executor.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<(bool, Vec<Waker>)>>);

impl Gate {
    fn open(&self) {
        let wakers = {
            let mut gate = self.0.lock().unwrap();
            gate.0 = true;
            std::mem::take(&mut gate.1)
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    async fn pass(&self) {
        poll_fn(|context| {
            let mut gate = self.0.lock().unwrap();
            if gate.0 {
                return Poll::Ready(());
            }
            gate.1.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn waiting(&self) -> usize {
        self.0.lock().unwrap().1.len()
    }
}

fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn runs(rt: &Runtime, name: &str) -> u64 {
    rt.stats().get(name).map_or(0, |function| function.runs)
}

#[task_fn(transient)]
async fn double(input: Input<u64>) -> u64 {
    give_way().await;
    let value = input.get();
    give_way().await;
    value * 2
}

#[task_fn(transient)]
async fn parity(input: Input<u64>) -> u64 {
    double(input).await / 2 % 2
}

#[task_fn(transient)]
async fn summary(inputs: Vec<Input<u64>>) -> u64 {
    let mut sum = 0;
    for input in &inputs {
        sum += parity(input.clone()).await * 10 + plain(input.clone());
    }
    sum
}

#[task_fn(transient)]
fn plain(input: Input<u64>) -> u64 {
    input.get().min(1)
}

fn check_edges(run: impl Fn(&Runtime, Vec<Input<u64>>) -> u64) {
    let rt = Runtime::new();
    let inputs: Vec<_> = (0..6).map(|n| rt.input(&format!("in{n}"), n)).collect();
    let mut values: Vec<u64> = (0..6).collect();
    let expected = |values: &[u64]| values.iter().map(|n| n % 2 * 10 + n.min(&1)).sum::<u64>();
    assert_eq!(run(&rt, inputs.clone()), expected(&values));
    assert_eq!(run(&rt, inputs.clone()), expected(&values));
    assert_eq!(runs(&rt, "summary"), 1);
    for (change, (at, value)) in [(3, 5), (3, 7), (0, 1), (5, 6), (2, 2), (1, 9)].into_iter().enumerate() {
        let (before, reruns) = (expected(&values), runs(&rt, "summary"));
        let doubles = runs(&rt, "double");
        values[at] = value;
        rt.update(|u| u.set(&inputs[at], value)).unwrap();
        assert_eq!(run(&rt, inputs.clone()), expected(&values), "change {change}");
        // Early cutoff: the summary runs again only if a parity or a minimum has changed.
        let changed = expected(&values) != before;
        assert_eq!(runs(&rt, "summary"), reruns + u64::from(changed), "change {change}");
        assert!(runs(&rt, "double") <= doubles + 1);
    }
}

#[test]
fn edges_are_recorded_across_awaits_on_every_executor() {
    check_edges(|rt, inputs| rt.run(|| block_on(summary(inputs))));
    check_edges(|rt, inputs| block_on(rt.run_async(async { summary(inputs).await })));
    check_edges(|rt, inputs| smol::block_on(rt.run_async(async { summary(inputs).await })));
    let tokio = tokio();
    check_edges(|rt, inputs| tokio.block_on(rt.run_async(async { summary(inputs).await })));
    check_edges(|rt, inputs| {
        let rt = rt.clone();
        tokio.block_on(async {
            tokio::spawn(async move { rt.run_async(summary_of(inputs)).await }).await.unwrap()
        })
    });
    // Through a sync task, and by a handle: driven to the end on the thread that asks.
    check_edges(|rt, inputs| rt.run(|| summary_by_handle(summary::task(inputs))));
}

async fn summary_of(inputs: Vec<Input<u64>>) -> u64 {
    summary(inputs).await
}

#[task_fn(transient)]
fn summary_by_handle(summary: Task<u64>) -> u64 {
    summary.get()
}

#[test]
fn a_call_is_looked_up_when_it_is_made_and_starts_when_it_is_polled() {
    let rt = Runtime::new();
    let input = rt.input("in", 4);
    rt.run(|| {
        let call = double(input.clone());
        assert!(!call.is_ready());
        drop(call);
        assert_eq!(runs(&rt, "double"), 0);
        let call = double(input.clone()).try_ready().unwrap_err();
        assert_eq!(block_on(call), 8);
        assert!(matches!(double(input.clone()), TaskCall::Ready(8)));
        assert_eq!(double(input.clone()).try_ready().unwrap(), 8);
        // A hit needs no waker and no second poll.
        assert_eq!(poll_once(pin!(double(input.clone()))), Poll::Ready(8));
    });
    assert_eq!(runs(&rt, "double"), 1);
}

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
}

struct OnDrop(Arc<AtomicUsize>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[task_fn(transient)]
async fn guarded(n: u64, #[skip] gate: Gate, #[skip] drops: Arc<AtomicUsize>) -> u64 {
    let _on_drop = OnDrop(drops.clone());
    gate.pass().await;
    n
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
    let open = AtomicUsize::new(0);
    let (rt, gate) = (Runtime::new(), Gate::default());
    thread::scope(|s| {
        let waiters: Vec<_> = (0..4)
            .map(|_| {
                s.spawn(|| {
                    smol::block_on(rt.try_run_async(async {
                        open.fetch_add(1, SeqCst);
                        depends_on_failing(1, gate.clone()).await
                    }))
                })
            })
            .collect();
        while open.load(SeqCst) < 4 {
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(100));
        gate.open();
        for waiter in waiters {
            let Err(TaskError::Panicked { task, message }) = waiter.join().unwrap() else {
                panic!("must fail")
            };
            assert_eq!((task.as_str(), message.as_str()), ("fails(..)", "no 1"));
        }
    });
    assert_eq!(runs(&rt, "fails"), 1);
    // Within one demand the failure is thrown again; a later demand runs again.
    let caught = catch_unwind(AssertUnwindSafe(|| rt.run(|| block_on(fails(1, gate.clone())))));
    assert_eq!(caught.unwrap_err().downcast_ref::<String>().unwrap(), "no 1");
    assert_eq!(runs(&rt, "fails"), 2);
}

#[task_fn(transient)]
async fn asks_itself(n: u64) -> u64 {
    give_way().await;
    asks_itself(n).await
}

#[task_fn(transient)]
async fn ping(n: u64) -> u64 {
    give_way().await;
    pong(n).await
}

#[task_fn(transient)]
async fn pong(n: u64) -> u64 {
    give_way().await;
    sync_between(n)
}

#[task_fn(transient)]
fn sync_between(n: u64) -> u64 {
    ping::task(n).get()
}

async fn join<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut left, mut right) = (None, None);
    poll_fn(|context| {
        if left.is_none()
            && let Poll::Ready(value) = a.as_mut().poll(context)
        {
            left = Some(value);
        }
        if right.is_none()
            && let Poll::Ready(value) = b.as_mut().poll(context)
        {
            right = Some(value);
        }
        if left.is_some() && right.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    (left.unwrap(), right.unwrap())
}

#[task_fn(transient)]
async fn left(n: u64) -> u64 {
    give_way().await;
    join(right(n), async { 1 }).await.0
}

#[task_fn(transient)]
async fn right(n: u64) -> u64 {
    give_way().await;
    join(async { 2 }, left(n)).await.1
}

#[test]
fn cycles_through_futures_are_errors_with_their_path() {
    let is_cycle = |error: Result<u64, TaskError>, expected: &[&str]| {
        let Err(TaskError::Cycle(cycle)) = error else { panic!("{error:?}") };
        let mut path = cycle.path.clone();
        path.sort();
        assert_eq!(path, expected);
    };
    let rt = Runtime::new();
    for _ in 0..3 {
        is_cycle(rt.try_run(|| block_on(asks_itself(1))), &["asks_itself(1,)"]);
        is_cycle(rt.try_run(|| block_on(ping(1))), &["ping(1,)", "pong(1,)", "sync_between(1,)"]);
        is_cycle(rt.try_run(|| block_on(pong(1))), &["ping(1,)", "pong(1,)", "sync_between(1,)"]);
        is_cycle(rt.try_run(|| sync_between(1)), &["ping(1,)", "pong(1,)", "sync_between(1,)"]);
        is_cycle(rt.try_run(|| block_on(left(1))), &["left(1,)", "right(1,)"]);
        // From both ends at once, in one task and on two threads.
        is_cycle(
            block_on(rt.try_run_async(async { join(left(2), right(2)).await.0 })),
            &["left(2,)", "right(2,)"],
        );
    }
    for n in 10..60 {
        thread::scope(|s| {
            let ends = [
                s.spawn(|| smol::block_on(rt.try_run_async(async { left(n).await }))),
                s.spawn(|| rt.try_run(|| right::task(n).get())),
            ];
            for end in ends {
                assert!(matches!(end.join().unwrap(), Err(TaskError::Cycle(_))));
            }
        });
    }
}

#[task_fn(transient)]
async fn chain(n: u64, input: Input<u64>) -> u64 {
    if n == 0 {
        give_way().await;
        return input.get();
    }
    chain(n - 1, input).await + 1
}

#[test]
fn deep_chains_of_futures_do_not_overflow_the_stack() {
    let rt = Runtime::new();
    let input = rt.input("in", 0);
    assert_eq!(rt.run(|| block_on(chain(20_000, input.clone()))), 20_000);
    rt.update(|u| u.set(&input, 5)).unwrap();
    assert_eq!(smol::block_on(rt.run_async(async { chain(20_000, input.clone()).await })), 20_005);
    rt.update(|u| u.set(&input, 6)).unwrap();
    // Given up half-way: dropped from the outside in.
    rt.run(|| assert!(poll_once(pin!(chain(20_000, input.clone()))).is_pending()));
    assert_eq!(rt.run(|| chain::task(20_000, input.clone()).get()), 20_006);
}

#[task_fn(transient)]
async fn says(n: u64) -> u64 {
    emit(format!("before {n}"));
    give_way().await;
    if n > 0 {
        says(n - 1).await;
    }
    emit(format!("after {n}"));
    n
}

#[test]
fn emitted_values_are_kept_in_order_across_awaits() {
    let rt = Runtime::new();
    rt.run(|| assert_eq!(block_on(says(2)), 2));
    let found = rt.run(|| says::collect::<String>(2));
    assert_eq!(found, ["before 0", "after 0", "before 1", "after 1", "before 2", "after 2"]);
}

#[task_fn(transient)]
async fn calls_in_parallel(inputs: Vec<Input<u64>>) -> u64 {
    give_way().await;
    let sum: u64 = par_map(&inputs, |input| plain(input.clone())).into_iter().sum();
    give_way().await;
    sum
}

#[test]
fn scopes_work_inside_async_bodies() {
    let rt = Runtime::builder().threads(2).build();
    let inputs: Vec<_> = (0..50).map(|n| rt.input(&format!("in{n}"), n)).collect();
    assert_eq!(rt.run(|| block_on(calls_in_parallel(inputs.clone()))), 49);
    rt.update(|u| u.set(&inputs[0], 3)).unwrap();
    assert_eq!(rt.run(|| block_on(calls_in_parallel(inputs.clone()))), 50);
}

#[task_fn(transient, heavy)]
fn heavy_sync(n: u64) -> String {
    assert!(n < 100, "too heavy: {n}");
    format!("{n} on {}", thread::current().name().unwrap_or("?"))
}

#[task_fn(transient, heavy)]
async fn heavy_async(input: Input<u64>) -> String {
    give_way().await;
    format!("{} on {}", input.get(), thread::current().name().unwrap_or("?"))
}

#[test]
fn heavy_bodies_move_to_the_crew() {
    let rt = Runtime::builder().threads(2).build();
    let input = rt.input("in", 1);
    let on_crew = |text: String| assert!(text.contains("on larder-crew-"), "{text}");
    for n in 0..20 {
        rt.update(|u| u.set(&input, n)).unwrap();
        on_crew(smol::block_on(rt.run_async(async { heavy_async(input.clone()).await })));
        on_crew(block_on(rt.run_async(async { heavy_sync::task(n).get_async().await })));
        // Sync callers run it where they are.
        assert!(!rt.run(|| heavy_sync(n + 50)).contains("larder-crew"));
    }
    assert_eq!(runs(&rt, "heavy_async"), 20);
    let error = block_on(rt.try_run_async(async { heavy_sync::task(100).get_async().await }));
    assert!(
        matches!(&error, Err(TaskError::Panicked { message, .. }) if message == "too heavy: 100"),
        "{error:?}"
    );
}

#[test]
fn a_call_that_lost_its_task_fails_loudly() {
    let (rt, tokio) = (Runtime::new(), tokio());
    let input = rt.input("in", 1);
    let lost = tokio.block_on(rt.run_async(async { tokio::spawn(double(input.clone())).await }));
    let panic = lost.unwrap_err().into_panic();
    assert!(panic.downcast_ref::<&str>().unwrap().contains("without its task"));
    let leaked = rt.run(|| double(input.clone()));
    assert!(catch_unwind(AssertUnwindSafe(|| block_on(leaked))).is_err());
    rt.update(|u| u.set(&input, 2)).unwrap();
    assert_eq!(rt.run(|| block_on(double(input.clone()))), 4);
}

#[task_fn(transient)]
async fn spawns(inputs: Vec<Input<u64>>) -> u64 {
    let task = current();
    let spawned: Vec<_> =
        inputs.iter().map(|input| tokio::spawn(task.future(parity(input.clone())))).collect();
    let mut sum = 0;
    for task in spawned {
        sum += task.await.unwrap();
    }
    sum
}

#[test]
fn wrapped_futures_can_be_spawned_and_lose_no_edge() {
    let (rt, tokio) = (Runtime::new(), tokio());
    let inputs: Vec<_> = (0..30).map(|n| rt.input(&format!("in{n}"), n)).collect();
    let sum = || tokio.block_on(rt.run_async(async { spawns(inputs.clone()).await }));
    assert_eq!(sum(), 15);
    for (at, value) in [(0, 1), (29, 2), (10, 12)] {
        rt.update(|u| u.set(&inputs[at], value)).unwrap();
        sum();
    }
    assert_eq!(sum(), 15);
    assert_eq!(runs(&rt, "spawns"), 3);
    assert_eq!(runs(&rt, "double"), 33);
}

#[test]
fn futures_and_calls_are_send() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let rt = Runtime::new();
    let input = rt.input("in", 1);
    let session = send(rt.run_async(async { send(double(input.clone())).await }));
    assert_eq!(block_on(session), 2);
    block_on(send(rt.update_async(|u| u.set(&input, 3)))).unwrap();
    assert_eq!(rt.run(|| block_on(double(input.clone()))), 6);
}

#[test]
fn an_update_waits_for_open_sessions_and_new_sessions_wait_for_it() {
    let (rt, gate) = (Runtime::new(), Gate::default());
    let input = rt.input("in", 1);
    let mut session = Box::pin(rt.run_async(async {
        let before = input.get();
        gate.pass().await;
        (before, input.get())
    }));
    assert!(poll_once(session.as_mut()).is_pending());
    let mut update = Box::pin(rt.update_async(|u| u.set(&input, 2)));
    assert!(poll_once(update.as_mut()).is_pending());
    let mut late = Box::pin(rt.run_async(async { input.get() }));
    assert!(poll_once(late.as_mut()).is_pending());
    gate.open();
    assert_eq!(block_on(session), (1, 1));
    block_on(update).unwrap();
    assert_eq!(block_on(late), 2);
    // An update that is given up lets sessions in again.
    let gate = Gate::default();
    let mut session = Box::pin(rt.run_async(gate.pass()));
    assert!(poll_once(session.as_mut()).is_pending());
    let mut update = Box::pin(rt.update_async(|u| u.set(&input, 5)));
    assert!(poll_once(update.as_mut()).is_pending());
    let late = thread::spawn({
        let (rt, input) = (rt.clone(), input.clone());
        move || block_on(rt.run_async(async { input.get() }))
    });
    thread::sleep(Duration::from_millis(20));
    drop(update);
    assert_eq!(late.join().unwrap(), 2);
    drop(session);
    rt.update(|u| u.set(&input, 6)).unwrap();
    let refused = block_on(rt.run_async(async { rt.update_async(|u| u.set(&input, 7)).await }));
    assert!(refused.is_err(), "an update inside of a session would wait for itself");
}

#[test]
fn a_cancelling_update_ends_sessions_that_wait() {
    let (rt, gate, drops) = (Runtime::new(), Gate::default(), Arc::<AtomicUsize>::default());
    let input = rt.input("in", 1);
    let open = AtomicUsize::new(0);
    let call = || {
        open.fetch_add(1, SeqCst);
        guarded(1, gate.clone(), drops.clone())
    };
    thread::scope(|s| {
        let waiters = [
            s.spawn(|| smol::block_on(rt.try_run_async(async { call().await }))),
            s.spawn(|| rt.try_run(|| block_on(call()))),
            s.spawn(|| {
                rt.try_run(|| {
                    drop(call());
                    guarded::task(1, gate.clone(), drops.clone()).get()
                })
            }),
        ];
        while gate.waiting() == 0 || open.load(SeqCst) < 3 {
            thread::yield_now();
        }
        smol::block_on(rt.update_cancelling_async(|u| u.set(&input, 2))).unwrap();
        for waiter in waiters {
            assert!(matches!(waiter.join().unwrap(), Err(TaskError::Cancelled)));
        }
    });
    assert_eq!(drops.load(SeqCst), 1);
    gate.open();
    assert_eq!(rt.run(|| block_on(guarded(1, gate.clone(), drops.clone()))), 1);
}

/// A thread that asked for an async task first used to run its body by itself, deaf to everything but the body's own waker.
#[test]
fn a_thread_that_runs_an_async_body_is_cancelled_while_the_body_sleeps() {
    let (rt, gate, drops) =
        (Runtime::builder().threads(2).build(), Gate::default(), Arc::<AtomicUsize>::default());
    let input = rt.input("in", 1);
    #[task_fn(transient, heavy)]
    async fn heavy_and_asleep(#[skip] gate: Gate) {
        gate.pass().await;
    }
    for round in 0..4 {
        thread::scope(|s| {
            let waiter = match round {
                0 => s.spawn(|| rt.try_run(|| guarded::task(1, gate.clone(), drops.clone()).get())),
                1 => s.spawn(|| {
                    rt.try_run(|| guarded::collect::<u8>(1, gate.clone(), drops.clone()).len() as u64)
                }),
                2 => s.spawn(|| rt.try_run(|| sum_of_guarded(guarded::task(1, gate.clone(), drops.clone())))),
                _ => s.spawn(|| {
                    block_on(rt.try_run_async(async { heavy_and_asleep(gate.clone()).await })).map(|()| 0)
                }),
            };
            while gate.waiting() == 0 {
                thread::yield_now();
            }
            rt.update_cancelling(|u| u.set(&input, round)).unwrap();
            assert!(matches!(waiter.join().unwrap(), Err(TaskError::Cancelled)), "round {round}");
        });
        gate.0.lock().unwrap().1.clear();
    }
    assert_eq!(drops.load(SeqCst), 3);
}

#[task_fn(transient)]
fn sum_of_guarded(guarded: Task<u64>) -> u64 {
    guarded.get() + 1
}

#[test]
fn a_session_that_is_dropped_releases_what_it_claimed() {
    let (rt, gate, drops) = (Runtime::new(), Gate::default(), Arc::<AtomicUsize>::default());
    let input = rt.input("in", 1);
    for n in 0..10 {
        let mut session = Box::pin(rt.run_async(async { guarded(n, gate.clone(), drops.clone()).await }));
        assert!(poll_once(session.as_mut()).is_pending());
        drop(session);
        assert_eq!(drops.load(SeqCst), n as usize + 1);
        rt.update(|u| u.set(&input, n)).unwrap();
    }
}

#[task_fn(transient)]
async fn slow_leaf(n: u64, input: Input<u64>) -> u64 {
    smol::Timer::after(Duration::from_micros(n % 7 * 100)).await;
    input.get() + n
}

#[task_fn(transient)]
async fn layer(n: u64, inputs: Vec<Input<u64>>) -> u64 {
    let (a, b) =
        join(slow_leaf(n % 5, inputs[n as usize % 3].clone()), slow_leaf(n % 4, inputs[0].clone())).await;
    if n > 2 { a + b + layer(n - 1, inputs).await } else { a + b }
}

/// Random sessions on several executors and threads, some dropped half-way, with updates between them: every value is the
/// one that its session's inputs lead to.
#[test]
fn sessions_that_come_and_go_always_see_their_inputs() {
    let (rt, tokio) = (Runtime::new(), tokio());
    let inputs: Vec<_> = (0..3).map(|n| rt.input(&format!("in{n}"), 0)).collect();
    let expected = |n: u64, values: &[u64]| {
        let leaf = |n: u64, input: u64| input + n;
        (2..=n).map(|m| leaf(m % 5, values[m as usize % 3]) + leaf(m % 4, values[0])).sum::<u64>()
    };
    let stop = AtomicBool::new(false);
    thread::scope(|s| {
        for worker in 0..4u64 {
            let (rt, inputs, stop, handle) = (&rt, &inputs, &stop, tokio.handle());
            s.spawn(move || {
                let mut round = worker;
                while !stop.load(SeqCst) {
                    round = round.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    let n = 2 + (round >> 33) % 12;
                    let session = async {
                        let values: Vec<u64> = inputs.iter().map(Input::get).collect();
                        (layer(n, inputs.clone()).await, expected(n, &values))
                    };
                    match (round >> 40) % 4 {
                        0 => {
                            // Given up after a few polls.
                            let mut session = Box::pin(rt.run_async(session));
                            for _ in 0..(round >> 50) % 5 {
                                if poll_once(session.as_mut()).is_ready() {
                                    break;
                                }
                            }
                        }
                        1 => {
                            let (value, expected) = handle.block_on(rt.run_async(session));
                            assert_eq!(value, expected);
                        }
                        2 => {
                            let (value, expected) = rt.run(|| {
                                let values: Vec<u64> = inputs.iter().map(Input::get).collect();
                                (layer::task(n, inputs.clone()).get(), expected(n, &values))
                            });
                            assert_eq!(value, expected);
                        }
                        _ => {
                            let outcome = smol::block_on(rt.try_run_async(session));
                            match outcome {
                                Ok((value, expected)) => assert_eq!(value, expected),
                                Err(error) => assert!(matches!(error, TaskError::Cancelled), "{error:?}"),
                            }
                        }
                    }
                }
            });
        }
        for change in 0..300 {
            rt.update(|u| u.set(&inputs[change % 3], change as u64 / 2)).unwrap();
            thread::sleep(Duration::from_micros(500));
        }
        stop.store(true, SeqCst);
    });
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

/// Of two that waited for a flight one was told that it had failed, and a third began anew. The second still had its seat in the first
/// flight, which said that it was over, while the task was being computed: it asked again, and again.
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
