//! Node wait: one wait for a node, in pieces: what a `TaskCall` is when it is no hit.
//!
//! A node wait looks at the node's state at every poll, and does what its phase asks for: launches an async run, takes a seat in
//! one, registers with the lot if a thread computes the node, or takes the value. From its first poll on it holds the gate, and
//! its strand is registered in the wait graph. Dropping it undoes all of that.

use std::marker::PhantomData;
use std::task::Waker;

use crate::context::async_runs::Seat;
use crate::context::cancelled::{check_cancelled, check_process};
use crate::context::engine::{Engine, Hold};
use crate::context::local::Local;
use crate::evaluate::apart::run_apart;
use crate::evaluate::async_run::try_launch;
use crate::evaluate::call_box::{CallBox, MakeCall};
use crate::evaluate::demand::{Patience, Waited, block, demand, failed_in_this_demand, failed_meanwhile};
use crate::evaluate::lookup::hand_out;
use crate::graph::claim::Phase;
use crate::graph::flags::Flags;
use crate::graph::held::Held;
use crate::graph::node::NodeRef;
use crate::graph::stop::Stop;
use crate::graph::strand_id::StrandId;

/// The outcome of a poll.
pub(crate) enum Asked {
    /// The waker is woken when to ask again.
    Waits,
    /// The node that holds the value: the one asked for, or a twin.
    Holds(NodeRef),
    Failed(Stop),
}

/// One wait for a node.
pub(crate) struct NodeWait {
    node: NodeRef,
    hold: Option<Hold>,
    seat: Option<Seat>,
    /// The strand that is registered as waiting, if one is.
    registered: Option<StrandId>,
    /// Whether the async run in the node wait's own box has begun.
    has_launched: bool,
}

impl NodeWait {
    pub(crate) fn new(node: NodeRef) -> Self {
        Self { node, hold: None, seat: None, registered: None, has_launched: false }
    }

    pub(crate) fn node(&self) -> NodeRef {
        self.node
    }

    /// The engine whose gate it holds, once it does.
    pub(crate) fn engine(&self) -> Option<&Engine> {
        self.hold.as_ref().map(|hold| &**hold.engine())
    }

    /// Asks, on behalf of the current strand of `local`. `own` is the box in which the node wait stands, if its async run may be used.
    pub(crate) fn poll(&mut self, local: &Local, waker: &Waker, own: Option<&CallBox>) -> Asked {
        let node = self.node;
        if local.begins_demand() && self.hold.is_none() {
            local.begin_demand();
        }
        loop {
            match node.state.phase() {
                Phase::Fresh => {
                    self.stop_waiting();
                    return Asked::Holds(node);
                }
                phase @ (Phase::Empty | Phase::Stale) => {
                    if let Some(stop) = self.failure(local) {
                        return Asked::Failed(stop);
                    }
                    if let Some(error) = failed_in_this_demand(local, node) {
                        return Asked::Failed(error.into());
                    }
                    if let Err(stop) = check_cancelled(local) {
                        return Asked::Failed(stop);
                    }
                    if !(node.task_fn.is_async() || node.task_fn.heavy) || node.flag(Flags::RESOLVED) {
                        return match demand(local, node) {
                            Ok(holder) => Asked::Holds(holder),
                            Err(stop) => Asked::Failed(stop),
                        };
                    }
                    let own = own.filter(|_| !self.has_launched);
                    if let Some(seat) = try_launch(local, node, phase, own) {
                        self.has_launched |= own.is_some();
                        self.seat = Some(seat);
                    }
                }
                Phase::Running => {
                    if let Some(asked) = self.wait(local, waker) {
                        return asked;
                    }
                }
            }
        }
    }

    /// Waits for a claimed node; `None` if it is worth another look.
    fn wait(&mut self, local: &Local, waker: &Waker) -> Option<Asked> {
        let node = self.node;
        if let Err(stop) = check_cancelled(local) {
            self.stop_waiting();
            return Some(Asked::Failed(stop));
        }
        if let Some(asked) = self.register(local) {
            self.stop_waiting();
            return Some(asked);
        }
        // The node wait that launched the async run has a seat.
        if self.seat.is_none() {
            if let Err(stop) = check_process(local.engine()) {
                self.stop_waiting();
                return Some(Asked::Failed(stop));
            }
            self.seat = local.engine().async_runs.of(node).and_then(Seat::take);
        }
        let Some(Seat { async_run, seat }) = &self.seat else {
            let waits = node.state.wait_with(&local.engine().lot, node.address(), waker);
            return if waits { Some(waits_unless_cancelled(local)) } else { None };
        };
        if !async_run.clone().poll(*seat, waker) {
            return Some(waits_unless_cancelled(local));
        }
        if node.state.phase() == Phase::Running {
            // Another strand has begun a new execution: the async run that this node wait waited for does not say anything about that.
            return self.failure(local).map(Asked::Failed);
        }
        None
    }

