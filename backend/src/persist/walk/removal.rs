//! Removal: which tasks go with an input that is removed, of those that are only stored.
//!
//! When all that depends on the input has been marked, a second pass follows the lists of dependents from there, to tasks whose stored run
//! has read what it has come from; lists name tasks as well that have read it in an earlier run. Such a task goes
//! * if it has read the input: it would have to run if it were asked for;
//! * if its arguments name the input (`mentions`): it cannot be called any more;
//! * if it is a member of a component that goes, or a component with a member that does: none of them can be restored without the others.
//!
//! For example: `report(&doc)` has read `lines(&doc)`, which has read `doc`, and so has `longest()`. The records of `lines` and `report` go with
//! `doc`. The record of `longest` stays, marked stale: should a new `doc` be as the old one was, it holds. Memory is told of nodes that depend on the
//! input by the store alone, and decides about them.

use rustc_hash::FxHashSet;

use super::mentions::Mentions;
use super::{PendingChange, Walk, reads_are_stored_alone};
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use larder_storage::record::{TaskRecord, component_function, members_of};
use larder_storage::{Digest, Table, TaskKey};

/// The records that go with removed inputs.
#[derive(Default)]
pub(super) struct Removal {
    /// Inputs that go, and components that go with them.
    going: FxHashSet<Digest>,
    /// Their names, and those of tasks that cannot be called without them.
    mentions: Mentions,
    /// Tasks that go with them.
    gone: FxHashSet<Digest>,
    bereft: Bereft,
}

/// The nodes that depend on inputs that go, as far as only the store knows that.
#[derive(Default)]
pub(crate) struct Bereft {
    /// Those that have read them.
    pub(crate) readers: Vec<NodeRef>,
    /// Those that have read others that depend on them.
    pub(crate) others: Vec<NodeRef>,
}

/// How a task has come to the values of what a list of dependents says that it has read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stored {
    /// Its stored run has read it.
    Reader,
    /// An earlier run has.
    Before,
    /// Nothing is stored of it. Its list is there for what has read it.
    Nothing,
}

impl Walk<'_> {
    /// An input goes.
    pub(crate) fn input_that_goes(&mut self, key: Digest, name: &str) {
        self.removal.going.insert(key);
        self.removal.mentions.add_input(name);
        self.leaf_anew(key);
    }

    /// Nodes that depend on inputs that go, as far as only the store knows that.
    pub(crate) fn take_bereft(&mut self) -> Bereft {
        std::mem::take(&mut self.removal.bereft)
    }

    /// Removes these records. A list that cannot be read keeps what it names.
    pub(super) fn remove(&mut self) {
        let mut queue: Vec<Digest> = self.removal.going.iter().copied().collect();
        let mut met = FxHashSet::default();
        let mut dependents = Vec::new();
        while let Some(target) = queue.pop() {
            dependents.clear();
            self.read(target, &mut dependents);
            for task in dependents.drain(..) {
                if !met.contains(&task) && self.depends(task, target) {
                    met.insert(task);
                    queue.push(task.0);
                }
            }
        }
    }

    /// Looks at a dependent of something that goes, or that depends on that. Returns whether it does so, too, and the store may name others that depend on it.
    fn depends(&mut self, task: TaskKey, target: Digest) -> bool {
        let is_reader = self.removal.going.contains(&target);
        let Some(node) = self.persistence.nodes.get(task.0) else {
            return self.depends_alone(task, target, is_reader);
        };
        if !reads_are_stored_alone(node) {
            let explored = Persisted::of(node).map(|persisted| persisted.explored);
            return !node.state.is_fresh() && explored != Some(self.exploration);
        }
        // One without a value may have reads in memory, which have been seen to.
        let depends = self.stored(task, target) != Stored::Before;
        if depends {
            let bereft = &mut self.removal.bereft;
            if is_reader { &mut bereft.readers } else { &mut bereft.others }.push(node);
        }
        depends
    }

    /// Does so for a dependent that is stored alone.
    fn depends_alone(&mut self, task: TaskKey, target: Digest, is_reader: bool) -> bool {
        // A twin is found by what is stored.
        if !self.persistence.nodes.twins(task.0).is_empty() {
            return false;
        }
        match self.stored(task, target) {
            Stored::Nothing => return true,
            Stored::Before => return false,
            Stored::Reader => {}
        }
        if self.names_what_goes(task) {
            // A handle to it cannot be had again either.
            self.removal.mentions.add_task(task.0);
            self.remove_task(task);
        } else if is_reader {
            self.remove_task(task);
        }
        true
    }

    fn stored(&self, task: TaskKey, target: Digest) -> Stored {
        let store = &self.persistence.store;
        let known = self.persistence.pending.known(store, task, |_| true);
        let Some(current) = known.as_ref().and_then(|known| known.traces.first()) else {
            return Stored::Nothing;
        };
        let mut has_read = false;
        let all = current.for_each_read(store, task, |read| has_read |= read.key == target);
        if has_read && all.is_ok() { Stored::Reader } else { Stored::Before }
    }

    /// Whether the arguments of a stored task, or those of a member of a component, name something that goes.
    fn names_what_goes(&self, task: TaskKey) -> bool {
        let Removal { mentions, gone, .. } = &self.removal;
        let mut buffer = Vec::new();
        let payload = self.persistence.store.get(Table::Tasks, &task.to_bytes(), &mut buffer);
        let Some(Ok(record)) = payload.map(TaskRecord::decode) else { return false };
        let mut members = members_of(record.encoded_key).into_iter().flatten();
        mentions.are_in(record.encoded_key)
            || members.any(|member| gone.contains(&member.0) || self.names_what_goes(member))
    }

    /// The record of a task goes; its dependents are found by the list that stays.
    fn remove_task(&mut self, task: TaskKey) {
        if !self.removal.gone.insert(task.0) {
            return;
        }
        let known = self.persistence.pending.known(&self.persistence.store, task, |_| true);
        if known.is_some_and(|known| known.origin.function == Some(component_function())) {
            self.removal.going.insert(task.0);
        }
        if self.seen.insert(task.0) {
            // Should the group be refused, the mark goes with the next one.
            self.stale(task.0);
        }
        self.group.remove_task(task);
        self.changes.push((task.0, PendingChange::Removed));
    }
}
