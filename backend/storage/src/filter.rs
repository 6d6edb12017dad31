//! A filter in memory in front of a table: most misses cost two cache lines, and no call of the store.
//!
//! A Bloom filter in blocks of 64 bytes, in layers that double: growing never moves what is there. It may say "maybe"
//! of a key that is not stored (in about 1 of 100 cases). It never says "no" of one that was inserted, so as long as it
//! is not [ready](Filter::fill) it says "maybe" of everything. Were it ever wrong, a stored task would be missed, and
//! run again: no value would be wrong.
//!
//! A key that was inserted cannot be taken out. So a filter of which half of the keys are not stored any more is
//! [cleared](Filter::clear) and filled anew, in the room that it has. A question meanwhile sees the *turn* change, and is told "maybe".

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

use super::{BackingStorage, StorageError, Table, TaskKey, Visit};

const WORDS: usize = 8;
/// Bits for each key in a layer that is full.
const BITS_PER_KEY: usize = 12;
const LAYERS: usize = 24;
const FIRST_LAYER_KEYS: usize = 1 << 14;

/// Which tasks may be stored.
#[derive(Debug, Default)]
pub struct Filter {
    layers: [OnceLock<Layer>; LAYERS],
    inserted: AtomicUsize,
    /// Odd: it is ready. One more each time that it becomes so, or is cleared.
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Layer {
    blocks: Box<[Block]>,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Block([AtomicU64; WORDS]);

impl Filter {
    /// Returns a filter that knows nothing yet and says "maybe".
    pub fn new() -> Self {
        Self::default()
    }

    /// Inserts all stored tasks and makes the filter ready: half a microsecond each, so not for a thread that is waited for.
    /// Tasks stored meanwhile must be inserted as well, by the thread that hands them over.
    pub fn fill(&self, storage: &dyn BackingStorage) -> Result<(), StorageError> {
        storage.scan(Table::Tasks, &[], &mut |key, _| {
            if let Some(key) = key.first_chunk() {
                self.insert(TaskKey(super::Digest::from_bytes(*key)));
            }
            Visit::Continue
        })?;
        // Pairs with the Acquire in `may_hold`: a thread that sees it ready sees all that was inserted before.
        self.turn.fetch_or(1, Ordering::Release);
        Ok(())
    }

    /// Forgets all keys, and keeps the room: it says "maybe" until it is filled again.
    ///
    /// One thread at a time may clear it, and none inserts or fills meanwhile.
    pub fn clear(&self) {
        let turn = self.turn.load(Ordering::Relaxed);
        self.turn.store((turn | 1) + 1, Ordering::Relaxed);
        // Pairs with the fence in `may_hold`: a thread that has seen a bit cleared sees the next turn.
        fence(Ordering::Release);
        self.layers.iter().map_while(OnceLock::get).for_each(Layer::clear);
        self.inserted.store(0, Ordering::Relaxed);
    }

    /// Returns how many keys were inserted since it was cleared, about.
    pub fn inserted(&self) -> usize {
        self.inserted.load(Ordering::Relaxed)
    }

    /// Notes that the task is about to be stored.
    pub fn insert(&self, task: TaskKey) {
        if self.is_set(task) {
            return;
        }
        // Bits are set before the group is handed over; what another thread has not seen yet is a miss there.
        let count = self.inserted.fetch_add(1, Ordering::Relaxed);
        let index = (count / FIRST_LAYER_KEYS + 1).ilog2() as usize;
        let index = index.min(LAYERS - 1);
        let layer = self.layers[index].get_or_init(|| Layer::new(FIRST_LAYER_KEYS << index));
        layer.insert(task.0.0);
    }

    /// Whether the task may be stored; `false` is certain.
    #[inline]
    pub fn may_hold(&self, task: TaskKey) -> bool {
        // Pairs with the Release in `fill`.
        let turn = self.turn.load(Ordering::Acquire);
        if turn % 2 == 0 || self.is_set(task) {
            return true;
        }
        // Pairs with the fence in `clear`.
        fence(Ordering::Acquire);
        self.turn.load(Ordering::Relaxed) != turn
    }

    #[inline]
    fn is_set(&self, task: TaskKey) -> bool {
        self.layers.iter().map_while(OnceLock::get).any(|layer| layer.may_hold(task.0.0))
    }
}

impl Layer {
    fn new(keys: usize) -> Self {
        let blocks = (keys * BITS_PER_KEY).div_ceil(WORDS * 64).next_power_of_two();
        Self { blocks: (0..blocks).map(|_| Block::default()).collect() }
    }

    fn clear(&self) {
        self.blocks.iter().flat_map(|block| &block.0).for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// The block and, in each of its words, one bit. The digest is uniform already: its bits are taken as they are.
    #[inline]
    fn place(&self, digest: u128) -> (&Block, u64) {
        let high = (digest >> 64) as u64;
        let block = usize::try_from(high).unwrap_or(high as u32 as usize) & (self.blocks.len() - 1);
        (&self.blocks[block], digest as u64)
    }

    fn insert(&self, digest: u128) {
        let (block, bits) = self.place(digest);
        for (index, word) in block.0.iter().enumerate() {
            word.fetch_or(bit(bits, index), Ordering::Relaxed);
        }
    }

    #[inline]
    fn may_hold(&self, digest: u128) -> bool {
        let (block, bits) = self.place(digest);
        block.0.iter().enumerate().all(|(index, word)| word.load(Ordering::Relaxed) & bit(bits, index) != 0)
    }
}

#[inline]
fn bit(bits: u64, index: usize) -> u64 {
    1 << ((bits >> (index * 6)) & 63)
}
