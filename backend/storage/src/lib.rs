//! Stores of larder: the trait that a backing storage implements, the suite that checks it, and the stores that ship with larder.
//!
//! The author of a store needs [`BackingStorage`], [`Table`], [`Writes`], [`StorageError`] and [`conformance::check`]; the `larder`
//! crate exports the same names as `larder::storage`. The rest of this crate is hidden: it belongs to the engine and has no stable
//! interface.
//!
//! # Layers, from the outside in
//! ```text
//! engine                hands over finished tasks, asks for stored ones
//!   WriteBehind         a thread that gathers finished tasks into atomic, durable batches
//!   record::*           the meaning of records: tasks, traces, values, dependents, sources
//!   Guarded             seals and checks every record; a damaged record is a miss, and counted
//!   BackingStorage      bytes by table and key: NoStorage, MemoryStorage, RedbStorage, yours
//! ```
//! Bytes that a store returns are never trusted: `Guarded` verifies version and checksum before anything is decoded, so an
//! implementation of [`BackingStorage`] needs no checks of its own. It has to be atomic and durable; [`conformance::check`] tells
//! whether it is. For example, a store that returns half of a record causes a miss and a count, never a wrong value.
//!
//! The format, byte by byte, is in `docs/storage-format.md`.
//!
//! # Invariants
//! - This crate imports nothing of the engine. It knows records and bytes, no tasks in memory.
//! - Only `codec` names `bincode`; only `embedded` names `redb`.
//! - Only `guarded` reads a record from a store; every record that it returns has passed its checksum.
//! - Only the thread of `write_behind` commits.

// The trait, and what it is made of.
mod batch;
pub mod conformance;
mod error;
mod table;

// Stores that ship with larder.
#[cfg(feature = "redb")]
mod embedded;
mod memory;
mod nothing;

// Values to bytes, and bytes that are checked.
#[doc(hidden)]
pub mod codec;
mod envelope;
mod fingerprints;
mod guarded;
mod key;
#[doc(hidden)]
pub mod record;
#[doc(hidden)]
pub mod wire;

// Jobs over a whole store.
mod evict;
mod filter;
#[doc(hidden)]
pub mod inspect;
mod opening;
mod sweep;
mod verify;
mod write_behind;

// A thread that idles.
mod signal;

/// The page's example runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

use std::ops::Deref;

pub use self::batch::{Batch, Write, Writes};
#[cfg(feature = "redb")]
pub use self::embedded::{RedbOptions, RedbStorage, SetAside};
pub use self::error::{Operation, StorageError};
pub use self::memory::{Faults, MemoryStorage};
pub use self::nothing::NoStorage;
pub use self::table::Table;

#[doc(hidden)]
pub use self::envelope::{ENVELOPE_BYTES, ENVELOPE_VERSION, Rejected};
#[doc(hidden)]
pub use self::evict::{Evicted, StoreCap, StoreCapStats, evict};
#[doc(hidden)]
pub use self::filter::Filter;
pub use self::fingerprints::Fingerprints;
#[doc(hidden)]
pub use self::guarded::{Guarded, GuardedScan, ReadFailure, RejectedCounts};
#[doc(hidden)]
pub use self::key::{Digest, FunctionId, RunNumber, TaskKey, TraceKey};
#[doc(hidden)]
pub use self::opening::{Opening, StoreIdentity, open_store};
#[doc(hidden)]
pub use self::signal::Signal;
#[doc(hidden)]
pub use self::verify::{Damage, FunctionSize, StoreReport, verify_store};
#[doc(hidden)]
pub use self::write_behind::{BatchDone, OnBatch, OnBatchDone};
pub use self::write_behind::{
    Delivery, FlushError, Group, WriteBehind, WriteBehindOptions, WriteBehindStats,
};

/// Whether a scan goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// To the next record.
    Continue,
    /// No further.
    Stop,
}

/// A store of byte records in a fixed set of tables.
///
/// Four things are asked of an implementation, and [`conformance::check`] tests them:
/// - **atomic**: a commit is applied whole or not at all, also when the process dies in the middle;
/// - **durable**: what a commit that returned `Ok` wrote is there when the store is opened again;
/// - **isolated**: a read that starts after a commit returned sees it, and no read sees half of one;
/// - **recoverable**: an error leaves the store usable; the next call may succeed.
///
/// Methods are called from many threads at once; `commit` and `compact` from one at a time. No method should panic.
/// Records are opaque; they carry their own checksums. Keys are 0 to 64 bytes, most of them 16 random ones; values
/// are 0 bytes to 256 MiB, most of them some hundred bytes.
pub trait BackingStorage: Send + Sync + 'static {
    /// Reads the record at `key`. If there is one, `value` is made to hold it, exactly, and `true` is returned; if not,
    /// the contents of `value` do not matter. The caller reuses `value`, so reading need not allocate.
    fn get(&self, table: Table, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StorageError>;

    /// Visits all records whose key starts with `prefix` (all records, if it is empty), in ascending order of their
    /// keys, as of one moment, until told to stop. The visitor may read from the store; it never writes to it.
    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), StorageError>;

    /// Applies all writes, or none, and returns once they are durable. They come sorted by table and key.
    fn commit(&self, writes: Writes<'_>) -> Result<(), StorageError>;

    /// The bytes the store takes where it is kept, if it can tell.
    fn size(&self) -> Result<Option<u64>, StorageError> {
        Ok(None)
    }

    /// Says whether what was committed is still where the next process will look for it: a file that was deleted or replaced while
    /// it is open takes commits, and all is lost. Cheap; it is asked whenever a program waits for its results to be durable.
    fn confirm(&self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Gives back space that deleted records took, if that takes more than deleting them.
    fn compact(&self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Whether the store holds nothing and never will: a hint, cheap to ask, that spares the engine from encoding.
    fn holds_nothing(&self) -> bool {
        false
    }
}

/// Anything that shares a store is that store.
impl<P> BackingStorage for P
where
    P: Deref<Target: BackingStorage> + Send + Sync + 'static,
{
    fn get(&self, table: Table, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StorageError> {
        (**self).get(table, key, value)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), StorageError> {
        (**self).scan(table, prefix, visit)
    }

    fn commit(&self, writes: Writes<'_>) -> Result<(), StorageError> {
        (**self).commit(writes)
    }

    fn size(&self) -> Result<Option<u64>, StorageError> {
        (**self).size()
    }

    fn confirm(&self) -> Result<(), StorageError> {
        (**self).confirm()
    }

    fn compact(&self) -> Result<(), StorageError> {
        (**self).compact()
    }

    fn holds_nothing(&self) -> bool {
        (**self).holds_nothing()
    }
}
