//! A call as generated code makes it: typed, and inlined where it is made.
//!
//! Where the thread has no session, the call may be the one that `larder::ask` asks about (`question.rs`); else it is a mistake.

use crate::call::args::{Args, ByKey};
use crate::context::local::Local;
use crate::entry::question::{is_asked_about, meet};
use crate::evaluate::lookup::{find, find_fresh};
use crate::evaluate::node_wait::{Called, Pending};
use crate::graph::task_fn::TaskFn;

/// Calls a task: from memory, from the store, or by running its body.
///
/// Cost: about 3 ns for a repeated hit, 20 ns through the table, 100 ns and one allocation for a true miss.
///
/// # Panics
/// Outside of a session; if the body panics; on a cycle; if the session is cancelled.
#[inline(always)]
#[track_caller]
pub fn call<A: Args, O: Clone + Send + Sync + 'static>(task_fn: &'static TaskFn<A::Key, O>, args: A) -> O {
    let Some(local) = Local::current() else { meet(task_fn, args) };
    let node = find::<A, O>(local, task_fn, args);
    // SAFETY: 1. `find` returns a node of this task function, 2. seen FRESH in the open session; 3. the clone ends here.
    unsafe { node.value::<A::Key, O>() }.clone()
}

/// Calls a task and lends its output to `read` instead of cloning it.
///
/// # Panics
/// See [`call`].
#[inline(always)]
#[track_caller]
pub fn with<A: Args, O: Clone + Send + Sync + 'static, R>(
    task_fn: &'static TaskFn<A::Key, O>,
    args: A,
    read: impl FnOnce(&O) -> R,
) -> R {
    let Some(local) = Local::current() else { meet(task_fn, args) };
    let node = find::<A, O>(local, task_fn, args);
    // SAFETY: as in `call`; the session cannot end while `read` runs on its thread.
    read(unsafe { node.value::<A::Key, O>() })
}

/// Calls an async task function: looks the call up, and starts nothing. Outside of a session it is looked up when it is first
/// polled inside of one.
#[inline(always)]
pub fn call_async<A: Args, O: Clone + Send + Sync + 'static>(
    task_fn: &'static TaskFn<A::Key, O>,
    args: A,
) -> Called<O> {
    match Local::current() {
        Some(local) => look_up(local, task_fn, args),
        None => defer(task_fn, args),
    }
}

#[inline(always)]
fn look_up<A: Args, O: Clone + Send + Sync + 'static>(
    local: &'static Local,
    task_fn: &'static TaskFn<A::Key, O>,
    args: A,
) -> Called<O> {
    match lend(local, task_fn, args, O::clone) {
        Ok(value) => Called::Hit(value),
        Err(pending) => Called::Miss(pending),
    }
}

/// Looks an async call up, and lends its output to `read` if that is in memory.
///
/// # Errors
/// Returns the wait for the output if it is not.
#[inline(always)]
pub(crate) fn lend<A: Args, O: Clone + Send + Sync + 'static, R>(
    local: &'static Local,
    task_fn: &'static TaskFn<A::Key, O>,
    args: A,
    read: impl FnOnce(&O) -> R,
) -> Result<R, Pending<O>> {
    match find_fresh::<A, O>(local, task_fn, args) {
        // SAFETY: 1. the node is of this task function, 2. seen FRESH in the open session, which cannot end while `read` runs.
        Ok(node) => Ok(read(unsafe { node.value::<A::Key, O>() })),
        Err(node) => Err(Pending::new(local, node, None)),
    }
}

/// Owns the arguments for a call that is made later. For example, `runtime.run_async(price(&sku))` writes the call before the
/// session is open.
#[cold]
#[inline(never)]
fn defer<A: Args, O: Clone + Send + Sync + 'static>(
    task_fn: &'static TaskFn<A::Key, O>,
    args: A,
) -> Called<O> {
    if is_asked_about() {
        meet(task_fn, args)
    }
    let key = args.into_key();
    let make = move |local| look_up(local, task_fn, ByKey(key));
    Called::Miss(Pending::written(task_fn.raw().site().name, Box::new(make)))
}
