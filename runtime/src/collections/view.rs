//! Views: collections that are derived from others, row by row.
//!
//! A view is nothing but the functions that make it: its parts are those of its source, and what is computed of a part runs the functions
//! for its rows. So a view of views costs no tasks, no memory and no copy, and a changed row costs what it costs in the source.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use serde::{Serialize, Serializer};

use super::fold::captures_nothing;
use super::groups::GroupBy;
use super::kinds::{Gets, Keeps, Transient};
use super::parts::{ByRow, Part, has_parts};
use super::place::{Place, WAYS};

/// A map that is computed by tasks: an [`InputMap`](crate::InputMap), or what is derived from one.
///
/// ```
/// use larder::collections::Rows;
/// use larder::{InputMap, Runtime, TaskMap, task_fn};
///
/// type Stock = InputMap<String, u64>;
///
/// /// A view is made again wherever it is needed: it is only the functions that it consists of.
/// fn scarce(stock: &Stock) -> TaskMap<impl Rows<String, u64> + use<>> {
///     stock.view().filter(|_, count| *count < 10)
/// }
///
/// #[task_fn]
/// fn value_of_scarce(stock: &Stock, prices: &Stock) -> u64 {
///     let values = scarce(stock).merge(&prices.view(), |_, count, price| Some(count? * price?));
///     values.fold(0, |_, value| *value, |a, b| a + b)
/// }
///
/// #[task_fn]
/// fn names_by_length(stock: &Stock, length: usize) -> usize {
///     let groups = stock.view().group_by(|name, _| name.len()).fold(|_, _| 1, |a, b| a + b);
///     groups.get(&length).unwrap_or(0)
/// }
///
/// let runtime = Runtime::new();
/// let [stock, prices]: [Stock; 2] = ["stock", "prices"].map(|name| runtime.input_map(name));
/// runtime.update(|update| {
///     stock.extend(update, [("nail".to_owned(), 1000), ("hammer".to_owned(), 2), ("saw".to_owned(), 3)]);
///     prices.extend(update, [("nail".to_owned(), 1), ("hammer".to_owned(), 20), ("axe".to_owned(), 30)]);
/// }).unwrap();
/// assert_eq!(runtime.run(|| value_of_scarce(&stock, &prices)), 40);
/// assert_eq!(runtime.run(|| names_by_length(&stock, 4)), 1);
/// ```
///
/// The functions capture nothing and are known by their type: see [`fold`](crate::fold). They run again for each row of a list of the
/// source in which a row has changed, so what is expensive in them should be a call of a task function.
///
/// `D` says whether results are stored: [`Stored`](super::Stored), unless [`transient`](Self::transient) was called.
pub struct TaskMap<S, D = super::kinds::Stored> {
    rows: S,
    kind: PhantomData<fn() -> D>,
}

