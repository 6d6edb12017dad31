//! One call, in the order of the design: thread cache, slot, read lock, storage probe, write lock, insert.
//!
//! The typed part is small and inlined into generated code: predict, hash, the near part of the thread cache. Its far part, and
//! the read lock with what is compared after it, are compiled once per task function. From [`miss`] on, arguments are type-erased
//! in their slot on the caller's stack, and the code is shared by all task functions. The steps that are left when the node is known are
//! done with all that gone from the stack: the search returns to the call, which goes on with [`finish`].

use crate::base::stack::on_enough_stack;
use crate::call::args::{Args, ArgsSlot};
use crate::call::slot::StackMagicAnySlot;
use crate::context::cancelled::check_cancelled;
use crate::context::local::Local;
use crate::context::outside::outside_of_session;
use crate::evaluate::demand::demand;
use crate::evaluate::execute::execute_in_place;
use crate::evaluate::{cycle, stored};
use crate::graph::claim::{Phase, StateWord};
use crate::graph::node::{Header, NodeRef};
use crate::graph::stale_reads;
use crate::graph::stop::Stop;
use crate::graph::table::Inserted;
use crate::graph::task_fn::{RawTaskFn, TaskFn};
use crate::graph::task_type::{CachedTaskType, hash_of};

/// Looks up a sync call. Returns its node, fresh and recorded as read by the current body.
#[inline(always)]
pub(crate) fn find<A: Args, O: Clone + Send + Sync + 'static>(
    local: &'static Local,
    task_fn: &'static TaskFn<A::Key, O>,
    args: A,
) -> NodeRef {
    let hash = match near::<A, O>(local, task_fn, &args) {
        Ok(node) => return node,
        Err(hash) => hash,
    };
    match beyond_near::<A, O>(local, task_fn.raw(), hash, args) {
        (node, Then::HandOut) => node,
        (node, then) => finish(local, node, then),
    }
}

/// Looks up an async call. Returns its node if that is fresh: it is recorded as read then.
///
/// # Errors
/// Returns the node that is not fresh; the future that the call returns waits for it.
#[inline(always)]
pub(crate) fn find_fresh<A: Args, O: Clone + Send + Sync + 'static>(
    local: &'static Local,
    task_fn: &'static TaskFn<A::Key, O>,
    args: A,
) -> Result<NodeRef, NodeRef> {
    let hash = match near::<A, O>(local, task_fn, &args) {
        Ok(node) => return Ok(node),
        Err(hash) => hash,
    };
    let (node, then) = beyond_near::<A, O>(local, task_fn.raw(), hash, args);
    debug_assert!(!matches!(then, Then::Run), "an async run makes its own claim");
    if matches!(then, Then::HandOut) { Ok(node) } else { Err(node) }
}

/// Looks a call up in what the thread remembers nearby.
///
/// # Errors
/// Returns the hash of the call if it is not there.
#[inline(always)]
fn near<A: Args, O: Clone + Send + Sync + 'static>(
    local: &'static Local,
    task_fn: &'static TaskFn<A::Key, O>,
    args: &A,
) -> Result<NodeRef, u64> {
    let raw = task_fn.raw();
    if let Some(node) = local.predicted(|node| is_it::<A, O>(node, raw, args)) {
        return Ok(node);
    }
    let hash = hash_of(raw, args);
    local.cached(hash, |node| is_it::<A, O>(node, raw, args)).ok_or(hash)
}

/// Whether a node is that of a call.
#[inline(always)]
pub(crate) fn is_it<A: Args, O>(node: NodeRef, task_fn: &'static RawTaskFn, args: &A) -> bool {
    node.task_fn.is(task_fn) && {
        // SAFETY: the node's task function is this one, whose types are these.
        let key = unsafe { node.key::<A::Key, O>() };
        CachedTaskType::new(task_fn, key).eq_components(task_fn, args)
    }
}

/// Answers calls that the near part of the thread cache does not. A function of its own, so that the code of calls is short.
#[inline(never)]
fn beyond_near<A: Args, O>(
    local: &Local,
    task_fn: &'static RawTaskFn,
    hash: u64,
    args: A,
) -> (NodeRef, Then) {
    if local.has_far() {
        return from_far::<A, O>(local, task_fn, hash, args);
    }
    through_the_table::<A, O>(local, task_fn, hash, args)
}

