//! Shims: what the erased functions of a descriptor are called through. Each is made for the types that the constructor of the
//! descriptor has forgotten.

use std::fmt;
use std::ptr::NonNull;
use std::time::Duration;

use crate::call::args::Key;
use crate::graph::flags::Flags;
use crate::graph::node::{Node, NodeRef, replace_value};

use super::{Erased, Ran, RawTaskFn, Stepped};

/// Calls a body that was given to [`TaskFn::new`].
#[inline(always)]
pub(super) fn call_body<K, O, B: Fn(&K) -> O + Copy>(key: &K) -> O {
    // SAFETY: `new` was given a value of this type, which captures nothing: it has no bytes, so any aligned address will do.
    let body: &B = unsafe { NonNull::dangling().as_ref() };
    body(key)
}

/// Computes the handles among the arguments that are still pending.
///
/// # Safety
/// `K` is the type of the keys of `task_fn`.
pub(super) unsafe fn resolve<K>(task_fn: &RawTaskFn, key: &K) {
    if let Some(Erased(resolve)) = task_fn.resolve {
        // SAFETY: erased from this type in `resolve`.
        unsafe { std::mem::transmute::<unsafe fn(), fn(&K)>(resolve)(key) };
    }
}

/// The key of a node whose body is about to run.
///
/// # Safety
/// `K` and `O` are the types of `task_fn`, which is the node's task function.
pub(crate) unsafe fn resolved_key<'a, K: Key, O: Send + Sync + 'static>(
    task_fn: &RawTaskFn,
    node: NodeRef,
) -> &'a K {
    // SAFETY: the types are those of the node; its key is written once.
    let key = unsafe { node.key::<K, O>() };
    // SAFETY: passed on to the caller.
    unsafe { resolve(task_fn, key) };
    key
}

/// # Safety
/// See [`RawTaskFn::run`]; `K`, `O` and `B` are the types of `task_fn`.
pub(super) unsafe fn run<K: Key, O: Send + Sync + 'static, B: Fn(&K) -> O + Copy>(
    task_fn: &RawTaskFn,
    node: NodeRef,
    done: &mut dyn FnMut(Ran),
) {
    // SAFETY: passed on to the caller.
    let key = unsafe { resolved_key::<K, O>(task_fn, node) };
    let new = call_body::<K, O, B>(key);
    // SAFETY: passed on to the caller.
    unsafe { put::<K, O>(task_fn, node, new, done) }
}

/// # Safety
/// Never to be called: leaves are not run.
pub(super) unsafe fn run_leaf(_: &RawTaskFn, _: NodeRef, _: &mut dyn FnMut(Ran)) {
    unreachable!("a leaf is never run")
}

/// # Safety
/// See [`RawTaskFn::run_into_twin`]; `K` and `O` are the types of `task_fn`.
pub(super) unsafe fn run_into_twin<K: Key, O: Send + Sync + 'static>(
    task_fn: &RawTaskFn,
    node: NodeRef,
) -> NodeRef {
    // SAFETY: passed on to the caller.
    let value = unsafe { compute::<K, O>(task_fn, node) };
    Node::<K, O>::twin(node, value)
}

/// Runs the body on the key of a node.
///
/// # Safety
/// `K` and `O` are the types of `task_fn`, which is the node's task function and no leaf's.
unsafe fn compute<K: Key, O: Send + Sync + 'static>(task_fn: &RawTaskFn, node: NodeRef) -> O {
    // SAFETY: passed on to the caller.
    let key = unsafe { resolved_key::<K, O>(task_fn, node) };
    let Some(Erased(body)) = task_fn.body else { unreachable!("a leaf is never run") };
    // SAFETY: erased from this type in `new`.
    unsafe { std::mem::transmute::<unsafe fn(), fn(&K) -> O>(body)(key) }
}