impl<S: Part, D: Send + Sync + 'static> TaskMap<S, D> {
    pub(crate) fn of(rows: S) -> Self {
        Self { rows, kind: PhantomData }
    }

    pub(super) fn rows(&self) -> &S {
        &self.rows
    }

    /// Returns this map, of which results are kept in memory only: they need not be `Serialize`.
    #[must_use]
    pub fn transient(self) -> TaskMap<S, Transient> {
        TaskMap::of(self.rows)
    }

    /// Returns the map of these keys to what `map` makes of key and value.
    #[must_use]
    pub fn map_values<W, F>(self, map: F) -> TaskMap<MapValues<S, F, W>, D>
    where
        W: Clone + PartialEq + Send + Sync + 'static,
        F: Fn(&S::Key, &S::Value) -> W + Copy + Send + Sync + 'static,
    {
        const { captures_nothing::<F>() };
        TaskMap::of(MapValues { rows: self.rows, map, value: PhantomData })
    }

    /// Returns the rows of which `keep` says yes.
    #[must_use]
    pub fn filter<F>(self, keep: F) -> TaskMap<Filter<S, F>, D>
    where
        F: Fn(&S::Key, &S::Value) -> bool + Copy + Send + Sync + 'static,
    {
        const { captures_nothing::<F>() };
        TaskMap::of(Filter { rows: self.rows, keep })
    }

    /// Joins two maps by their keys. `merge` is called for each key that either map has, and says what the value is, if there is to be one.
    ///
    /// Both maps are of one kind: stored, or transient.
    #[must_use]
    pub fn merge<T, W, F>(self, other: &TaskMap<T, D>, merge: F) -> TaskMap<Merge<S, T, F, W>, D>
    where
        T: Part<Key = S::Key, Hashing = S::Hashing>,
        W: Clone + PartialEq + Send + Sync + 'static,
        F: Fn(&S::Key, Option<&S::Value>, Option<&T::Value>) -> Option<W> + Copy + Send + Sync + 'static,
    {
        const { captures_nothing::<F>() };
        TaskMap::of(Merge::of(self.rows, other.rows.clone(), merge))
    }

    /// Divides the rows into groups, of which [`GroupBy::fold`] makes a map: from each group to the fold over its rows.
    pub fn group_by<G, F>(self, group: F) -> GroupBy<S, F, D>
    where
        F: Fn(&S::Key, &S::Value) -> G + Copy + Send + Sync + 'static,
    {
        const { captures_nothing::<F>() };
        GroupBy::of(self.rows, group)
    }

    /// Returns the value of a key, if it has one. The task that runs now depends on that alone.
    ///
    /// # Panics
    /// If a function of the map does; outside of a session.
    #[must_use]
    #[track_caller]
    pub fn get<Q>(&self, key: &Q) -> Option<S::Value>
    where
        Q: ?Sized + ToOwned<Owned = S::Key>,
        D: Gets<Q, S::Value>,
    {
        D::get(&self.rows, key)
    }

    /// Whether a key has a value. The task that runs now depends on that alone.
    ///
    /// # Panics
    /// If a function of the map does; outside of a session.
    #[must_use]
    #[track_caller]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: ?Sized + ToOwned<Owned = S::Key>,
        D: Gets<Q, S::Value>,
    {
        D::contains(&self.rows, key)
    }

    /// Returns the number of rows. After a change it takes O(log n).
    ///
    /// # Panics
    /// If a function of the map does; outside of a session.
    #[must_use]
    #[track_caller]
    pub fn len(&self) -> usize
    where
        D: Keeps<usize>,
    {
        D::fold(&self.rows, ByRow(|_: &S::Key, _: &S::Value| 1), |one, other| one + other).unwrap_or(0)
    }

    /// Whether there are no rows.
    ///
    /// # Panics
    /// If a function of the map does; outside of a session.
    #[must_use]
    #[track_caller]
    pub fn is_empty(&self) -> bool
    where
        D: Keeps<usize>,
    {
        self.len() == 0
    }

    /// Returns the keys, in an order that is the same in each process. The task that runs now depends on the set of keys, and on no value.
    ///
    /// # Panics
    /// If a function of the map does; outside of a session.
    #[must_use]
    #[track_caller]
    pub fn keys(&self) -> Vec<S::Key>
    where
        D: Keeps<Vec<S::Key>>,
    {
        let mut all = Vec::new();
        each_list_of_keys(&self.rows, &mut |list| {
            let keys =
                D::fold(list, ByRow(|key: &S::Key, _: &S::Value| vec![key.clone()]), |mut keys, more| {
                    keys.extend(more);
                    keys
                });
            all.extend(keys.into_iter().flatten());
        });
        all
    }

    /// Returns all rows, in the order of [`keys`](Self::keys). The task that runs now depends on all of them, and looks at each:
    /// [`fold`](Self::fold) does not.
    ///
    /// # Panics
    /// If a function of the map does; outside of a session.
    #[must_use]
    #[track_caller]
    pub fn entries(&self) -> Vec<(S::Key, S::Value)> {
        let mut all = Vec::new();
        each_list(&self.rows, &mut |list| {
            list.each_row(&mut |_, key, value| all.push((key.clone(), value.clone())));
        });
        all
    }

    /// Folds over the rows: `map` of each, combined; `empty` if there are none.
    ///
    /// A changed row runs one task for its list, and one for each node above: about `log8 n`. The rest is as for [`fold`](crate::fold()),
    /// but for this: the order of rows is that of their hashes, so `combine` has to be associative *and commutative*.
    ///
    /// # Panics
    /// If `map`, `combine` or a function of the map do; outside of a session.
    #[track_caller]
    pub fn fold<R, M, C>(&self, empty: R, map: M, combine: C) -> R
    where
        D: Keeps<R>,
        R: Clone + PartialEq + Send + Sync + 'static,
        M: Fn(&S::Key, &S::Value) -> R + Copy + Send + Sync + 'static,
        C: Fn(R, R) -> R + Copy + Send + Sync + 'static,
    {
        const { captures_nothing::<M>() };
        const { captures_nothing::<C>() };
        D::fold(&self.rows, ByRow(map), combine).unwrap_or(empty)
    }
}

