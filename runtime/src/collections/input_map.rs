//! `InputMap`: a map whose entries are set in updates, and which tasks read entry by entry.
//!
//! ```text
//! "people"     Inner ─┬─ "people#0"  Rows   at most 48 rows, in the order of their hashes
//!                     ├─ "people#1"  Inner ─┬─ "people#10"  Rows
//!                     ┆                     ┆   the hash of its keys begins with the digits 1 0
//!                     └─ "people#7"  Rows   └─ "people#17"  Rows
//! ```
//! Each node is an [`Input`], so an update that changes a row changes one input, and a list that grows beyond 48 rows becomes an inner node
//! with eight lists. It becomes a list again when 48 rows or fewer are left. So the tree follows from the rows alone, not from their
//! history: a process that fills a map with the same rows has the same inputs, and finds the stored results of them.
//!
//! A subtree is an `InputMap`, too: that is what the tasks over the map have as their argument ([`Part`]).

mod bucket;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use larder_backend::{Engine, Input, InputValue, Update};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) use self::bucket::Bucket;
use self::bucket::{Row, insert, position};
use super::kinds::{Gets, Keeps, Kind, MapKey, Stored};
use super::parts::Part;
use super::place::{DIGITS, WAYS, digit};
use super::view::TaskMap;

/// The most rows of a list.
const MOST: usize = 48;

/// A map from keys to values that the program sets, like an [`Input`](crate::Input) for each entry, and the set of keys with it.
///
/// - A task that reads one entry ([`get`](InputMap::get)) depends on that entry alone, also if there is none.
/// - What reads all entries is computed in time proportional to the change: [`fold`](InputMap::fold), [`len`](InputMap::len), and what is
///   derived by [`view`](InputMap::view): values mapped, rows filtered, two maps joined, rows grouped.
/// - An entry is changed in an update ([`insert`](InputMap::insert), [`remove`](InputMap::remove)): O(log n).
///
/// ```
/// use larder::{InputMap, Runtime, task_fn};
///
/// type Prices = InputMap<String, u64>;
///
/// #[task_fn]
/// fn basket(prices: &Prices, wanted: &[String]) -> Option<u64> {
///     wanted.iter().map(|name| prices.get(name)).sum()
/// }
///
/// #[task_fn]
/// fn highest(prices: &Prices) -> u64 {
///     prices.fold(0, |_, price| *price, u64::max)
/// }
///
/// let runtime = Runtime::new();
/// let prices: Prices = runtime.input_map("prices");
/// runtime.update(|update| {
///     for number in 0..1000 {
///         prices.insert(update, format!("item {number}"), number);
///     }
/// }).unwrap();
/// let wanted = ["item 3".to_owned(), "item 5".to_owned()];
/// assert_eq!(runtime.run(|| (basket(&prices, &wanted), highest(&prices))), (Some(8), 999));
///
/// let before = runtime.stats().runs();
/// let old = runtime.update(|update| prices.insert(update, "item 7".to_owned(), 2000)).unwrap();
/// assert_eq!(old, Some(7));
/// assert_eq!(runtime.run(|| (basket(&prices, &wanted), highest(&prices))), (Some(8), 2000));
/// assert!(runtime.stats().runs() - before <= 6); // not `basket`
/// ```
///
/// A handle is cheap to clone, equal and hashed by identity, and an argument of task functions, as an `Input` is. The map is known by its
/// name in every process: with a store, what was computed from it in an earlier process is used if the entries are the same, list by list.
/// Keys are placed by a digest of what they are encoded as. [`Runtime::transient_input_map`](crate::Runtime::transient_input_map) makes one
/// of keys and values that need not be `Serialize`.
///
/// # Cost
/// The entries lie in lists of at most 48, which are inputs, called `name#` and digits. A change copies one list; each of `fold` and `view`
/// runs its functions again for the rows of that list. `get` is a task for each key that is asked for, which looks at its list again when
/// that has changed, and whose readers run when the entry has. An entry
/// takes 35 to 70 bytes beside key and value.
pub struct InputMap<K, V, D = Stored> {
    root: Input<Bucket<K, V, D>>,
    kind: PhantomData<fn() -> D>,
}

