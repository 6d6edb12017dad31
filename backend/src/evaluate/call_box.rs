//! Call box: the one box of an async call that was no hit. It holds the caller's wait and, if the call may turn out to be the one
//! that runs the body, the async run with the body.
//!
//! A call cannot hold these itself: it would be large, and moving it is most of what an async hit costs (bench `hit-async`:
//! 10 ns more with 72 bytes than with 16). So it holds a pointer of one word, and what that points to knows its type.
//!
//! ```text
//!   Call box ──► BoxHead │ Core │ body        in an `Arc`, the async run (`async_run/body.rs`), shared with its waiters
//!   Call box ──► BoxHead                      where the body is run by others, or elsewhere
//!   Call box ──► BoxHead │ name │ make        a call that was written outside of a session (`WrittenCall`)
//! ```

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Waker;

use crate::base::sync::Mutex;
use crate::context::async_runs::DriveAsyncRun;
use crate::context::engine::Engine;
use crate::context::generation::Generation;
use crate::context::local::Local;
use crate::evaluate::async_run::State;
use crate::evaluate::node_wait::{Asked, Called, NodeWait};
use crate::graph::claim::Phase;
use crate::graph::held::Held;
use crate::graph::node::NodeRef;
use crate::graph::task_fn::{Erased, RawTaskFn};

/// The beginning of every box that a call box points to.
#[repr(C)]
pub(crate) struct BoxHead {
    ops: &'static Ops,
    /// Used by the call box's owner alone, so nothing waits for the lock. `None` once the call box is gone.
    call: Mutex<Option<Call>>,
}

impl BoxHead {
    pub(crate) fn new(ops: &'static Ops, call: Option<Call>) -> Self {
        Self { ops, call: Mutex::new(call) }
    }
}

/// The operations of the boxes of one type.
pub(crate) struct Ops {
    /// For a box with an async run.
    pub(crate) begin: Option<Begin>,
    /// Gives up the call box's share of the box.
    ///
    /// # Safety
    /// See [`Begin`]; the call box is not used any more.
    pub(crate) release: unsafe fn(NonNull<BoxHead>),
    /// Whether the box is a [`WrittenCall`].
    pub(crate) is_written: bool,
}

/// Begins the async run that is in a box, which happens once.
///
/// # Safety
/// The pointer is that of a call box of a box with the `Ops` that hold this.
pub(crate) type Begin = unsafe fn(NonNull<BoxHead>, State) -> Arc<dyn DriveAsyncRun>;

/// A call's wait.
pub(crate) struct Call {
    node_wait: NodeWait,
    /// The engine's `departures` when the call was made: while it is the same, it is the same engine, and no node has left it.
    departures: Generation,
    /// The handle that was read, which keeps the node.
    handle: Option<Held>,
}

/// Looks a call up that was written outside of a session.
pub(crate) type MakeCall<O> = Box<dyn FnOnce(&'static Local) -> Called<O> + Send + Sync>;

/// A call that was written outside of a session, and is made where it is first polled.
#[repr(C)]
struct WrittenCall<O> {
    head: BoxHead,
    /// The task function's name.
    name: &'static str,
    /// `None` once the call has been made.
    make: Option<MakeCall<O>>,
}

impl<O: 'static> WrittenCall<O> {
    const OPS: &'static Ops = {
        const fn is_shared<T: Send + Sync>() {}
        is_shared::<BoxHead>();
        is_shared::<MakeCall<O>>();
        &Ops { begin: None, release: Self::release, is_written: true }
    };

    /// # Safety
    /// See [`Ops::release`]; the box is a `WrittenCall<O>`.
    unsafe fn release(head: NonNull<BoxHead>) {
        // SAFETY: the pointer is from `Box::into_raw` in `CallBox::written`.
        drop(unsafe { Box::from_raw(head.cast::<Self>().as_ptr()) });
    }
}

/// Makes the box of a call, with its execution.
pub(crate) type Book = fn(Option<Call>) -> CallBox;

impl RawTaskFn {
    /// For an async function: makes the box of a call, with its execution.
    pub(crate) fn book_fn(&self) -> Option<Book> {
        // SAFETY: erased from this type in `TaskFn::new_async`.
        self.book.map(|Erased(book)| unsafe { std::mem::transmute::<unsafe fn(), Book>(book) })
    }
}

/// An owning pointer to a box.
pub(crate) struct CallBox(NonNull<BoxHead>);

// SAFETY: a call box is a share of an `Arc`, of an async run, which has to be `Send` and `Sync` to be an `Arc<dyn DriveAsyncRun>`, of a `BoxHead`
// alone, or of a `WrittenCall`, which are both (their `OPS` ask the compiler).
unsafe impl Send for CallBox {}
// SAFETY: as above.
unsafe impl Sync for CallBox {}