/// Calls `each` with the lists of a collection, in order.
fn each_list<P: Part>(part: &P, each: &mut dyn FnMut(&P)) {
    if !part.each_part(&mut |part| each_list(part, each)) {
        each(part);
    }
}

/// Calls `each` with the lists of a collection, in order. The task that runs now depends on which there are, and on no value in them.
fn each_list_of_keys<P: Part>(part: &P, each: &mut dyn FnMut(&P)) {
    if has_parts(part) {
        part.each_part(&mut |part| each_list_of_keys(part, each));
    } else {
        each(part);
    }
}

impl<S: Clone, D> Clone for TaskMap<S, D> {
    fn clone(&self) -> Self {
        Self { rows: self.rows.clone(), kind: PhantomData }
    }
}

impl<S, D> fmt::Debug for TaskMap<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskMap").finish_non_exhaustive()
    }
}

/// Implements what a view is known by: its sources. Its functions have no values, and its type tells them.
macro_rules! known_by {
    ($name:ident<$($generic:ident),+>: $source:ident $(, $other:ident)?; $($field:ident),+; $($copied:ident),+ of $($function:ident),+) => {
        impl<$($generic),+> Clone for $name<$($generic),+> where $source: Clone, $($other: Clone,)? $($function: Copy),+ {
            fn clone(&self) -> Self {
                Self { $($field: self.$field.clone(),)+ $($copied: self.$copied),+ }
            }
        }
        impl<$($generic),+> PartialEq for $name<$($generic),+> where $source: PartialEq, $($other: PartialEq)? {
            fn eq(&self, other: &Self) -> bool {
                $(self.$field == other.$field)&&+
            }
        }
        impl<$($generic),+> Eq for $name<$($generic),+> where $source: Eq, $($other: Eq)? {}
        impl<$($generic),+> Hash for $name<$($generic),+> where $source: Hash, $($other: Hash)? {
            fn hash<H: Hasher>(&self, state: &mut H) {
                $(self.$field.hash(state);)+
            }
        }
        impl<$($generic),+> Serialize for $name<$($generic),+> where $source: Serialize, $($other: Serialize)? {
            fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
                ($(&self.$field,)+).serialize(serializer)
            }
        }
        impl<$($generic),+> fmt::Debug for $name<$($generic),+> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}
pub(super) use known_by;

known_by!(MapValues<S, F, W>: S; rows; map, value of F);
known_by!(Filter<S, F>: S; rows; keep of F);
known_by!(Merge<S, T, F, W>: S, T; one, other, place; merge, value of F);

/// The rows of [`TaskMap::map_values`].
pub struct MapValues<S, F, W> {
    rows: S,
    map: F,
    value: PhantomData<fn() -> W>,
}

impl<S, F, W> Part for MapValues<S, F, W>
where
    S: Part,
    W: Clone + PartialEq + Send + Sync + 'static,
    F: Fn(&S::Key, &S::Value) -> W + Copy + Send + Sync + 'static,
{
    type Key = S::Key;
    type Value = W;
    type Hashing = S::Hashing;

    fn each_part(&self, each: &mut dyn FnMut(&Self)) -> bool {
        self.rows.each_part(&mut |rows| each(&Self { rows: rows.clone(), ..self.clone() }))
    }

    fn each_row(&self, each: &mut dyn FnMut(u64, &S::Key, &W)) {
        self.rows.each_row(&mut |hash, key, value| each(hash, key, &(self.map)(key, value)));
    }

    fn find(&self, hash: u64, key: &S::Key) -> Option<W> {
        self.rows.find(hash, key).map(|value| (self.map)(key, &value))
    }
}

/// The rows of [`TaskMap::filter`].
pub struct Filter<S, F> {
    rows: S,
    keep: F,
}

