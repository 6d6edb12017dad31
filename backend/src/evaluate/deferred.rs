//! Descriptors of async functions: how their bodies are made, run through on a thread, and finished.

use std::any::TypeId;
use std::pin::pin;

use crate::call::args::Key;
use crate::context::cancelled::check_cancelled;
use crate::context::local::Local;
use crate::evaluate::async_run::{Deferred, block_on, book};
use crate::evaluate::call_box::Book;
use crate::graph::node::{Node, NodeRef};
use crate::graph::task_fn::{Erased, Ran, RawTaskFn, Site, TaskFn, put, resolved_key};

impl<K: Key, O: Clone + Send + Sync + 'static> TaskFn<K, O> {
    /// Describes the async function whose body `body` makes.
    pub const fn new_async<D: Deferred<O>>(id: TypeId, site: Site, body: fn(&K) -> D::Body) -> Self {
        let mut descriptor = Self::leaf(id, site);
        // SAFETY: as in `new`; `start_deferred`, `run` and `run_into_twin` cast it back to this type.
        descriptor.raw.body =
            Some(Erased(unsafe { std::mem::transmute::<fn(&K) -> D::Body, unsafe fn()>(body) }));
        // SAFETY: as above; `RawTaskFn::book_fn` casts it back.
        descriptor.raw.book =
            Some(Erased(unsafe { std::mem::transmute::<Book, unsafe fn()>(book::<K, O, D>) }));
        descriptor.raw.run = run_deferred::<K, O, D>;
        descriptor.raw.run_into_twin = run_deferred_into_twin::<K, O, D>;
        descriptor
    }
}

/// Makes the body of an async function.
///
/// # Safety
/// The node's task function was made by `new_async` for these types.
pub(crate) unsafe fn start_deferred<K: Key, O: Send + Sync + 'static, D: Deferred<O>>(
    node: NodeRef,
) -> D::Body {
    // SAFETY: passed on to the caller.
    let key = unsafe { resolved_key::<K, O>(node.task_fn, node) };
    let Some(Erased(body)) = node.task_fn.body else { unreachable!("a leaf is never run") };
    // SAFETY: erased from this type in `new_async`.
    unsafe { std::mem::transmute::<unsafe fn(), fn(&K) -> D::Body>(body)(key) }
}

/// Puts the output of an async body in place.
///
/// # Safety
/// The claim of `node` is held; `K` and `O` are the types of its task function.
pub(crate) unsafe fn finish_deferred<K: Key, O: Send + Sync + 'static>(
    node: NodeRef,
    new: O,
    done: &mut dyn FnMut(Ran),
) {
    // SAFETY: passed on to the caller.
    unsafe { put::<K, O>(node.task_fn, node, new, done) }
}

/// # Safety
/// See [`RawTaskFn::run`]; the types are those that `task_fn` was made for by `new_async`.
unsafe fn run_deferred<K: Key, O: Send + Sync + 'static, D: Deferred<O>>(
    task_fn: &RawTaskFn,
    node: NodeRef,
    done: &mut dyn FnMut(Ran),
) {
    // SAFETY: passed on to the caller.
    let new = run_through::<O, D>(unsafe { start_deferred::<K, O, D>(node) });
    // SAFETY: passed on to the caller.
    unsafe { put::<K, O>(task_fn, node, new, done) }
}

/// Runs an async body on this thread, which sleeps when the body does, until it ends or its session is cancelled.
fn run_through<O, D: Deferred<O>>(body: D::Body) -> O {
    let mut body = pin!(body);
    block_on(|waker| {
        let cancelled = Local::current().map(check_cancelled);
        if let Some(Err(stop)) = cancelled {
            stop.throw();
        }
        D::go_on(body.as_mut(), waker)
    })
}

/// # Safety
/// See [`RawTaskFn::run_into_twin`]; the types are those that `task_fn` was made for by `new_async`.
unsafe fn run_deferred_into_twin<K: Key, O: Send + Sync + 'static, D: Deferred<O>>(
    _task_fn: &RawTaskFn,
    node: NodeRef,
) -> NodeRef {
    // SAFETY: passed on to the caller.
    let body = unsafe { start_deferred::<K, O, D>(node) };
    Node::<K, O>::twin(node, run_through::<O, D>(body))
}
