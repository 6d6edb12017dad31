//! Trails: what is recorded of a node for explanations, if causes are recorded.
//!
//! A [`Record`] is one run, or one change of an input, and never changes. It points at the record of the read that has caused it, so it
//! stays true when that read runs again later, or goes: the chain of records from a task down to an input is that of its own run. For
//! example, `page` ran because `title` had changed, which ran because the file had. Later `title` runs again and is cut off: its last
//! record is another one then, but `page` still points at the one in which it changed.
//!
//! A node keeps its last record and the one in which its value last changed. First runs have none: they are most, and say nothing. So the
//! memory for records is bounded by the number of tasks that have run more than once, and by the depth of what they read.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::graph::cause::{Cause, Happening, Outcome};
use crate::graph::epoch::Epoch;
use crate::graph::node::NodeRef;
use crate::graph::task_name::{Fingerprint, TaskId, TaskRef};

/// One thing that has happened to a node.
#[derive(Debug)]
pub(crate) struct Record {
    name: OnceLock<TaskId>,
    pub(crate) happened: Happening,
    pub(crate) outcome: Outcome,
    /// The number of updates until then.
    pub(crate) update: u64,
    pub(crate) epoch: Epoch,
    pub(crate) at: SystemTime,
    pub(crate) before: Option<Fingerprint>,
    pub(crate) after: Option<Fingerprint>,
    /// The change of the read that has caused it.
    pub(crate) because: Option<Arc<Record>>,
    /// Reads before that one which had run, and come to equal values.
    pub(crate) cut_off: Vec<Arc<Record>>,
}

impl Record {
    /// A record without causes and fingerprints.
    pub(crate) fn new(happened: Happening, outcome: Outcome, update: u64, epoch: Epoch) -> Self {
        let (name, at) = (OnceLock::new(), SystemTime::now());
        let (before, after, because, cut_off) = (None, None, None, Vec::new());
        Self { name, happened, outcome, update, epoch, at, before, after, because, cut_off }
    }

    /// The name of the node, if a record points at this one.
    pub(crate) fn name(&self) -> Option<&TaskId> {
        self.name.get()
    }

    /// Prints the name of the node. Runs the user's `Debug`, under no lock.
    fn named(&self, node: NodeRef) {
        if self.name.get().is_none() {
            // Another thread may have been faster, with the same.
            drop(self.name.set(TaskRef::to(node).id()));
        }
    }

    /// A record of a source or an input that only the store knows, and that differs from what a stored run has read.
    pub(crate) fn of_stored(name: TaskId, epoch: Epoch) -> Self {
        let mut record = Self::new(Happening::Differs, Outcome::New, 0, epoch);
        record.name = name.into();
        record
    }
}

/// A chain of records may be as long as the graph is deep.
impl Drop for Record {
    fn drop(&mut self) {
        let mut left: Vec<Arc<Self>> =
            self.because.take().into_iter().chain(self.cut_off.drain(..)).collect();
        while let Some(record) = left.pop() {
            if let Some(mut record) = Arc::into_inner(record) {
                left.extend(record.because.take());
                left.append(&mut record.cut_off);
            }
        }
    }
}

/// A verification that has ended well.
#[derive(Clone, Debug)]
pub(crate) struct Confirmed {
    pub(crate) update: u64,
    pub(crate) at: SystemTime,
    /// Reads that had run, and come to equal values.
    pub(crate) cut_off: Vec<Arc<Record>>,
}

/// The records of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail {
    /// Of its last run, or what else has given it its value.
    pub(crate) last: Option<Arc<Record>>,
    /// Of the last time that its value has changed.
    change: Option<Arc<Record>>,
    /// Its last verification, if that came later than its last run.
    pub(crate) verified: Option<Confirmed>,
    /// The change because of which its component was dissolved, if it has not run since.
    pub(crate) dissolved: Option<Arc<Record>>,
}

impl Trail {
    /// Returns the records of a node.
    pub(crate) fn of(node: NodeRef) -> Self {
        let trail = node.extra().and_then(|extra| extra.trail.get());
        trail.map_or_else(Self::default, |trail| trail.lock().clone())
    }

    /// Whether something is recorded of a node.
    pub(crate) fn is_of(node: NodeRef) -> bool {
        node.extra().is_some_and(|extra| extra.trail.get().is_some())
    }

    fn change(node: NodeRef, change: impl FnOnce(&mut Self)) {
        let trail = node.extra_or_insert().trail.get_or_insert(Mutex::default);
        let mut changed = Self::of(node);
        change(&mut changed);
        // Dropped when the lock has been given back.
        let before = std::mem::replace(&mut *trail.lock(), changed);
        drop(before);
    }

    /// Adds what has happened to a node, whose claim is held, or the gate exclusively.
    pub(crate) fn add(node: NodeRef, record: Record) {
        let record = Arc::new(record);
        let changes = matches!(record.outcome, Outcome::New | Outcome::Changed | Outcome::Failed);
        Self::change(node, |trail| {
            if changes {
                trail.change = Some(record.clone());
            }
            trail.last = Some(record);
            (trail.verified, trail.dissolved) = (None, None);
        });
    }

    /// Notes that a node has been verified. Its claim is held.
    pub(crate) fn confirm(node: NodeRef, confirmed: Confirmed) {
        Self::change(node, |trail| trail.verified = Some(confirmed));
    }

    /// Notes the change because of which the component of a node is dissolved. Its claim is held.
    pub(crate) fn dissolve(node: NodeRef, because: &Arc<Record>) {
        Self::change(node, |trail| trail.dissolved = Some(because.clone()));
    }

    /// Returns the record of the last change of a node that another record is to point at: with its name. One is made up if there is none.
    pub(crate) fn point_at(node: NodeRef, epoch: Epoch) -> Arc<Record> {
        let recorded = Self::of(node).change;
        let record = recorded.unwrap_or_else(|| {
            let is_leaf = node.task_fn.is_leaf() || node.task_fn.observe.is_some();
            let happened = if is_leaf { Happening::Differs } else { Happening::Ran(Cause::First) };
            Arc::new(Record::new(happened, Outcome::New, 0, epoch))
        });
        record.named(node);
        record
    }

    /// Returns the record of the failure of a node in this epoch, if that has another reason than an earlier failure: a read has changed.
    pub(crate) fn fails_because(node: NodeRef, epoch: Epoch) -> Option<Arc<Record>> {
        let last = Self::of(node).last?;
        (last.outcome == Outcome::Failed && last.epoch == epoch && last.because.is_some()).then_some(last)
    }

    /// Returns the record of why a node is not what it was for a reader that ran before: its failure in this epoch, or its last change; with its
    /// name.
    pub(crate) fn point_at_reason(node: NodeRef, epoch: Epoch) -> Arc<Record> {
        match Self::fails_because(node, epoch).filter(|_| !node.state.is_fresh()) {
            Some(failure) => {
                failure.named(node);
                failure
            }
            None => Self::point_at(node, epoch),
        }
    }

    /// Returns the record of the last run of a node if that came to an equal value, in this epoch: with its name.
    pub(crate) fn point_at_cut_off(node: NodeRef, epoch: Epoch) -> Option<Arc<Record>> {
        let last = Self::of(node).last?;
        let is_cut_off = matches!(last.outcome, Outcome::CutOff | Outcome::Held) && last.epoch == epoch;
        is_cut_off.then(|| {
            last.named(node);
            last
        })
    }
}