impl<K, V, D> InputMap<K, V, D>
where
    K: MapKey,
    V: InputValue,
    D: Kind<K, V>,
{
    /// The map called `name`: an empty one, or the one that exists.
    #[track_caller]
    pub(crate) fn named(engine: &Arc<Engine>, name: &str) -> Self {
        Self::of(D::new_input(engine, name, Bucket::empty()))
    }

    /// Puts an entry into the map, and returns the value that it replaces. An equal value is no change.
    ///
    /// # Panics
    /// If the map belongs to another runtime than the update.
    #[track_caller]
    pub fn insert(&self, update: &mut Update, key: K, value: V) -> Option<V> {
        let hash = D::hash_of(&key);
        self.insert_at(update, hash, key, value)
    }

    fn insert_at(&self, update: &mut Update, hash: u64, key: K, value: V) -> Option<V> {
        let (list, depth) = self.list_of(update, hash);
        let (old, len) = update.modify(&list.root, |bucket| {
            let rows = bucket.rows_mut();
            (insert(rows, Row { hash, key, value }), rows.len())
        });
        if len > MOST && depth < DIGITS {
            list.split(update, depth);
        }
        old
    }

    /// Takes an entry out of the map, and returns its value.
    ///
    /// # Panics
    /// If the map belongs to another runtime than the update.
    #[track_caller]
    pub fn remove<Q: ?Sized + ToOwned<Owned = K>>(&self, update: &mut Update, key: &Q) -> Option<V> {
        let key = key.to_owned();
        let hash = D::hash_of(&key);
        let (mut above, mut list) = (Vec::new(), self.clone());
        while let Some(part) = update.with(&list.root, |bucket| bucket.part_of(hash, above.len())) {
            above.push(std::mem::replace(&mut list, part));
        }
        let at = update.with(&list.root, |bucket| position(bucket.rows(), hash, &key).ok())?;
        let row = update.modify(&list.root, |bucket| bucket.rows_mut().remove(at));
        while let Some(part) = above.pop() {
            if !part.join(update) {
                break;
            }
        }
        Some(row.value)
    }

    /// Puts entries into the map, as [`insert`](Self::insert) does.
    ///
    /// # Panics
    /// If the map belongs to another runtime than the update.
    #[track_caller]
    pub fn extend(&self, update: &mut Update, entries: impl IntoIterator<Item = (K, V)>) {
        let hashed = entries.into_iter().map(|(key, value)| (D::hash_of(&key), key, value));
        let mut hashed: Vec<_> = hashed.collect();
        // List by list, each of which is in the processor's caches then. Entries of one key stay in their order.
        hashed.sort_by_key(|entry| entry.0);
        for (hash, key, value) in hashed {
            self.insert_at(update, hash, key, value);
        }
    }

    /// Takes all entries out of the map.
    ///
    /// # Panics
    /// If the map belongs to another runtime than the update.
    #[track_caller]
    pub fn clear(&self, update: &mut Update) {
        self.remove_parts(update);
        update.set(&self.root, Bucket::empty());
    }

    /// The list that an entry of this hash is in, or would be, and how far below.
    fn list_of(&self, update: &mut Update, hash: u64) -> (Self, u32) {
        let (mut list, mut depth) = (self.clone(), 0);
        while let Some(part) = update.with(&list.root, |bucket| bucket.part_of(hash, depth)) {
            list = part;
            depth += 1;
        }
        (list, depth as u32)
    }

    /// Makes an inner node of a list.
    fn split(&self, update: &mut Update, depth: u32) {
        let rows = update.modify(&self.root, |bucket| std::mem::take(bucket.rows_mut()));
        let mut lists: [Vec<Row<K, V>>; WAYS] = Default::default();
        for row in rows {
            lists[digit(row.hash, depth)].push(row);
        }
        let separator = if depth == 0 { "#" } else { "" };
        let parts = lists.into_iter().enumerate().map(|(digit, rows)| {
            let is_long = rows.len() > MOST && depth + 1 < DIGITS;
            let name = format!("{}{separator}{digit}", self.root.name());
            let part = Self::of(D::input_or_set(update, &name, Bucket::Rows(Arc::new(rows))));
            if is_long {
                part.split(update, depth + 1);
            }
            part
        });
        let parts = parts.collect();
        update.set(&self.root, Bucket::Inner(parts));
    }

    /// Makes a list of an inner node, if few rows are left below it. Returns whether it did.
    fn join(&self, update: &mut Update) -> bool {
        let Bucket::Inner(parts) = update.with(&self.root, Bucket::clone) else { return false };
        let mut rows = Vec::new();
        for part in &*parts {
            let Bucket::Rows(more) = update.with(&part.root, Bucket::clone) else { return false };
            if rows.len() + more.len() > MOST {
                return false;
            }
            rows.extend(more.iter().cloned());
        }
        self.remove_parts(update);
        update.set(&self.root, Bucket::Rows(Arc::new(rows)));
        true
    }

    fn remove_parts(&self, update: &mut Update) {
        if let Bucket::Inner(parts) = update.with(&self.root, Bucket::clone) {
            for part in &*parts {
                part.remove_parts(update);
                update.remove(&part.root);
            }
        }
    }
}

