//! Chains of many tasks: polled, woken, dropped and cancelled without overflowing the stack.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Wake, Waker};

use larder::CancelToken;

use super::*;

/// Deep enough for a wake to overflow a thread's stack, were it to recurse.
const DEPTH: u64 = 20_000;

/// The event that the innermost of a chain waits for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Leaf {
    Yield,
    Timer,
    OtherThread,
    Channel,
    Socket,
    Never,
}

static SENDER: OnceLock<Mutex<Option<tokio::sync::oneshot::Sender<u64>>>> = OnceLock::new();
static DROPPED: AtomicUsize = AtomicUsize::new(0);

async fn leaf(of: Leaf) -> u64 {
    let _on_drop = (of == Leaf::Never).then(|| CountsDrop);
    match of {
        Leaf::Yield => tokio::task::yield_now().await,
        Leaf::Timer => tokio::time::sleep(Duration::from_millis(20)).await,
        Leaf::OtherThread => {
            let gate = Gate::default();
            let opens = gate.clone();
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(20));
                opens.open();
            });
            gate.pass().await;
        }
        Leaf::Channel => {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            *SENDER.get_or_init(Mutex::default).lock().unwrap() = Some(sender);
            return receiver.await.unwrap();
        }
        Leaf::Socket => {
            let listener = smol::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let connects = thread::spawn(move || {
                thread::sleep(Duration::from_millis(20));
                std::net::TcpStream::connect(address).unwrap()
            });
            listener.accept().await.unwrap();
            drop(connects.join().unwrap());
        }
        Leaf::Never => std::future::pending().await,
    }
    0
}

struct CountsDrop;

impl Drop for CountsDrop {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, SeqCst);
    }
}

#[task_fn(transient)]
async fn down(n: u64, of: Leaf) -> u64 {
    if n == 0 { leaf(of).await } else { down(n - 1, of).await + 1 }
}

/// Every second of the chain stands in a stream, with a waker of its own.
#[task_fn(transient)]
async fn down_in_streams(n: u64, of: Leaf) -> u64 {
    match n {
        0 => leaf(of).await,
        n if n % 2 == 0 => {
            let mut below = larder::stream([n - 1], 1, async |n| down_in_streams(n, of).await);
            below.next().await.unwrap().1 + 1
        }
        n => down_in_streams(n - 1, of).await + 1,
    }
}

/// A wake went from each execution to the one that waited for it by recursion, on whatever stack there was: 16,000 nested tasks
/// whose innermost was woken by a timer, a channel, another thread or its own executor aborted the process.
#[test]
fn a_wake_through_a_chain_does_not_recurse() {
    for of in [Leaf::Yield, Leaf::Timer, Leaf::OtherThread, Leaf::Channel, Leaf::Socket] {
        in_time(move || {
            let executor = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let rt = Runtime::new();
            let found = executor.block_on(async {
                let ends = rt.run_async(async { down(DEPTH, of).await });
                let sends = async {
                    let mut sender = None;
                    while of == Leaf::Channel && sender.is_none() {
                        give_way().await;
                        sender = SENDER.get_or_init(Mutex::default).lock().unwrap().take();
                    }
                    sender.into_iter().for_each(|sender| sender.send(0).unwrap());
                };
                join(ends, sends).await.0
            });
            assert_eq!(found, DEPTH, "{of:?}");
        });
    }
}

#[test]
fn a_wake_through_streams_and_on_other_executors_does_not_recurse() {
    in_time(|| {
        let deep = DEPTH / 2;
        let pool = tokio();
        let rt = Runtime::new();
        assert_eq!(pool.block_on(rt.run_async(async { down_in_streams(deep, Leaf::Yield).await })), deep);
        let rt = Runtime::new();
        assert_eq!(
            smol::block_on(rt.run_async(async { down_in_streams(deep, Leaf::OtherThread).await })),
            deep
        );
        // Threads drive, too.
        let rt = Runtime::new();
        assert_eq!(rt.run(|| down::task(deep, Leaf::OtherThread).get()), deep);
        let rt = Runtime::new();
        let spawned = pool.spawn(async move { rt.run_async(async { down(deep, Leaf::Timer).await }).await });
        assert_eq!(pool.block_on(spawned).unwrap(), deep);
    });
}

/// Dropped as a future, with its session, by a token and by an update.
#[test]
fn a_chain_that_is_given_up_does_not_recurse() {
    in_time(|| {
        let rt = Runtime::new();
        let input = rt.input("input", 0u64);
        let ended = |count: usize| {
            assert_eq!(DROPPED.load(SeqCst), count);
            let activity = rt.activity();
            assert_eq!((activity.running, activity.async_runs, activity.waiting), (0, 0, 0));
        };
        DROPPED.store(0, SeqCst);
        rt.run(|| assert!(poll_once(pin!(down(DEPTH, Leaf::Never))).is_pending()));
        ended(1);
        let mut session = Box::pin(rt.run_async(async { down(DEPTH, Leaf::Never).await }));
        assert!(poll_once(session.as_mut()).is_pending());
        drop(session);
        ended(2);
        let token = CancelToken::new();
        let mut session =
            Box::pin(rt.session().token(&token).try_run_async(async { down(DEPTH, Leaf::Never).await }));
        assert!(poll_once(session.as_mut()).is_pending());
        token.cancel();
        assert!(matches!(poll_once(session.as_mut()), Poll::Ready(Err(TaskError::Cancelled))));
        drop(session);
        ended(3);
        // A thread that drives it, cancelled by an update.
        thread::scope(|threads| {
            let drives = threads.spawn(|| rt.try_run(|| down::task(DEPTH, Leaf::Never).get()));
            while rt.activity().waiting < DEPTH as usize {
                thread::sleep(Duration::from_millis(5));
            }
            rt.update_with(larder::UpdatePolicy::Cancel, |update| update.set(&input, 1)).unwrap();
            assert!(matches!(drives.join().unwrap(), Err(TaskError::Cancelled)));
        });
        ended(4);
    });
}