/// The far part of the thread cache: apart from what follows, which needs more registers.
#[inline(never)]
fn from_far<A: Args, O>(local: &Local, task_fn: &'static RawTaskFn, hash: u64, args: A) -> (NodeRef, Then) {
    if let Some(node) = local.far(hash)
        && is_it::<A, O>(node, task_fn, &args)
        && node.state.is_fresh()
    {
        local.record_from_far(node);
        return (node, Then::HandOut);
    }
    through_the_table::<A, O>(local, task_fn, hash, args)
}

/// The read lock, with the types still known: all that a hit needs, and one copy of it per task function. Each register
/// that it saves is a store which the lock waits for, so what comes after a hit's path is left to another function.
#[inline(never)]
fn through_the_table<A: Args, O>(
    local: &Local,
    task_fn: &'static RawTaskFn,
    hash: u64,
    args: A,
) -> (NodeRef, Then) {
    let first = local.engine().table.first(hash);
    if let Some(node) = first
        && is_it::<A, O>(node, task_fn, &args)
        && node.state.is_fresh()
    {
        local.record_from_table(node);
        return (node, Then::HandOut);
    }
    beyond_a_hit::<A, O>(local, task_fn, hash, args, first)
}

/// The step that a call still needs once its node is known.
///
/// Bodies nest, so nothing may stay on the stack while one runs that is done with before: the arguments, the search and the
/// insertion are over when [`finish`] goes on with this.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    /// Nothing: the node holds the value, and has been recorded.
    HandOut,
    /// The node is new and claimed: its body is to be run.
    Run,
    /// The node is to be made fresh.
    Demand,
}

/// The table does not have the node, or not fresh, or another one of the same hash stands before it.
#[inline(never)]
fn beyond_a_hit<A: Args, O>(
    local: &Local,
    task_fn: &'static RawTaskFn,
    hash: u64,
    args: A,
    first: Option<NodeRef>,
) -> (NodeRef, Then) {
    let found = match first {
        Some(node) if is_it::<A, O>(node, task_fn, &args) => Some(node),
        Some(_) => local.engine().table.find(hash, |node| is_it::<A, O>(node, task_fn, &args)),
        None => None,
    };
    match found {
        Some(node) => {
            local.counters.memory_hit(node.function);
            (node, Then::Demand)
        }
        None => miss(local, task_fn, hash, &mut StackMagicAnySlot::new(args)),
    }
}

#[cold]
#[track_caller]
pub(crate) fn outside(task_fn: &RawTaskFn) -> ! {
    let name = task_fn.site.name;
    if task_fn.observe.is_some() {
        outside_of_session(
            format_args!("the source `{name}` was read outside of a session"),
            format_args!(""),
        )
    }
    outside_of_session(
        format_args!("task function `{}` was called outside of a session", task_fn.site.path),
        format_args!(
            ", or run its plain body by `{name}::uncached(..)`, a method's by `larder::ask(|| ..).uncached()`"
        ),
    )
}

/// Goes on when the read lock has not found the node: probes the store, then inserts.
fn miss(local: &Local, task_fn: &'static RawTaskFn, hash: u64, slot: &mut ArgsSlot<'_>) -> (NodeRef, Then) {
    let (phase, then) = if task_fn.is_async() {
        // The store and a cancellation are looked at when the future is first polled; its async run makes its own claim.
        (Phase::Empty, Then::Demand)
    } else {
        check_cancelled(local).unwrap_or_else(|stop| stop.throw());
        if let (Some(persistence), Some(_)) = (local.engine().persistence(), task_fn.stored) {
            return (stored::miss(local, persistence, task_fn, hash, slot), Then::HandOut);
        }
        (Phase::Running, Then::Run)
    };
    match insert(local, task_fn, hash, slot, phase) {
        Inserted::New(node) => {
            local.counters.of(node.function).misses.add(1);
            (node, then)
        }
        Inserted::Existing(node) => {
            local.counters.memory_hit(node.function);
            (node, Then::Demand)
        }
    }
}

/// Does what a call still needs. Returns the call's node, fresh and recorded as read.
#[inline(never)]
fn finish(local: &Local, node: NodeRef, then: Then) -> NodeRef {
    match then {
        Then::HandOut => node,
        Then::Run => run_new(local, node),
        Then::Demand => make_fresh(local, node),
    }
}