/// Puts an output in place, unless it equals the one that is there; calls `done` before a replaced one is dropped.
///
/// # Safety
/// The claim of `node` is held; `K` and `O` are the types of `task_fn`, its task function.
pub(crate) unsafe fn put<K: Key, O: Send + Sync + 'static>(
    task_fn: &RawTaskFn,
    node: NodeRef,
    new: O,
    done: &mut dyn FnMut(Ran),
) {
    if node.flag(Flags::ON_CYCLE) {
        return done(Ran::Provisional(provisional::<K, O>(node, new)));
    }
    if !node.flag(Flags::HAS_VALUE) {
        // SAFETY: the claim is held, the types are the node's.
        unsafe { replace_value::<K, O>(node, new) };
        return done(Ran::First);
    }
    // SAFETY: passed on to the caller.
    unsafe { replace::<K, O>(task_fn, node, new, done) }
}

/// Makes the twin that holds an output of a member of a cycle. Out of line for the stack's sake, as [`replace`] is.
#[cold]
#[inline(never)]
fn provisional<K: Key, O: Send + Sync + 'static>(node: NodeRef, new: O) -> NodeRef {
    Node::<K, O>::twin(node, new)
}

/// Puts an output in the place of another one. A function of its own: bodies nest, and a first run has none of this on the stack.
///
/// # Safety
/// The contract is that of [`put`], and there is an output.
#[inline(never)]
unsafe fn replace<K: Key, O: Send + Sync + 'static>(
    task_fn: &RawTaskFn,
    node: NodeRef,
    new: O,
    done: &mut dyn FnMut(Ran),
) {
    if task_fn.last_good
        && let Some(Erased(uncached)) = task_fn.uncached_if
    {
        // SAFETY: erased from this type in `uncached_if`.
        let uncached = unsafe { std::mem::transmute::<unsafe fn(), fn(&O) -> bool>(uncached) };
        // SAFETY: the claim is held and there is a value; the types are the node's.
        if uncached(&new) && !uncached(unsafe { node.value::<K, O>() }) {
            done(Ran::Held);
            return drop(new);
        }
    }
    let equal = match task_fn.cutoff {
        // SAFETY: 1. erased from this type in `cutoff`; 2. the claim is held and there is a value.
        Some(Erased(cutoff)) => unsafe {
            std::mem::transmute::<unsafe fn(), fn(&O, &O) -> bool>(cutoff)(node.value::<K, O>(), &new)
        },
        None => false,
    };
    if equal {
        done(Ran::Equal);
    } else {
        // SAFETY: as above.
        let old = unsafe { replace_value::<K, O>(node, new) };
        done(Ran::Changed);
        drop(old);
    }
}

/// # Safety
/// `erased` was made by [`TaskFn::describe`] for `K`; the node's types are `K` and `O`.
pub(super) unsafe fn describe<K: Key, O: Send + Sync + 'static>(
    Erased(erased): Erased,
    node: NodeRef,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    type Describe<K> = fn(&K, &mut fmt::Formatter<'_>) -> fmt::Result;
    // SAFETY: passed on to the caller.
    unsafe { std::mem::transmute::<unsafe fn(), Describe<K>>(erased)(node.key::<K, O>(), f) }
}

/// # Safety
/// `erased` was made by [`TaskFn::uncached_if`] for `O`; the node's types are `K` and `O`, its claim is held, and it has an
/// output.
pub(super) unsafe fn is_uncached<K: Key, O: Send + Sync + 'static>(
    Erased(erased): Erased,
    node: NodeRef,
) -> bool {
    // SAFETY: passed on to the caller.
    unsafe { std::mem::transmute::<unsafe fn(), fn(&O) -> bool>(erased)(node.value::<K, O>()) }
}

/// # Safety
/// `erased` was made by [`TaskFn::key_returns`] for `K`; the node's types are `K` and `O`.
pub(super) unsafe fn key_returns<K: Key, O: Send + Sync + 'static>(
    Erased(erased): Erased,
    node: NodeRef,
) -> bool {
    // SAFETY: passed on to the caller.
    unsafe { std::mem::transmute::<unsafe fn(), fn(&K) -> bool>(erased)(node.key::<K, O>()) }
}

/// # Safety
/// `erased` was made by [`TaskFn::cycle`] for `K` and `O`, which are the node's types.
pub(super) unsafe fn initial<K: Key, O: Send + Sync + 'static>(
    Erased(erased): Erased,
    node: NodeRef,
) -> NodeRef {
    // SAFETY: passed on to the caller.
    let value = unsafe { std::mem::transmute::<unsafe fn(), fn(&K) -> O>(erased)(node.key::<K, O>()) };
    Node::<K, O>::twin(node, value)
}

