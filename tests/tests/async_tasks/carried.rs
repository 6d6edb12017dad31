//! Work that is carried out of tasks into futures that are spawned, and on from there.

use super::*;

/// Inputs are set from a thread of their own: an update waits for what is carried.
fn set(rt: &Runtime, input: &Input<u64>, value: u64) {
    rt.update(|update| update.set(input, value)).unwrap();
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

#[task_fn(transient)]
fn reading(input: &Input<u64>) -> u64 {
    input.get()
}

/// Two levels, each of which waits for the next.
#[task_fn(transient)]
async fn nested(input: &Input<u64>, levels: u32) -> u64 {
    spawn_level(input.clone(), levels).await
}

fn spawn_level(input: Input<u64>, levels: u32) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    let carried = current().future(async move {
        pause().await;
        if levels > 1 {
            let below = spawn_level(input, levels - 1).await;
            pause().await;
            below
        } else {
            reading(&input)
        }
    });
    Box::pin(async { tokio::spawn(carried).await.unwrap() })
}

/// The outer future ends before the inner one begins to read.
#[expect(clippy::async_yields_async, reason = "what is handed back is the point")]
#[task_fn(transient)]
async fn handed_back(input: &Input<u64>) -> u64 {
    let input = input.clone();
    let inner = tokio::spawn(current().future(async move {
        pause().await;
        tokio::spawn(current().future(async move {
            pause().await;
            pause().await;
            reading(&input)
        }))
    }));
    inner.await.unwrap().await.unwrap()
}

/// An item of a scope carries its task on, and ends before what it started.
#[task_fn(transient)]
async fn handed_back_by_items(input: &Input<u64>) -> u64 {
    give_way().await;
    let started = par_map([1, 2, 3], |n| {
        let (task, input) = (current(), input.clone());
        let handle = tokio::runtime::Handle::current();
        handle.spawn(task.future(async move {
            pause().await;
            reading(&input) * n
        }))
    });
    let mut sum = 0;
    for handle in started {
        sum += handle.await.unwrap();
    }
    sum
}

#[task_fn(transient)]
async fn through_threads(input: &Input<u64>) -> u64 {
    let input = input.clone();
    let thread = tokio::task::spawn_blocking({
        let task = current();
        move || {
            task.run(|| {
                let inner = current();
                thread::spawn(move || {
                    thread::sleep(Duration::from_millis(10));
                    inner.run(|| reading(&input))
                })
            })
        }
    });
    let thread = thread.await.unwrap();
    tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap()
}

#[task_fn(transient)]
async fn in_a_carried_stream(input: &Input<u64>) -> u64 {
    let input = input.clone();
    let carried = current().future(async move {
        let all = larder::stream(1..=3, 2, async |n| {
            let input = input.clone();
            let inner = current().future(async move {
                pause().await;
                nested(&input, 2).await * n
            });
            tokio::spawn(inner).await.unwrap()
        });
        all.collect().await.into_iter().sum::<u64>()
    });
    tokio::spawn(carried).await.unwrap()
}

/// Work that was carried out of carried work was cut off from its task at that work's next suspension, or at its end, although all
/// waited.
#[test]
fn what_is_carried_on_by_carried_work_belongs_to_the_task() {
    type Ask = fn(Input<u64>) -> Pin<Box<dyn Future<Output = u64> + Send>>;
    let asks: [(Ask, u64); 6] = [
        (|input| Box::pin(async move { nested(&input, 2).await }), 1),
        (|input| Box::pin(async move { nested(&input, 6).await }), 1),
        (|input| Box::pin(async move { handed_back(&input).await }), 1),
        (|input| Box::pin(async move { through_threads(&input).await }), 1),
        (|input| Box::pin(async move { in_a_carried_stream(&input).await }), 6),
        (|input| Box::pin(async move { handed_back_by_items(&input).await }), 6),
    ];
    let current_thread = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for (number, (ask, factor)) in asks.into_iter().enumerate() {
        for executor in [tokio as fn() -> tokio::runtime::Runtime, current_thread] {
            in_time(move || {
                let (rt, executor) = (Runtime::builder().threads(1).build(), executor());
                let input = rt.input("input", 1u64);
                for value in 1..5 {
                    set(&rt, &input, value);
                    let found = executor.block_on(rt.run_async(ask(input.clone())));
                    assert_eq!(found, value * factor, "case {number}");
                }
            });
        }
    }
}

/// Nothing is lost in a session either, where no task waits: the session does.
#[test]
fn a_session_carries_on_as_tasks_do() {
    in_time(|| {
        let (rt, executor) = (Runtime::new(), tokio());
        let input = rt.input("input", 3u64);
        assert_eq!(executor.block_on(rt.run_async(spawn_outside(input.clone()))), 3);
        set(&rt, &input, 4);
    });
}

