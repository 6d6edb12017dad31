//! Kinds: whether what is computed of a collection is stored ([`Stored`]) or kept in memory only ([`Transient`]), as a type, so that a type
//! that cannot be stored is an error of the compiler.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use larder_backend::{Engine, Input, InputValue, Persist, PersistKey, Update, codec, digest};

use super::input_map::Bucket;
use super::parts::{
    Combine, OfRow, Part, contains, entry, fold_part, transient_contains, transient_entry,
    transient_fold_part,
};

/// Results of a collection are stored, as those of `#[task_fn]`: its keys, values and results are `Serialize` and `Deserialize`.
#[derive(Clone, Copy, Debug)]
pub enum Stored {}

/// Results of a collection are kept in memory only, as those of `#[task_fn(transient)]`.
#[derive(Clone, Copy, Debug)]
pub enum Transient {}

/// A type that a map can have as its key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key of a map",
    label = "not `Clone + Eq + Hash + Send + Sync + 'static`"
)]
pub trait MapKey: Clone + Eq + Hash + Send + Sync + 'static {}
#[diagnostic::do_not_recommend]
impl<K: Clone + Eq + Hash + Send + Sync + 'static> MapKey for K {}

/// How keys are placed: by a hash that is the same in each process.
#[diagnostic::on_unimplemented(
    message = "`{K}` cannot be the key of a map whose results are stored",
    label = "not `serde::Serialize`",
    note = "derive `serde::Serialize`, or keep the map's results in memory only: `runtime.transient_input_map(..)`"
)]
pub trait HashOf<K>: Send + Sync + 'static {
    #[doc(hidden)]
    fn hash_of(key: &K) -> u64;
}

/// By what the key is encoded as.
#[diagnostic::do_not_recommend]
impl<K: Hash + PersistKey> HashOf<K> for Stored {
    fn hash_of(key: &K) -> u64 {
        let encoded = with_buffer(|bytes| codec::encode_into(key, bytes).map(|()| place(bytes)));
        // For example, a path that is not UTF-8. Readers of its list are not stored.
        encoded.unwrap_or_else(|_| Transient::hash_of(key))
    }
}

/// Lends the thread's buffer, empty.
fn with_buffer<R>(work: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    thread_local! {
        static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    // Encoding is the user's code, which may come here again.
    let mut buffer = BUFFER.take();
    buffer.clear();
    let result = work(&mut buffer);
    BUFFER.set(buffer);
    result
}

/// By `Hash`.
#[diagnostic::do_not_recommend]
impl<K: Hash> HashOf<K> for Transient {
    fn hash_of(key: &K) -> u64 {
        with_buffer(|buffer| {
            let mut bytes = Bytes(std::mem::take(buffer));
            key.hash(&mut bytes);
            *buffer = bytes.0;
            place(buffer)
        })
    }
}

fn place(bytes: &[u8]) -> u64 {
    (digest(bytes) >> 64) as u64
}

/// Takes down what is hashed.
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
    fn finish(&self) -> u64 {
        0
    }
}

/// A kind that results of type `R` can be of.
#[diagnostic::on_unimplemented(
    message = "`{R}` cannot be the result of a fold, which is stored",
    label = "not `serde::Serialize + serde::de::DeserializeOwned`",
    note = "derive `serde::Serialize, serde::Deserialize`, or keep results in memory only: `map.view().transient()`, \
            `larder::transient_fold`"
)]
pub trait Keeps<R>: Send + Sync + 'static {
    #[doc(hidden)]
    fn fold<P: Part, M: OfRow<P, R>, C: Combine<R>>(part: &P, map: M, combine: C) -> Option<R>;
}

#[diagnostic::do_not_recommend]
impl<R: Persist + Clone + PartialEq + Send + Sync + 'static> Keeps<R> for Stored {
    fn fold<P: Part, M: OfRow<P, R>, C: Combine<R>>(part: &P, map: M, combine: C) -> Option<R> {
        fold_part(part, map, combine)
    }
}

