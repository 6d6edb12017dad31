//! The thread cache: per thread, from a call's hash to its node, two entries a set, no lock and no shared write.
//!
//! An entry keeps, beside the node, the number of the execution on this thread that last recorded the node as a read,
//! so that recording the same read again is one comparison. A cache is valid for one generation of its engine: it is
//! cleared at session entry if nodes have been freed since (`local.rs`).

use std::cell::Cell;

use crate::node::NodeRef;

/// 4,096 sets of two: a thousand keys with random hashes lose 2.5 % of their hits to the table, sequential keys none.
/// (Miri and the model checker make and look at each of them again and again.)
const SETS: usize = if cfg!(any(miri, larder_model)) { 16 } else { 4096 };

#[derive(Default)]
pub(crate) struct Entry {
    hash: Cell<u64>,
    node: Cell<Option<NodeRef>>,
    /// The execution that last recorded the node.
    recorded_by: Cell<u64>,
}

impl Entry {
    /// Notes that `execution` has recorded `node`, if that is still the one that stands here.
    #[inline]
    pub(crate) fn set_recorded(&self, node: NodeRef, execution: u64) {
        if self.node.get() == Some(node) {
            self.recorded_by.set(execution);
        }
    }
}

#[derive(Default)]
#[repr(align(64))]
struct Set {
    ways: [Entry; 2],
}

pub(crate) struct ThreadCache {
    sets: Box<[Set; SETS]>,
    filled: Cell<bool>,
    refused: Cell<u32>,
    /// So many lookups to come go past the cache: what is asked for does not fit.
    bypassed: Cell<u32>,
    /// Nodes that had no room since it was last judged, and the hits counted then.
    crowded: Cell<u32>,
    hits_before: Cell<u64>,
}

impl Default for ThreadCache {
    fn default() -> Self {
        let sets: Box<[Set]> = (0..SETS).map(|_| Set::default()).collect();
        let Ok(sets) = sets.try_into() else { unreachable!("as many sets were made as are wanted") };
        Self {
            sets,
            filled: Cell::new(false),
            refused: Cell::new(0),
            bypassed: Cell::new(0),
            crowded: Cell::new(0),
            hits_before: Cell::new(0),
        }
    }
}

impl ThreadCache {
    #[inline(always)]
    fn set(&self, hash: u64) -> &Set {
        // The low bits choose the bucket in a shard's table and the high ones its tag; any will do here.
        &self.sets[(hash >> 8) as usize % SETS]
    }

    /// The entry of a hash for which `is` says yes, and who had recorded its node before that was asked: a comparison may call
    /// tasks, which come here, too, and put others in its place.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, is: impl Fn(NodeRef) -> bool) -> Option<(NodeRef, u64, &Entry)> {
        let [first, second] = &self.set(hash).ways;
        if first.hash.get() == hash
            && let Some(node) = first.node.get()
        {
            let recorded_by = first.recorded_by.get();
            if is(node) {
                return Some((node, recorded_by, first));
            }
        }
        if second.hash.get() == hash
            && let Some(node) = second.node.get()
        {
            let recorded_by = second.recorded_by.get();
            if is(node) {
                return Some((node, recorded_by, second));
            }
        }
        None
    }

    /// Whether this lookup is to go past the cache.
    #[inline(always)]
    pub(crate) fn is_bypassed(&self) -> bool {
        let left = self.bypassed.get();
        if left == 0 {
            return false;
        }
        self.bypassed.set(left - 1);
        true
    }

    /// Puts a node in, as recorded by `execution`: at once where there is room, otherwise one time in eight, so that a
    /// working set which does not fit costs no more than the table does. Returns whether there was room.
    #[inline]
    pub(crate) fn insert(&self, node: NodeRef, execution: u64) -> bool {
        let [first, second] = &self.set(node.hash).ways;
        let mut has_room = true;
        let way = if first.node.get().is_none() {
            first
        } else if second.node.get().is_none() {
            second
        } else {
            has_room = false;
            let refused = self.refused.get().wrapping_add(1);
            self.refused.set(refused);
            if !refused.is_multiple_of(8) {
                return false;
            }
            if refused.is_multiple_of(16) { first } else { second }
        };
        self.filled.set(true);
        way.hash.set(node.hash);
        way.node.set(Some(node));
        way.recorded_by.set(execution);
        has_room
    }

    /// Notes that the table answered for a node that had no room here, where `hits` is how often the cache has answered so
    /// far. A cache that answers less than one lookup in five costs more than it saves, as its sets push the nodes out of the
    /// processor's caches: it is then left alone for a while.
    #[inline]
    pub(crate) fn note_crowded(&self, hits: u64) {
        let crowded = self.crowded.get() + 1;
        self.crowded.set(crowded);
        if crowded == 256 {
            if hits.wrapping_sub(self.hits_before.get()) < 64 {
                self.bypassed.set(8192);
            }
            self.crowded.set(0);
            self.hits_before.set(hits);
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        if self.filled.replace(false) {
            for entry in self.sets.iter().flat_map(|set| &set.ways) {
                entry.node.set(None);
            }
        }
    }
}
