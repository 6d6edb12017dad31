//! Parts: the nodes of a collection's tree, and the task functions over them.
//!
//! The functions of a user are closures without captures: their type says all about them, so it is the identity of the task function
//! (`fold_part::<P, R, M, C>` is one function for each `M` and `C`). They are handed to the body as skipped arguments of no size.

use std::hash::Hash;

use larder_backend::{Persist, PersistKey, par_map};

use super::kinds::{HashOf, MapKey, Stored};
use crate::task_fn;

/// A collection, or a part of one: what one node of its tree holds.
///
/// Implemented by [`InputMap`](crate::InputMap) and by what is derived from one. It is an argument of task functions: two parts that are
/// equal read the same inputs. Its methods are not for programs; signatures name it by [`Rows`].
pub trait Part: Clone + Eq + Hash + PersistKey + Send + Sync + 'static {
    /// The key of a row.
    type Key: MapKey;
    /// The value of a row.
    type Value: Clone + PartialEq + Send + Sync + 'static;
    /// How keys are placed.
    type Hashing: HashOf<Self::Key>;

    /// Calls `each` with the parts of this part, in order: eight, by the next digit of the hash of their keys. Returns false if it has
    /// none: it holds rows.
    #[doc(hidden)]
    fn each_part(&self, each: &mut dyn FnMut(&Self)) -> bool;

    /// Calls `each` with the rows of a part that has no parts, in the order of the hashes of their keys.
    #[doc(hidden)]
    #[expect(clippy::type_complexity, reason = "it is what it is: a hash, a key and a value")]
    fn each_row(&self, each: &mut dyn FnMut(u64, &Self::Key, &Self::Value));

    /// The value of a key, if it has one.
    #[doc(hidden)]
    fn find(&self, hash: u64, key: &Self::Key) -> Option<Self::Value>;
}

/// A collection with rows of these keys and values, for signatures: `TaskMap<impl Rows<String, u64> + use<>>`. `D` is the kind of the maps
/// that it is derived from, which says how keys are placed.
pub trait Rows<K: MapKey, V, D = Stored>: Part<Key = K, Value = V, Hashing = D> {}
impl<K: MapKey, V, D, P: Part<Key = K, Value = V, Hashing = D>> Rows<K, V, D> for P {}

/// A user's function of a row.
pub trait OfRow<P: Part, R>: Copy + Send + Sync + 'static {
    /// Calls it.
    fn of_row(self, key: &P::Key, value: &P::Value) -> R;
}

/// A function of the key alone.
#[derive(Clone, Copy)]
pub(super) struct ByKey<M>(pub(super) M);

impl<P: Part, R, M: Fn(&P::Key) -> R + Copy + Send + Sync + 'static> OfRow<P, R> for ByKey<M> {
    fn of_row(self, key: &P::Key, _: &P::Value) -> R {
        (self.0)(key)
    }
}

/// A function of key and value.
#[derive(Clone, Copy)]
pub(super) struct ByRow<M>(pub(super) M);

impl<P: Part, R, M: Fn(&P::Key, &P::Value) -> R + Copy + Send + Sync + 'static> OfRow<P, R> for ByRow<M> {
    fn of_row(self, key: &P::Key, value: &P::Value) -> R {
        (self.0)(key, value)
    }
}

/// The bounds of a function that combines two results.
pub trait Combine<R>: Fn(R, R) -> R + Copy + Send + Sync + 'static {}
impl<R, C: Fn(R, R) -> R + Copy + Send + Sync + 'static> Combine<R> for C {}

/// Adds results up, none at first.
struct Sum<R, C>(Option<R>, C);

impl<R, C: Combine<R>> Sum<R, C> {
    fn add(&mut self, result: R) {
        self.0 = Some(match self.0.take() {
            Some(sum) => (self.1)(sum, result),
            None => result,
        });
    }
}

