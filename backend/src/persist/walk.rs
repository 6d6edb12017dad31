//! The walk after a change: everything stale that depends on it, in memory and in the store, until nothing new is found.
//!
//! The two worlds meet in nodes of task functions that are stored:
//! * a node that is marked in memory goes on with the dependents that the store knows of it;
//! * a stored dependent that is in memory as RESTORED (its reads are known to the store alone), or without a value, is marked
//!   there, and goes on in memory. One that has run in this process knows its reads itself: memory decides about it.
//!
//! *What is not looked up.* To find the stored dependents of each node that is marked costs far more than to mark it. So a node of
//! which the store names no dependent that memory does not mark itself is noted as *explored*, and not looked up again in
//! this exploration. For example: an input with 300,000 readers, all of which have run in this process, is looked up by the first
//! update that changes it, and so are its readers; later updates mark in memory, and add one key for each to the group.
//!
//! All marks go into the group of the change. If that is refused, they go with the next one that is accepted, and no leaf is
//! stored before. Tasks that are stale already are walked through as well: what has been
//! verified in memory alone may be current behind one that the store calls stale.
//!
//! If some dependents turn out to be lost, the store is *distrusted* from then on: no stored task is valid in this process
//! before its reads have been verified, and all of them are marked stale for the processes to come.

mod mentions;
mod removal;

use std::sync::atomic::Ordering::Relaxed;

use rustc_hash::FxHashSet;

pub(crate) use self::removal::Bereft;
use self::removal::Removal;
use super::{PendingChange, Persistence};
use crate::graph::claim::Phase;
use crate::graph::flags::Flags;
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use larder_storage::record::{Incomplete, read_dependents};
use larder_storage::{Digest, Group, ReadFailure, Table, TaskKey, Visit};

/// The effect on nodes that the store knows to depend on the change.
pub(crate) trait MarkInMemory {
    /// Makes a node stale whose reads are known to the store alone; appends all nodes that are newly stale because of that, itself among them.
    fn mark(&mut self, node: NodeRef, reached: &mut Vec<NodeRef>);
}

