//! Failures: demands by number, what a failed task is known by, and which claimed tasks a cycle or a cancellation has reached.

use std::cell::Ref;
use std::sync::Arc;

use crate::graph::depth::Depth;
use crate::graph::extra::Failure;
use crate::graph::failure::{CycleError, CycleHead, TaskError};
use crate::graph::node::NodeRef;
use crate::graph::stop::{Payload, Stop, Thrown};

use super::{Local, Poisoned, address_of};

impl Local {
    /// Numbers the outermost demand of this thread of control, uniquely among all.
    pub(crate) fn begin_demand(&self) {
        self.demand.set(self.demand.get().next_of(self.strand.get()));
        self.last_panic.take();
    }

    /// The error that a failed run of `node` is known by: a foreign panic is named after the innermost task.
    pub(crate) fn name_failure(&self, stop: &Stop, node: NodeRef) -> TaskError {
        let Stop::Panicked(payload) = stop else { return stop.error(node).passed(node) };
        let error = match self.named(payload) {
            Some(error) => error.passed(node),
            None => TaskError::of_panic(&***payload, node),
        };
        *self.last_panic.borrow_mut() = Some((address_of(payload), error.clone()));
        error
    }

    /// The name of a panic that began in a task further in. One that was caught on the way has another payload; should
    /// the next one lie in the same place, it says something else.
    fn named(&self, payload: &Payload) -> Option<TaskError> {
        let last = self.last_panic.borrow();
        let (address, error) = last.as_ref()?;
        (*address == address_of(payload) && error.says(&**payload)).then(|| error.clone())
    }

    /// The error that this thread's session ended with.
    pub(crate) fn take_failure(&self, stop: &Stop) -> TaskError {
        let named = if let Stop::Panicked(payload) = stop { self.named(payload) } else { None };
        self.last_panic.take();
        named.unwrap_or_else(|| stop.error("the session"))
    }

    /// A task on a cycle has no value, even if its body catches the error: its frame will fail again. Tasks that such a
    /// body asks for afterwards do not lie on this cycle.
    pub(crate) fn poison_cycle(&self, cycle: &Arc<CycleError>) {
        if self.lineage.borrow().is_some() {
            self.escaped.borrow_mut().push(cycle.clone());
        }
        let first = self.claimed.borrow().iter().position(|node| cycle.contains(*node)).map(Depth::new);
        if let Some(low) = first {
            self.poison_from(low, &TaskError::Cycle(cycle.clone()).into());
        }
    }

    /// A task was read that has failed in this demand. If its cycle closes at a task that is still claimed, all from there on
    /// lie on it, too: whether they do must not depend on the order in which the tasks of a cycle were asked for.
    ///
    /// The task at which it closes may have failed meanwhile, on a larger cycle that closes further out. For example, `a` has asked for
    /// `b`, `b` for `c`, and `c` for `b` and for `a`: `c` closes at `b`, and `b` at `a`. If `a` then asks for `d`, and `d` for `c`, `d` lies on the cycle.
    pub(crate) fn poison_through(&self, failure: &Failure) {
        let mut next = failure.head.filter(|_| matches!(failure.error, TaskError::Cycle(_)));
        // Each head stands further out than the last.
        while let Some(CycleHead { depth, node }) = next {
            if self.claimed.borrow().get(depth.index()) == Some(&node) {
                return self.poison_from(depth, &failure.error.clone().into());
            }
            next = node.extra().and_then(|extra| {
                let of_head = extra.failure.lock();
                of_head.as_ref().filter(|of_head| of_head.demand == failure.demand)?.head
            });
        }
    }

    /// Makes all claimed tasks from a depth on end with `stop`, whatever their bodies return.
    pub(crate) fn poison_from(&self, low: Depth, stop: &Stop) {
        let copy = || stop.copied().expect("panics poison no claims");
        let mut poisoned = self.poisoned.borrow_mut();
        let end = self.next_depth();
        // Each depth keeps its first error. Those that are poisoned already stand in a few ranges, however deep the claims are.
        let known = poisoned.partition_point(|known| known.depths.end <= low);
        let mut at = low;
        for mut known in poisoned.split_off(known) {
            let gap = at..known.depths.start;
            if !gap.is_empty() {
                poisoned.push(Poisoned { depths: gap, low, stop: copy() });
            }
            at = known.depths.end;
            known.low = known.low.min(low);
            poisoned.push(known);
        }
        if at < end {
            poisoned.push(Poisoned { depths: at..end, low, stop: copy() });
        }
    }

