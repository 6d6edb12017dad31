//! The nodes that have a key in the store, by it.
//!
//! A process that finds everything in the store restores one node after another and looks none of them up by its key: only
//! changes do, which walk the store. So a restored node is put on a list, and the list is settled into the map when
//! a lookup comes: a hit in the store then costs one cache miss less (bench `probe`).
//!
//! Two tasks that are not equal and whose arguments encode alike have one key. Nodes that ran are told apart at once: the
//! second one has no key, and is not stored. If both were restored, they are told apart when the list is settled: the second one loses
//! its key then, and is still found as a *twin*, since it has to be marked as the first one is.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use hashbrown::HashTable;
use parking_lot::{Mutex, MutexGuard};

use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use larder_storage::Digest;

const SHARDS: usize = 32;

#[derive(Default)]
pub(crate) struct Nodes {
    shards: [Mutex<Shard>; SHARDS],
    /// At most as many as there are twins in all.
    twins: AtomicUsize,
    /// See [`Nodes::exploration`].
    exploration: AtomicU32,
}

#[derive(Default)]
struct Shard {
    by_key: ByKey,
    /// Restored, and not settled.
    restored: Vec<(Digest, NodeRef)>,
    twins: Vec<(Digest, NodeRef)>,
}

/// Nodes by the half of their key that [`Nodes::shard`] does not go by: with whole keys it takes half as much again. Should two keys
/// of one shard agree in that half, the later one has no node.
#[derive(Default)]
struct ByKey(HashTable<(u64, NodeRef)>);

impl ByKey {
    /// The half that tells keys apart.
    fn half(key: Digest) -> u64 {
        key.0 as u64
    }

    fn find(&self, key: Digest) -> Option<NodeRef> {
        let half = Self::half(key);
        self.0.find(half, |(other, _)| *other == half).map(|(_, node)| *node)
    }

    /// Returns the node of a key.
    fn get(&self, key: Digest) -> Option<NodeRef> {
        // A node that is new may not have its key yet; one that has another key than this is that one's.
        self.find(key)
            .filter(|node| Persisted::of(*node).and_then(|own| own.key).is_none_or(|own| own == key))
    }

    /// Returns the node of a key, which is `node` if there was none.
    fn get_or_insert(&mut self, key: Digest, node: NodeRef) -> NodeRef {
        let found = self.find(key);
        if found.is_none() {
            self.put(key, node);
        }
        found.unwrap_or(node)
    }

    /// Gives a key a node, whichever had it before.
    fn insert(&mut self, key: Digest, node: NodeRef) {
        let half = Self::half(key);
        match self.0.find_mut(half, |(other, _)| *other == half) {
            Some(found) => found.1 = node,
            None => self.put(key, node),
        }
    }

    fn put(&mut self, key: Digest, node: NodeRef) {
        let half = Self::half(key);
        self.0.insert_unique(half, (half, node), |(half, _)| *half);
    }

    /// Takes a key from a node. Returns whether the node had it.
    fn remove(&mut self, key: Digest, node: NodeRef) -> bool {
        let half = Self::half(key);
        let found = self.0.find_entry(half, |(other, owner)| *other == half && *owner == node);
        found.map(hashbrown::hash_table::OccupiedEntry::remove).is_ok()
    }

    fn reserve(&mut self, more: usize) {
        self.0.reserve(more, |(half, _)| *half);
    }

    fn all(&self) -> impl Iterator<Item = NodeRef> {
        self.0.iter().map(|(_, node)| *node)
    }
}

impl Nodes {
    /// The exploration under way: it begins anew whenever the store may name dependents that memory does not know of. A node that
    /// was found to have none in this exploration is not looked up in the store when it is marked.
    pub(crate) fn exploration(&self) -> u32 {
        self.exploration.load(Relaxed).wrapping_add(1).max(1)
    }

    /// A node that is, or was, stored has left memory, or is known to memory in part.
    pub(crate) fn explore_anew(&self) {
        self.exploration.fetch_add(1, Relaxed);
    }

    /// Gives a node that may run its key. Returns whether no other node has it.
    pub(crate) fn own(&self, key: Digest, node: NodeRef) -> bool {
        self.settled(key).by_key.get_or_insert(key, node) == node
    }

    /// Gives a node that is new, and about to be restored, its key. Returns whether no node that is settled has it.
    pub(crate) fn restore(&self, key: Digest, node: NodeRef) -> bool {
        let mut shard = self.shard(key).lock();
        let is_free = shard.by_key.get(key).is_none();
        if is_free {
            shard.restored.push((key, node));
        }
        is_free
    }

    /// Gives a leaf its key, whichever node had it before.
    pub(crate) fn insert(&self, key: Digest, node: NodeRef) {
        self.settled(key).by_key.insert(key, node);
    }

    pub(crate) fn get(&self, key: Digest) -> Option<NodeRef> {
        self.settled(key).by_key.get(key)
    }

    /// Those that were restored by the key of another node.
    pub(crate) fn twins(&self, key: Digest) -> Vec<NodeRef> {
        if self.twins.load(Relaxed) == 0 {
            return Vec::new();
        }
        let shard = self.settled(key);
        shard.twins.iter().filter(|(other, _)| *other == key).map(|(_, node)| *node).collect()
    }

    /// All nodes, twins too.
    pub(crate) fn all(&self) -> Vec<NodeRef> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = self.settle(shard.lock());
            all.extend(shard.by_key.all().chain(shard.twins.iter().map(|(_, node)| *node)));
        }
        all
    }

    /// A node is about to be freed, which has this key if it has one.
    pub(crate) fn remove(&self, key: Option<Digest>, node: NodeRef) {
        if let Some(key) = key {
            let mut shard = self.settled(key);
            shard.by_key.remove(key, node);
        }
        if self.twins.load(Relaxed) > 0 {
            for shard in &self.shards {
                shard.lock().twins.retain(|(_, twin)| *twin != node);
            }
        }
    }

    /// A node does not have this key any more. It is found as a twin still: what it read may be known to the store alone, by the key.
    pub(crate) fn give_up(&self, key: Digest, node: NodeRef) {
        let mut shard = self.settled(key);
        if shard.by_key.remove(key, node) {
            shard.twins.push((key, node));
            self.twins.fetch_add(1, Relaxed);
            self.explore_anew();
            Persisted::change(node, |persisted| (persisted.key, persisted.is_stored) = (None, false));
        }
    }

    fn shard(&self, key: Digest) -> &Mutex<Shard> {
        &self.shards[(key.0 >> 64) as usize % SHARDS]
    }

    fn settled(&self, key: Digest) -> MutexGuard<'_, Shard> {
        self.settle(self.shard(key).lock())
    }

    #[inline]
    fn settle<'a>(&self, mut shard: MutexGuard<'a, Shard>) -> MutexGuard<'a, Shard> {
        if !shard.restored.is_empty() {
            self.settle_all(&mut shard);
        }
        shard
    }

    #[cold]
    fn settle_all(&self, shard: &mut Shard) {
        let Shard { by_key, restored, twins } = shard;
        by_key.reserve(restored.len());
        for (key, node) in restored.drain(..) {
            if by_key.get_or_insert(key, node) != node {
                twins.push((key, node));
                self.twins.fetch_add(1, Relaxed);
                self.explore_anew();
                Persisted::change(node, |persisted| (persisted.key, persisted.is_stored) = (None, false));
            }
        }
        *restored = Vec::new();
    }
}