impl CallBox {
    /// Books a wait for a node that is not fresh.
    pub(crate) fn new(local: &Local, node: NodeRef, handle: Option<Held>) -> Self {
        let departures = local.engine().departures.get(Relaxed);
        let call = Call { node_wait: NodeWait::new(node), departures, handle };
        match node.task_fn.book_fn() {
            Some(book) if !node.task_fn.heavy && node.state.phase() != Phase::Running => book(Some(call)),
            _ => Ticket::book(call),
        }
    }

    /// A call box of a box.
    ///
    /// # Safety
    /// The pointer is from `Arc::into_raw` of a type that begins with a `BoxHead` and has its layout fixed, and whose `Ops` are in that
    /// head.
    pub(crate) unsafe fn of_raw(head: NonNull<BoxHead>) -> Self {
        Self(head)
    }

    /// A box for a call that is looked up later.
    pub(crate) fn written<O: 'static>(name: &'static str, make: MakeCall<O>) -> Self {
        let head = BoxHead::new(WrittenCall::<O>::OPS, None);
        let written = Box::new(WrittenCall { head, name, make: Some(make) });
        // The head is the first field, and the layout is fixed.
        Self(NonNull::from(Box::leak(written)).cast())
    }

    /// Whether the call has not been looked up yet.
    pub(crate) fn is_written(&self) -> bool {
        self.head().ops.is_written
    }

    /// Takes out what looks a written call up, with the function's name; none if it was taken before.
    ///
    /// # Safety
    /// The box was made by [`CallBox::written`] for `O`.
    pub(crate) unsafe fn take_written<O>(&mut self) -> (&'static str, Option<MakeCall<O>>) {
        // SAFETY: 1. the caller vouches for the type; 2. the box is this call's alone, which is borrowed exclusively.
        let written = unsafe { self.0.cast::<WrittenCall<O>>().as_mut() };
        (written.name, written.make.take())
    }

    fn head(&self) -> &BoxHead {
        // SAFETY: the call box holds a share of the box.
        unsafe { self.0.as_ref() }
    }

    /// Whether there is an async run in the box; or else it is a wait only.
    pub(crate) fn has_run(&self) -> bool {
        self.head().ops.begin.is_some()
    }

    /// Begins the async run in the box.
    pub(crate) fn begin(&self, state: State) -> Arc<dyn DriveAsyncRun> {
        let begin = self.head().ops.begin.expect("only boxes with an async run are asked to begin it");
        // SAFETY: the pointer is that of this call box.
        unsafe { begin(self.0, state) }
    }

    /// Goes on waiting; `None` if that is not possible here: outside of the session that the call was made in.
    pub(crate) fn poll(&mut self, local: &Local, waker: &Waker) -> Option<(NodeRef, Asked)> {
        let mut call = self.head().call.lock();
        let call = call.as_mut().expect("a call that is waited for has a wait");
        call.is_of(local.engine())
            .then(|| (call.node_wait.node(), call.node_wait.poll(local, waker, Some(self))))
    }
}

impl Drop for CallBox {
    fn drop(&mut self) {
        // The seat in it may be one in the box's own async run.
        let call = self.head().call.lock().take();
        drop(call);
        // SAFETY: the pointer is that of this call box, which ends here.
        unsafe { (self.head().ops.release)(self.0) };
    }
}

impl Call {
    /// Whether `engine`, whose session is open here, is the call's, and the node is sure to be there still.
    fn is_of(&self, engine: &Engine) -> bool {
        match (self.node_wait.engine(), &self.handle) {
            (Some(held), _) => std::ptr::eq(held, engine),
            (None, Some(handle)) => handle.engine == engine.id,
            (None, None) => engine.departures.get(Relaxed) == self.departures,
        }
    }
}

/// A box that is a wait only.
struct Ticket;

impl Ticket {
    const OPS: &'static Ops = {
        const fn is_shared<T: Send + Sync>() {}
        is_shared::<BoxHead>();
        &Ops { begin: None, release: Self::release, is_written: false }
    };

    fn book(call: Call) -> CallBox {
        let head = Arc::into_raw(Arc::new(BoxHead::new(Self::OPS, Some(call))));
        let head = NonNull::new(head.cast_mut()).expect("an `Arc` does not point to null");
        // SAFETY: it is a `BoxHead` in an `Arc`, with the `Ops` for that.
        unsafe { CallBox::of_raw(head) }
    }

    /// # Safety
    /// See [`Ops::release`]; the box is a `BoxHead` alone.
    unsafe fn release(head: NonNull<BoxHead>) {
        // SAFETY: the pointer is from `Arc::into_raw` in `book`.
        drop(unsafe { Arc::from_raw(head.as_ptr()) });
    }
}
