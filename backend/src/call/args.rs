//! Arguments: borrowed on the caller's stack, owned in the node, with one hash and one equality for both.
//!
//! Each parameter is wrapped by how it is passed: [`ByRef`] (compared borrowed, owned on a true miss only),
//! [`ByVal`], or [`Skip`] around either (kept for the body, left out of the key). A tuple of up to thirteen wrapped
//! parameters (the receiver and twelve) is an [`Args`]; its owned form, `Args::Key`, is what a node stores. Paths are compared
//! byte by byte (`paths`), everything else by its own `Hash` and `Eq`.

use std::any::TypeId;
use std::borrow::Borrow;
use std::ffi::OsString;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::ptr;

use crate::call::digested::in_key;
use crate::call::slot::StackMagicAnySlot;
use crate::call::storable::PersistKey;
use larder_storage::codec::{self, EncodeError};

mod part;
mod paths;

pub(crate) use self::part::split;
pub use self::part::{ByKeyRef, PartArgs, PartKey};
use self::paths::{hash_part, same_part};

/// A parameter passed by reference: `&str`, `&Path`, `&[T]`, `&T`, and the receiver `&self`.
pub struct ByRef<'a, T: ?Sized>(pub &'a T);
/// A parameter passed by value.
pub struct ByVal<T>(pub T);
/// A parameter that is not part of the key: calls that differ in it only are one task.
pub struct Skip<P>(pub P);
/// A parameter of a task function whose results are stored: its encoding is part of the persistent key.
pub struct Store<P>(pub P);
/// The stored form of a [`Skip`] parameter: equal to every other, hashed as nothing, printed as `_` whatever it is.
#[derive(Clone)]
pub struct Skipped<T>(pub T);

impl<T> PartialEq for Skipped<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl<T> Eq for Skipped<T> {}
impl<T> Hash for Skipped<T> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
impl<T> fmt::Debug for Skipped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

/// States the abilities of a parameter's stored form.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a task function",
    label = "not `Hash + Eq + Clone + Send + Sync + 'static`",
    note = "arguments are the key of a task: derive `Clone, PartialEq, Eq, Hash`, or mark the parameter `#[skip]` \
            to leave it out of the key"
)]
pub trait KeyPart: Hash + Eq + Send + Sync + 'static {}
#[diagnostic::do_not_recommend]
impl<T: Hash + Eq + Send + Sync + 'static> KeyPart for T {}

/// A wrapped parameter.
pub trait Param {
    /// The form in which a node stores it.
    type Owned: KeyPart;
    /// Feeds the parameter to `state`, as `Owned` would be fed.
    fn hash_into<H: Hasher>(&self, state: &mut H);
    /// Whether the stored form equals this parameter.
    fn matches(&self, stored: &Self::Owned) -> bool;
    /// Whether [`Param::into_owned`] runs no code of the user's (so that it may run under a shard lock).
    fn is_plain(&self) -> bool;
    /// Makes the stored form.
    fn into_owned(self) -> Self::Owned;
    /// Appends the parameter's part of the persistent key: the same bytes as [`Param::encode_owned`] appends for its
    /// stored form.
    ///
    /// # Errors
    /// If it has none: it is not wrapped in [`Store`], or its type refuses to be encoded.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let _ = out;
        Err(not_stored())
    }
    /// Appends the stored form's part of the persistent key.
    ///
    /// # Errors
    /// See [`Param::encode`].
    fn encode_owned(owned: &Self::Owned, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let _ = (owned, out);
        Err(not_stored())
    }
}

#[cold]
fn not_stored() -> EncodeError {
    EncodeError::Unsupported("the task function is transient".into())
}

/// Whether owning a reference only copies bytes of a type of the standard library.
fn owns_plainly<O: 'static>() -> bool {
    let owned = TypeId::of::<O>();
    owned == TypeId::of::<String>()
        || owned == TypeId::of::<PathBuf>()
        || owned == TypeId::of::<OsString>()
        || owned == TypeId::of::<Vec<u8>>()
}

impl<T: ?Sized + Hash + Eq + ToOwned + 'static> Param for ByRef<'_, T>
where
    T::Owned: KeyPart,
{
    type Owned = T::Owned;
    #[inline(always)]
    fn hash_into<H: Hasher>(&self, state: &mut H) {
        hash_part(self.0, state);
    }
    #[inline(always)]
    fn matches(&self, stored: &T::Owned) -> bool {
        same_part(self.0, Borrow::<T>::borrow(stored))
    }
    fn is_plain(&self) -> bool {
        owns_plainly::<T::Owned>()
    }
    fn into_owned(self) -> T::Owned {
        self.0.to_owned()
    }
}

impl<T: KeyPart> Param for ByVal<T> {
    type Owned = T;
    #[inline(always)]
    fn hash_into<H: Hasher>(&self, state: &mut H) {
        hash_part(&self.0, state);
    }
    #[inline(always)]
    fn matches(&self, stored: &T) -> bool {
        same_part(&self.0, stored)
    }
    fn is_plain(&self) -> bool {
        true
    }
    fn into_owned(self) -> T {
        self.0
    }
}

