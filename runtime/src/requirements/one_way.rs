//! Outputs that serde can write and not read, or read and not write: the error names the trait that is missing.
//!
//! A requirement states all abilities of an output, so its text has to name both traits. Generated code therefore picks a stricter text
//! before: for example, for an output that derives `Serialize` alone it finds [`OneWay<_, Yes, No>`](OneWay), whose check requires
//! [`DeserializedOutput`]. Both requirements fail for one reason at one place, so the compiler reports the first of them and no other.

use std::marker::PhantomData;

use larder_backend::Persist;
use serde::Serialize;
use serde::de::DeserializeOwned;

requirement!(
    /// An output that is stored, and that can be read back.
    SerializedOutput: [Persist + Clone + Send + Sync + 'static],
    "`{Self}` cannot be the output of a stored task function",
    "not `serde::Serialize`",
    "results are written to the store: derive `serde::Serialize` beside `serde::Deserialize`",
    "or keep the function's results in memory only: `#[task_fn(transient)]`"
);
requirement!(
    /// An output that is stored, and that can be written.
    DeserializedOutput: [Persist + Clone + Send + Sync + 'static],
    "`{Self}` cannot be the output of a stored task function",
    "not `serde::de::DeserializeOwned`",
    "results are read back from the store: derive `serde::Deserialize` beside `serde::Serialize`",
    "or keep the function's results in memory only: `#[task_fn(transient)]`"
);

/// The ability is there.
pub struct Yes;
/// The ability is not there, or the compiler cannot tell, as of a type parameter.
pub struct No;

/// Picks whether `T` can be written: `Serializes::<T>::CAN` is [`Yes`] if `T: Serialize`, else [`NoSerde::CAN`].
pub struct Serializes<T: ?Sized>(PhantomData<T>);

impl<T: ?Sized + Serialize> Serializes<T> {
    /// It can.
    pub const CAN: Yes = Yes;
}

/// Picks whether `T` can be read back: `Deserializes::<T>::CAN` is [`Yes`] if `T: DeserializeOwned`, else [`NoSerde::CAN`].
pub struct Deserializes<T: ?Sized>(PhantomData<T>);

impl<T: DeserializeOwned> Deserializes<T> {
    /// It can.
    pub const CAN: Yes = Yes;
}

/// The fallback of the two above.
pub trait NoSerde {
    /// It cannot.
    const CAN: No = No;
}
impl<T: ?Sized> NoSerde for Serializes<T> {}
impl<T: ?Sized> NoSerde for Deserializes<T> {}

/// Ways in which serde can take an output: whether it can write it, and read it back.
pub struct OneWay<T: ?Sized, S, D>(S, D, PhantomData<T>);

/// Puts together what was picked for an output.
pub fn one_way<T: ?Sized, S, D>(serializes: S, deserializes: D) -> OneWay<T, S, D> {
    OneWay(serializes, deserializes, PhantomData)
}

impl<T: ?Sized, B> OneWay<T, B, B> {
    /// Checks nothing: if both ways are missing, [`StoredOutput`](super::StoredOutput) says so.
    pub fn check(self) {}
}

impl<T: ?Sized> OneWay<T, No, Yes> {
    /// Requires what is missing.
    pub fn check(self)
    where
        for<'x> T: SerializedOutput<'x>,
    {
    }
}

impl<T: ?Sized> OneWay<T, Yes, No> {
    /// Requires what is missing.
    pub fn check(self)
    where
        for<'x> T: DeserializedOutput<'x>,
    {
    }
}
