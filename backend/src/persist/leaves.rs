//! Leaves: sources and inputs as the store knows them, and as they are now.
//!
//! All stored leaves are read when the store is opened, and looked at again. From then on this map says what each of them
//! is; a task that is restored is so on the strength of it. A leaf is *stored* if the store holds, or will hold, what the
//! map says; a reader of one that is not is not stored either.

use parking_lot::{Mutex, MutexGuard};
use rustc_hash::FxHashMap;

use crate::graph::task_fn::Seen;
use crate::graph::task_name::TaskId;
use larder_storage::record::{InputRecord, SourceKind, SourceRecord, source_key};
use larder_storage::{Digest, Fingerprints, Group};

/// The state of a leaf.
#[derive(Clone, Debug)]
pub(crate) struct LeafState {
    pub(crate) kind: SourceKind,
    pub(crate) name: Box<[u8]>,
    pub(crate) seen: Seen,
    /// Whether the store holds this, or will.
    pub(crate) is_stored: bool,
    /// Whether this process has a node for it, which is looked at instead.
    pub(crate) in_memory: bool,
    /// An input that has had different values of one encoding: what it is now is known to this process alone.
    pub(crate) is_untold: bool,
}

impl LeafState {
    pub(crate) fn key(&self, fingerprints: Fingerprints) -> Digest {
        source_key(fingerprints, self.kind, &self.name)
    }

    /// Adds the leaf's record to a group; `value` is the encoded value of an input.
    pub(crate) fn record(&self, value: &[u8], group: &mut Group) {
        if self.kind == SourceKind::Input {
            group.input(&InputRecord { name: &self.name, fingerprint: self.seen.content, value });
        } else {
            let Seen { content, stamp, racy } = self.seen;
            group.source(&SourceRecord { kind: self.kind, name: &self.name, stamp, racy, content });
        }
    }
}

/// All leaves.
#[derive(Default)]
pub(crate) struct Leaves(Mutex<FxHashMap<Digest, LeafState>>);

impl Leaves {
    pub(crate) fn lock(&self) -> MutexGuard<'_, FxHashMap<Digest, LeafState>> {
        self.0.lock()
    }

    /// The name of a leaf, for people.
    pub(crate) fn name(&self, key: Digest) -> Option<TaskId> {
        self.0.lock().get(&key).map(|leaf| TaskId::of_stored(leaf.kind, &leaf.name))
    }

    /// Whether there is such a leaf, and if so what its readers compare.
    pub(crate) fn fingerprint(&self, key: Digest) -> Option<Digest> {
        self.0.lock().get(&key).map(|leaf| leaf.seen.content)
    }
}