/// Reading, in a session.
impl<K, V, D> InputMap<K, V, D>
where
    K: MapKey,
    V: InputValue,
    D: Kind<K, V>,
{
    /// Returns the value of a key, if it has one. The task that runs now depends on this entry alone.
    ///
    /// # Panics
    /// Outside of a session of the map's runtime.
    #[must_use]
    #[track_caller]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        Q: ?Sized + ToOwned<Owned = K> + Hash + Eq + 'static,
        D: Gets<Q, V>,
    {
        self.view().get(key)
    }

    /// Whether a key has a value. The task that runs now depends on that alone.
    ///
    /// # Panics
    /// Outside of a session of the map's runtime.
    #[must_use]
    #[track_caller]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: ?Sized + ToOwned<Owned = K> + Hash + Eq + 'static,
        D: Gets<Q, V>,
    {
        self.view().contains_key(key)
    }

    /// Returns the number of entries. After a change it takes O(log n).
    ///
    /// # Panics
    /// Outside of a session of the map's runtime.
    #[must_use]
    #[track_caller]
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there are no entries.
    ///
    /// # Panics
    /// Outside of a session of the map's runtime.
    #[must_use]
    #[track_caller]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the keys, in an order that is that of no process or history. The task that runs now depends on the set of keys, and on no value.
    ///
    /// # Panics
    /// Outside of a session of the map's runtime.
    #[must_use]
    #[track_caller]
    pub fn keys(&self) -> Vec<K>
    where
        D: Keeps<Vec<K>>,
    {
        self.view().keys()
    }

    /// Returns all entries, in the order of [`keys`](Self::keys). The task that runs now depends on all of them, and looks at each:
    /// [`fold`](Self::fold) does not.
    ///
    /// # Panics
    /// Outside of a session of the map's runtime.
    #[must_use]
    #[track_caller]
    pub fn entries(&self) -> Vec<(K, V)> {
        self.view().entries()
    }

    /// Folds over the entries: `map` of each, combined; `empty` if there are none. See [`TaskMap::fold`].
    ///
    /// # Panics
    /// If `map` or `combine` do; outside of a session of the map's runtime.
    #[track_caller]
    pub fn fold<R, M, C>(&self, empty: R, map: M, combine: C) -> R
    where
        D: Keeps<R>,
        R: Clone + PartialEq + Send + Sync + 'static,
        M: Fn(&K, &V) -> R + Copy + Send + Sync + 'static,
        C: Fn(R, R) -> R + Copy + Send + Sync + 'static,
    {
        self.view().fold(empty, map, combine)
    }

    /// Returns the map as a source of derived ones.
    #[must_use]
    pub fn view(&self) -> TaskMap<Self, D> {
        TaskMap::of(self.clone())
    }
}

impl<K, V, D> InputMap<K, V, D> {
    fn of(root: Input<Bucket<K, V, D>>) -> Self {
        Self { root, kind: PhantomData }
    }
}

impl<K, V, D> Part for InputMap<K, V, D>
where
    K: MapKey,
    V: InputValue,
    D: Kind<K, V>,
{
    type Key = K;
    type Value = V;
    type Hashing = D;

    fn each_part(&self, each: &mut dyn FnMut(&Self)) -> bool {
        let parts = self.root.with(|bucket| match bucket {
            Bucket::Rows(_) => None,
            Bucket::Inner(parts) => Some(parts.clone()),
        });
        parts.iter().flat_map(|parts| parts.iter()).for_each(each);
        parts.is_some()
    }

    fn each_row(&self, each: &mut dyn FnMut(u64, &K, &V)) {
        let Bucket::Rows(rows) = self.root.get() else { return };
        rows.iter().for_each(|row| each(row.hash, &row.key, &row.value));
    }

    fn find(&self, hash: u64, key: &K) -> Option<V> {
        let (mut list, mut depth) = (self.clone(), 0);
        loop {
            match list.root.get() {
                Bucket::Inner(parts) => list = parts[digit(hash, depth)].clone(),
                Bucket::Rows(rows) => {
                    return position(&rows, hash, key).ok().map(|at| rows[at].value.clone());
                }
            }
            depth += 1;
        }
    }
}

impl<K, V, D> Clone for InputMap<K, V, D> {
    fn clone(&self) -> Self {
        Self::of(self.root.clone())
    }
}
impl<K, V, D> PartialEq for InputMap<K, V, D> {
    fn eq(&self, other: &Self) -> bool {
        self.root == other.root
    }
}
impl<K, V, D> Eq for InputMap<K, V, D> {}
impl<K, V, D> Hash for InputMap<K, V, D> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.root.hash(state);
    }
}
impl<K: MapKey, V: InputValue, D: 'static> fmt::Debug for InputMap<K, V, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "input_map({:?})", self.root.name())
    }
}
/// By its name, by which it is the same in every process.
impl<K, V, D> Serialize for InputMap<K, V, D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.root.serialize(serializer)
    }
}
/// In a session of the runtime that has the map.
impl<'de, K: MapKey, V: InputValue, D: Kind<K, V>> Deserialize<'de> for InputMap<K, V, D> {
    fn deserialize<S: Deserializer<'de>>(deserializer: S) -> Result<Self, S::Error> {
        Input::deserialize(deserializer).map(Self::of)
    }
}
