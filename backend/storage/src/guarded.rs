//! The guard between the engine and a store: whatever comes back is checked before it is believed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::fingerprints::KindOfStore;
use super::{
    BackingStorage, Fingerprints, Operation, Rejected, StorageError, Table, Visit, Writes, envelope,
};

/// A store whose records are sealed when written and checked on every read.
///
/// Damage and errors are misses here; both are counted. Where a miss is not enough to stay right (an edge that is
/// lost would leave a dependent valid), [`Guarded::read`] tells a miss from a failure.
pub struct Guarded {
    storage: Arc<dyn BackingStorage>,
    rejected: [AtomicU64; Rejected::ALL.len()],
    errors: [AtomicU64; Operation::COUNT],
    contradictions: AtomicU64,
    fingerprints: KindOfStore,
}

/// A record could not be read: it may or may not be there.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadFailure {
    /// There is one, and it was rejected.
    Rejected(Rejected),
    /// The store failed.
    Storage(StorageError),
}

impl fmt::Display for ReadFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(reason) => write!(f, "record rejected: {reason}"),
            Self::Storage(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Rejected(_) => None,
            Self::Storage(error) => error.source(),
        }
    }
}

/// The counts of a scan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuardedScan {
    /// Records that passed the checks.
    pub records: u64,
    /// Records that did not, and were not visited.
    pub rejected: u64,
}

/// Rejected records, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RejectedCounts([u64; Rejected::ALL.len()]);

impl RejectedCounts {
    /// Returns how many for this reason.
    pub fn of(&self, reason: Rejected) -> u64 {
        self.0[reason as usize]
    }

    /// Returns how many in all.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl Guarded {
    /// Guards a store that programs have used: its digests are of the kind that its head tells, the default if it tells none.
    pub fn over(storage: Arc<dyn BackingStorage>) -> Self {
        let store = Self::new(storage);
        let found = super::record::stored_build(&store).map(|(_, fingerprints)| fingerprints);
        store.set_fingerprints(found.unwrap_or_default());
        store
    }

    /// Guards `storage`, which is about to be opened.
    pub fn new(storage: Arc<dyn BackingStorage>) -> Self {
        Self {
            storage,
            rejected: Default::default(),
            errors: Default::default(),
            contradictions: AtomicU64::new(0),
            fingerprints: KindOfStore::default(),
        }
    }

    /// Returns the kind of digests in the store: the default until it has been opened.
    #[inline]
    pub fn fingerprints(&self) -> Fingerprints {
        self.fingerprints.get()
    }

    /// The store has been opened, and its digests are of this kind.
    pub(crate) fn set_fingerprints(&self, fingerprints: Fingerprints) {
        self.fingerprints.set(fingerprints);
    }

    /// Returns the store itself.
    pub fn storage(&self) -> &Arc<dyn BackingStorage> {
        &self.storage
    }

    /// A run has come to another output than the one that is stored for the same reads.
    pub(crate) fn note_contradiction(&self) {
        self.contradictions.fetch_add(1, Relaxed);
    }

    /// How often that has happened.
    pub(crate) fn contradictions(&self) -> u64 {
        self.contradictions.load(Relaxed)
    }

    /// Returns the payload of the record at `key`, or a miss: there is none, it is damaged, or the store failed.
    #[inline]
    pub fn get<'b>(&self, table: Table, key: &[u8], buffer: &'b mut Vec<u8>) -> Option<&'b [u8]> {
        self.read(table, key, buffer).ok().flatten()
    }

    /// Returns the payload of the record at `key`; a failure is counted and told from a miss.
    #[inline]
    pub fn read<'b>(
        &self,
        table: Table,
        key: &[u8],
        buffer: &'b mut Vec<u8>,
    ) -> Result<Option<&'b [u8]>, ReadFailure> {
        match self.storage.get(table, key, buffer) {
            Ok(false) => Ok(None),
            Ok(true) => match envelope::open(table, key, buffer) {
                Ok(payload) => Ok(Some(payload)),
                Err(reason) => Err(ReadFailure::Rejected(self.reject(reason))),
            },
            Err(error) => {
                self.count(Operation::Get);
                Err(ReadFailure::Storage(error))
            }
        }
    }

    /// Visits the payloads of all sound records whose key starts with `prefix`, in order of their keys.
    pub fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<GuardedScan, StorageError> {
        let mut seen = GuardedScan::default();
        let result =
            self.storage.scan(table, prefix, &mut |key, record| match envelope::open(table, key, record) {
                Ok(payload) => {
                    seen.records += 1;
                    visit(key, payload)
                }
                Err(reason) => {
                    seen.rejected += 1;
                    self.reject(reason);
                    Visit::Continue
                }
            });
        match result {
            Ok(()) => Ok(seen),
            Err(error) => {
                self.count(Operation::Scan);
                Err(error)
            }
        }
    }

    /// Commits sealed records.
    pub fn commit(&self, writes: Writes<'_>) -> Result<(), StorageError> {
        if writes.is_empty() {
            return Ok(());
        }
        self.storage.commit(writes).inspect_err(|_| self.count(Operation::Commit))
    }

    /// Counts a record that was rejected after its checksum held, and gives the reason back.
    #[cold]
    pub fn reject(&self, reason: Rejected) -> Rejected {
        self.rejected[reason as usize].fetch_add(1, Relaxed);
        reason
    }

    /// Returns rejected records so far, by reason.
    pub fn rejected(&self) -> RejectedCounts {
        RejectedCounts(std::array::from_fn(|reason| self.rejected[reason].load(Relaxed)))
    }

    /// Returns failed calls so far.
    pub fn errors(&self, operation: Operation) -> u64 {
        self.errors[operation as usize].load(Relaxed)
    }

    #[cold]
    fn count(&self, operation: Operation) {
        self.errors[operation as usize].fetch_add(1, Relaxed);
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").field("rejected", &self.rejected()).finish_non_exhaustive()
    }
}
