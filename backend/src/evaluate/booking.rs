//! Booking: the one box of an async call that was no hit. It holds the caller's wait and, if the call may turn out to be the one
//! that runs the body, the flight with the body.
//!
//! A call cannot hold these itself: it would be large, and moving it is most of what an async hit costs (bench `hit-async`:
//! 10 ns more with 72 bytes than with 16). So it holds a pointer of one word, and what that points to knows its type.
//!
//! ```text
//!   Booking ──► Head │ Core │ body        in an `Arc`, the flight (`flight/body.rs`), shared with its waiters
//!   Booking ──► Head                      where the body is run by others, or elsewhere
//! ```

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Waker;

use crate::base::sync::Mutex;
use crate::context::engine::Engine;
use crate::context::flights::Fly;
use crate::context::local::Local;
use crate::evaluate::asker::{Asked, Asker};
use crate::evaluate::flight::State;
use crate::graph::claim::Phase;
use crate::graph::held::Held;
use crate::graph::node::NodeRef;
use crate::graph::task_fn::{Erased, RawTaskFn};

/// The beginning of every box that a booking points to.
#[repr(C)]
pub(crate) struct Head {
    ops: &'static Ops,
    /// Used by the booking's owner alone, so nothing waits for the lock. `None` once the booking is gone.
    call: Mutex<Option<Call>>,
}

impl Head {
    pub(crate) fn new(ops: &'static Ops, call: Option<Call>) -> Self {
        Self { ops, call: Mutex::new(call) }
    }
}

/// The operations of the boxes of one type.
pub(crate) struct Ops {
    /// For a box with a flight.
    pub(crate) begin: Option<Begin>,
    /// Gives up the booking's share of the box.
    ///
    /// # Safety
    /// See [`Begin`]; the booking is not used any more.
    pub(crate) release: unsafe fn(NonNull<Head>),
}

/// Begins the flight that is in a box, which happens once.
///
/// # Safety
/// The pointer is that of a booking of a box with the `Ops` that hold this.
pub(crate) type Begin = unsafe fn(NonNull<Head>, State) -> Arc<dyn Fly>;

/// A call's wait.
pub(crate) struct Call {
    asker: Asker,
    /// The engine's `departures` when the call was made: while it is the same, it is the same engine, and no node has left it.
    generation: u64,
    /// The handle that was read, which keeps the node.
    handle: Option<Held>,
}

/// Makes the box of a call, with its execution.
pub(crate) type Book = fn(Option<Call>) -> Booking;

impl RawTaskFn {
    /// For an async function: makes the box of a call, with its execution.
    pub(crate) fn book_fn(&self) -> Option<Book> {
        // SAFETY: erased from this type in `TaskFn::new_async`.
        self.book.map(|Erased(book)| unsafe { std::mem::transmute::<unsafe fn(), Book>(book) })
    }
}

/// An owning pointer to a box.
pub(crate) struct Booking(NonNull<Head>);

// SAFETY: a booking is a share of an `Arc`, of a flight, which has to be `Send` and `Sync` to be an `Arc<dyn Fly>`, or of a `Head`
// alone, which is both (`Ticket::OPS` asks the compiler).
unsafe impl Send for Booking {}
// SAFETY: as above.
unsafe impl Sync for Booking {}

impl Booking {
    /// Books a wait for a node that is not fresh.
    pub(crate) fn new(local: &Local, node: NodeRef, handle: Option<Held>) -> Self {
        let generation = local.engine().departures.load(Relaxed);
        let call = Call { asker: Asker::new(node), generation, handle };
        match node.task_fn.book_fn() {
            Some(book) if !node.task_fn.heavy && node.state.phase() != Phase::Running => book(Some(call)),
            _ => Ticket::book(call),
        }
    }

    /// A booking of a box.
    ///
    /// # Safety
    /// The pointer is from `Arc::into_raw` of a type that begins with a `Head` and has its layout fixed, and whose `Ops` are in that
    /// head.
    pub(crate) unsafe fn of_raw(head: NonNull<Head>) -> Self {
        Self(head)
    }

    fn head(&self) -> &Head {
        // SAFETY: the booking holds a share of the box.
        unsafe { self.0.as_ref() }
    }

    /// Whether there is a flight in the box; or else it is a wait only.
    pub(crate) fn has_flight(&self) -> bool {
        self.head().ops.begin.is_some()
    }

    /// Begins the flight in the box.
    pub(crate) fn begin(&self, state: State) -> Arc<dyn Fly> {
        let begin = self.head().ops.begin.expect("only boxes with a flight are asked to begin it");
        // SAFETY: the pointer is that of this booking.
        unsafe { begin(self.0, state) }
    }

    /// Goes on waiting; `None` if that is not possible here: outside of the session that the call was made in.
    pub(crate) fn poll(&mut self, local: &Local, waker: &Waker) -> Option<(NodeRef, Asked)> {
        let mut call = self.head().call.lock();
        let call = call.as_mut().expect("the booking is there");
        call.is_of(local.engine()).then(|| (call.asker.node(), call.asker.poll(local, waker, Some(self))))
    }
}

impl Drop for Booking {
    fn drop(&mut self) {
        // The seat in it may be one in the box's own flight.
        let call = self.head().call.lock().take();
        drop(call);
        // SAFETY: the pointer is that of this booking, which ends here.
        unsafe { (self.head().ops.release)(self.0) };
    }
}

impl Call {
    /// Whether `engine`, whose session is open here, is the call's, and the node is sure to be there still.
    fn is_of(&self, engine: &Engine) -> bool {
        match (self.asker.engine(), &self.handle) {
            (Some(held), _) => std::ptr::eq(held, engine),
            (None, Some(handle)) => handle.engine == engine.id,
            (None, None) => engine.departures.load(Relaxed) == self.generation,
        }
    }
}

/// A box that is a wait only.
struct Ticket;

impl Ticket {
    const OPS: &'static Ops = {
        const fn is_shared<T: Send + Sync>() {}
        is_shared::<Head>();
        &Ops { begin: None, release: Self::release }
    };

    fn book(call: Call) -> Booking {
        let head = Arc::into_raw(Arc::new(Head::new(Self::OPS, Some(call))));
        let head = NonNull::new(head.cast_mut()).expect("an `Arc` does not point to null");
        // SAFETY: it is a `Head` in an `Arc`, with the `Ops` for that.
        unsafe { Booking::of_raw(head) }
    }

    /// # Safety
    /// See [`Ops::release`]; the box is a `Head` alone.
    unsafe fn release(head: NonNull<Head>) {
        // SAFETY: the pointer is from `Arc::into_raw` in `book`.
        drop(unsafe { Arc::from_raw(head.as_ptr()) });
    }
}