/// The fold of a part; none if it has no rows.
#[task_fn]
pub(super) fn fold_part<P, R, M, C>(part: &P, #[skip] map: M, #[skip] combine: C) -> Option<R>
where
    P: Part,
    R: Persist + Clone + PartialEq + Send + Sync + 'static,
    M: OfRow<P, R>,
    C: Combine<R>,
{
    let mut sum = Sum(None, combine);
    if !part
        .each_part(&mut |part| fold_part(part, map, combine).into_iter().for_each(|result| sum.add(result)))
    {
        part.each_row(&mut |_, key, value| sum.add(map.of_row(key, value)));
    }
    sum.0
}

/// [`fold_part`], not stored.
#[task_fn(transient)]
pub(super) fn transient_fold_part<P, R, M, C>(part: &P, #[skip] map: M, #[skip] combine: C) -> Option<R>
where
    P: Part,
    R: Clone + PartialEq + Send + Sync + 'static,
    M: OfRow<P, R>,
    C: Combine<R>,
{
    let mut sum = Sum(None, combine);
    let is_inner = part.each_part(&mut |part| {
        transient_fold_part(part, map, combine).into_iter().for_each(|result| sum.add(result));
    });
    if !is_inner {
        part.each_row(&mut |_, key, value| sum.add(map.of_row(key, value)));
    }
    sum.0
}

/// [`fold_part`], on all threads.
#[task_fn]
pub(super) fn par_fold_part<P, R, M, C>(part: &P, #[skip] map: M, #[skip] combine: C) -> Option<R>
where
    P: Part,
    R: Persist + Clone + PartialEq + Send + Sync + 'static,
    M: OfRow<P, R>,
    C: Combine<R>,
{
    let mut parts = Vec::new();
    let results: Vec<R> = if part.each_part(&mut |part| parts.push(part.clone())) {
        par_map(parts, |part| par_fold_part(&part, map, combine)).into_iter().flatten().collect()
    } else {
        let mut rows = Vec::new();
        part.each_row(&mut |_, key, value| rows.push((key.clone(), value.clone())));
        par_map(rows, |(key, value)| map.of_row(&key, &value))
    };
    results.into_iter().reduce(combine)
}

/// Whether a part has parts.
#[task_fn]
pub(super) fn has_parts<P: Part>(part: &P) -> bool {
    part.each_part(&mut |_| ())
}

/// The value of a key in a part.
#[task_fn]
pub(super) fn entry<P, Q>(part: &P, key: &Q) -> Option<P::Value>
where
    P: Part<Key = Q::Owned, Value: Persist>,
    Q: ?Sized + ToOwned<Owned: MapKey> + Hash + Eq + PersistKey + 'static,
{
    let key = key.to_owned();
    part.find(P::Hashing::hash_of(&key), &key)
}

/// [`entry`], not stored.
#[task_fn(transient)]
pub(super) fn transient_entry<P, Q>(part: &P, key: &Q) -> Option<P::Value>
where
    P: Part<Key = Q::Owned>,
    Q: ?Sized + ToOwned<Owned: MapKey> + Hash + Eq + 'static,
{
    let key = key.to_owned();
    part.find(P::Hashing::hash_of(&key), &key)
}

/// Whether a key has a value in a part.
#[task_fn]
pub(super) fn contains<P, Q>(part: &P, key: &Q) -> bool
where
    P: Part<Key = Q::Owned>,
    Q: ?Sized + ToOwned<Owned: MapKey> + Hash + Eq + PersistKey + 'static,
{
    let key = key.to_owned();
    part.find(P::Hashing::hash_of(&key), &key).is_some()
}

/// [`contains`], not stored.
#[task_fn(transient)]
pub(super) fn transient_contains<P, Q>(part: &P, key: &Q) -> bool
where
    P: Part<Key = Q::Owned>,
    Q: ?Sized + ToOwned<Owned: MapKey> + Hash + Eq + 'static,
{
    let key = key.to_owned();
    part.find(P::Hashing::hash_of(&key), &key).is_some()
}