/// A function that prints an output.
pub(super) type ShowFn<O> = fn(&O, &mut fmt::Formatter<'_>) -> fmt::Result;

/// # Safety
/// `erased` was made by [`TaskFn::shown`] for `O`; the node's types are `K` and `O`, and it has an output.
pub(super) unsafe fn show<K: Key, O: Send + Sync + 'static>(
    Erased(erased): Erased,
    node: NodeRef,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    // SAFETY: passed on to the caller.
    unsafe { std::mem::transmute::<unsafe fn(), ShowFn<O>>(erased)(node.value::<K, O>(), f) }
}

/// A step, with its types: arguments, previous value, new value, round.
pub(super) type StepFn<K, O> = fn(&K, &O, O, u32) -> O;

/// # Safety
/// `erased` was made by [`TaskFn::cycle_step`] for `K` and `O`, which are the types of `task_fn`; see [`RawTaskFn::run_stepped`].
pub(super) unsafe fn run_stepped<K: Key, O: Send + Sync + 'static>(
    task_fn: &RawTaskFn,
    Erased(erased): Erased,
    node: NodeRef,
    stepped: Stepped,
) -> NodeRef {
    // SAFETY: passed on to the caller.
    let new = unsafe { compute::<K, O>(task_fn, node) };
    // SAFETY: 1. erased from this type in `cycle_step`; 2. the types are the node's, whose key is written once; 3. the caller sees to
    // it that the previous value stays.
    let value = unsafe {
        let step = std::mem::transmute::<unsafe fn(), StepFn<K, O>>(erased);
        step(node.key::<K, O>(), stepped.previous.value::<K, O>(), new, stepped.round)
    };
    Node::<K, O>::twin(node, value)
}

/// # Safety
/// `erased` was made by [`TaskFn::cycle_step`] for `K` and `O`, which are the nodes' types; see [`RawTaskFn::first_step`].
pub(super) unsafe fn first_step<K: Key, O: Clone + Send + Sync + 'static>(
    Erased(erased): Erased,
    node: NodeRef,
    stepped: Stepped,
    new: NodeRef,
) -> NodeRef {
    // SAFETY: as in `run_stepped`; 3. of the new value, too.
    let value = unsafe {
        let step = std::mem::transmute::<unsafe fn(), StepFn<K, O>>(erased);
        let new = new.value::<K, O>().clone();
        step(node.key::<K, O>(), stepped.previous.value::<K, O>(), new, stepped.round)
    };
    Node::<K, O>::twin(node, value)
}

/// # Safety
/// `erased` was made by [`TaskFn::cutoff`] for `O`; both nodes' types are `K` and `O`, and both have an output.
pub(super) unsafe fn same<K: Key, O: Send + Sync + 'static>(
    Erased(erased): Erased,
    one: NodeRef,
    other: NodeRef,
) -> bool {
    // SAFETY: passed on to the caller.
    unsafe {
        std::mem::transmute::<unsafe fn(), fn(&O, &O) -> bool>(erased)(
            one.value::<K, O>(),
            other.value::<K, O>(),
        )
    }
}

/// # Safety
/// `erased` was made by [`TaskFn::weight`] for `O`; the node's types are `K` and `O`, its claim is held, and it has an output.
pub(super) unsafe fn weigh<K: Key, O: Send + Sync + 'static>(Erased(erased): Erased, node: NodeRef) -> usize {
    // SAFETY: passed on to the caller.
    unsafe { std::mem::transmute::<unsafe fn(), fn(&O) -> usize>(erased)(node.value::<K, O>()) }
}

/// # Safety
/// `erased` was made by [`TaskFn::expires`] for `O`; the node's types are `K` and `O`, its claim is held, and it has an output.
pub(super) unsafe fn expires<K: Key, O: Send + Sync + 'static>(
    Erased(erased): Erased,
    node: NodeRef,
) -> Option<Duration> {
    // SAFETY: passed on to the caller.
    unsafe { std::mem::transmute::<unsafe fn(), fn(&O) -> Option<Duration>>(erased)(node.value::<K, O>()) }
}
