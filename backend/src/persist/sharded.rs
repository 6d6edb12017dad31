//! A map by digest that many threads use at once.

use parking_lot::{Mutex, MutexGuard};
use rustc_hash::FxHashMap;

use larder_storage::Digest;

const SHARDS: usize = 32;

/// A map by digest, in shards.
pub(crate) struct Sharded<V> {
    shards: [Mutex<FxHashMap<Digest, V>>; SHARDS],
}

impl<V> Default for Sharded<V> {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl<V> Sharded<V> {
    /// The shard of a key. No two are locked at once.
    pub(crate) fn shard(&self, key: Digest) -> MutexGuard<'_, FxHashMap<Digest, V>> {
        self.shards[(key.0 >> 64) as usize % SHARDS].lock()
    }

    pub(crate) fn get(&self, key: Digest) -> Option<V>
    where
        V: Clone,
    {
        self.shard(key).get(&key).cloned()
    }
}
