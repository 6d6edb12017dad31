//! The part of a node that the store has.

use std::sync::Weak;

use crate::graph::epoch::Epoch;
use crate::graph::flags::Keeping;
use crate::graph::node::NodeRef;
use crate::graph::read_filter::ReadFilter;
use larder_storage::Digest;
use larder_storage::record::Chunk;

/// The part of a node that the store has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Persisted {
    /// Its name in the store; none if it cannot be stored, for good.
    pub(crate) key: Option<Digest>,
    /// The fingerprint of its value, if it is stored or ever was; that of the last one that is stored, if `is_recorded`.
    pub(crate) fingerprint: Digest,
    /// Store and queue hold its current value and what it read.
    pub(crate) is_stored: bool,
    /// Marked stale in the store.
    pub(crate) is_marked: bool,
    /// The exploration (`Nodes::exploration`) in which the store named no dependent that memory does not mark itself.
    pub(crate) explored: u32,
    /// It has no value in memory, and what is stored of it does not hold any more.
    pub(crate) is_recorded: bool,
    /// It has read an input that was removed, and has not been found current since: when the node goes, its record goes, too.
    pub(crate) is_orphan: bool,
    /// It has its value as a member of a component that is stored.
    pub(crate) is_member: bool,
    /// It has been one since this process knows it, so that its readers may have recorded another fingerprint of the same value.
    pub(crate) has_joined: bool,
    /// Its body runs, if it is claimed (`persist/components.rs`).
    pub(crate) runs: bool,
    /// The reads of its traces that the store holds, or will.
    pub(crate) reads: ReadFilter,
}

impl Persisted {
    /// The state of a node with regard to the store.
    pub(crate) fn of(node: NodeRef) -> Option<Self> {
        node.persisted().and_then(|persisted| *persisted.lock())
    }

    /// Notes this of a node.
    pub(crate) fn put(self, node: NodeRef) {
        let mut place = node.persisted_or_insert(None).lock();
        let has_joined = self.is_member || place.is_some_and(|before| before.has_joined);
        *place = Some(Self { has_joined, ..self });
        node.keep(Keeping::STORED, self.is_stored);
    }

    /// Changes what is known of a node, if anything is.
    pub(crate) fn change(node: NodeRef, change: impl FnOnce(&mut Self)) {
        if let Some(place) = node.persisted()
            && let Some(persisted) = place.lock().as_mut()
        {
            change(persisted);
            node.keep(Keeping::STORED, persisted.is_stored);
        }
    }

    pub(crate) fn named(key: Option<Digest>) -> Self {
        Self {
            key,
            fingerprint: Digest::default(),
            is_stored: false,
            is_marked: false,
            explored: 0,
            is_recorded: false,
            is_orphan: false,
            is_member: false,
            has_joined: false,
            runs: false,
            reads: ReadFilter::UNKNOWN,
        }
    }
}

/// The chunks of the trace that a node was last stored with.
pub(crate) struct WideTrace {
    pub(crate) epoch: Epoch,
    /// The node has come to read something else since.
    pub(crate) reads_changed: bool,
    pub(crate) chunks: Box<[KeptChunk]>,
}

pub(crate) struct KeptChunk {
    pub(crate) start: usize,
    pub(crate) chunk: Chunk,
    /// Its encoded reads, until they are committed.
    pub(crate) encoded: Option<Weak<[u8]>>,
}
