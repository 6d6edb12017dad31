//! The abilities that a type needs so that results are stored, and how the types of a task function are told to the engine,
//! which does not know them.

use std::any::type_name;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::args::{Args, ArgsSlot, ByKey, Key};
use crate::call::digested::in_key;
use crate::call::slot::StackMagicAnySlot;
use crate::call::storable::{Persist, PersistInput};
use crate::graph::flags::Flags;
use crate::graph::node::{NodeRef, replace_value};
use crate::graph::task_fn::{Put, RawStored, RawTaskFn, Replaced, Stored};
use crate::graph::task_type::hash_of;
use larder_storage::codec::{self, DecodeError, EncodeError, RoundTripError};

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
    if node.flag(Flags::HAS_VALUE) && unsafe { node.task_fn.is_equal(node.value::<K, O>(), &value) } {
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

/// The [`RecallKey`] of arguments as a call passes them.
pub(crate) fn recall_key<A: Args<Key: DeserializeOwned>>(
    task_fn: &'static RawTaskFn,
    encoded: &[u8],
    use_key: &mut dyn FnMut(u64, &mut ArgsSlot<'_>),
) -> bool {
    let Ok(key) = in_key(true, || codec::decode::<A::Key>(encoded)) else { return false };
    let mut again = Vec::with_capacity(encoded.len());
    if A::encode_key(&key, &mut again).is_err() || again != encoded {
        return false;
    }
    let args = ByKey(key);
    let hash = hash_of(task_fn, &args);
    use_key(hash, &mut StackMagicAnySlot::new(args));
    true
}
