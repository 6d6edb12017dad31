//! The task functions of the soak: a fixed graph over a few inputs, in which some bodies panic, wait, fan out or lie on cycles,
//! as the inputs say. Keys are below [`KEYS`], so that all of them can be forgotten.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use larder::{Input, Task, TaskExt, current, emit, par_each, par_map, scope, stream, task_fn, try_par_map};

pub(super) const KEYS: u32 = 48;
pub(super) const INPUTS: usize = 8;

/// The inputs, as an argument.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Inputs(pub(super) Arc<[Input<u64>]>);

impl Inputs {
    fn of(&self, n: u32) -> u64 {
        self.0[n as usize % INPUTS].get()
    }
}

static FUTURES: AtomicI64 = AtomicI64::new(0);
static BODIES: AtomicU64 = AtomicU64::new(0);
static CUT_SHORT: AtomicU64 = AtomicU64::new(0);

/// Futures whose bodies have begun and are neither done nor dropped.
pub(super) fn live_futures() -> i64 {
    FUTURES.load(Relaxed)
}

/// Counts of what has happened so far, for the eye.
pub(super) fn told() -> String {
    format!(
        "{} async bodies begun, {} dropped before their end",
        BODIES.load(Relaxed),
        CUT_SHORT.load(Relaxed)
    )
}

/// Counts an async body from its beginning to its drop.
struct Counted {
    is_done: bool,
}

impl Counted {
    fn new() -> Self {
        FUTURES.fetch_add(1, Relaxed);
        BODIES.fetch_add(1, Relaxed);
        Self { is_done: false }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        FUTURES.fetch_sub(1, Relaxed);
        CUT_SHORT.fetch_add(u64::from(!self.is_done), Relaxed);
    }
}

/// Gives way once; woken at once, or by another thread.
async fn give_way(by_another: bool) {
    let mut gave = false;
    poll_fn(|context| {
        if std::mem::replace(&mut gave, true) {
            return Poll::Ready(());
        }
        let waker = context.waker().clone();
        if by_another {
            std::thread::spawn(move || waker.wake());
        } else {
            waker.wake();
        }
        Poll::Pending
    })
    .await;
}