    /// Ends a wait, if there was one; the failure that it ended with.
    fn failure(&mut self, local: &Local) -> Option<Stop> {
        let waited = self.registered.is_some();
        let thrown = self.seat.as_ref().and_then(|seat| seat.async_run.take_failure());
        self.stop_waiting();
        if !waited {
            return None;
        }
        match thrown {
            Some(thrown) => Some(local.take_over(thrown)),
            None => failed_meanwhile(local, self.node).map(Stop::from),
        }
    }

    /// Registers the current strand as waiting, if it is not yet.
    fn register(&mut self, local: &Local) -> Option<Asked> {
        if self.hold.is_none() {
            self.hold = Some(Hold::join(local.engine_arc()));
        }
        if let Some(registered) = self.registered {
            if registered == local.strand.get() {
                return None;
            }
            self.unregister();
        }
        match block(local, self.node, Patience::GivesWay) {
            Ok(Waited::Over) => {
                self.registered = Some(local.strand.get());
                None
            }
            Ok(Waited::Never) => Some(match run_apart(local, self.node) {
                Ok(twin) => Asked::Holds(twin),
                Err(stop) => Asked::Failed(stop),
            }),
            Err(stop) => Some(Asked::Failed(stop)),
        }
    }

    fn unregister(&mut self) {
        if let (Some(registered), Some(hold)) = (self.registered.take(), &self.hold) {
            hold.engine().waits.unblock(registered, self.node);
        }
    }

    fn stop_waiting(&mut self) {
        self.unregister();
        self.seat = None;
    }
}

/// The waker stands where a cancellation looks for it from now on; one that came before has not seen it.
fn waits_unless_cancelled(local: &Local) -> Asked {
    match check_cancelled(local) {
        Ok(()) => Asked::Waits,
        Err(stop) => Asked::Failed(stop),
    }
}

impl Drop for NodeWait {
    fn drop(&mut self) {
        self.stop_waiting();
    }
}

/// The outcome of calling an async task function.
pub enum Called<O> {
    /// The value was in memory.
    Hit(O),
    /// It has to be computed, or waited for.
    Miss(Pending<O>),
}

/// An async call that was no hit. Nothing has begun before the first poll.
pub struct Pending<O> {
    call_box: CallBox,
    output: PhantomData<fn() -> O>,
}

impl<O: Clone + Send + Sync + 'static> Pending<O> {
    /// A wait for a node whose output type is `O`: that of a call, or of a handle, which is kept.
    #[inline(never)]
    pub(crate) fn new(local: &Local, node: NodeRef, handle: Option<Held>) -> Self {
        Self { call_box: CallBox::new(local, node, handle), output: PhantomData }
    }

    /// A call that is looked up when it is first polled.
    pub(crate) fn written(name: &'static str, make: MakeCall<O>) -> Self {
        Self { call_box: CallBox::written(name, make), output: PhantomData }
    }

    /// Goes on with the call: the value, if there is one now; else `waker` is woken when to come again.
    ///
    /// # Panics
    /// Panics as a call of a sync task function does; outside of the session that the call was made in.
    #[track_caller]
    pub fn poll(&mut self, waker: &Waker) -> Option<O> {
        if self.call_box.is_written()
            && let Some(value) = self.make()
        {
            return Some(value);
        }
        self.poll_with(waker, O::clone)
    }

    /// Goes on as [`poll`](Self::poll) does with a call that was looked up, and lends the value to `read` instead of cloning it.
    #[track_caller]
    pub(crate) fn poll_with<R>(&mut self, waker: &Waker, read: impl FnOnce(&O) -> R) -> Option<R> {
        let Some(local) = Local::current() else { lost() };
        let Some((node, asked)) = self.call_box.poll(local, waker) else { lost() };
        let outcome = match asked {
            Asked::Waits => return None,
            Asked::Holds(holder) => Ok(holder),
            Asked::Failed(stop) => Err(stop),
        };
        let holder = hand_out(local, node, outcome, false);
        // SAFETY: 1. the constructors' callers vouch for the type; 2. the node is FRESH in the session that is open here, or a
        // twin of it; 3. the session cannot end while `read` runs.
        Some(read(unsafe { holder.value_by_type::<O>() }))
    }

    /// Looks a written call up: the value, if it is a hit; else this has become a wait.
    #[cold]
    #[track_caller]
    fn make(&mut self) -> Option<O> {
        let local = Local::current();
        // SAFETY: only `written` makes such a box, for this type.
        let (name, make) = unsafe { self.call_box.take_written::<O>() };
        let Some(local) = local else { written_outside(name) };
        match make.expect("a call that was a hit is not polled again")(local) {
            Called::Hit(value) => Some(value),
            Called::Miss(pending) => {
                *self = pending;
                None
            }
        }
    }
}

#[cold]
#[track_caller]
fn written_outside(name: &str) -> ! {
    panic!(
        "an async call of `{name}` was awaited outside of a session; await it in `runtime.run_async(..)`, or, in a future that a task \
         or a session spawns, in `larder::current().future(..)`"
    )
}

#[cold]
#[track_caller]
fn lost() -> ! {
    panic!(
        "an async call was awaited outside of the session that it was made in, or by a future that was spawned without its task; \
         await it in `runtime.run_async(..)`, or wrap the spawned future by `larder::current().future(..)`"
    )
}
