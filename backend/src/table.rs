//! The table: one entry per task, in a sharded dashmap whose shards are used directly.
//!
//! An entry is the pointer to a node; the node keeps its hash, so growing a shard runs no code of the user's. A call
//! hashes once and picks its shard once. Only this file takes a shard lock; under it run comparisons of arguments, and
//! the allocation of a node whose arguments move without user code.

use dashmap::{DashMap, SharedValue};
use rustc_hash::FxBuildHasher;

use crate::node::NodeRef;

pub(crate) struct Table {
    map: DashMap<NodeRef, (), FxBuildHasher>,
}

/// What an insertion found.
pub(crate) enum Inserted {
    /// Nobody had the task: the new node.
    New(NodeRef),
    /// A lost race, or a task that was inserted meanwhile.
    Existing(NodeRef),
}

impl Table {
    pub(crate) fn new(shards: usize) -> Self {
        Self { map: DashMap::with_hasher_and_shard_amount(FxBuildHasher, shards.next_power_of_two().max(2)) }
    }

    fn shard(&self, hash: u64) -> usize {
        self.map.determine_shard(usize::try_from(hash & usize::MAX as u64).unwrap_or(0))
    }

    /// Finds the node of a hash for which `is` says yes, under the shard's read lock.
    #[inline]
    pub(crate) fn find(&self, hash: u64, mut is: impl FnMut(NodeRef) -> bool) -> Option<NodeRef> {
        let shard = self.map.shards()[self.shard(hash)].read();
        shard.get(hash, |(node, _)| node.hash == hash && is(*node)).map(|(node, _)| *node)
    }

    /// Finds the node of a hash, or makes it, under the shard's write lock.
    pub(crate) fn find_or_insert(
        &self,
        hash: u64,
        mut is: impl FnMut(NodeRef) -> bool,
        make: impl FnOnce() -> NodeRef,
    ) -> Inserted {
        let mut shard = self.map.shards()[self.shard(hash)].write();
        if let Some((node, _)) = shard.get(hash, |(node, _)| node.hash == hash && is(*node)) {
            return Inserted::Existing(*node);
        }
        let node = make();
        shard.insert(hash, (node, SharedValue::new(())), |(node, _)| node.hash);
        Inserted::New(node)
    }

    /// Takes a node out.
    pub(crate) fn remove(&self, node: NodeRef) {
        let mut shard = self.map.shards()[self.shard(node.hash)].write();
        shard.remove_entry(node.hash, |(other, _)| *other == node);
    }

    /// The number of tasks.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// All nodes, in no order. For use while the gate is held, or when the engine ends.
    pub(crate) fn nodes(&self) -> Vec<NodeRef> {
        self.map.iter().map(|entry| *entry.key()).collect()
    }
}
