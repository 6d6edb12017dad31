//! The flight of one async task function: the steering and the body in one allocation.
//!
//! The body stands in the flight from its first piece to its end, and a flight, being in an `Arc`, stays where it is: so the
//! body is pinned. What is compiled per task function is in this file, and kept small.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Wake, Waker};

use crate::args::Key;
use crate::carry::Hold;
use crate::demand::Visit;
use crate::node::NodeRef;
use crate::strand::Strand;
use crate::sync::Mutex;
use crate::task_fn::{Ran, finish_deferred, start_deferred};

use super::{Core, Fly, Parts, Thrown};

/// How a body goes on that is run in pieces and ends with an `O`.
pub trait Deferred<O>: 'static {
    /// What is kept between the pieces.
    type Body: Send + 'static;

    /// Goes on until there is the output, or nothing more to do now: `waker` is woken when there is.
    fn go_on(body: Pin<&mut Self::Body>, waker: &Waker) -> Option<O>;
}

/// A flight of a task function from `K` to `O` whose body goes on as `D` says.
struct Flight<K, O, D: Deferred<O>> {
    core: Core,
    /// Locked by the driver, or by who ended the flight: nobody ever waits for it.
    body: Mutex<Option<D::Body>>,
    types: PhantomData<fn(&K) -> O>,
}

/// Makes the flight of a node that has just been claimed by `strand`.
pub(crate) fn launch<K: Key, O: Clone + Send + Sync + 'static, D: Deferred<O>>(
    hold: Hold,
    strand: Strand,
    visit: Visit,
) -> Arc<dyn Fly> {
    let core = Core::new(hold, strand, visit);
    Arc::new(Flight::<K, O, D> { core, body: Mutex::new(None), types: PhantomData })
}

impl<K: Key, O: Clone + Send + Sync + 'static, D: Deferred<O>> Parts for Flight<K, O, D> {
    unsafe fn start(&self, node: NodeRef) {
        // SAFETY: `launch` was made for these types together with the node's task function.
        let body = unsafe { start_deferred::<K, O, D>(node) };
        *self.body.lock() = Some(body);
    }

    unsafe fn go_on(&self, node: NodeRef, waker: &Waker, done: &mut dyn FnMut(Ran)) -> bool {
        let output = {
            let mut body = self.body.lock();
            // SAFETY: 1. `launch` alone makes flights, in an `Arc` that is never unwrapped, so the place never moves; 2. nothing
            // moves a body out of it: it is dropped where it is, here in `clear` or with the flight.
            let body = unsafe { Pin::new_unchecked(&mut *body) }.as_pin_mut();
            D::go_on(body.expect("a flight that goes on has begun and is not over"), waker)
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

impl<K: Key, O: Clone + Send + Sync + 'static, D: Deferred<O>> Fly for Flight<K, O, D> {
    fn join(&self) -> Option<u64> {
        self.core.waiters.lock().join()
    }

    fn poll(self: Arc<Self>, seat: u64, waker: &Waker) -> bool {
        self.core.poll(&*self, seat, waker, || Waker::from(self.clone()))
    }

    fn leave(&self, seat: u64) {
        self.core.leave(self, seat);
    }

    fn wake_waiters(&self) {
        self.core.wake_waiters();
    }

    fn take_failure(&self) -> Option<Thrown> {
        self.core.failure.lock().take()
    }
}

impl<K: Key, O: Clone + Send + Sync + 'static, D: Deferred<O>> Wake for Flight<K, O, D> {
    fn wake(self: Arc<Self>) {
        self.core.wake_waiters();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.core.wake_waiters();
    }
}
