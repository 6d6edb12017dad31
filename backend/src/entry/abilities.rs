//! Picks: what is chosen at compile time by what a type can do. Generated code names an associated constant of the inherent impl;
//! where its bound does not hold, the fallback of the trait is found.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::args::Args;
use crate::call::exact::{Exact, same_by_sign};
use crate::call::print::{Print, print_short};
use crate::evaluate::handle::Task;
use crate::graph::task_fn::RecallKey;
use crate::persist::recall_key;
use larder_storage::codec;

/// A comparison of outputs.
pub(super) type Equal<O> = fn(&O, &O) -> bool;

/// Returns the first comparison that the type of the outputs has, the best ones first.
pub const fn first_of<O, const N: usize>(picked: [Option<Equal<O>>; N]) -> Option<Equal<O>> {
    let mut at = 0;
    while at < N {
        if picked[at].is_some() {
            return picked[at];
        }
        at += 1;
    }
    None
}

/// Picks the comparison by representation: of numbers, of text, and of containers of the standard library with these.
pub struct Exactly<O>(PhantomData<O>);

impl<O: Exact> Exactly<O> {
    /// [`Exact::same`].
    pub const EQ: Option<Equal<O>> = Some(O::same);
}

/// Picks `==` of a type whose equality is total, which no derived equality over a float is.
pub struct Total<O>(PhantomData<O>);

impl<O: Eq> Total<O> {
    /// `==`.
    pub const EQ: Option<Equal<O>> = Some(|left, right| left == right);
}

/// Picks `==` and the signs of zeros, for a type that says by its encoding which floats it holds.
pub struct Signed<O>(PhantomData<O>);

impl<O: PartialEq + Serialize> Signed<O> {
    /// [`same_by_sign`].
    pub const EQ: Option<Equal<O>> = Some(same_by_sign::<O>);
}

/// Picks the comparison of outputs at compile time: `Cutoff::<O>::EQ` is `Some` if `O: PartialEq`, else [`NoEq::EQ`].
pub struct Cutoff<O>(PhantomData<O>);

impl<O: PartialEq> Cutoff<O> {
    /// `==`.
    pub const EQ: Option<Equal<O>> = Some(|left, right| left == right);
}

/// The fallback of the four above. Outputs that cannot be compared at all change with every re-run.
pub trait NoEq {
    /// The output.
    type Output;
    /// No comparison.
    const EQ: Option<Equal<Self::Output>> = None;
}
impl<O> NoEq for Exactly<O> {
    type Output = O;
}
impl<O> NoEq for Total<O> {
    type Output = O;
}
impl<O> NoEq for Signed<O> {
    type Output = O;
}
impl<O> NoEq for Cutoff<O> {
    type Output = O;
}

/// Picks how arguments are printed at compile time: `Describe::<K>::DEBUG` is `Some` if each of them is `Debug`.
pub struct Describe<K>(PhantomData<K>);

impl<K: Print> Describe<K> {
    /// `{:?}`, each argument cut short.
    pub const DEBUG: Option<fn(&K, &mut fmt::Formatter<'_>) -> fmt::Result> = Some(K::print);
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

/// Picks how an output is printed: `Show::<O>::DEBUG` is `Some` if `O` is `Debug`.
pub struct Show<O>(PhantomData<O>);

impl<O: fmt::Debug> Show<O> {
    /// `{:?}`, cut short.
    pub const DEBUG: Option<fn(&O, &mut fmt::Formatter<'_>) -> fmt::Result> =
        Some(|output, f| print_short(f, output));
}

/// The fallback of [`Show`] for outputs without `Debug`.
pub trait NoShow {
    /// The output.
    type Output;
    /// No way to print it.
    const DEBUG: Option<fn(&Self::Output, &mut fmt::Formatter<'_>) -> fmt::Result> = None;
}
impl<O> NoShow for Show<O> {
    type Output = O;
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

/// Picks how a part of a key is checked: `Lossless::<T>::RETURNS` is `Some` if `T` can be decoded, as keys need not be.
pub struct Lossless<T: ?Sized>(PhantomData<T>);

impl<T: ?Sized + ToOwned<Owned: DeserializeOwned> + Serialize + Eq> Lossless<T> {
    /// Whether what the part encodes to is not known to decode to another value. A part that does not decode is no evidence: keys
    /// are only ever encoded.
    pub const RETURNS: Option<fn(&T) -> bool> = Some(|part| {
        let mut encoded = Vec::new();
        let decoded = codec::encode_into(part, &mut encoded).ok().and_then(|()| codec::decode(&encoded).ok());
        decoded.is_none_or(|decoded: T::Owned| *part == *Borrow::<T>::borrow(&decoded))
    });
}

/// The fallback of [`Lossless`] for parts that can only be encoded.
pub trait NoReturn {
    /// The part.
    type Part: ?Sized;
    /// No way back.
    const RETURNS: Option<fn(&Self::Part) -> bool> = None;
}
impl<T: ?Sized> NoReturn for Lossless<T> {
    type Part = T;
}
/// Picks whether a task can be made from its encoded arguments alone: `Recall::<A>::KEY` is `Some` if what a node keeps of
/// the arguments `A` is `Deserialize`. A parameter that is skipped is not.
pub struct Recall<A>(PhantomData<A>);

impl<A: Args<Key: DeserializeOwned>> Recall<A> {
    /// Decodes the arguments.
    pub const KEY: Option<RecallKey> = Some(recall_key::<A>);
}

/// The fallback of [`Recall`] for arguments that can only be encoded: their task is found when it is called.
pub trait NoRecall {
    /// No way to decode them.
    const KEY: Option<RecallKey> = None;
}
impl<A> NoRecall for Recall<A> {}