#[task_fn(transient)]
async fn down_to(n: u64, input: &Input<u64>) -> u64 {
    if n > 0 {
        return down_to(n - 1, input).await + 1;
    }
    match input.get() {
        1 => std::future::pending().await,
        value => {
            tokio::task::yield_now().await;
            value
        }
    }
}

#[task_fn(transient)]
fn half(input: &Input<u64>) -> u64 {
    input.get() / 2
}

/// With reads of its own beside the chain, so that each has to look at the next.
#[task_fn(transient)]
async fn down_beside(n: u64, leaf: &Input<u64>, beside: &[Input<u64>; 2]) -> u64 {
    let below = if n == 0 { down_to(0, leaf).await } else { down_beside(n - 1, leaf, beside).await + 1 };
    below + half(&beside[0]) + half(&beside[1])
}

#[test]
fn a_chain_each_of_which_looks_at_the_next_does_not_recurse() {
    in_time(|| {
        let rt = Runtime::new();
        let leaf = rt.input("leaf", 0u64);
        let beside = [rt.input("left", 0u64), rt.input("right", 0u64)];
        let executor = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let deep = DEPTH / 3;
        let ask = || executor.block_on(rt.run_async(async { down_beside(deep, &leaf, &beside).await }));
        let change = |value: u64| {
            // One after the other, so that no one change accounts for all that is stale.
            rt.update(|update| update.set(&beside[0], value % 2)).unwrap();
            rt.update(|update| update.set(&leaf, value)).unwrap();
            rt.update(|update| update.set(&beside[1], value % 2)).unwrap();
        };
        assert_eq!(ask(), deep);
        let before = runs(&rt, "down_beside");
        change(1);
        let mut session = Box::pin(rt.run_async(async { down_beside(deep, &leaf, &beside).await }));
        assert!(poll_once(session.as_mut()).is_pending());
        assert!(rt.activity().waiting > deep as usize, "each waits for the next");
        drop(session);
        assert_eq!(rt.activity().async_runs, 0);
        assert_eq!(runs(&rt, "down_beside"), before);
        change(2);
        assert_eq!(ask(), deep + 2);
    });
}

/// Each execution verifies, and awaits the next one below it: woken, given up and cancelled so.
#[test]
fn a_chain_that_is_verified_does_not_recurse() {
    in_time(|| {
        let rt = Runtime::new();
        let input = rt.input("input", 0u64);
        let executor = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let ask = || executor.block_on(rt.run_async(async { down_to(DEPTH, &input).await }));
        assert_eq!(ask(), DEPTH);
        rt.update(|update| update.set(&input, 1)).unwrap();
        let mut session = Box::pin(rt.run_async(async { down_to(DEPTH, &input).await }));
        assert!(poll_once(session.as_mut()).is_pending());
        drop(session);
        thread::scope(|threads| {
            let drives = threads.spawn(|| rt.try_run(|| down_to::task(DEPTH, &input).get()));
            while rt.activity().waiting == 0 {
                thread::sleep(Duration::from_millis(5));
            }
            rt.update_with(larder::UpdatePolicy::Cancel, |update| update.set(&input, 2)).unwrap();
            assert!(matches!(drives.join().unwrap(), Err(TaskError::Cancelled)));
        });
        assert_eq!(ask(), DEPTH + 2);
    });
}

/// An executor that polls at once where a waker is woken, on the thread that wakes it.
struct Inline {
    future: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
}

impl Wake for Inline {
    fn wake(self: Arc<Self>) {
        let taken = self.future.lock().unwrap().take();
        let Some(mut future) = taken else { return };
        let waker = Waker::from(self.clone());
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            *self.future.lock().unwrap() = Some(future);
        }
    }
}

fn run_inline(future: impl Future<Output = ()> + Send + 'static) {
    let inline = Arc::new(Inline { future: Mutex::new(Some(Box::pin(future))) });
    Waker::from(inline).wake();
}

#[task_fn(transient)]
async fn waits_for(n: u32, #[skip] gate: Gate) -> u32 {
    gate.pass().await;
    n
}

#[task_fn(transient)]
async fn over_waiting(n: u32, #[skip] gate: Gate) -> u32 {
    waits_for(n, gate).await
}

/// A waker that polls inside of `wake` may block there until another wake has come, which the wake that it is part of must not hold
/// back.
#[test]
fn an_executor_that_polls_where_it_is_woken_sees_all_wakes() {
    in_time(|| {
        let rt = Runtime::builder().threads(1).build();
        let (gate, (sender, receiver)): (Gate, (Sender<u32>, Receiver<u32>)) = (Gate::default(), channel());
        // Two wait for one gate at different depths; the one that is woken first waits for the other on its thread.
        for (number, other) in [(1, 2), (2, 1)] {
            let (rt, gate, sender) = (rt.clone(), gate.clone(), sender.clone());
            run_inline(async move {
                let session = rt.clone();
                let sum = rt.run_async(async move {
                    let found = over_waiting(number, gate.clone()).await;
                    // Driven on this thread to its end, if it is not there yet.
                    found * 10 + session.run(|| over_waiting::task(other, gate).get())
                });
                sender.send(sum.await).unwrap();
            });
        }
        assert_eq!(gate.waiting(), 2);
        gate.open();
        let mut found = [receiver.recv().unwrap(), receiver.recv().unwrap()];
        found.sort_unstable();
        assert_eq!(found, [12, 21]);
    });
}
