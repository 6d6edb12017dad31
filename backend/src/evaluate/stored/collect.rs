//! Emitted values out of the store, and the way to those of tasks that are only stored.
//!
//! The emitted values of a stored task are part of its trace, by *channel*, which stands for the type. Each value begins with the build that
//! wrote it: the type behind a channel may be another one in another build, and then the trace is a miss.

use std::sync::Arc;

use super::Check;
use super::Progress;
use crate::context::local::Local;
use crate::graph::emitted::{Channels, EmittedValue, StoredEmitted};
use crate::graph::flags::Flags;
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::persist::{Known, Persistence, StoredTrace};
use larder_storage::record::Trace;
use larder_storage::{Digest, TaskKey};

const BUILD_BYTES: usize = 16;

/// A task whose emitted values are to be collected.
pub(crate) enum Collected {
    /// In memory: to be made fresh.
    Node(NodeRef),
    /// Only stored, with what it emitted and the keys of what it read.
    Stored(StoredTask),
}

/// A task as its valid trace tells of it.
pub(crate) struct StoredTask {
    pub(crate) emitted: Vec<EmittedValue>,
    pub(crate) reads: Vec<Digest>,
}

/// A step on the way to what a stored task emitted.
pub(crate) enum Finding {
    /// This node has to be made fresh before it is known.
    Needs(NodeRef),
    /// A leaf, which emits nothing.
    Leaf,
    Found(Collected),
    /// The store has lost it.
    Lost,
}

/// A search for a task that a stored one read.
pub(crate) struct Search {
    key: Digest,
    check: Option<Check>,
}

impl Search {
    pub(crate) fn of(key: Digest) -> Self {
        Self { key, check: None }
    }

    /// Goes on until something is found, or a node has to be made fresh.
    pub(crate) fn advance(&mut self, local: &Local, persistence: &Persistence) -> Finding {
        if self.check.is_none() {
            if persistence.leaves.fingerprint(self.key).is_some() {
                return Finding::Leaf;
            }
            if let Some(node) = persistence.nodes.get(self.key) {
                return Finding::Found(Collected::Node(node));
            }
            let task = TaskKey(self.key);
            let Some(known) = persistence.pending.known(&persistence.store, task, |_| true) else {
                return Finding::Lost;
            };
            if persistence.is_trusted(task, &known) {
                return persistence.first_of(task, &known);
            }
            self.check = Some(Check::begin(task, known, local.engine().epoch()));
        }
        match self.check.as_mut().map(|check| check.advance(local, persistence)) {
            Some(Progress::Needs(node) | Progress::Leaps(node)) => Finding::Needs(node),
            Some(Progress::Found(trace)) => persistence.stored_task(TaskKey(self.key), &trace),
            // Its body has to run.
            Some(Progress::NotFound) => match persistence.node_of(local, self.key) {
                Some(node) => Finding::Found(Collected::Node(node)),
                None => Finding::Lost,
            },
            None => Finding::Lost,
        }
    }

    /// A node that was needed has no value.
    pub(crate) fn failed(&mut self, node: NodeRef) {
        if let Some(check) = self.check.as_mut() {
            check.failed(node);
        }
    }
}

impl Persistence {
    pub(super) fn channels(&self) -> Channels {
        if self.functions.knows_types() { Channels::ByType } else { Channels::ByName }
    }

    /// Returns the values that a trace emitted; none if another build wrote it.
    pub(super) fn emitted_of(&self, trace: &Trace<'_>) -> Option<Vec<EmittedValue>> {
        let value = |emitted: larder_storage::record::Emitted<'_>| {
            let (build, bytes) = emitted.value.split_at_checked(BUILD_BYTES)?;
            let (channels, channel) = (self.channels(), emitted.channel);
            let value = StoredEmitted { channels, channel, bytes: bytes.into() };
            (build == self.functions.build().to_bytes()).then(|| Arc::new(value) as EmittedValue)
        };
        trace.emitted().map(value).collect()
    }

    /// The keys of what a restored node read, which is FRESH. None if the store has lost them.
    pub(crate) fn reads_of_restored(&self, node: NodeRef) -> Option<Vec<Digest>> {
        debug_assert!(node.flag(Flags::RESTORED));
        let persisted = Persisted::of(node)?;
        let task = TaskKey(persisted.key?);
        let known = self.pending.known(&self.store, task, |_| true)?;
        let trace = known.traces.first()?;
        let is_current = trace.trace().output.fingerprint == persisted.fingerprint;
        is_current.then(|| self.keys_read(task, trace)).flatten()
    }

    fn first_of(&self, task: TaskKey, known: &Known) -> Finding {
        known.traces.first().map_or(Finding::Lost, |trace| self.stored_task(task, trace))
    }

    fn stored_task(&self, task: TaskKey, trace: &StoredTrace) -> Finding {
        match (self.emitted_of(&trace.trace()), self.keys_read(task, trace)) {
            (Some(emitted), Some(reads)) => Finding::Found(Collected::Stored(StoredTask { emitted, reads })),
            _ => Finding::Lost,
        }
    }

    /// The keys of what a trace has read. None if the store has lost them.
    fn keys_read(&self, task: TaskKey, trace: &StoredTrace) -> Option<Vec<Digest>> {
        if let Some(read) = trace.trace().component() {
            return self.keys_read_by_member(task, read);
        }
        let mut keys = Vec::new();
        trace.for_each_read(&self.store, task, |read| keys.push(read.key)).ok().map(|()| keys)
    }
}
