//! Leaves: sources and inputs as the store knows them, and as they are now.
//!
//! All stored leaves are read when the store is opened, and looked at again. From then on this map says what each of them
//! is; a task that is restored is so on the strength of it. A leaf is *stored* if the store holds, or will hold, what the
//! map says; who reads one that is not is not stored either.

use parking_lot::{Mutex, MutexGuard};
use rustc_hash::FxHashMap;

use crate::call::args::Key;
use crate::graph::node::{NodeRef, replace_value};
use crate::persist::Replaced;
use larder_storage::record::{InputRecord, SourceKind, SourceRecord, Stamp, source_key};
use larder_storage::{Digest, Group};

/// A source as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The digest of what dependents compare: of the content, or of the error in its place.
    pub content: Digest,
    /// What can be had without reading the content; none if there is no such thing.
    pub stamp: Option<Stamp>,
    /// Whether the stamp proves nothing: see [`Stamp::is_racy`].
    pub racy: bool,
}

/// What a look at a source found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing can have changed.
    Same,
    /// This, which may be the same.
    Seen(Seen),
}

/// How a source of a kind is looked at by those who know nothing but its name.
#[derive(Clone, Copy, Debug)]
pub struct Observer {
    /// The kind.
    pub kind: SourceKind,
    /// Looks at the source of a name, which was last seen so.
    pub look: fn(name: &[u8], last: &Seen) -> Look,
}

/// How a task function that is a source appears to a store.
pub trait Leaf {
    /// Its arguments.
    type Key: Key;
    /// Its output.
    type Output: Send + Sync + 'static;
    /// Its kind.
    const KIND: SourceKind;
    /// The source's name, from which an [`Observer`] finds it in another process; none if there is no such name.
    fn name(key: &Self::Key) -> Option<Vec<u8>>;
    /// What an observation saw.
    fn seen(output: &Self::Output) -> Seen;
    /// What to hand out when the source is not any more as tasks of this session have already seen it: `known` is how they
    /// saw it. None if the new observation is to be handed out nevertheless.
    fn changed(key: &Self::Key, known: Digest) -> Option<Self::Output>;
}

/// A [`Leaf`] without its types: they are those of the node's task function.
#[derive(Clone, Copy)]
pub(crate) struct RawLeaf {
    pub(crate) kind: SourceKind,
    /// The node's key may be read at any time.
    pub(crate) name: unsafe fn(NodeRef) -> Option<Vec<u8>>,
    /// The caller may read the node's value.
    pub(crate) seen: unsafe fn(NodeRef) -> Seen,
    /// The caller holds the node's claim. Returns the output that is replaced, if it was.
    pub(crate) put_changed: unsafe fn(NodeRef, Digest) -> Option<Replaced>,
}

impl RawLeaf {
    pub(crate) const fn of<L: Leaf>() -> Self {
        Self { kind: L::KIND, name: name::<L>, seen: seen::<L>, put_changed: put_changed::<L> }
    }
}

/// # Safety
/// The node's types are those of `L`.
unsafe fn name<L: Leaf>(node: NodeRef) -> Option<Vec<u8>> {
    // SAFETY: passed on to the caller.
    L::name(unsafe { node.key::<L::Key, L::Output>() })
}

/// # Safety
/// The node's types are those of `L`; the caller may read its value.
unsafe fn seen<L: Leaf>(node: NodeRef) -> Seen {
    // SAFETY: passed on to the caller.
    L::seen(unsafe { node.value::<L::Key, L::Output>() })
}

/// # Safety
/// The node's types are those of `L`; the caller holds its claim, and it has a value.
unsafe fn put_changed<L: Leaf>(node: NodeRef, known: Digest) -> Option<Replaced> {
    // SAFETY: passed on to the caller.
    let value = L::changed(unsafe { node.key::<L::Key, L::Output>() }, known)?;
    // SAFETY: as above.
    let old = unsafe { replace_value::<L::Key, L::Output>(node, value) };
    old.map(|old| Box::new(old) as Replaced)
}

/// What is known of a leaf.
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
    pub(crate) fn key(&self) -> Digest {
        source_key(self.kind, &self.name)
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

    /// Whether there is such a leaf, and if so what its readers compare.
    pub(crate) fn fingerprint(&self, key: Digest) -> Option<Digest> {
        self.0.lock().get(&key).map(|leaf| leaf.seen.content)
    }
}