    /// Returns the depth at which the strand's next claim will stand.
    pub(crate) fn next_depth(&self) -> Depth {
        Depth::of_next(&self.claimed.borrow())
    }

    /// Returns the depth of the strand's innermost claim, which there has to be.
    pub(crate) fn depth(&self) -> Depth {
        Depth::of_last(&self.claimed.borrow()).expect("the strand has a claim")
    }

    /// The failure that has befallen the innermost claimed node, and its depth.
    fn innermost_poison(&self) -> Option<(Ref<'_, Poisoned>, Depth)> {
        let innermost = Depth::of_last(&self.claimed.borrow())?;
        let last = Ref::filter_map(self.poisoned.borrow(), |poisoned| poisoned.last()).ok()?;
        last.depths.contains(&innermost).then_some((last, innermost))
    }

    /// Where the cycle of the innermost claimed node closes, if that is further out.
    pub(crate) fn head_of_innermost(&self) -> Option<CycleHead> {
        let (poison, innermost) = self.innermost_poison()?;
        let depth = poison.low;
        (depth < innermost).then(|| CycleHead { depth, node: self.claimed.borrow()[depth.index()] })
    }

    /// An async run that the current strand waited for has thrown: the payload, to go on with here.
    pub(crate) fn take_over(&self, (stop, named): Thrown) -> Stop {
        *self.last_panic.borrow_mut() = named;
        match &stop {
            // The tasks of this strand that lie on the cycle have no value either.
            Stop::Failed(error) => {
                if let TaskError::Cycle(cycle) = &**error {
                    self.poison_cycle(cycle);
                }
            }
            stop if stop.is_given_up() => self.share_cancellation(),
            _ => {}
        }
        stop
    }

    /// An async run that the current strand waited for has been cancelled: what the tasks of this strand make of that, they cannot
    /// keep either, even if this strand never comes to look whether its own session is to end. The session is not touched.
    fn share_cancellation(&self) {
        self.poison_from(Depth::default(), &Stop::Cancelled);
        if self.lineage.borrow().is_some() {
            // Some of those tasks may wait for this strand to end.
            self.poison_all();
        }
    }

    /// The session of this thread is over: nothing that it still finishes is kept.
    pub(crate) fn poison_all(&self) {
        self.cancelled.set(true);
    }

    /// The part of the session that was cancelled has ended.
    pub(crate) fn end_cancellation(&self) {
        self.cancelled.set(false);
    }

    /// The error that the innermost claimed node must fail with, although its body has returned.
    pub(crate) fn poison_of_innermost(&self) -> Option<Stop> {
        if self.cancelled.get() {
            return Some(Stop::Cancelled);
        }
        self.innermost_poison().and_then(|(poison, _)| poison.stop.copied())
    }

    /// Returns the error that the innermost claimed node fails with, whose body has ended with `stop`.
    pub(crate) fn failure_of_innermost(&self, stop: &Stop, node: NodeRef) -> TaskError {
        match self.poison_of_innermost() {
            Some(poison) => poison.error(node),
            None => self.name_failure(stop, node),
        }
    }

    /// Ends the innermost claim, and its poison with it.
    pub(crate) fn pop_claim(&self, node: NodeRef) {
        let mut claimed = self.claimed.borrow_mut();
        let ended = claimed.pop();
        debug_assert_eq!(ended.map(NodeRef::address), Some(node.address()), "claims end in reverse order");
        let mut poisoned = self.poisoned.borrow_mut();
        if let Some(last) = poisoned.last_mut() {
            last.depths.end = last.depths.end.min(Depth::of_next(&claimed));
            if last.depths.is_empty() {
                poisoned.pop();
            }
        }
    }
}
