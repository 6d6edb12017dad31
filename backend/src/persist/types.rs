//! What a type must be able to do so that results are stored, and how the types of a task function are told to the engine,
//! which does not know them.

use std::any::{Any, type_name};
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::args::{Args, ArgsSlot, ByKey, Key};
use crate::call::slot::StackMagicAnySlot;
use crate::evaluate::lookup::hash_of;
use crate::graph::node::{HAS_VALUE, NodeRef, replace_value};
use crate::graph::task_fn::RawTaskFn;
use larder_storage::codec::{self, DecodeError, EncodeError, RoundTripError};

/// A type whose values can be stored.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored, so a task function that takes or returns it cannot be either",
    label = "not `serde::Serialize + serde::de::DeserializeOwned`",
    note = "either derive them: `#[derive(serde::Serialize, serde::Deserialize)]`",
    note = "or keep the function's results in memory only: `#[task_fn(transient)]`"
)]
pub trait Persist: Serialize + DeserializeOwned {}
#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Persist for T {}

/// A type that can be part of the key of a stored task. It is only ever encoded.
///
/// What its `Eq` tells apart, its encoding must tell apart, too: a field that is skipped when encoding must not
/// matter to `Eq`. Where the type can be decoded, some of what is stored is checked.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored, so a task function that takes or returns it cannot be either",
    label = "not `serde::Serialize`",
    note = "either derive it: `#[derive(serde::Serialize)]`",
    note = "or keep the function's results in memory only: `#[task_fn(transient)]`"
)]
pub trait PersistKey: Serialize {}
#[diagnostic::do_not_recommend]
impl<T: ?Sized + Serialize> PersistKey for T {}

/// A value that an input can hold and that can be recognised in another process. It is only ever encoded.
///
/// What its `PartialEq` tells apart, its encoding must tell apart, too. A change that does not show in the encoding reaches all readers in
/// the process that makes it; a later process, which has the encoding alone, does not see it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be recognised in another process, as the value of an input",
    label = "not `serde::Serialize`",
    note = "either derive it: `#[derive(serde::Serialize)]`",
    note = "or keep what reads the input in memory only: `runtime.transient_input(..)`"
)]
pub trait PersistInput: Serialize {}
#[diagnostic::do_not_recommend]
impl<T: Serialize> PersistInput for T {}

/// How the arguments and outputs of a task function are stored.
pub struct Stored<K, O> {
    raw: RawStored,
    types: PhantomData<fn(&K) -> O>,
}

/// The same without the types: they are those of the node's task function.
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

/// What became of a decoded output.
pub(crate) enum Put {
    /// It is in place; this is the one that it has replaced.
    New(Option<Replaced>),
    /// It is equal to the one in place, which stays.
    Equal,
}

/// An output that was replaced, to be dropped when nothing is claimed for it any more.
pub(crate) type Replaced = Box<dyn Any + Send>;

/// Stores by serde. `A` are the arguments as a call passes them.
pub const fn stored<A: Args, O: Persist + Clone + Send + Sync + 'static>() -> Stored<A::Key, O> {
    let raw = RawStored {
        encode_key: encode_key::<A, O>,
        encode_value: encode_value::<A::Key, O>,
        put_value: put_value::<A::Key, O>,
        is_equal: is_equal::<A::Key, O>,
        check_value: check_value::<A::Key, O>,
        type_names: || (type_name::<A::Key>(), type_name::<O>()),
    };
    Stored { raw, types: PhantomData }
}

/// Lets the value of an input be recognised. Inputs are set, and never restored.
pub(crate) const fn recognised<A: Args, O: PersistInput + Send + Sync + 'static>() -> Stored<A::Key, O> {
    let raw = RawStored {
        encode_key: encode_key::<A, O>,
        encode_value: encode_value::<A::Key, O>,
        put_value: |_, _| Err(DecodeError::TooLong),
        is_equal: |_, _| false,
        check_value: |_, _| Ok(()),
        type_names: || (type_name::<A::Key>(), type_name::<O>()),
    };
    Stored { raw, types: PhantomData }
}

impl<K, O> Stored<K, O> {
    pub(crate) const fn raw(self) -> RawStored {
        self.raw
    }
}

/// # Safety
/// `A::Key` and `O` are the types of the node's task function.
unsafe fn encode_key<A: Args, O>(node: NodeRef, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    // SAFETY: passed on to the caller.
    A::encode_key(unsafe { node.key::<A::Key, O>() }, out)
}

/// # Safety
/// `K` and `O` are the types of the node's task function; it has a value, and the caller may read it.
unsafe fn encode_value<K: Key, O: Serialize>(node: NodeRef, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    // SAFETY: passed on to the caller.
    codec::encode_into(unsafe { node.value::<K, O>() }, out)
}

/// # Safety
/// `K` and `O` are the types of the node's task function; it has a value, and the caller may read it.
unsafe fn check_value<K: Key, O: Persist>(node: NodeRef, encoded: &[u8]) -> Result<(), RoundTripError> {
    let name = node.task_fn.site.path;
    // SAFETY: passed on to the caller.
    let Some(equal) = (unsafe { node.task_fn.comparison_of_returns::<O>() }) else {
        return codec::check_round_trip::<O>(name, encoded);
    };
    // SAFETY: passed on to the caller.
    codec::check_return(name, unsafe { node.value::<K, O>() }, encoded, equal)
}

/// # Safety
/// `K` and `O` are the types of the node's task function; the caller holds its claim.
unsafe fn put_value<K: Key, O: Persist + Send + Sync + 'static>(
    node: NodeRef,
    encoded: &[u8],
) -> Result<Put, DecodeError> {
    let value = codec::decode::<O>(encoded)?;
    // SAFETY: passed on to the caller; there is a value.
    if node.flag(HAS_VALUE) && unsafe { node.task_fn.is_equal(node.value::<K, O>(), &value) } {
        return Ok(Put::Equal);
    }
    // SAFETY: passed on to the caller.
    let old = unsafe { replace_value::<K, O>(node, value) };
    Ok(Put::New(old.map(|old| Box::new(old) as Replaced)))
}

/// # Safety
/// `K` and `O` are the types of the node's task function; it has a value, and the caller may read it.
unsafe fn is_equal<K: Key, O: Persist + Send + Sync + 'static>(node: NodeRef, encoded: &[u8]) -> bool {
    let Ok(earlier) = codec::decode::<O>(encoded) else { return false };
    // SAFETY: passed on to the caller.
    unsafe { node.task_fn.is_equal(&earlier, node.value::<K, O>()) }
}

/// Decodes the arguments of a task of this function, and hands them on with their hash. Returns whether it did: the encoding
/// of what was decoded has to be the one that it was decoded from.
pub(crate) type RecallKey = fn(&'static RawTaskFn, &[u8], &mut dyn FnMut(u64, &mut ArgsSlot<'_>)) -> bool;

/// The [`RecallKey`] of arguments as a call passes them.
pub(crate) fn recall_key<A: Args<Key: DeserializeOwned>>(
    task_fn: &'static RawTaskFn,
    encoded: &[u8],
    use_key: &mut dyn FnMut(u64, &mut ArgsSlot<'_>),
) -> bool {
    let Ok(key) = codec::decode::<A::Key>(encoded) else { return false };
    let mut again = Vec::with_capacity(encoded.len());
    if A::encode_key(&key, &mut again).is_err() || again != encoded {
        return false;
    }
    let args = ByKey(key);
    let hash = hash_of(task_fn, &args);
    use_key(hash, &mut StackMagicAnySlot::new(args));
    true
}