#[diagnostic::do_not_recommend]
impl<R: Clone + PartialEq + Send + Sync + 'static> Keeps<R> for Transient {
    fn fold<P: Part, M: OfRow<P, R>, C: Combine<R>>(part: &P, map: M, combine: C) -> Option<R> {
        transient_fold_part(part, map, combine)
    }
}

/// A kind whose maps can be asked for the value, a `V`, of a key that is borrowed as `Q`.
#[diagnostic::on_unimplemented(
    message = "a map whose results are stored cannot be asked for the `{V}` of a `{Q}`",
    label = "one of them is not `serde::Serialize`, or the value is not `serde::de::DeserializeOwned`",
    note = "derive `serde::Serialize, serde::Deserialize`, or keep results in memory only: `map.view().transient()`"
)]
pub trait Gets<Q: ?Sized, V>: Send + Sync + 'static {
    #[doc(hidden)]
    fn get<P: Part<Value = V, Key = Q::Owned>>(part: &P, key: &Q) -> Option<V>
    where
        Q: ToOwned;
    #[doc(hidden)]
    fn contains<P: Part<Key = Q::Owned>>(part: &P, key: &Q) -> bool
    where
        Q: ToOwned;
}

#[diagnostic::do_not_recommend]
impl<Q, V> Gets<Q, V> for Stored
where
    Q: ?Sized + ToOwned<Owned: MapKey> + Hash + Eq + PersistKey + 'static,
    V: Persist + Clone + PartialEq + Send + Sync + 'static,
{
    fn get<P: Part<Value = V, Key = Q::Owned>>(part: &P, key: &Q) -> Option<V> {
        entry(part, key)
    }
    fn contains<P: Part<Key = Q::Owned>>(part: &P, key: &Q) -> bool {
        contains(part, key)
    }
}

#[diagnostic::do_not_recommend]
impl<Q, V> Gets<Q, V> for Transient
where
    Q: ?Sized + ToOwned<Owned: MapKey> + Hash + Eq + 'static,
    V: Clone + PartialEq + Send + Sync + 'static,
{
    fn get<P: Part<Value = V, Key = Q::Owned>>(part: &P, key: &Q) -> Option<V> {
        transient_entry(part, key)
    }
    fn contains<P: Part<Key = Q::Owned>>(part: &P, key: &Q) -> bool {
        transient_contains(part, key)
    }
}

/// A kind that maps from `K` to `V` can be of.
#[diagnostic::on_unimplemented(
    message = "a map from `{K}` to `{V}` cannot be one whose results are stored",
    label = "one of them is not `serde::Serialize`",
    note = "derive `serde::Serialize`, or keep the map's results in memory only: `runtime.transient_input_map(..)`"
)]
pub trait Kind<K: MapKey, V: InputValue>: HashOf<K> + Keeps<usize> + Sized {
    #[doc(hidden)]
    fn new_input(engine: &Arc<Engine>, name: &str, value: Bucket<K, V, Self>) -> Input<Bucket<K, V, Self>>;
    #[doc(hidden)]
    fn input_or_set(update: &mut Update, name: &str, value: Bucket<K, V, Self>) -> Input<Bucket<K, V, Self>>;
}

#[diagnostic::do_not_recommend]
impl<K: MapKey + PersistKey, V: InputValue + PersistKey> Kind<K, V> for Stored {
    fn new_input(engine: &Arc<Engine>, name: &str, value: Bucket<K, V, Self>) -> Input<Bucket<K, V, Self>> {
        engine.input(name, value)
    }
    fn input_or_set(update: &mut Update, name: &str, value: Bucket<K, V, Self>) -> Input<Bucket<K, V, Self>> {
        update.input_or_set(name, value)
    }
}

#[diagnostic::do_not_recommend]
impl<K: MapKey, V: InputValue> Kind<K, V> for Transient {
    fn new_input(engine: &Arc<Engine>, name: &str, value: Bucket<K, V, Self>) -> Input<Bucket<K, V, Self>> {
        engine.transient_input(name, value)
    }
    fn input_or_set(update: &mut Update, name: &str, value: Bucket<K, V, Self>) -> Input<Bucket<K, V, Self>> {
        update.transient_input_or_set(name, value)
    }
}
