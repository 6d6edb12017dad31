//! Parts of a descriptor that a store needs, without the types of the task function.

use std::any::Any;
use std::marker::PhantomData;
use std::path::Path;
use std::time::Duration;

use crate::call::args::{ArgsSlot, Key};
use crate::graph::node::{NodeRef, replace_value};
use crate::graph::task_fn::RawTaskFn;
use larder_storage::codec::{DecodeError, EncodeError, RoundTripError};
use larder_storage::record::{SourceKind, Stamp};
use larder_storage::{Digest, Fingerprints};

/// A source as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The digest of what dependents compare: of the content, or of the error in its place.
    pub content: Digest,
    /// The stamp that can be had without reading the content; none if there is no such thing.
    pub stamp: Option<Stamp>,
    /// Whether the stamp proves nothing: see [`Stamp::is_racy`].
    pub racy: bool,
}

/// The outcome of a look at a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing can have changed.
    Same,
    /// This, which may be the same.
    Seen(Seen),
}

/// Where and when a source is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outside<'a> {
    /// Where a relative path starts, if not at the current directory.
    pub base: Option<&'a Path>,
    /// How far the clock is ahead of the system's.
    pub ahead: Duration,
    /// By which contents are told apart.
    pub fingerprints: Fingerprints,
}

/// How a source of a kind is looked at by code that knows nothing but its name.
#[derive(Clone, Copy, Debug)]
pub struct Observer {
    /// The kind.
    pub kind: SourceKind,
    /// Looks at the source of a name, which was last seen so.
    pub look: fn(from: Outside<'_>, name: &[u8], last: &Seen) -> Look,
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
    /// The outcome of an observation, with digests of this kind.
    fn seen(output: &Self::Output, fingerprints: Fingerprints) -> Seen;
    /// The value to hand out when the source is no longer as tasks of this session have already seen it: `known` is how they
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
    pub(crate) seen: unsafe fn(NodeRef, Fingerprints) -> Seen,
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
unsafe fn seen<L: Leaf>(node: NodeRef, fingerprints: Fingerprints) -> Seen {
    // SAFETY: passed on to the caller.
    L::seen(unsafe { node.value::<L::Key, L::Output>() }, fingerprints)
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

/// The stored part without its types: they are those of the node's task function.
#[derive(Clone, Copy)]
pub(crate) struct RawStored {
    /// Appends the key's part of the persistent key.
    pub(crate) encode_key: unsafe fn(NodeRef, &mut Vec<u8>) -> Result<(), EncodeError>,
    /// Appends the encoded output.
    pub(crate) encode_value: unsafe fn(NodeRef, &mut Vec<u8>) -> Result<(), EncodeError>,
    /// Decodes an output and puts it in place, unless it equals the one that is there.
    pub(crate) put_value: unsafe fn(NodeRef, &[u8]) -> Result<Put, DecodeError>,
    /// Whether the value in place equals the one that this is the encoding of.
    pub(crate) is_equal: unsafe fn(NodeRef, &[u8]) -> bool,
    /// Whether the encoded output of a node decodes to what it was, as far as its type can be compared.
    pub(crate) check_value: unsafe fn(NodeRef, &[u8]) -> Result<(), RoundTripError>,
    /// Names the types.
    pub(crate) type_names: fn() -> (&'static str, &'static str),
}

/// The outcome of decoding an output.
pub(crate) enum Put {
    /// It is in place; this is the one that it has replaced.
    New(Option<Replaced>),
    /// It is equal to the one in place, which stays.
    Equal,
}

/// An output that was replaced, to be dropped when nothing is claimed for it any more.
pub(crate) type Replaced = Box<dyn Any + Send>;

/// Decodes the arguments of a task of this function, and hands them on with their hash. Returns whether it did: the encoding
/// of what was decoded has to be the one that it was decoded from.
pub(crate) type RecallKey = fn(&'static RawTaskFn, &[u8], &mut dyn FnMut(u64, &mut ArgsSlot<'_>)) -> bool;

/// How the arguments and outputs of a task function are stored.
pub struct Stored<K, O> {
    pub(crate) raw: RawStored,
    pub(crate) types: PhantomData<fn(&K) -> O>,
}

impl<K, O> Stored<K, O> {
    pub(crate) const fn raw(self) -> RawStored {
        self.raw
    }
}
