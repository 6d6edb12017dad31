//! The bound on rounds: how they end when a value has changed too often, and what the failure says then.
//!
//! A failure names the task, its last two values, and the first of its reads that made the difference. Values are printed while the rounds
//! that hold them are under way, and only in the last two changes before the bound: cycles that settle earlier print none.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::parting;
use super::rounds::{Halt, Rounds};
use crate::base::stack::on_enough_stack;
use crate::context::component::{Component, Member};
use crate::evaluate::determinism::fingerprint_of;
use crate::graph::failure::{FixpointError, TaskError, ValueChange};
use crate::graph::node::NodeRef;
use larder_storage::Fingerprints;

/// In so many changes before the bound values are compared with those of the first rounds. Values of a ring of so many tasks are seen to
/// go round.
const COMPARED: u32 = 16;

/// In so many changes before the bound the values of all members are printed.
const PRINTED: u32 = 2;

impl Rounds<'_> {
    /// Whether a value that has changed is that of round 0 or 1. Asked of the last changes before the bound only: it is for the text
    /// of the error.
    pub(super) fn is_back(&self, number: usize, now: NodeRef) -> Result<bool, Halt> {
        let early = self.with(|component| {
            let member = &component.members[number];
            let first = member.first.as_ref().map(|run| run.twin);
            if is_near(member, COMPARED) { [member.initial, first] } else { [None; 2] }
        })?;
        for early in early.into_iter().flatten() {
            if self.same(early, now)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Notes how a value changes, if a member is near its bound.
    pub(super) fn note_change(&self, number: usize, before: NodeRef, now: NodeRef) -> Result<(), Halt> {
        let near =
            |component: &mut Component| component.members.iter().any(|member| is_near(member, PRINTED));
        if !self.with(near)? {
            return Ok(());
        }
        let change = ValueChange { before: printed(before), after: printed(now) };
        self.with(|component| component.note_change(number, change))
    }

    /// If a value has changed in too many rounds, there are no more: what does not settle leaves, or all fail if nothing has settled.
    /// Returns whether that is so.
    pub(super) fn bound(&self, due: &[usize]) -> Result<bool, Halt> {
        let is_over = self.with(|component| {
            let exceeds = |number: &usize| {
                let member = &component.members[*number];
                let rounds = member.node.task_fn.rounds().filter(|rounds| member.changes > *rounds);
                rounds.map(|rounds| (*number, rounds))
            };
            let exceeding: Vec<_> = due.iter().filter_map(exceeds).collect();
            if exceeding.is_empty() {
                return false;
            }
            let leaving = parting::unsettled(component);
            if leaving.contains(&false) {
                component.leaving = leaving;
                return true;
            }
            for (number, rounds) in exceeding {
                let error = failure_of(component, number, rounds);
                component.fail(TaskError::NoFixpoint(Arc::new(error)), None);
            }
            true
        })?;
        self.check()?;
        Ok(is_over)
    }
}

/// Whether the value of a member may change in no more than `changes` rounds before it is over.
fn is_near(member: &Member, changes: u32) -> bool {
    member.node.task_fn.rounds().is_some_and(|rounds| member.changes + changes > rounds)
}

/// Returns the failure of a member that has changed in this round, and in so many before.
fn failure_of(component: &Component, number: usize, rounds: u32) -> FixpointError {
    let member = &component.members[number];
    let round = component.round;
    // It has read what fixpoint tasks came to in the round before, and what others have come to in this one.
    let change_of =
        |read: &Member| read.change_in(if read.is_fixpoint() { round - 1 } else { round }).cloned();
    let reads = component.read_members(number).into_iter().map(|read| &component.members[read]);
    let because = reads.into_iter().find_map(|read| Some((read.node, change_of(read)?)));
    let change = member.change_in(round).cloned().unwrap_or_default();
    let path = path_through(component, number);
    FixpointError::new(&path, rounds, member.goes_round).explained(change, because)
}

/// A shortest cycle of reads through a member, which comes first.
fn path_through(component: &Component, number: usize) -> Vec<NodeRef> {
    let mut from = vec![None; component.members.len()];
    let mut queue = std::collections::VecDeque::from([number]);
    'search: while let Some(at) = queue.pop_front() {
        for read in component.read_members(at) {
            if read == number {
                from[number] = Some(at);
                break 'search;
            }
            if from[read].is_none() {
                from[read] = Some(at);
                queue.push_back(read);
            }
        }
    }
    let mut path = Vec::new();
    let mut at = from[number];
    while let Some(member) = at.filter(|member| *member != number) {
        path.push(component.members[member].node);
        at = from[member];
    }
    path.push(component.members[number].node);
    path.reverse();
    path
}

/// Returns an output as text: by its `Debug`, or by its fingerprint. It runs the user's code, on a twin that the component holds.
fn printed(twin: NodeRef) -> Option<String> {
    if !twin.task_fn.shows() {
        // Values of a function whose arguments are not to be told are not told either.
        let print = twin.task_fn.describe.and_then(|_| fingerprint_of(Fingerprints::Xxh3, twin));
        return print.map(|print| format!("#{print:.8}"));
    }
    let print = || Shown(twin).to_string();
    let printed = on_enough_stack(|| catch_unwind(AssertUnwindSafe(print)));
    Some(printed.unwrap_or_else(|_| "<a panic in Debug>".to_owned()))
}

struct Shown(NodeRef);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: a twin of the function's own, which holds an output that no strand changes.
        unsafe { self.0.task_fn.show(self.0, f) }
    }
}
