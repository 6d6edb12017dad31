//! Counters per thread and task function: written by one thread with plain loads and stores, read by any.
//!
//! A hit must write nothing shared, so each thread counts for itself; `stats()` adds up. The counts of a thread are added
//! to the engine's totals when the thread ends.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// The counters of one task function on one thread.
        #[derive(Default)]
        pub(crate) struct Counters {
            $($(#[$doc])* pub(crate) $name: Counter),*
        }

        /// A sum of [`Counters`].
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Sums {
            $(pub(crate) $name: u64),*
        }

        impl Sums {
            fn add(&mut self, counters: &Counters) {
                $(self.$name += counters.$name.get();)*
            }
        }

        impl Counters {
            fn absorb(&self, other: &Self) {
                $(self.$name.0.fetch_add(other.$name.get(), Relaxed);)*
            }
        }
    };
}

counters! {
    /// Hits answered by the thread cache or by a predicted read, of functions beyond the first [`NEAR`].
    thread_hits,
    /// Hits answered through the table, of functions beyond the first [`NEAR`].
    memory_hits,
    /// Hits answered by the backing storage.
    storage_hits,
    /// Calls whose task was not known.
    misses,
    /// Bodies run.
    runs,
    /// Stale nodes found current without running their body.
    verified,
    /// Runs that returned an equal value.
    cut_off,
    /// Parts that were brought up to date by their source.
    settled,
    /// Runs that failed.
    failed,
    /// Bodies run apart.
    apart,
    /// Bodies run beside their task that are not among `runs`: apart, checks, and runs for what the store has lost.
    beside,
    /// Runs begun, those beside a task included, and those that nest in each other and have not ended.
    begun,
    /// Calls of the user's code that belong to a run which has ended: first steps of a cycle.
    parts,
    /// The first runs, each of which was timed.
    first_runs,
    /// Nanoseconds that these took, callees included.
    first_nanos,
    /// Other runs that were timed.
    timed_runs,
    /// Nanoseconds that these took, callees included.
    timed_nanos,
}

/// A number that one thread writes.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`; only the owning thread does.
    #[inline(always)]
    pub(crate) fn add(&self, count: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(count), Relaxed);
    }
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

const CHUNK: usize = 64;
const CHUNKS: usize = if cfg!(miri) { 4 } else { 1024 };

/// This many functions have their most frequent counters in an array of its own: fewer instructions on each hit.
const NEAR: usize = 1024;

/// The most frequent counts.
#[derive(Default)]
struct Hits {
    thread: Counter,
    memory: Counter,
}

/// Counters for all task functions of an engine, by the function's index; made in chunks as needed.
pub(crate) struct CounterTable {
    near: Box<[Hits; NEAR]>,
    chunks: Box<[OnceLock<Box<[Counters; CHUNK]>>]>,
}

impl Default for CounterTable {
    fn default() -> Self {
        Self {
            near: Box::new(std::array::from_fn(|_| Hits::default())),
            chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect(),
        }
    }
}

impl CounterTable {
    /// Counts a hit of the thread cache.
    #[inline(always)]
    pub(crate) fn thread_hit(&self, function: u32) {
        match self.near.get(function as usize) {
            Some(hits) => hits.thread.add(1),
            None => self.of(function).thread_hits.add(1),
        }
    }

    /// Counts a hit through the table.
    #[inline(always)]
    pub(crate) fn memory_hit(&self, function: u32) {
        match self.near.get(function as usize) {
            Some(hits) => hits.memory.add(1),
            None => self.of(function).memory_hits.add(1),
        }
    }

    /// How often the thread cache has answered for a function that has its counter near.
    #[inline]
    pub(crate) fn near_hits(&self, function: u32) -> u64 {
        self.near.get(function as usize).map_or(u64::MAX / 2, |hits| hits.thread.get())
    }

    /// The counters of a function. Functions beyond 65,536 share the last ones.
    #[inline(always)]
    pub(crate) fn of(&self, function: u32) -> &Counters {
        let function = (function as usize).min(CHUNK * CHUNKS - 1);
        let chunk = &self.chunks[function / CHUNK];
        let chunk = match chunk.get() {
            Some(chunk) => chunk,
            None => Self::make(chunk),
        };
        &chunk[function % CHUNK]
    }

    #[cold]
    fn make(chunk: &OnceLock<Box<[Counters; CHUNK]>>) -> &[Counters; CHUNK] {
        chunk.get_or_init(|| Box::new(std::array::from_fn(|_| Counters::default())))
    }

    /// Adds this table's counters of a function to `sums`.
    pub(crate) fn add_to(&self, function: u32, sums: &mut Sums) {
        if let Some(hits) = self.near.get(function as usize) {
            sums.thread_hits += hits.thread.get();
            sums.memory_hits += hits.memory.get();
        }
        if let Some(chunk) = self.chunks[(function as usize / CHUNK).min(CHUNKS - 1)].get() {
            sums.add(&chunk[function as usize % CHUNK]);
        }
    }

    /// Adds all of another table's counters to this one, from any thread.
    pub(crate) fn absorb(&self, other: &Self) {
        for (mine, theirs) in self.near.iter().zip(other.near.iter()) {
            mine.thread.0.fetch_add(theirs.thread.get(), Relaxed);
            mine.memory.0.fetch_add(theirs.memory.get(), Relaxed);
        }
        for (mine, theirs) in self.chunks.iter().zip(&other.chunks) {
            if let Some(theirs) = theirs.get() {
                let mine = Self::make(mine);
                for (mine, theirs) in mine.iter().zip(theirs.iter()) {
                    mine.absorb(theirs);
                }
            }
        }
    }
}
