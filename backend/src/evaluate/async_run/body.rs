//! The async run of one async task function: the steering and the body in one allocation.
//!
//! The body stands in the async run from its first piece to its end, and an async run, being in an `Arc`, stays where it is: so the
//! body is pinned. This file is compiled per task function, and kept small.

use std::marker::PhantomData;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Wake, Waker};

use crate::base::sync::Mutex;
use crate::call::args::Key;
use crate::evaluate::call_box::{BoxHead, Call, CallBox, Ops};
use crate::evaluate::deferred::{finish_deferred, start_deferred};
use crate::graph::node::NodeRef;
use crate::graph::task_fn::Ran;

use super::{Core, Parts, State};
use crate::context::async_runs::{DriveAsyncRun, SeatId};
use crate::graph::stop::Thrown;

/// How a body goes on that is run in pieces and ends with an `O`.
pub trait Deferred<O>: 'static {
    /// The state between two pieces.
    type Body: Send + 'static;

    /// Goes on until there is the output, or nothing more to do now: `waker` is woken when there is.
    fn go_on(body: Pin<&mut Self::Body>, waker: &Waker) -> Option<O>;
}

/// An async run of a task function from `K` to `O` whose body goes on as `D` says.
// Its layout is fixed, so that a pointer to the head is one to the whole.
#[repr(C)]
struct AsyncRun<K, O, D: Deferred<O>> {
    head: BoxHead,
    core: Core,
    /// Locked by the driver, or by the waiter that ended the async run: nothing ever waits for it.
    body: Mutex<Option<D::Body>>,
    types: PhantomData<fn(&K) -> O>,
}

/// Makes an async run that has not begun, in the box of a call, or in one of its own.
pub(crate) fn book<K: Key, O: Clone + Send + Sync + 'static, D: Deferred<O>>(call: Option<Call>) -> CallBox {
    let async_run = AsyncRun::<K, O, D> {
        head: BoxHead::new(AsyncRun::<K, O, D>::OPS, call),
        core: Core::waiting(),
        body: Mutex::new(None),
        types: PhantomData,
    };
    let async_run = Arc::into_raw(Arc::new(async_run)).cast_mut();
    let head = NonNull::new(async_run.cast()).expect("an `Arc` does not point to null");
    // SAFETY: an async run is `repr(C)` and begins with its head, whose `Ops` are those of this type.
    unsafe { CallBox::of_raw(head) }
}

impl<K: Key, O: Clone + Send + Sync + 'static, D: Deferred<O>> AsyncRun<K, O, D> {
    const OPS: &'static Ops = &Ops { begin: Some(Self::begin), release: Self::release, is_written: false };

    /// # Safety
    /// See [`Begin`](crate::evaluate::call_box::Begin).
    unsafe fn begin(head: NonNull<BoxHead>, state: State) -> Arc<dyn DriveAsyncRun> {
        let async_run = head.cast::<Self>().as_ptr().cast_const();
        // SAFETY: the pointer is from `Arc::into_raw` in `book`, and the call box holds its share of it.
        let async_run = unsafe {
            Arc::increment_strong_count(async_run);
            Arc::from_raw(async_run)
        };
        async_run.core.begin(state);
        async_run
    }

    /// # Safety
    /// See [`Ops::release`].
    unsafe fn release(head: NonNull<BoxHead>) {
        // SAFETY: as in `begin`; the share is that of the call box.
        drop(unsafe { Arc::from_raw(head.cast::<Self>().as_ptr().cast_const()) });
    }
}

impl<K: Key, O: Clone + Send + Sync + 'static, D: Deferred<O>> Parts for AsyncRun<K, O, D> {
    unsafe fn start(&self, node: NodeRef) {
        // SAFETY: the async run was made for these types together with the node's task function.
        let body = unsafe { start_deferred::<K, O, D>(node) };
        *self.body.lock() = Some(body);
    }

    unsafe fn go_on(&self, node: NodeRef, waker: &Waker, done: &mut dyn FnMut(Ran)) -> bool {
        let output = {
            let mut body = self.body.lock();
            // SAFETY: 1. `book` alone makes async runs, in an `Arc` that is never unwrapped, so the place never moves; 2. nothing
            // moves a body out of it: it is dropped where it is, here in `clear` or with the async run.
            let body = unsafe { Pin::new_unchecked(&mut *body) }.as_pin_mut();
            D::go_on(body.expect("a async_run that goes on has begun and is not over"), waker)
        };
        let Some(output) = output else { return false };
        // SAFETY: the caller holds the claim; the types are the node's.
        unsafe { finish_deferred::<K, O>(node, output, done) };
        true
    }

    fn clear(&self) {
        let mut body = self.body.lock();
        // SAFETY: as in `go_on`.
        unsafe { Pin::new_unchecked(&mut *body) }.set(None);
    }
}

impl<K: Key, O: Clone + Send + Sync + 'static, D: Deferred<O>> DriveAsyncRun for AsyncRun<K, O, D> {
    fn join(&self) -> Option<SeatId> {
        self.core.seats.join()
    }

    fn poll(self: Arc<Self>, seat: SeatId, waker: &Waker) -> bool {
        self.core.poll(&*self, seat, waker, || Waker::from(self.clone()))
    }

    fn leave(&self, seat: SeatId) {
        self.core.leave(self, seat);
    }

    fn is_driven(&self) -> bool {
        self.core.seats.is_driven()
    }

    fn wake_waiters(&self) {
        self.core.seats.wake();
    }

    fn take_failure(&self) -> Option<Thrown> {
        self.core.failure.lock().take()
    }
}

impl<K: Key, O: Clone + Send + Sync + 'static, D: Deferred<O>> Wake for AsyncRun<K, O, D> {
    fn wake(self: Arc<Self>) {
        self.core.seats.wake();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.core.seats.wake();
    }
}
