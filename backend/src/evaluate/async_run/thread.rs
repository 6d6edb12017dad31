//! Threads that drive: a thread that waits for an async run goes on with it, and sleeps when its body does.

use std::cell::RefCell;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Instant;

use crate::base::wakes::wake_before_sleep;
use crate::context::async_runs::{DriveAsyncRun, Seat};

thread_local! {
    /// Wakes this thread. Made once, as each wait would else allocate one.
    static UNPARK: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

/// Wakes a thread that sleeps until it is woken.
struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Calls `poll` until it returns something, sleeping in between until the waker is woken.
pub fn block_on<R>(poll: impl FnMut(&Waker) -> Option<R>) -> R {
    block_on_until(None, poll)
}

/// Waits as [`block_on`] does, waking up at `deadline` in any case; from then on, `poll` is expected to return something.
fn block_on_until<R>(deadline: Option<Instant>, mut poll: impl FnMut(&Waker) -> Option<R>) -> R {
    let waker = waker_of_this_thread();
    loop {
        if let Some(result) = poll(&waker) {
            return result;
        }
        wake_before_sleep();
        match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            Some(left) if !left.is_zero() => std::thread::park_timeout(left),
            _ => std::thread::park(),
        }
    }
}

/// Drives the async run of a node on this thread until it is over or `stop` says so, which is asked when the thread is woken and
/// at `deadline`. `false` if the async run is ending already.
pub(crate) fn drive(
    async_run: &Arc<dyn DriveAsyncRun>,
    deadline: Option<Instant>,
    stop: impl Fn() -> bool,
) -> bool {
    let Some(taken) = Seat::take(async_run.clone()) else { return false };
    block_on_until(deadline, |waker| (async_run.clone().poll(taken.seat, waker) || stop()).then_some(()));
    true
}

/// While a thread ends, its thread-locals are gone: then it is made anew.
fn waker_of_this_thread() -> Waker {
    let make = || Waker::from(Arc::new(Unpark(std::thread::current())));
    UNPARK.try_with(|waker| waker.borrow_mut().get_or_insert_with(make).clone()).unwrap_or_else(|_| make())
}
