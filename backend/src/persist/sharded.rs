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

    /// Gives back the room of shards that hold far less than they have held.
    pub(crate) fn shrink(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            if shard.capacity() > 1024 && shard.capacity() > 8 * shard.len() {
                let room = 2 * shard.len();
                shard.shrink_to(room);
            }
        }
    }

    pub(crate) fn get(&self, key: Digest) -> Option<V>
    where
        V: Clone,
    {
        self.shard(key).get(&key).cloned()
    }
}
