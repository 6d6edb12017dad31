//! Picks: what is chosen at compile time by what a type can do. Generated code names an associated constant of the inherent impl;
//! where its bound does not hold, the fallback of the trait is found.

use std::fmt;
use std::marker::PhantomData;

use crate::handle::Task;

/// A comparison of outputs.
pub(super) type Equal<O> = fn(&O, &O) -> bool;

/// Picks the comparison of outputs at compile time: `Cutoff::<O>::EQ` is `Some` if `O: PartialEq`, else [`NoEq::EQ`].
pub struct Cutoff<O>(PhantomData<O>);

impl<O: PartialEq> Cutoff<O> {
    /// `==`.
    pub const EQ: Option<Equal<O>> = Some(|left, right| left == right);
}

/// The fallback of [`Cutoff`] for outputs that cannot be compared: every re-run counts as a change.
pub trait NoEq {
    /// The output.
    type Output;
    /// No comparison.
    const EQ: Option<Equal<Self::Output>> = None;
}
impl<O> NoEq for Cutoff<O> {
    type Output = O;
}

/// Picks how arguments are printed at compile time: `Describe::<K>::DEBUG` is `Some` if `K: Debug`.
pub struct Describe<K>(PhantomData<K>);

impl<K: fmt::Debug> Describe<K> {
    /// `{:?}`.
    pub const DEBUG: Option<fn(&K, &mut fmt::Formatter<'_>) -> fmt::Result> =
        Some(|key, f| fmt::Debug::fmt(key, f));
}

/// The fallback of [`Describe`] for arguments without `Debug`.
pub trait NoDebug {
    /// The arguments.
    type Key;
    /// No way to print them.
    const DEBUG: Option<fn(&Self::Key, &mut fmt::Formatter<'_>) -> fmt::Result> = None;
}
impl<K> NoDebug for Describe<K> {
    type Key = K;
}

/// Picks what is done with an argument before the body runs: `Handle::<T>::RESOLVE` is `Some` if `T` is a [`Task`]. By its type:
/// a handle may go by another name, and another type by this one.
pub struct Handle<T: ?Sized>(PhantomData<T>);

impl<T: Clone + Send + Sync + 'static> Handle<Task<T>> {
    /// Computes the task if it is still pending.
    pub const RESOLVE: Option<fn(&Task<T>)> = Some(Task::resolve);
}

/// The fallback of [`Handle`] for all other arguments.
pub trait NoHandle {
    /// The argument.
    type Argument: ?Sized;
    /// Nothing to compute.
    const RESOLVE: Option<fn(&Self::Argument)> = None;
}
impl<T: ?Sized> NoHandle for Handle<T> {
    type Argument = T;
}
