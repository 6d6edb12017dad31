//! Ask: the other ways to use a call: a handle to it, whether it is cached, drop it, collect what it emitted.

use crate::call::args::{Args, ArgsSlot, Unboxed};
use crate::call::slot::{OwnedMagicAny, StackMagicAnySlot};
use crate::context::engine::Engine;
use crate::context::local::Local;
use crate::evaluate::emit::{self, Collect};
use crate::evaluate::handle::Task;
use crate::evaluate::lookup::{insert, inside, known, peek};
use crate::graph::claim::Phase;
use crate::graph::emitted::Emitted;
use crate::graph::flags::Leaving;
use crate::graph::node::NodeRef;
use crate::graph::table::{Inserted, Place};
use crate::graph::task_fn::{RawTaskFn, TaskFn};
use crate::graph::task_type::hash_of;

/// Returns a handle to a call. Runs nothing.
///
/// # Panics
/// Outside of a session.
#[track_caller]
pub fn task<A: Args, O: Clone + Send + Sync + 'static>(
    task_fn: &'static TaskFn<A::Key, O>,
    args: A,
) -> Task<O> {
    let (local, node) = place::<A, O>(task_fn, args);
    Task::to(local.engine(), node)
}

/// The node of a call, which may have to be made; nothing runs.
#[track_caller]
pub(crate) fn place<A: Args, O: Clone + Send + Sync + 'static>(
    task_fn: &'static TaskFn<A::Key, O>,
    args: A,
) -> (&'static Local, NodeRef) {
    let local = inside(task_fn.raw());
    let hash = hash_of(task_fn.raw(), &args);
    (local, node_of(local, task_fn.raw(), hash, &mut StackMagicAnySlot::new(args)))
}

fn node_of(local: &Local, task_fn: &'static RawTaskFn, hash: u64, slot: &mut ArgsSlot<'_>) -> NodeRef {
    if let Some(node) = peek(local, task_fn, hash, slot) {
        return node;
    }
    match insert(local, task_fn, hash, slot, Phase::Empty) {
        Inserted::New(node) => {
            // Unless it is asked for its value, nothing keeps it but handles.
            node.put_on(Leaving::ABANDONED);
            node
        }
        Inserted::Existing(node) => node,
    }
}

/// Whether a call would be answered from memory without verifying anything.
///
/// # Panics
/// Outside of a session.
#[track_caller]
pub fn is_cached<A: Args, O: Clone + Send + Sync + 'static>(
    task_fn: &'static TaskFn<A::Key, O>,
    args: A,
) -> bool {
    known(task_fn, args).is_some_and(|(_, node)| node.state.is_fresh())
}

/// The node of a call that is to be dropped, and whether memory or the store has something of it. With a store it may have to be made, to be
/// dropped at once: its record goes with it.
#[track_caller]
fn droppable<A: Args, O: Clone + Send + Sync + 'static>(
    task_fn: &'static TaskFn<A::Key, O>,
    args: A,
) -> Option<(&'static Local, NodeRef, bool)> {
    let persistence = inside(task_fn.raw()).engine().persistence().filter(|_| task_fn.raw().stored.is_some());
    let Some(persistence) = persistence else {
        return known(task_fn, args).map(|(local, node)| (local, node, true));
    };
    let (local, node) = place::<A, O>(task_fn, args);
    let is_known =
        !node.has(Leaving::ABANDONED) || node.state.phase() != Phase::Empty || persistence.holds(node);
    Some((local, node, is_known))
}

/// Drops the output of a call as soon as no session is open; the next call after that runs its body again. Results that were
/// computed from it stay current. Returns whether there was anything to drop.
///
/// # Panics
/// Outside of a session.
#[track_caller]
pub fn forget<A: Args, O: Clone + Send + Sync + 'static>(
    task_fn: &'static TaskFn<A::Key, O>,
    args: A,
) -> bool {
    let Some((local, node, is_known)) = droppable(task_fn, args) else { return false };
    local.engine().queue_drop(node);
    is_known
}

/// Drops the output of a call as [`forget`] does, and all that only this call has needed. Returns whether there was anything to drop.
///
/// # Panics
/// Outside of a session.
#[track_caller]
pub fn forget_all_of<A: Args, O: Clone + Send + Sync + 'static>(
    task_fn: &'static TaskFn<A::Key, O>,
    args: A,
) -> bool {
    let Some((local, node, is_known)) = droppable(task_fn, args) else { return false };
    local.engine().queue_deep_drop(node);
    is_known
}