impl<S, F> Part for Filter<S, F>
where
    S: Part,
    F: Fn(&S::Key, &S::Value) -> bool + Copy + Send + Sync + 'static,
{
    type Key = S::Key;
    type Value = S::Value;
    type Hashing = S::Hashing;

    fn each_part(&self, each: &mut dyn FnMut(&Self)) -> bool {
        self.rows.each_part(&mut |rows| each(&Self { rows: rows.clone(), keep: self.keep }))
    }

    fn each_row(&self, each: &mut dyn FnMut(u64, &S::Key, &S::Value)) {
        self.rows.each_row(&mut |hash, key, value| {
            if (self.keep)(key, value) {
                each(hash, key, value);
            }
        });
    }

    fn find(&self, hash: u64, key: &S::Key) -> Option<S::Value> {
        self.rows.find(hash, key).filter(|value| (self.keep)(key, value))
    }
}

/// The rows of [`TaskMap::merge`]. Where one side is divided and the other is a list, the parts are the divided one's, each with the rows
/// of the list that belong to it.
pub struct Merge<S, T, F, W> {
    one: S,
    other: T,
    place: Place,
    merge: F,
    value: PhantomData<fn() -> W>,
}

/// Hash, key, and the values that the two sides have.
type Joined<S, T> = (u64, <S as Part>::Key, Option<<S as Part>::Value>, Option<<T as Part>::Value>);

impl<S, T, F: Copy, W> Merge<S, T, F, W> {
    fn of(one: S, other: T, merge: F) -> Self {
        Self { one, other, place: Place::ROOT, merge, value: PhantomData }
    }

    fn below(&self, one: S, other: T, digit: usize) -> Self {
        let place = self.place.below(digit);
        Self { one, other, place, merge: self.merge, value: PhantomData }
    }
}

impl<S, T, F, W> Part for Merge<S, T, F, W>
where
    S: Part,
    T: Part<Key = S::Key, Hashing = S::Hashing>,
    W: Clone + PartialEq + Send + Sync + 'static,
    F: Fn(&S::Key, Option<&S::Value>, Option<&T::Value>) -> Option<W> + Copy + Send + Sync + 'static,
{
    type Key = S::Key;
    type Value = W;
    type Hashing = S::Hashing;

    fn each_part(&self, each: &mut dyn FnMut(&Self)) -> bool {
        let (mut ones, mut others) = (Vec::new(), Vec::new());
        self.one.each_part(&mut |part| ones.push(part.clone()));
        self.other.each_part(&mut |part| others.push(part.clone()));
        if ones.is_empty() && others.is_empty() {
            return false;
        }
        for digit in 0..WAYS {
            let one = ones.get(digit).unwrap_or(&self.one).clone();
            let other = others.get(digit).unwrap_or(&self.other).clone();
            each(&self.below(one, other, digit));
        }
        true
    }

    fn each_row(&self, each: &mut dyn FnMut(u64, &S::Key, &W)) {
        let mut joined: Vec<Joined<S, T>> = Vec::new();
        self.one.each_row(&mut |hash, key, value| {
            if self.place.holds(hash) {
                joined.push((hash, key.clone(), Some(value.clone()), None));
            }
        });
        let ones = joined.len();
        self.other.each_row(&mut |hash, key, value| {
            if self.place.holds(hash) {
                let first = joined[..ones].partition_point(|row| row.0 < hash);
                let same =
                    joined[first..ones].iter_mut().take_while(|row| row.0 == hash).find(|row| row.1 == *key);
                match same {
                    Some(row) => row.3 = Some(value.clone()),
                    None => joined.push((hash, key.clone(), None, Some(value.clone()))),
                }
            }
        });
        joined.sort_by_key(|row| row.0);
        for (hash, key, one, other) in joined {
            if let Some(value) = (self.merge)(&key, one.as_ref(), other.as_ref()) {
                each(hash, &key, &value);
            }
        }
    }

    fn find(&self, hash: u64, key: &S::Key) -> Option<W> {
        let (one, other) = (self.one.find(hash, key), self.other.find(hash, key));
        if one.is_none() && other.is_none() {
            return None;
        }
        (self.merge)(key, one.as_ref(), other.as_ref())
    }
}