/// Runs the body of a node that has just been made and claimed.
#[inline(never)]
fn run_new(local: &Local, node: NodeRef) -> NodeRef {
    match execute_in_place(local, node) {
        Ok(()) => {
            local.record_new(node);
            node
        }
        Err(stop) => failed_new(local, node, stop),
    }
}

#[cold]
#[inline(never)]
fn failed_new(local: &Local, node: NodeRef, stop: Stop) -> NodeRef {
    let outcome = cycle::resume(local, node, stop);
    hand_out(local, node, outcome, true)
}

#[inline(never)]
fn make_fresh(local: &Local, node: NodeRef) -> NodeRef {
    let outcome = demand(local, node);
    hand_out(local, node, outcome, false)
}

/// Records the read of `node`, whatever came of it, and hands out the node that holds the value, or throws.
pub(crate) fn hand_out(
    local: &Local,
    node: NodeRef,
    outcome: Result<NodeRef, Stop>,
    is_new: bool,
) -> NodeRef {
    if is_new {
        local.record_new(node);
    } else {
        local.record_and_remember(node);
    }
    match outcome {
        Ok(holder) => holder,
        Err(stop) => stop.throw(),
    }
}

/// Finds the node of a call under the shard's read lock.
pub(crate) fn peek(
    local: &Local,
    task_fn: &'static RawTaskFn,
    hash: u64,
    slot: &ArgsSlot<'_>,
) -> Option<NodeRef> {
    local.engine().table.find(hash, |node| is_call(node, task_fn, slot))
}

pub(crate) fn is_call(node: NodeRef, task_fn: &'static RawTaskFn, slot: &ArgsSlot<'_>) -> bool {
    // SAFETY: the key is read only if the task functions are the same, so it is of the slot's key type.
    node.task_fn.is(task_fn) && unsafe { slot.get().matches(node.key_address()) }
}

/// The true miss: makes the node under the shard's write lock, in `phase` (if RUNNING, claimed by this strand), unless a
/// race was lost.
pub(crate) fn insert(
    local: &Local,
    task_fn: &'static RawTaskFn,
    hash: u64,
    slot: &mut ArgsSlot<'_>,
    phase: Phase,
) -> Inserted {
    if !slot.get().is_plain() {
        // Owning these arguments runs code of the user's, which must not happen under the lock.
        let mut inserted = None;
        on_enough_stack(|| {
            slot.with_key(&mut |slot| inserted = Some(insert_plain(local, task_fn, hash, slot, phase)));
        });
        return inserted.expect("`with_key` calls its closure once");
    }
    insert_plain(local, task_fn, hash, slot, phase)
}

fn insert_plain(
    local: &Local,
    task_fn: &'static RawTaskFn,
    hash: u64,
    slot: &mut ArgsSlot<'_>,
    phase: Phase,
) -> Inserted {
    let header = Header::new(task_fn, local.function(task_fn), hash, StateWord::new(phase));
    let is_claim = phase == Phase::Running;
    if is_claim {
        drop(stale_reads::take_for(&header.work, local.strand.get()));
    }
    let slot = std::cell::RefCell::new(slot);
    let inserted = local.engine().table.find_or_insert(
        hash,
        |node| is_call(node, task_fn, &slot.borrow()),
        // SAFETY: `call` pairs a descriptor with arguments of its own key type.
        || unsafe { NodeRef::allocate(task_fn, header, &mut slot.borrow_mut()) },
    );
    if let Inserted::New(node) = &inserted {
        local.add_node(*node);
    }
    if let (Inserted::New(node), true) = (&inserted, is_claim) {
        if local.begins_demand() {
            local.begin_demand();
        }
        local.claimed.borrow_mut().push(*node);
    }
    inserted
}

#[track_caller]
pub(crate) fn known<A: Args, O: Clone + Send + Sync + 'static>(
    task_fn: &'static TaskFn<A::Key, O>,
    args: A,
) -> Option<(&'static Local, NodeRef)> {
    let local = inside(task_fn.raw());
    let hash = hash_of(task_fn.raw(), &args);
    let node = peek(local, task_fn.raw(), hash, &StackMagicAnySlot::new(args))?;
    Some((local, node))
}

#[track_caller]
pub(crate) fn inside(task_fn: &RawTaskFn) -> &'static Local {
    let Some(local) = Local::current() else { outside(task_fn) };
    local
}