/// A walk, with the group that its marks go into.
pub(crate) struct Walk<'a> {
    persistence: &'a Persistence,
    pub(crate) group: Group,
    changes: Vec<(Digest, PendingChange)>,
    seen: FxHashSet<Digest>,
    /// Whose dependents are to be found.
    queue: Vec<Digest>,
    /// The records that go with removed inputs.
    removal: Removal,
    /// Components that were marked because a member was.
    components: FxHashSet<Digest>,
    is_complete: bool,
    /// Nodes are marked when no session is open any more.
    pub(crate) is_early: bool,
    /// Nodes that were explored in it need not be looked up.
    exploration: u32,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(persistence: &'a Persistence) -> Self {
        Self {
            persistence,
            group: persistence.group(),
            changes: Vec::new(),
            seen: FxHashSet::default(),
            queue: Vec::new(),
            removal: Removal::default(),
            components: FxHashSet::default(),
            is_complete: true,
            is_early: false,
            exploration: persistence.nodes.exploration(),
        }
    }

    /// Begins with a leaf that has changed, and whose readers in memory are marked.
    pub(crate) fn leaf(&mut self, key: Digest) {
        let node = self.persistence.nodes.get(key);
        if node.and_then(Persisted::of).is_none_or(|persisted| persisted.explored != self.exploration) {
            self.queue.push(key);
        }
    }

    /// Begins with a leaf whose stored readers have to be looked up in any case.
    pub(crate) fn leaf_anew(&mut self, key: Digest) {
        self.queue.push(key);
    }

    /// The moment of a deadline has passed: it goes, and its reader stays, to be compared with.
    pub(crate) fn deadline(&mut self, key: Digest) {
        self.group.end_source(key);
        self.leaf_anew(key);
    }

    /// These nodes were marked in memory.
    pub(crate) fn reached(&mut self, nodes: &[NodeRef]) {
        self.group.reserve_stale(nodes.len());
        self.changes.reserve(nodes.len());
        let mut members = Vec::new();
        for node in nodes {
            let Some(place) = node.persisted() else { continue };
            let mut persisted = place.lock();
            let Some(persisted) = persisted.as_mut() else { continue };
            let Some(key) = persisted.key else { continue };
            if !persisted.is_marked {
                persisted.is_marked = true;
                self.stale(key);
            }
            if persisted.explored != self.exploration && self.seen.insert(key) {
                self.queue.push(key);
            }
            if persisted.is_member {
                members.push(key);
            }
        }
        // Reads of a component may not be committed, so that the walk would not find it.
        for component in members.into_iter().filter_map(|key| self.persistence.components.of(key)) {
            if self.components.insert(component) {
                self.stale(component);
            }
            // One may be reached by an older run of its own. The others come from the component as well, and stay or go with it.
            if self.persistence.components.lives(component) {
                self.queue.push(component);
            }
        }
    }

    /// Begins with a component that is to be computed again.
    pub(crate) fn component(&mut self, key: Digest) {
        if self.components.insert(key) {
            self.stale(key);
        }
        self.queue.push(key);
    }

    fn stale(&mut self, key: Digest) {
        self.group.stale(TaskKey(key));
        self.changes.push((key, PendingChange::Stale));
    }

    /// Walks on until nothing new is found.
    pub(crate) fn run(&mut self, memory: &mut impl MarkInMemory) {
        let mut dependents = Vec::new();
        let mut reached = Vec::new();
        while let Some(target) = self.queue.pop() {
            dependents.clear();
            let mut is_explored = self.read(target, &mut dependents);
            self.is_complete &= is_explored;
            for task in dependents.drain(..) {
                is_explored &= self.dependent(task, memory, &mut reached);
            }
            if is_explored && let Some(node) = self.persistence.nodes.get(target) {
                Persisted::change(node, |persisted| persisted.explored = self.exploration);
            }
        }
        if !self.is_complete {
            self.distrust(memory);
        }
        self.remove();
    }

    /// Goes on with a stored dependent. Returns whether memory marks it itself.
    fn dependent(
        &mut self,
        task: TaskKey,
        memory: &mut impl MarkInMemory,
        reached: &mut Vec<NodeRef>,
    ) -> bool {
        let node = self.persistence.nodes.get(task.0);
        if node.is_some_and(|node| is_stored(node) && !reads_are_stored_alone(node)) {
            // A node that this process has stored itself is marked when it is marked in memory; and only if its last run still reads this.
            return true;
        }
        if self.seen.contains(&task.0) {
            return false;
        }
        for node in node.into_iter().chain(self.persistence.nodes.twins(task.0)) {
            if reads_are_stored_alone(node) {
                reached.clear();
                memory.mark(node, reached);
                self.reached(reached);
            }
        }
        if !node.is_some_and(is_stored) {
            self.seen.insert(task.0);
            self.stale(task.0);
            self.queue.push(task.0);
        }
        false
    }

    /// Appends the stored dependents of `target`; says whether those are all.
    fn read(&self, target: Digest, dependents: &mut Vec<TaskKey>) -> bool {
        let store = &self.persistence.store;
        match read_dependents(store, target, dependents) {
            Ok(()) => return true,
            Err(Incomplete::NoHead) if !self.has_record(target) => return true,
            Err(_) => {}
        }
        // A batch may have been committed in the middle.
        dependents.clear();
        let again = self.persistence.writer.quiesced(|store| read_dependents(store, target, dependents));
        match again {
            Ok(Ok(())) => true,
            Ok(Err(Incomplete::NoHead)) => !self.has_record(target),
            _ => false,
        }
    }

    /// Whether the store holds a record of `target`, which then must have a record of its dependents.
    fn has_record(&self, target: Digest) -> bool {
        let mut buffer = Vec::new();
        [Table::Tasks, Table::Sources, Table::Inputs].into_iter().any(|table| {
            let read = self.persistence.store.read(table, &target.to_bytes(), &mut buffer);
            matches!(read, Ok(Some(_)) | Err(ReadFailure::Rejected(_) | ReadFailure::Storage(_)))
        })
    }

    #[cold]
    fn distrust(&mut self, memory: &mut impl MarkInMemory) {
        self.persistence.distrust.store(true, Relaxed);
        let mut reached = Vec::new();
        for node in self.persistence.nodes.all() {
            if reads_are_stored_alone(node) {
                memory.mark(node, &mut reached);
            }
        }
        self.reached(&reached);
        let mut all = Vec::new();
        let scan = self.persistence.store.scan(Table::Tasks, &[], |key, _| {
            all.extend(key.first_chunk().map(|key| Digest::from_bytes(*key)));
            Visit::Continue
        });
        // A record that is on its way is not in the scan; it depends on things in memory, which know their dependents.
        for key in all {
            let node = self.persistence.nodes.get(key);
            if !node.is_some_and(is_stored) && self.seen.insert(key) {
                self.stale(key);
            }
        }
        self.is_complete = scan.is_ok();
    }

    /// Hands the marks over, with what else is in the group. Returns whether the store will hold it: if not, what the
    /// group says of leaves is not stored.
    pub(crate) fn hand_over(mut self) -> bool {
        let persistence = self.persistence;
        persistence.counts.walked.add_all(self.seen.len());
        if !self.is_early {
            persistence.components.changed(self.group.stale_tasks());
        }
        if let Some(elsewhere) = &persistence.elsewhere {
            elsewhere.want(self.group.stale_tasks());
        }
        let mut lost = persistence.lost_marks.lock();
        for key in lost.iter() {
            let has_run = |node: NodeRef| node.state.is_fresh() && is_stored(node);
            if !persistence.nodes.get(*key).is_some_and(has_run) {
                self.group.stale(TaskKey(*key));
            }
        }
        let accepted = if self.is_complete {
            persistence.hand_over(&mut self.group, self.changes)
        } else {
            persistence.pending.withhold(self.changes);
            false
        };
        if accepted {
            lost.clear();
        } else {
            *lost = self.group.stale_tasks().map(|task| task.0).collect();
        }
        accepted
    }
}

/// Whether it may be that memory does not know what a node read: it is restored, or has no value. One of which there is but a
/// handle has never known, and others that are restored may be linked to it.
fn reads_are_stored_alone(node: NodeRef) -> bool {
    node.flag(Flags::RESTORED) || node.state.phase() == Phase::Empty
}

/// Whether the store holds, or will hold, what the node's last run came to.
fn is_stored(node: NodeRef) -> bool {
    Persisted::of(node).is_some_and(|persisted| persisted.is_stored)
}