async fn spawn_outside(input: Input<u64>) -> u64 {
    spawn_level(input, 3).await
}

/// Reads through carried work that ended early are dependencies like others: of a stale task only that runs which has a reason.
#[test]
fn what_is_read_behind_a_future_that_has_ended_is_a_dependency() {
    in_time(|| {
        let (rt, executor) = (Runtime::new(), tokio());
        let (input, other) = (rt.input("input", 1u64), rt.input("other", 1u64));
        let ask = || executor.block_on(rt.run_async(async { handed_back(&input).await }));
        assert_eq!((ask(), runs(&rt, "handed_back")), (1, 1));
        set(&rt, &other, 2);
        assert_eq!((ask(), runs(&rt, "handed_back")), (1, 1));
        set(&rt, &input, 2);
        assert_eq!((ask(), runs(&rt, "handed_back")), (2, 2));
    });
}

/// How a task leaves a future behind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Leaves {
    Suspended,
    SuspendedInCarried,
    InItem,
    Dropped,
    Aborted,
    NeverPolled,
}

#[task_fn(transient)]
async fn leaves(input: &Input<u64>, how: Leaves, #[skip] polled: Gate, #[skip] end: Gate) -> u64 {
    let (own, opens, end) = (input.clone(), polled.clone(), end.clone());
    let work = async move {
        reading(&own);
        opens.open();
        end.pass().await;
    };
    match how {
        Leaves::Suspended => drop(tokio::spawn(current().future(work))),
        Leaves::SuspendedInCarried => {
            let outer = current().future(async { drop(tokio::spawn(current().future(work))) });
            tokio::spawn(outer).await.unwrap();
        }
        Leaves::InItem => {
            let spawned = par_map([Some(work)], |work| {
                tokio::runtime::Handle::current().spawn(current().future(work.unwrap()))
            });
            drop(spawned);
        }
        Leaves::Dropped => {
            let mut future = Box::pin(current().future(work));
            assert!(poll_once(future.as_mut()).is_pending());
            drop(future);
        }
        Leaves::Aborted => {
            let task = tokio::spawn(current().future(work));
            polled.pass().await;
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
        Leaves::NeverPolled => {
            let future = current().future(work);
            drop(future);
            return 7;
        }
    }
    polled.pass().await;
    7
}

/// A task that ended before a future that it had carried out did not fail if the future was suspended just then, although it may have
/// read what the task's value depends on.
#[test]
fn a_task_that_leaves_a_suspended_future_behind_fails() {
    let cases = [
        (Leaves::Suspended, false),
        (Leaves::SuspendedInCarried, false),
        (Leaves::InItem, false),
        (Leaves::Dropped, true),
        (Leaves::Aborted, true),
        (Leaves::NeverPolled, true),
    ];
    for (how, is_well) in cases {
        in_time(move || {
            let (rt, executor) = (Runtime::builder().threads(1).build(), tokio());
            let input = rt.input("input", 1u64);
            let (polled, end) = (Gate::default(), Gate::default());
            let ask = rt.try_run_async(async { leaves(&input, how, polled.clone(), end.clone()).await });
            let found = executor.block_on(ask);
            match found {
                Ok(value) => assert!(is_well && value == 7, "{how:?}"),
                Err(TaskError::Panicked { message, .. }) => {
                    assert!(!is_well && message.contains("still runs"), "{how:?}: {message}")
                }
                Err(error) => panic!("{how:?}: {error}"),
            }
            // Work that was left behind is cut off, and lets the session end.
            end.open();
            set(&rt, &input, 2);
        });
    }
}

/// Asks a task when it is dropped.
struct AsksOnDrop(Input<u64>, Arc<AtomicUsize>);

impl Drop for AsksOnDrop {
    fn drop(&mut self) {
        self.1.fetch_add(reading(&self.0) as usize, SeqCst);
    }
}

/// A carried future that was dropped before its end was dropped outside of its task, where what it holds cannot ask tasks.
#[test]
fn a_carried_future_is_dropped_as_part_of_its_task() {
    in_time(|| {
        let (rt, executor) = (Runtime::new(), tokio());
        let (input, asked) = (rt.input("input", 5u64), Arc::<AtomicUsize>::default());
        executor.block_on(rt.run_async(async {
            let guard = AsksOnDrop(input.clone(), asked.clone());
            let polled = Gate::default();
            let opens = polled.clone();
            let task = tokio::spawn(current().future(async move {
                let _guard = guard;
                opens.open();
                std::future::pending::<()>().await;
            }));
            polled.pass().await;
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }));
        assert_eq!(asked.load(SeqCst), 5);
        set(&rt, &input, 6);
    });
}