/// Makes a call run again when it is next asked for in a later session, though nothing that it has read has changed. Its readers run again if
/// its value differs then. Takes effect as soon as no session is open, as [`forget`] does. Its record in the store goes.
///
/// # Panics
/// Outside of a session.
#[track_caller]
pub fn invalidate<A: Args, O: Clone + Send + Sync + 'static>(task_fn: &'static TaskFn<A::Key, O>, args: A) {
    let engine = inside(task_fn.raw()).engine();
    let node = match engine.persistence() {
        None => match known(task_fn, args) {
            Some((_, node)) => node,
            None => return,
        },
        // It may be known to the store alone; from here on memory knows it, to compare with what it comes to.
        Some(persistence) => {
            let (_, node) = place::<A, O>(task_fn, args);
            node.take_off(Leaving::ABANDONED);
            persistence.key_of(node);
            node
        }
    };
    engine.queue_invalidation(Task::<O>::to(engine, node).held());
}

/// Drops the outputs of all calls of a function as [`forget`] does, also of those that only the store knows. Returns how many there were. Cost: a
/// look at each task, in memory and in the store, and a commit of what waits to be stored.
///
/// # Panics
/// Outside of a session.
#[track_caller]
pub fn clear<K, O>(task_fn: &'static TaskFn<K, O>) -> usize {
    let task_fn = task_fn.raw();
    let local = inside(task_fn);
    let engine = local.engine();
    let in_memory = engine.forget_nodes(|node| node.task_fn.is(task_fn));
    let persistence = engine.persistence().filter(|_| task_fn.stored.is_some());
    in_memory + persistence.map_or(0, |store| store.forget_function(local.function(task_fn), task_fn))
}

impl Engine {
    /// Has those nodes dropped that `goes` says of, which runs under no lock. Returns how many. A session is open.
    pub(crate) fn forget_nodes(&self, mut goes: impl FnMut(NodeRef) -> bool) -> usize {
        const PLACES: usize = 1 << 14;
        let (mut next, mut nodes, mut count) = (Some(Place::default()), Vec::new(), 0);
        while let Some(place) = next {
            next = self.table.nodes_from(place, PLACES, &mut nodes);
            for node in nodes.drain(..).filter(|node| goes(*node)) {
                self.queue_drop(node);
                count += 1;
            }
        }
        count
    }
}

/// Returns all values of type `D` that a call and what it depends on emitted, after making the call if need be: each task's once,
/// dependencies first. A task that collects depends on all of them.
///
/// # Panics
/// Panics as the call itself does.
#[track_caller]
pub fn collect<D: Emitted, A: Args, O: Clone + Send + Sync + 'static>(
    task_fn: &'static TaskFn<A::Key, O>,
    args: A,
) -> Vec<D> {
    // The value is not read: the caller depends on what was emitted.
    let (local, node) = place::<A, O>(task_fn, args);
    emit::collect(local, node, Collect::PassesOn)
}

/// Returns all values of type `D` that a call and what it depends on emitted, as [`collect`] gives them, to be dealt with by the body that runs
/// now: its task does not pass them on. A collector of that task gets nothing of them, unless it comes to them by a way on which they
/// were not taken. Directly in a session it is as [`collect`].
///
/// # Panics
/// Panics as the call itself does.
#[track_caller]
pub fn take<D: Emitted, A: Args, O: Clone + Send + Sync + 'static>(
    task_fn: &'static TaskFn<A::Key, O>,
    args: A,
) -> Vec<D> {
    let (local, node) = place::<A, O>(task_fn, args);
    emit::collect(local, node, Collect::Takes)
}

/// Returns the arguments of a call, boxed: to be kept, sent or queued, and called with later.
pub fn boxed<A: Args>(args: A) -> OwnedMagicAny {
    OwnedMagicAny::new(args.into_key())
}

/// Returns the arguments for a call, out of their box. From here on they take the way of all others.
///
/// # Errors
/// The box, if it holds other arguments.
pub fn unboxed<A: Args>(args: OwnedMagicAny) -> Result<Unboxed<A>, OwnedMagicAny> {
    args.downcast().map(Unboxed)
}
