//! Values that tasks emit beside their results, as nodes and stores keep them.
//!
//! In a store a value stands under a *channel*, which stands for its type, and begins with the build that wrote it: the type behind a
//! channel may be another one in another build, and then the trace is a miss.

use std::any::{Any, TypeId, type_name};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustc_hash::FxHasher;

use crate::base::stack::on_enough_stack;
use crate::call::exact::same_by_sign;
use crate::call::storable::Persist;
use crate::graph::reason::Reason;
use larder_storage::Digest;
use larder_storage::codec;

/// A type whose values tasks may emit.
///
/// A type is one if it is `Clone + PartialEq + Send + Sync + 'static` and can be stored, by serde's `Serialize` and `Deserialize`. A type
/// without serde becomes one by an empty implementation, and its values stay in memory:
///
/// ```text
/// impl larder::Emitted for Problem {}
/// ```
///
/// They are compared, collected and replayed as others are, in this process. A run that emits one is not stored, and neither is a run
/// that reads it ([`Reason::NotEncoded`], [`Reason::ReadsUnstored`]). So emit them from transient tasks: a function without
/// `transient` would run in each process anew.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be emitted by a task",
    label = "not `Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static`",
    note = "derive `Clone`, `PartialEq`, `serde::Serialize` and `serde::Deserialize`: emitted values are compared after a \
            re-run, and replayed on a hit, also in a later process",
    note = "or, without serde, let the values stay in memory: `impl larder::Emitted for {Self} {{}}`, and emit them from transient tasks"
)]
pub trait Emitted: Clone + PartialEq + Send + Sync + 'static {
    /// Appends the encoded value, if values of the type can be stored, and looks whether the encoding comes back equal.
    #[doc(hidden)]
    fn __larder_encode(&self, _out: &mut Vec<u8>) -> Result<(), Reason> {
        Err(Reason::NotEncoded)
    }

    /// Whether two values are the same, also where `==` is coarser than that.
    #[doc(hidden)]
    fn __larder_same(&self, other: &Self) -> bool {
        on_enough_stack(|| self == other)
    }

    /// Decodes a value out of a store. Returns `None` if it is none of this type.
    #[doc(hidden)]
    fn __larder_decode(_bytes: &[u8]) -> Option<Self> {
        None
    }
}

#[diagnostic::do_not_recommend]
impl<T: Clone + PartialEq + Persist + Send + Sync + 'static> Emitted for T {
    fn __larder_encode(&self, out: &mut Vec<u8>) -> Result<(), Reason> {
        let start = out.len();
        codec::encode_into(self, out)?;
        // Few values are emitted, and one that is lost would be lost silently.
        codec::check_return("", self, &out[start..], |one, other| one == other)
            .map_err(|_| Reason::NoRoundTrip)
    }

    fn __larder_same(&self, other: &Self) -> bool {
        same_by_sign(self, other)
    }

    fn __larder_decode(bytes: &[u8]) -> Option<Self> {
        codec::decode(bytes).ok()
    }
}

/// An emitted value of some type.
pub(crate) type EmittedValue = Arc<dyn AnyEmitted>;

/// The type-erased side of [`Emitted`].
pub(crate) trait AnyEmitted: Any + Send + Sync {
    fn equals(&self, other: &dyn AnyEmitted) -> bool;
    /// Appends the encoded value; returns the channel that stands for its type in a store.
    fn encode(&self, channels: Channels, out: &mut Vec<u8>) -> Result<Digest, Reason>;
}

/// The value, if it is of type `D`, as it was emitted or out of the store.
pub(crate) fn value_of<D: Emitted>(emitted: &dyn AnyEmitted) -> Option<D> {
    let any: &dyn Any = emitted;
    match any.downcast_ref::<D>() {
        Some(value) => Some(value.clone()),
        None => any.downcast_ref::<StoredEmitted>()?.decode(),
    }
}

impl<T: Emitted> AnyEmitted for T {
    fn equals(&self, other: &dyn AnyEmitted) -> bool {
        value_of::<T>(other).is_some_and(|other| self.__larder_same(&other))
    }
    fn encode(&self, channels: Channels, out: &mut Vec<u8>) -> Result<Digest, Reason> {
        encode(self, channels, out)
    }
}

/// An emitted value as it stands in the store.
pub(crate) struct StoredEmitted {
    pub(crate) channels: Channels,
    pub(crate) channel: Digest,
    /// Without the build.
    pub(crate) bytes: Box<[u8]>,
}

/// The digest that stands for a type in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channels {
    /// The compiler's identity of it, which is the same in all processes of a build.
    ByType,
    /// Its name alone, where a build is what the program says it is.
    ByName,
}

impl Channels {
    fn of<D: Emitted>(self) -> Digest {
        let name = type_name::<D>();
        match self {
            Self::ByType => {
                Digest::xxh3(format!("{name} {:?} {}", TypeId::of::<D>(), half_of::<D>()).as_bytes())
            }
            Self::ByName => Digest::xxh3(name.as_bytes()),
        }
    }
}

/// The half of a type's identity that its `Hash` gives, should its `Debug` one day give none of it.
fn half_of<D: 'static>() -> u64 {
    let mut hasher = FxHasher::default();
    TypeId::of::<D>().hash(&mut hasher);
    hasher.finish()
}

impl StoredEmitted {
    /// The value, if it is of this type.
    pub(crate) fn decode<D: Emitted>(&self) -> Option<D> {
        (self.channel == self.channels.of::<D>()).then(|| D::__larder_decode(&self.bytes)).flatten()
    }
}

impl AnyEmitted for StoredEmitted {
    fn equals(&self, other: &dyn AnyEmitted) -> bool {
        let any: &dyn Any = other;
        match any.downcast_ref::<Self>() {
            Some(other) => self.channel == other.channel && self.bytes == other.bytes,
            None => other.equals(self),
        }
    }
    fn encode(&self, _: Channels, out: &mut Vec<u8>) -> Result<Digest, Reason> {
        out.extend_from_slice(&self.bytes);
        Ok(self.channel)
    }
}

/// Appends an emitted value; returns its channel.
pub(crate) fn encode<D: Emitted>(value: &D, channels: Channels, out: &mut Vec<u8>) -> Result<Digest, Reason> {
    value.__larder_encode(out)?;
    Ok(channels.of::<D>())
}
