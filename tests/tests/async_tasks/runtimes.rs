//! Bodies that are bound to an executor which shuts down, or that some of their waiters do not have.

use super::*;

/// How often bodies were begun, and whether they are to wait for ever.
#[derive(Clone, Default)]
struct Watch {
    begun: Arc<AtomicUsize>,
    quick: Arc<AtomicBool>,
}

impl Watch {
    fn begun(&self) -> usize {
        self.begun.load(SeqCst)
    }

    fn until_begun(&self, times: usize) {
        while self.begun() < times {
            thread::yield_now();
        }
    }
}

/// The time that a body waits for, until it is said to be quick.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum On {
    Timer,
    Spawned,
    Timers,
}

#[task_fn(transient)]
async fn page(n: u64, on: On, #[skip] watch: Watch) -> u64 {
    watch.begun.fetch_add(1, SeqCst);
    let pause = || {
        let long = !watch.quick.load(SeqCst);
        Duration::from_millis(if long { 1_000_000 } else { 3 })
    };
    match on {
        On::Timer => tokio::time::sleep(pause()).await,
        On::Spawned => tokio::spawn(tokio::time::sleep(pause())).await.unwrap(),
        On::Timers => {
            for _ in 0..8 {
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        }
    }
    n
}

/// Tasks between the one that is asked for and the one that is bound.
#[task_fn(transient)]
async fn around(n: u64, on: On, #[skip] watch: Watch) -> u64 {
    give_way().await;
    page(n, on, watch.clone()).await + 1
}

#[task_fn(transient)]
async fn site(n: u64, on: On, #[skip] watch: Watch) -> u64 {
    give_way().await;
    around(n, on, watch.clone()).await + 1
}

type Ask = fn(u64, On, Watch) -> TaskCall<u64>;

fn single() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

fn starts(rt: &Runtime, on: &tokio::runtime::Runtime, ask: Ask, n: u64, of: On, watch: &Watch) {
    let (rt, watch) = (rt.clone(), watch.clone());
    on.spawn(async move { rt.run_async(async { ask(n, of, watch).await }).await });
}

fn waits(rt: &Runtime, count: usize) {
    while rt.activity().waiting < count {
        thread::sleep(Duration::from_millis(2));
    }
}

/// A body that slept on a timer of one runtime, or waited for a future that was spawned there, failed for the waiter on another runtime
/// when the first was shut down.
#[test]
fn a_body_whose_runtime_shuts_down_is_begun_again_by_a_waiter_on_another() {
    let asks: [(Ask, u64); 3] = [(page, 0), (around, 1), (site, 2)];
    for (number, (ask, more)) in asks.into_iter().enumerate() {
        for on in [On::Timer, On::Spawned] {
            for make in [tokio as fn() -> tokio::runtime::Runtime, single] {
                in_time(move || {
                    let (rt, watch) = (Runtime::new(), Watch::default());
                    let first = tokio();
                    starts(&rt, &first, ask, 7, on, &watch);
                    watch.until_begun(1);
                    let before = rt.activity().waiting;
                    let second = {
                        let (rt, watch) = (rt.clone(), watch.clone());
                        thread::spawn(move || {
                            make().block_on(rt.try_run_async(async { ask(7, on, watch).await }))
                        })
                    };
                    waits(&rt, before + 1);
                    watch.quick.store(true, SeqCst);
                    first.shutdown_background();
                    let found = second.join().unwrap();
                    assert!(matches!(found, Ok(value) if value == 7 + more), "{number} {on:?}: {found:?}");
                    assert_eq!(watch.begun(), 2, "{number} {on:?}");
                    // A run that is given up is none; the tasks below fail as ever, and are run again.
                    assert_eq!(runs(&rt, "page"), 1 + u64::from(number > 0));
                    let input = rt.input("input", 1);
                    rt.update(|update| update.set(&input, 2)).unwrap();
                });
            }
        }
    }
}

/// The two ask for different tasks, which read the one that is bound.
#[test]
fn a_body_that_is_shared_below_is_begun_again_too() {
    for on in [On::Timer, On::Spawned] {
        in_time(move || {
            let (rt, watch) = (Runtime::new(), Watch::default());
            let (first, second) = (tokio(), tokio());
            starts(&rt, &first, around, 7, on, &watch);
            watch.until_begun(1);
            let before = rt.activity().waiting;
            let (session, seen) = (rt.clone(), watch.clone());
            let waiting =
                second.spawn(async move { session.run_async(async { page(7, on, seen).await }).await });
            waits(&rt, before + 1);
            watch.quick.store(true, SeqCst);
            drop(first);
            assert_eq!(second.block_on(waiting).unwrap(), 7);
            assert_eq!(watch.begun(), 2);
        });
    }
}

/// A waiter that has no such runtime lets those drive that have one, and sees the panic if none of them is left.
#[test]
fn a_waiter_without_a_runtime_lets_the_others_drive() {
    for is_thread in [true, false] {
        in_time(move || {
            let (rt, watch, first) = (Runtime::new(), Watch::default(), tokio());
            for round in 0..10 {
                starts(&rt, &first, around, round, On::Timers, &watch);
                let watch = watch.clone();
                watch.until_begun(1);
                let found = if is_thread {
                    rt.try_run(|| page::task(round, On::Timers, watch.clone()).get())
                } else {
                    smol::block_on(rt.try_run_async(async { page(round, On::Timers, watch.clone()).await }))
                };
                // It may have come too late, and begun a body of its own.
                if let Err(error) = found {
                    assert!(
                        matches!(&error, TaskError::Panicked { message, .. }
                        if message.contains("no reactor running")),
                        "{error}"
                    );
                }
                watch.begun.store(0, SeqCst);
            }
        });
        in_time(move || {
            let (rt, watch, first) = (Runtime::new(), Watch::default(), tokio());
            starts(&rt, &first, page, 7, On::Timer, &watch);
            watch.until_begun(1);
            let waiter = {
                let (rt, watch) = (rt.clone(), watch.clone());
                thread::spawn(move || {
                    if is_thread {
                        rt.try_run(|| page::task(7, On::Timer, watch).get())
                    } else {
                        smol::block_on(rt.try_run_async(async { page(7, On::Timer, watch).await }))
                    }
                })
            };
            waits(&rt, 2);
            drop(first);
            let found = waiter.join().unwrap();
            assert!(
                matches!(&found, Err(TaskError::Panicked { message, .. }) if message.contains("no reactor")),
                "{found:?}"
            );
            // A failed task runs again in a later demand.
            watch.quick.store(true, SeqCst);
            let again = tokio().block_on(rt.run_async(async { page(7, On::Timer, watch.clone()).await }));
            assert_eq!(again, 7);
        });
    }
}

/// The waiter that began it stays, as its future is driven by a thread of its own, and has no living runtime any more.
#[test]
fn a_waiter_that_outlives_its_runtime_waits_on_for_the_others() {
    in_time(|| {
        let (rt, watch, first, second) = (Runtime::new(), Watch::default(), tokio(), tokio());
        let orphan = {
            let (rt, watch, handle) = (rt.clone(), watch.clone(), first.handle().clone());
            thread::spawn(move || {
                let _context = handle.enter();
                block_on(rt.try_run_async(async { page(7, On::Timer, watch).await }))
            })
        };
        watch.until_begun(1);
        let (session, seen) = (rt.clone(), watch.clone());
        let waiting =
            second.spawn(async move { session.run_async(async { page(7, On::Timer, seen).await }).await });
        waits(&rt, 2);
        watch.quick.store(true, SeqCst);
        first.shutdown_background();
        assert_eq!(second.block_on(waiting).unwrap(), 7);
        assert!(matches!(orphan.join().unwrap(), Ok(7)));
    });
}

/// Alone, a waiter whose runtime has gone gets to know that.
#[test]
fn without_another_waiter_the_panic_is_the_failure() {
    in_time(|| {
        let (rt, watch, first) = (Runtime::new(), Watch::default(), tokio());
        let orphan = {
            let (rt, watch, handle) = (rt.clone(), watch.clone(), first.handle().clone());
            thread::spawn(move || {
                let _context = handle.enter();
                block_on(rt.try_run_async(async { page(7, On::Timer, watch).await }))
            })
        };
        watch.until_begun(1);
        first.shutdown_background();
        let found = orphan.join().unwrap();
        assert!(
            matches!(&found, Err(TaskError::Panicked { message, .. }) if message.contains("being shutdown")),
            "{found:?}"
        );
        assert_eq!((watch.begun(), runs(&rt, "page")), (1, 1));
    });
}

#[task_fn(transient)]
async fn broken(#[skip] gate: Gate, #[skip] watch: Watch) -> u64 {
    watch.begun.fetch_add(1, SeqCst);
    gate.pass().await;
    panic!("a bug of the body")
}

/// A bug stays a panic: told to all at once; or, if one that had driven the body has left, after a second run.
#[test]
fn a_bug_of_the_body_stays_a_panic() {
    for leaves in [false, true] {
        in_time(move || {
            let (rt, gate, watch) = (Runtime::new(), Gate::default(), Watch::default());
            rt.run(|| {
                let call = || Box::pin(broken(gate.clone(), watch.clone()));
                let (mut first, mut second, mut third) = (call(), call(), call());
                assert!(poll_once(first.as_mut()).is_pending());
                assert!(poll_once(second.as_mut()).is_pending());
                assert!(poll_once(third.as_mut()).is_pending());
                let _stays = (!leaves).then_some(first);
                gate.open();
                for waiter in [&mut second, &mut third] {
                    let thrown = catch_unwind(AssertUnwindSafe(|| poll_once(waiter.as_mut()).is_ready()));
                    let payload = thrown.unwrap_err();
                    let is_told = payload.downcast_ref::<&str>().is_some_and(|text| text.contains("a bug"))
                        || payload
                            .downcast_ref::<TaskError>()
                            .is_some_and(|error| error.to_string().contains("a bug"));
                    assert!(is_told);
                }
            });
            assert_eq!(watch.begun(), 1 + usize::from(leaves));
            assert_eq!(runs(&rt, "broken"), 1);
        });
    }
}

/// The reads and emitted values of the first run are not the second one's.
#[task_fn(transient)]
async fn reads_and_emits(inputs: &[Input<u64>], #[skip] watch: Watch) -> u64 {
    let run = watch.begun.fetch_add(1, SeqCst);
    emit(format!("run {run}"));
    let first = inputs[run].get();
    let quick = watch.quick.load(SeqCst);
    tokio::time::sleep(Duration::from_millis(if quick { 3 } else { 1_000_000 })).await;
    first
}

#[test]
fn nothing_of_the_run_that_was_given_up_is_kept() {
    in_time(|| {
        let (rt, watch, first, second) = (Runtime::new(), Watch::default(), tokio(), tokio());
        let inputs: Vec<_> = (0..2).map(|n| rt.input(&format!("in{n}"), n * 10)).collect();
        let spawned = {
            let (rt, watch, inputs) = (rt.clone(), watch.clone(), inputs.clone());
            move || async move { rt.run_async(async { reads_and_emits(&inputs, watch.clone()).await }).await }
        };
        first.spawn(spawned.clone()());
        watch.until_begun(1);
        let waiting = second.spawn(spawned());
        waits(&rt, 2);
        watch.quick.store(true, SeqCst);
        drop(first);
        assert_eq!(second.block_on(waiting).unwrap(), 10);
        let emitted = rt.run(|| reads_and_emits::collect::<String>(&inputs, watch.clone()));
        assert_eq!(emitted, ["run 1"]);
        rt.update(|update| update.set(&inputs[0], 5)).unwrap();
        assert!(rt.run(|| reads_and_emits::is_cached(&inputs, watch.clone())));
        rt.update(|update| update.set(&inputs[1], 5)).unwrap();
        assert!(!rt.run(|| reads_and_emits::is_cached(&inputs, watch.clone())));
    });
}