impl<T: Send + Sync + 'static> Param for Skip<ByVal<T>> {
    type Owned = Skipped<T>;
    fn hash_into<H: Hasher>(&self, _: &mut H) {}
    fn matches(&self, _: &Skipped<T>) -> bool {
        true
    }
    fn is_plain(&self) -> bool {
        true
    }
    fn into_owned(self) -> Skipped<T> {
        Skipped(self.0.0)
    }
}

impl<T: ?Sized + ToOwned> Param for Skip<ByRef<'_, T>>
where
    T::Owned: Send + Sync + 'static,
{
    type Owned = Skipped<T::Owned>;
    fn hash_into<H: Hasher>(&self, _: &mut H) {}
    fn matches(&self, _: &Skipped<T::Owned>) -> bool {
        true
    }
    fn is_plain(&self) -> bool {
        owns_plainly::<T::Owned>()
    }
    fn into_owned(self) -> Skipped<T::Owned> {
        Skipped(self.0.0.to_owned())
    }
}

/// The parts of a [`Store`] that are the wrapped parameter's.
macro_rules! as_wrapped {
    ($wrapped:ty) => {
        type Owned = <$wrapped as Param>::Owned;
        #[inline(always)]
        fn hash_into<H: Hasher>(&self, state: &mut H) {
            self.0.hash_into(state);
        }
        #[inline(always)]
        fn matches(&self, stored: &Self::Owned) -> bool {
            self.0.matches(stored)
        }
        fn is_plain(&self) -> bool {
            self.0.is_plain()
        }
        fn into_owned(self) -> Self::Owned {
            self.0.into_owned()
        }
    };
}

impl<'a, T: ?Sized + Hash + Eq + ToOwned + PersistKey + 'static> Param for Store<ByRef<'a, T>>
where
    T::Owned: KeyPart,
{
    as_wrapped!(ByRef<'a, T>);
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        in_key(true, || codec::encode_into(self.0.0, out))
    }
    fn encode_owned(owned: &T::Owned, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        in_key(true, || codec::encode_into(Borrow::<T>::borrow(owned), out))
    }
}

impl<T: KeyPart + PersistKey> Param for Store<ByVal<T>> {
    as_wrapped!(ByVal<T>);
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        in_key(true, || codec::encode_into(&self.0.0, out))
    }
    fn encode_owned(owned: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        in_key(true, || codec::encode_into(owned, out))
    }
}

/// A skipped parameter is no part of any key.
impl<P> Param for Store<Skip<P>>
where
    Skip<P>: Param,
{
    as_wrapped!(Skip<P>);
    fn encode(&self, _: &mut Vec<u8>) -> Result<(), EncodeError> {
        Ok(())
    }
    fn encode_owned(_: &Self::Owned, _: &mut Vec<u8>) -> Result<(), EncodeError> {
        Ok(())
    }
}

/// The arguments of one call: a tuple of wrapped parameters.
pub trait Args: Sized {
    /// The owned tuple that a node stores.
    type Key: Key;
    /// Feeds all parameters to `state`, as the key would be fed.
    fn hash_into<H: Hasher>(&self, state: &mut H);
    /// Whether a stored key equals these arguments.
    fn matches(&self, key: &Self::Key) -> bool;
    /// Whether [`Args::into_key`] runs no code of the user's.
    fn is_plain(&self) -> bool;
    /// Makes the key.
    fn into_key(self) -> Self::Key;
    /// Appends the arguments' part of the persistent key: the same bytes as [`Args::encode_key`] for equal ones.
    ///
    /// # Errors
    /// If one of them cannot be encoded.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError>;
    /// Appends a key's part of the persistent key.
    ///
    /// # Errors
    /// If a part of it cannot be encoded.
    fn encode_key(key: &Self::Key, out: &mut Vec<u8>) -> Result<(), EncodeError>;
}

/// The owned arguments of a task.
pub trait Key: Send + Sync + 'static {
    /// Feeds the key to `state`, equal to what [`Args::hash_into`] feeds for equal arguments.
    fn hash_key<H: Hasher>(&self, state: &mut H);
    /// Whether two keys are the same arguments.
    fn eq_key(&self, other: &Self) -> bool;
}

