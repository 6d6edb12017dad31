//! Explain: what is recorded of a task, brought together with what the graph and the store know of it now.

use std::sync::Arc;

use crate::context::engine::Engine;
use crate::context::local::{Local, Naming};
use crate::entry::explanation::{Confirmation, Explanation, State, Step, Storing};
use crate::evaluate::handle::Task;
use crate::graph::cause::{Cause, Happening, Outcome};
use crate::graph::claim::Phase;
use crate::graph::node::NodeRef;
use crate::graph::reason::Reason;
use crate::graph::task_name::{TaskId, TaskRef};
use crate::graph::trail::{Record, Trail};

/// The most steps of an explanation.
const STEPS: usize = 1000;

/// How many reads are told on the way to the reason why a task is not stored.
const THROUGH: usize = 64;

impl Engine {
    /// Lets time pass.
    pub fn advance_clock(&self, time: std::time::Duration) {
        self.clock.advance(time);
    }

    /// Explains the last run of a task, given a handle to it, in a session.
    ///
    /// # Panics
    /// If the handle is to a task of another runtime.
    #[track_caller]
    pub fn explain<T>(self: &Arc<Self>, task: &Task<T>) -> Explanation {
        let (engine, node) = task.place();
        assert_eq!(engine, self.id, "the task belongs to another runtime");
        self.run(None, || explain(&Local::of(self), node))
    }
}

/// Explains the last run of a task of the session that is open.
pub(crate) fn explain(local: &Local, node: NodeRef) -> Explanation {
    // Names are printed by the user's code, which belongs to no task.
    let _no_session = Naming::begin();
    let records_causes = local.engine().observers.records();
    let (trail, task) = (Trail::of(node), TaskRef::to(node).id());
    let state = state_of(node);
    let (steps, omitted) = match &trail.last {
        Some(last) => steps(&task, last),
        None if records_causes && state != State::NoValue => (vec![first_run(&task)], 0),
        None => (Vec::new(), 0),
    };
    let asks_for_code =
        steps.first().is_none_or(|step| matches!(step.happened, Happening::Ran(Cause::First)));
    let persistence = local.engine().persistence().filter(|_| asks_for_code);
    let other_code = persistence.map(|persistence| persistence.other_code(node)).unwrap_or_default();
    let verified = trail.verified.map(|verified| Confirmation {
        update: verified.update,
        at: verified.at,
        cut_off: names(&verified.cut_off),
    });
    let stored = storing(local, node, state);
    let is_told_here = steps.first().is_some_and(|step| step.happened != Happening::Restored);
    let persistence = local.engine().persistence();
    let earlier =
        persistence.filter(|_| !is_told_here).and_then(|persistence| persistence.earlier_run(node, STEPS));
    let shared = persistence.and_then(|persistence| persistence.shared_origin(node));
    Explanation { task, state, records_causes, steps, omitted, verified, stored, shared, earlier, other_code }
}

pub(crate) fn state_of(node: NodeRef) -> State {
    match node.state.phase() {
        Phase::Fresh => State::Current,
        Phase::Stale => State::Stale,
        Phase::Running => State::Running,
        Phase::Empty => State::NoValue,
    }
}

/// A first run is not recorded.
fn first_run(task: &TaskId) -> Step {
    Step {
        task: task.clone(),
        happened: Happening::Ran(Cause::First),
        outcome: Outcome::New,
        update: None,
        at: None,
        before: None,
        after: None,
        cut_off: Vec::new(),
    }
}

/// The chain of records from one down to the first cause, and how many are left out before the last one.
fn steps(task: &TaskId, last: &Arc<Record>) -> (Vec<Step>, usize) {
    let (mut steps, mut omitted) = (vec![step(task.clone(), last)], 0);
    let mut next = last.because.as_ref();
    while let Some(record) = next {
        next = record.because.as_ref();
        if steps.len() + 1 >= STEPS && next.is_some() {
            omitted += 1;
        } else if let Some(name) = record.name() {
            steps.push(step(name.clone(), record));
        }
    }
    (steps, omitted)
}

fn step(task: TaskId, record: &Record) -> Step {
    let is_known = !matches!(record.happened, Happening::Differs);
    Step {
        task,
        happened: record.happened.clone(),
        outcome: record.outcome,
        update: is_known.then_some(record.update),
        at: is_known.then_some(record.at),
        before: record.before,
        after: record.after,
        cut_off: names(&record.cut_off),
    }
}

fn names(records: &[Arc<Record>]) -> Vec<TaskId> {
    records.iter().filter_map(|record| record.name().cloned()).collect()
}

fn storing(local: &Local, node: NodeRef, state: State) -> Storing {
    let Some(persistence) = local.engine().persistence() else { return Storing::NoStore };
    if node.is_stored() {
        return Storing::Stored;
    }
    if state != State::Current {
        if node.task_fn.volatile && node.task_fn.stored.is_some() {
            return Storing::NotStored { reason: Some(Reason::DoesNotLast), through: Vec::new() };
        }
        return Storing::Unknown;
    }
    let mut way = persistence.way_to_unstored(node);
    way.truncate(THROUGH);
    let reason = persistence.why_not_stored(way.last().copied().unwrap_or(node));
    Storing::NotStored { reason, through: way.into_iter().map(|read| TaskRef::to(read).id()).collect() }
}
