//! The table: one entry per task, in a sharded dashmap whose shards are used directly.
//!
//! An entry is the pointer to a node; the node keeps its hash, so growing a shard runs no code of the user's. A call
//! hashes once and picks its shard once. Only this file takes a shard lock. Under it hashes are compared, and a node is
//! allocated whose arguments move without user code; arguments are compared when the lock has been given back, so `Eq`
//! of the user's types may do what it likes. That two calls have one hash is found out then.
//!
//! Nodes are only added while sessions are open: a thread that has compared all nodes of a hash, and later finds as many, knows
//! that there is none to add.

use dashmap::{DashMap, SharedValue};
use rustc_hash::FxBuildHasher;

use crate::graph::node::NodeRef;

pub(crate) struct Table {
    map: DashMap<NodeRef, (), FxBuildHasher>,
}

/// A place in the table.
#[derive(Clone, Copy, Default)]
pub(crate) struct Place {
    shard: usize,
    bucket: usize,
}

/// The outcome of an insertion.
pub(crate) enum Inserted {
    /// The table did not have the task: the new node.
    New(NodeRef),
    /// A lost race, or a task that was inserted meanwhile.
    Existing(NodeRef),
}

impl Table {
    pub(crate) fn new(shards: usize) -> Self {
        Self { map: DashMap::with_hasher_and_shard_amount(FxBuildHasher, shards.next_power_of_two().max(2)) }
    }

    #[inline(always)]
    fn shard(&self, hash: u64) -> usize {
        self.map.determine_shard(usize::try_from(hash & usize::MAX as u64).unwrap_or(0))
    }

    /// Finds the node of a hash for which `is` says yes. The read lock has been given back when `is` is asked.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, is: impl Fn(NodeRef) -> bool) -> Option<NodeRef> {
        let first = self.first(hash)?;
        if is(first) { Some(first) } else { self.find_among_all(hash, is) }
    }

    /// The first node of a hash, which is almost always the only one. No lock is held any more.
    #[inline(always)]
    pub(crate) fn first(&self, hash: u64) -> Option<NodeRef> {
        let shard = self.map.shards()[self.shard(hash)].read();
        shard.get(hash, |(node, _)| node.hash == hash).map(|(node, _)| *node)
    }

    /// Two calls have the same hash.
    #[cold]
    fn find_among_all(&self, hash: u64, is: impl Fn(NodeRef) -> bool) -> Option<NodeRef> {
        let mut all = AllOf::new(hash);
        self.map.shards()[self.shard(hash)].read().get(hash, |(node, _)| all.note(*node));
        all.nodes.into_iter().find(|node| is(*node))
    }

    /// Finds the node of a hash, or makes it under the shard's write lock. `is` is asked under no lock.
    pub(crate) fn find_or_insert(
        &self,
        hash: u64,
        is: impl Fn(NodeRef) -> bool,
        make: impl FnOnce() -> NodeRef,
    ) -> Inserted {
        let mut compared = 0;
        loop {
            let mut all = AllOf::new(hash);
            let mut shard = self.map.shards()[self.shard(hash)].write();
            shard.get(hash, |(node, _)| all.note(*node));
            if all.nodes.len() == compared {
                let node = make();
                shard.insert(hash, (node, SharedValue::new(())), |(node, _)| node.hash);
                return Inserted::New(node);
            }
            drop(shard);
            compared = all.nodes.len();
            if let Some(node) = all.nodes.into_iter().find(|node| is(*node)) {
                return Inserted::Existing(node);
            }
        }
    }

    /// Takes a node out. For use while the gate is held exclusively.
    pub(crate) fn remove(&self, node: NodeRef) {
        let mut shard = self.map.shards()[self.shard(node.hash)].write();
        shard.remove_entry(node.hash, |(other, _)| *other == node);
    }

    /// The number of tasks.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// The number of shards.
    pub(crate) fn shards(&self) -> usize {
        self.map.shards().len()
    }

    /// Appends all nodes of a shard.
    pub(crate) fn nodes_of(&self, shard: usize, nodes: &mut Vec<NodeRef>) {
        let shard = self.map.shards()[shard].read();
        // SAFETY: the lock is held while the shard is looked at, so it and its buckets stay as they are.
        nodes.extend(unsafe { shard.iter().map(|bucket| bucket.as_ref().0) });
    }

    /// Appends the nodes in so many places of the table, from one on. Returns the place behind them; `None` at the end.
    ///
    /// A node that is added meanwhile, or stands in a shard that grows meanwhile, may be passed over or met again.
    pub(crate) fn nodes_from(&self, from: Place, places: usize, nodes: &mut Vec<NodeRef>) -> Option<Place> {
        let Place { mut shard, mut bucket } = from;
        let mut left = places;
        while let Some(map) = self.map.shards().get(shard) {
            let map = map.read();
            let end = map.buckets().min(bucket.saturating_add(left));
            for at in bucket..end {
                // SAFETY: the lock is held, `at` is below the number of buckets, and a bucket is looked at only if it is full.
                unsafe {
                    if map.is_bucket_full(at) {
                        nodes.push(map.bucket(at).as_ref().0);
                    }
                }
            }
            left -= end.saturating_sub(bucket);
            if end < map.buckets() {
                return Some(Place { shard, bucket: end });
            }
            (shard, bucket) = (shard + 1, 0);
        }
        None
    }

    /// All nodes, in no order. For use while the gate is held, or when the engine ends.
    pub(crate) fn nodes(&self) -> Vec<NodeRef> {
        self.map.iter().map(|entry| *entry.key()).collect()
    }
}

/// All nodes of a hash.
struct AllOf {
    hash: u64,
    nodes: Vec<NodeRef>,
}

impl AllOf {
    fn new(hash: u64) -> Self {
        Self { hash, nodes: Vec::new() }
    }

    /// For each node that a search comes by. None is said to be the one: the search ends where the hash's entries do.
    #[inline]
    fn note(&mut self, node: NodeRef) -> bool {
        if node.hash == self.hash {
            self.nodes.push(node);
        }
        false
    }
}
