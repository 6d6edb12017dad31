//! Async task functions: hits, edges, driving, hand-over, cancellation, panics, cycles, on several executors.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod carried;
mod deep;
mod edges;
mod driving;
mod cycles;
mod hostile;
mod runtimes;
mod sessions;

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