/// Polls several futures beside each other.
async fn together<F: Future<Output = u64> + Unpin>(futures: Vec<F>) -> u64 {
    let mut futures: Vec<Option<F>> = futures.into_iter().map(Some).collect();
    let mut sum = 0u64;
    poll_fn(|context: &mut Context<'_>| {
        for place in &mut futures {
            if let Some(future) = place
                && let Poll::Ready(value) = Pin::new(future).poll(context)
            {
                sum = sum.wrapping_add(value);
                *place = None;
            }
        }
        if futures.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    sum
}

fn below(n: u32) -> [u32; 2] {
    [n / 2, n / 3]
}

#[task_fn(transient)]
pub(super) fn leaf(inputs: &Inputs, n: u32) -> u64 {
    let value = inputs.of(n);
    emit(value);
    assert!((value + u64::from(n)) % 29 != 0, "an unlucky leaf");
    value % 4
}

#[task_fn(transient)]
pub(super) fn node(inputs: &Inputs, n: u32) -> u64 {
    if n < 2 {
        return leaf(inputs, n);
    }
    below(n).iter().fold(leaf(inputs, n), |sum, below| sum.wrapping_add(node(inputs, *below)))
}

#[task_fn(transient)]
pub(super) async fn anode(inputs: &Inputs, n: u32) -> u64 {
    let mut counted = Counted::new();
    if n % 3 == 0 {
        give_way(n % 9 == 0).await;
    }
    let mut sum = node(inputs, n / 2);
    if n >= 2 {
        if inputs.of(n) % 2 == 0 {
            sum = sum.wrapping_add(together(below(n).map(|below| anode(inputs, below)).into()).await);
        } else {
            for below in below(n) {
                sum = sum.wrapping_add(anode(inputs, below).await);
            }
        }
    }
    give_way(false).await;
    counted.is_done = true;
    sum
}

#[task_fn(transient, heavy)]
#[allow(dead_code, reason = "asked by its handle only")]
pub(super) fn heavy(inputs: &Inputs, n: u32) -> u64 {
    node(inputs, n).wrapping_mul(3)
}

#[task_fn(transient)]
pub(super) async fn lifts(inputs: &Inputs, n: u32) -> u64 {
    let mut counted = Counted::new();
    let sum = heavy::task(inputs, n).get_async().await.wrapping_add(anode(inputs, n / 2).await);
    counted.is_done = true;
    sum
}

#[task_fn(transient)]
pub(super) fn fans_out(inputs: &Inputs, n: u32) -> u64 {
    let items = 0..n;
    match n % 4 {
        0 => par_map(items, |n| node(inputs, n)).iter().fold(0, |sum, value| sum.wrapping_add(*value)),
        1 => match try_par_map(items, |n| if node(inputs, n) % 7 == 6 { Err(n) } else { Ok(1) }) {
            Ok(ones) => ones.len() as u64,
            Err(n) => n.into(),
        },
        2 => {
            let mut sum = 0u64;
            par_each(items, |n| anode::task(inputs, n).get(), |_, value| sum = sum.wrapping_add(value));
            sum
        }
        _ => {
            let (mut left, mut right) = (0, 0);
            scope(|s| {
                s.spawn(|| left = fans_out(inputs, n / 2));
                s.spawn(|| right = node(inputs, n));
            });
            left.wrapping_add(right)
        }
    }
}

#[task_fn(transient)]
pub(super) async fn streams(inputs: &Inputs, n: u32) -> u64 {
    let mut counted = Counted::new();
    let mut results = stream(0..n, 4, async |n| anode(inputs, n).await);
    let mut sum = 0u64;
    while let Some((_, value)) = results.next().await {
        sum = sum.wrapping_add(value);
    }
    counted.is_done = true;
    sum
}

#[task_fn(transient)]
pub(super) fn carries(inputs: &Inputs, n: u32) -> u64 {
    let task = current();
    std::thread::scope(|s| {
        let other = s.spawn(|| task.run(|| node(inputs, n)));
        node(inputs, n / 2).wrapping_add(other.join().unwrap_or(1))
    })
}

/// On a cycle with its neighbour if an input says so.
#[task_fn(transient)]
pub(super) fn turns(inputs: &Inputs, n: u32) -> u64 {
    if inputs.of(n / 2) % 3 == 0 { turns(inputs, n ^ 1).wrapping_add(1) } else { node(inputs, n) }
}

#[task_fn(transient)]
pub(super) async fn aturns(inputs: &Inputs, n: u32) -> u64 {
    let mut counted = Counted::new();
    give_way(false).await;
    let sum = if inputs.of(n / 2) % 3 == 0 { aturns(inputs, n ^ 1).await } else { anode(inputs, n).await };
    counted.is_done = true;
    sum
}

#[task_fn(transient, volatile)]
pub(super) fn volatile(inputs: &Inputs, n: u32) -> u64 {
    node(inputs, n)
}

#[task_fn(transient, ttl = Duration::from_millis(20), no_errors)]
pub(super) async fn lasts(inputs: &Inputs, n: u32) -> Result<u64, u64> {
    give_way(n % 2 == 0).await;
    let value = inputs.of(n);
    if value % 2 == 0 { Ok(value) } else { Err(value) }
}

#[task_fn(transient)]
pub(super) fn through(inputs: &Inputs, n: u32, of: &Task<u64>) -> u64 {
    if inputs.of(n) % 2 == 0 { of.get() } else { 0 }
}

/// Drops the results of all calls. Those with a handle among their arguments are named by the same handles.
pub(super) fn forget_all(inputs: &Inputs) {
    for n in 0..KEYS {
        let of = node::task(inputs, n);
        through::forget(inputs, n, &of);
        leaf::forget(inputs, n);
        node::forget(inputs, n);
        anode::forget(inputs, n);
        heavy::forget(inputs, n);
        lifts::forget(inputs, n);
        fans_out::forget(inputs, n);
        streams::forget(inputs, n);
        carries::forget(inputs, n);
        turns::forget(inputs, n);
        aturns::forget(inputs, n);
        volatile::forget(inputs, n);
        lasts::forget(inputs, n);
    }
}