macro_rules! tuples {
    ($($name:ident $index:tt),*) => {
        impl<$($name: Param),*> Args for ($($name,)*) {
            type Key = ($($name::Owned,)*);
            #[inline(always)]
            #[allow(unused_variables, reason = "the empty tuple uses none")]
            fn hash_into<H: Hasher>(&self, state: &mut H) {
                $(self.$index.hash_into(state);)*
            }
            #[inline(always)]
            #[allow(unused_variables, reason = "the empty tuple uses none")]
            fn matches(&self, key: &Self::Key) -> bool {
                true $(&& self.$index.matches(&key.$index))*
            }
            fn is_plain(&self) -> bool {
                true $(&& self.$index.is_plain())*
            }
            #[allow(clippy::unused_unit, reason = "the empty tuple's key is the unit")]
            fn into_key(self) -> Self::Key {
                ($(self.$index.into_owned(),)*)
            }
            #[allow(unused_variables, reason = "the empty tuple uses none")]
            fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                $(self.$index.encode(out)?;)*
                Ok(())
            }
            #[allow(unused_variables, reason = "the empty tuple uses none")]
            fn encode_key(key: &Self::Key, out: &mut Vec<u8>) -> Result<(), EncodeError> {
                $($name::encode_owned(&key.$index, out)?;)*
                Ok(())
            }
        }
        impl<$($name: KeyPart),*> Key for ($($name,)*) {
            #[inline]
            #[allow(unused_variables, reason = "the empty tuple uses none")]
            fn hash_key<H: Hasher>(&self, state: &mut H) {
                $(hash_part(&self.$index, state);)*
            }
            #[inline]
            #[allow(unused_variables, reason = "the empty tuple uses none")]
            fn eq_key(&self, other: &Self) -> bool {
                true $(&& same_part(&self.$index, &other.$index))*
            }
        }
    };
}
for_each_tuple!(tuples);

/// Arguments that arrived boxed: their key is owned already.
pub struct Unboxed<A: Args>(pub A::Key);

impl<A: Args> Args for Unboxed<A> {
    type Key = A::Key;
    fn hash_into<H: Hasher>(&self, state: &mut H) {
        self.0.hash_key(state);
    }
    fn matches(&self, key: &A::Key) -> bool {
        self.0.eq_key(key)
    }
    fn is_plain(&self) -> bool {
        true
    }
    fn into_key(self) -> A::Key {
        self.0
    }
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        A::encode_key(&self.0, out)
    }
    fn encode_key(key: &A::Key, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        A::encode_key(key, out)
    }
}

/// A key that was made before the lookup: outside of a lock, of arguments whose ownership takes code of the user's, or outside of a
/// session.
pub struct ByKey<K>(pub K);

impl<K: Key> Args for ByKey<K> {
    type Key = K;
    fn hash_into<H: Hasher>(&self, state: &mut H) {
        self.0.hash_key(state);
    }
    fn matches(&self, key: &K) -> bool {
        self.0.eq_key(key)
    }
    fn is_plain(&self) -> bool {
        true
    }
    fn into_key(self) -> K {
        self.0
    }
    /// Nothing asks: a sync call probes the store before anything is owned, an async one by the key in the node.
    fn encode(&self, _: &mut Vec<u8>) -> Result<(), EncodeError> {
        Err(not_stored())
    }
    fn encode_key(_: &K, _: &mut Vec<u8>) -> Result<(), EncodeError> {
        Err(not_stored())
    }
}

/// Type-erased arguments in a [`StackMagicAnySlot`]: what the lookup works with after the typed fast path missed.
///
/// Implemented for every [`Args`]; all methods take addresses of keys whose type the caller has established by
/// comparing task functions.
pub trait StackMagicAny {
    /// Whether the key at `key` equals these arguments.
    ///
    /// # Safety
    /// `key` must point to an initialised `Args::Key` of the implementing type.
    unsafe fn matches(&self, key: *const ()) -> bool;

    /// Whether turning the arguments into their key runs no code of the user's.
    fn is_plain(&self) -> bool;

    /// Appends the arguments' part of the persistent key.
    ///
    /// # Errors
    /// If one of them cannot be encoded.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// Moves the arguments out of `self` and writes the key to `place`.
    ///
    /// # Safety
    /// `place` must be valid for writing an `Args::Key`; `self` must not be used or dropped again.
    unsafe fn move_key(&mut self, place: *mut ());

    /// Moves the arguments out of `self`, makes the key, and passes it on in a slot of its own.
    ///
    /// # Safety
    /// `self` must not be used or dropped again.
    unsafe fn with_key(&mut self, then: &mut dyn FnMut(&mut ArgsSlot<'_>));
}

/// The type-erased slot that a lookup carries.
pub type ArgsSlot<'a> = StackMagicAnySlot<dyn StackMagicAny + 'a>;

impl<A: Args> StackMagicAny for A {
    unsafe fn matches(&self, key: *const ()) -> bool {
        // SAFETY: the caller vouches for the type behind `key`.
        Args::matches(self, unsafe { &*key.cast::<A::Key>() })
    }

    fn is_plain(&self) -> bool {
        Args::is_plain(self)
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        Args::encode(self, out)
    }

    unsafe fn move_key(&mut self, place: *mut ()) {
        // SAFETY: the caller never touches `self` again, so this is a move.
        let args = unsafe { ptr::read(self) };
        let key = args.into_key();
        // SAFETY: the caller vouches for `place`.
        unsafe { place.cast::<A::Key>().write(key) }
    }

    unsafe fn with_key(&mut self, then: &mut dyn FnMut(&mut ArgsSlot<'_>)) {
        // SAFETY: the caller never touches `self` again, so this is a move.
        let args = unsafe { ptr::read(self) };
        let mut slot = StackMagicAnySlot::new(ByKey(args.into_key()));
        then(&mut slot);
    }
}
