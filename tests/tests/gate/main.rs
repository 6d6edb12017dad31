//! Waits at the gate: between sessions and updates, with deadlines and tokens, for chores; what is told of them.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod chores;
mod clock;
mod deadlines;
mod fairness;
mod nested;

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use larder::{GateWaiter, Input, Runtime, task_fn};

#[task_fn(transient)]
fn read(input: &Input<u64>) -> u64 {
    input.get()
}

/// Waits until so many sessions and updates wait at the gate.
fn until_waiting(rt: &Runtime, sessions: usize, updates: usize) {
    loop {
        let at_gate = rt.activity().at_gate;
        let waiting = at_gate.iter().filter(|wait| wait.waiter == GateWaiter::Session).count();
        if waiting >= sessions && at_gate.len() - waiting >= updates {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Something that is waited for by looking at it.
#[derive(Default)]
struct Flag(AtomicBool);

impl Flag {
    const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    fn set(&self) {
        self.0.store(true, SeqCst);
    }

    fn is_set(&self) -> bool {
        self.0.load(SeqCst)
    }

    fn wait(&self) {
        while !self.is_set() {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Stays pending until the flag is set, and is polled all the time.
async fn until(flag: &Flag) {
    poll_fn(|context| {
        if flag.is_set() {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        thread::yield_now();
        Poll::Pending
    })
    .await;
}
