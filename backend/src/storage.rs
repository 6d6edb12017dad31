//! Stores of traces and values: what survives the process.
//!
//! # Layers, from the outside in
//! ```text
//! engine                hands over finished tasks, asks for stored ones
//!   WriteBehind         a thread that gathers what was handed over into atomic, durable batches
//!   record::*           what the records mean: tasks, traces, values, dependents, sources
//!   Guarded             seals every record, checks every record; damage is a miss, and counted
//!   BackingStorage      bytes by table and key: NoStorage, MemoryStorage, RedbStorage, yours
//! ```
//! Bytes that a store gives back are never trusted: [`Guarded`] verifies version and checksum before anything is
//! decoded, so an implementation of [`BackingStorage`] needs no checks of its own. It has to be atomic and durable;
//! [`conformance::check`] says whether it is.
//!
//! The format, byte by byte, is in `docs/storage-format.md`.

mod batch;
pub mod conformance;
#[cfg(feature = "redb")]
mod embedded;
mod envelope;
mod error;
mod evict;
mod filter;
mod guarded;
mod key;
mod memory;
mod nothing;
mod opening;
pub mod record;
mod sweep;
mod table;
mod verify;
mod wire;
mod write_behind;

use std::ops::Deref;

pub use self::batch::{Batch, Write, Writes};
#[cfg(feature = "redb")]
pub use self::embedded::{RedbOptions, RedbStorage, SetAside};
pub use self::envelope::{ENVELOPE_BYTES, ENVELOPE_VERSION, Rejected};
pub use self::error::{Operation, StorageError};
pub use self::evict::{Evicted, evict};
pub use self::filter::Filter;
pub use self::guarded::{Guarded, GuardedScan, ReadFailure, RejectedCounts};
pub use self::key::{Digest, FunctionId, TaskKey, TraceKey};
pub use self::memory::{Faults, MemoryStorage};
pub use self::nothing::NoStorage;
pub use self::opening::{Opening, StoreIdentity, open_store};
pub use self::table::Table;
pub use self::verify::{Damage, FunctionSize, StoreReport, verify_store};
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
