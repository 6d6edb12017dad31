//! Keyed values: maps and lists, of which a task reads one entry.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

/// A map or list that has at most one value for a key `Q`: what `f::entry` reads of the output of a task function `f`.
///
/// Implemented for `HashMap`, `BTreeMap`, for lists by position, and for each of them in an `Arc`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no entries by `{Q}`",
    label = "not a map with such keys",
    note = "select from it by `part(.., &key, |value, key| ..)`, or implement `larder::Keyed` for it"
)]
pub trait Keyed<Q: ?Sized> {
    /// The type of the values.
    type Value;
    /// Returns a clone of the value for `key`, if there is one.
    fn entry(&self, key: &Q) -> Option<Self::Value>;
}

/// A map that can list its keys: what `f::keys` reads of the output of a task function `f`.
///
/// Implemented for `HashMap` with ordered keys, for `BTreeMap`, and for each of them in an `Arc`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot list its keys in order",
    label = "not a map whose keys are `Ord + Clone`"
)]
pub trait KeyList {
    /// The type of the keys.
    type Key;
    /// Returns all keys in ascending order, so that maps with the same keys give equal lists.
    fn list_keys(&self) -> Vec<Self::Key>;
}

impl<K, V, S, Q> Keyed<Q> for HashMap<K, V, S>
where
    K: Borrow<Q> + Hash + Eq,
    V: Clone,
    S: BuildHasher,
    Q: ?Sized + Hash + Eq,
{
    type Value = V;
    fn entry(&self, key: &Q) -> Option<V> {
        self.get(key).cloned()
    }
}

impl<K: Borrow<Q> + Ord, V: Clone, Q: ?Sized + Ord> Keyed<Q> for BTreeMap<K, V> {
    type Value = V;
    fn entry(&self, key: &Q) -> Option<V> {
        self.get(key).cloned()
    }
}

impl<V: Clone> Keyed<usize> for Vec<V> {
    type Value = V;
    fn entry(&self, position: &usize) -> Option<V> {
        self.get(*position).cloned()
    }
}

impl<V: Clone> Keyed<usize> for [V] {
    type Value = V;
    fn entry(&self, position: &usize) -> Option<V> {
        self.get(*position).cloned()
    }
}

impl<M: ?Sized + Keyed<Q>, Q: ?Sized> Keyed<Q> for Arc<M> {
    type Value = M::Value;
    fn entry(&self, key: &Q) -> Option<M::Value> {
        (**self).entry(key)
    }
}

impl<K: Ord + Clone, V, S> KeyList for HashMap<K, V, S> {
    type Key = K;
    fn list_keys(&self) -> Vec<K> {
        let mut keys: Vec<K> = self.keys().cloned().collect();
        keys.sort_unstable();
        keys
    }
}

impl<K: Clone, V> KeyList for BTreeMap<K, V> {
    type Key = K;
    fn list_keys(&self) -> Vec<K> {
        self.keys().cloned().collect()
    }
}

impl<M: ?Sized + KeyList> KeyList for Arc<M> {
    type Key = M::Key;
    fn list_keys(&self) -> Vec<M::Key> {
        (**self).list_keys()
    }
}

/// Holds for two names of one type. A generated function is generic in one of them, so that what it demands is demanded of its callers
/// alone.
pub trait Is<M> {
    /// The value under the other name.
    fn it(&self) -> &M;
}

impl<M> Is<M> for M {
    fn it(&self) -> &M {
        self
    }
}

/// Selects the entry of a map by its key. For example, `input.part("name", larder::select::entry)` is the value of `"name"`.
pub fn entry<M: ?Sized + Keyed<Q>, Q: ?Sized>(map: &M, key: &Q) -> Option<M::Value> {
    map.entry(key)
}

/// Selects all keys of a map, in ascending order. For example, `input.part(&(), larder::select::keys)`.
pub fn keys<M: ?Sized + KeyList>(map: &M, _: &()) -> Vec<M::Key> {
    map.list_keys()
}

/// Returns [`keys`], of a type with two names.
#[doc(hidden)]
pub fn keys_of<O: Is<M>, M: KeyList>(map: &O, _: &()) -> Vec<M::Key> {
    map.it().list_keys()
}
