//! Reading a store without running anything: for the `larder` command and for tools that show, compare or copy stores.
//!
//! ```text
//! StoreReader::open   the file, read only; or a copy of it, while another process has it
//!   head              format, codec, build, generation
//!   functions         by id: path and code identity
//!   tasks, task       by scan and by id: encoded key, traces, flags
//!   reads             of a trace, also where they stand in chunks
//!   leaves, leaf      sources and inputs
//!   dependents, used
//! ```
//! Scans stream: none of them holds more than one record. [`StoreReader::measure`] and [`StoreReader::explain`] say what they hold.
//! No reader writes; [`StoreReader::plan_collection`] only names what could go; `collect` and `compact` open the file for themselves.

mod collect;
mod dependents;
mod error;
mod explain;
mod last_run;
mod leaf;
mod measure;
mod preview;
#[cfg(feature = "redb")]
mod shrink;
mod task;

use std::collections::BTreeMap;
#[cfg(feature = "redb")]
use std::path::Path;
use std::sync::Arc;

pub use self::collect::{Collect, Collected, Collection};
pub use self::dependents::Dependents;
pub use self::error::InspectError;
pub use self::explain::{Chain, Difference, Explanation};
pub use self::last_run::{LastRun, RanBecause, RunStep};
pub use self::leaf::StoredLeaf;
pub use self::measure::{FunctionMeasure, StoreMeasure};
pub use self::preview::{is_printable, preview};
#[cfg(feature = "redb")]
pub use self::shrink::{collect, compact};
pub use self::task::{KeyPrefix, StoredTask};
use super::record::{FunctionRecord, MetaRecord, STORE, is_lossy_key, is_sharing_key};
use super::{
    BackingStorage, Digest, Fingerprints, FunctionId, Guarded, Operation, ReadFailure, Rejected,
    RejectedCounts, RunNumber, StorageError, StoreReport, Table, Visit, verify_store,
};

/// A store that is only read.
#[derive(Debug)]
pub struct StoreReader {
    store: Guarded,
    name: Box<str>,
    is_snapshot: bool,
    head: StoreHead,
}

/// The identity of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreHead {
    /// The format of the record layouts.
    pub format: u16,
    /// The codec of keys and values.
    pub codec: u8,
    /// The kind of digests by which its contents are told apart.
    pub fingerprints: Fingerprints,
    /// The bytes of a pointer on the machine that wrote.
    pub pointer: u8,
    /// The build that wrote last.
    pub build: Digest,
    /// The number of runs that have written.
    pub generation: RunNumber,
    /// The version of the library that created the store.
    pub created_with: Box<str>,
}

/// A task function, as a store names it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredFunction {
    /// The id.
    pub id: FunctionId,
    /// The stable path.
    pub path: Box<str>,
    /// The code identity.
    pub code: Digest,
    /// Whether its values do not come back as they were, so that nothing of it is used.
    pub is_lossy: bool,
    /// Whether other builds are given its results: `#[task_fn(version = N, shared)]`.
    pub is_shared: bool,
    /// Whether its results stay on their machine: `#[task_fn(local)]`.
    pub is_local: bool,
}

impl StoreReader {
    /// Opens the store file at `path` for reading; while another process has it, a copy of it as it is now
    /// ([`RedbStorage::open_snapshot`](super::RedbStorage::open_snapshot)). Nothing is created, repaired or renamed.
    ///
    /// # Errors
    /// If there is no file, or it cannot be read; if it is no store, is damaged, or is of another format.
    #[cfg(feature = "redb")]
    pub fn open(path: impl AsRef<Path>) -> Result<Self, InspectError> {
        let path = path.as_ref();
        let name = path.to_string_lossy();
        let opened = match super::RedbStorage::open_read_only(path) {
            Err(StorageError::Held { .. }) => {
                super::RedbStorage::open_snapshot(path).map(|storage| (storage, true))
            }
            opened => opened.map(|storage| (storage, false)),
        };
        let (storage, is_snapshot) =
            opened.map_err(|source| InspectError::Open { path: name.as_ref().into(), source })?;
        Self::new(Arc::new(storage), &name, is_snapshot)
    }

    /// Opens a copy of the store file at `path` as it is now, whether or not another process has it: a reader that stays open for long does not
    /// keep a program from opening its store.
    ///
    /// Cost: the copy, in the folder for temporary files.
    ///
    /// # Errors
    /// If there is no file, or it cannot be read or copied; if it is no store, is damaged, or is of another format.
    #[cfg(feature = "redb")]
    pub fn open_copy(path: impl AsRef<Path>) -> Result<Self, InspectError> {
        let path = path.as_ref();
        let name = path.to_string_lossy();
        let storage = super::RedbStorage::open_snapshot(path)
            .map_err(|source| InspectError::Open { path: name.as_ref().into(), source })?;
        Self::new(Arc::new(storage), &name, true)
    }

    /// Reads any store. `name` stands for it in errors.
    ///
    /// # Errors
    /// If it cannot be read, holds no head, or is of another format.
    pub fn of(storage: Arc<dyn BackingStorage>, name: &str) -> Result<Self, InspectError> {
        Self::new(storage, name, false)
    }

    fn new(storage: Arc<dyn BackingStorage>, name: &str, is_snapshot: bool) -> Result<Self, InspectError> {
        let store = Guarded::new(storage);
        let head = read_head(&store, name)?;
        Ok(Self { store, name: name.into(), is_snapshot, head })
    }

    /// Whether this is a copy, made because another process has the store.
    pub fn is_snapshot(&self) -> bool {
        self.is_snapshot
    }

    /// Returns the identity of the store.
    pub fn head(&self) -> &StoreHead {
        &self.head
    }

    /// Reads every record and checks it; see [`verify_store`].
    ///
    /// # Errors
    /// If the store fails.
    pub fn verify(&self) -> Result<StoreReport, InspectError> {
        verify_store(&self.store).map_err(|source| self.failed(source))
    }

    /// Reads every record, and fails if one is damaged: for a command that is about to write. Costs what [`StoreReader::measure`] does.
    ///
    /// # Errors
    /// If a record is damaged, or the store fails.
    pub fn expect_sound(&self) -> Result<(), InspectError> {
        match self.measure()?.rejected {
            0 => Ok(()),
            damaged => {
                let reason = format!("records that do not hold: {damaged}").into();
                Err(self.failed(StorageError::Damaged { operation: Operation::Scan, table: None, reason }))
            }
        }
    }

    /// Returns the records that this reader has met and rejected, by reason.
    pub fn rejected(&self) -> RejectedCounts {
        self.store.rejected()
    }

    /// Returns all task functions that the store names. Memory: a path for each.
    ///
    /// # Errors
    /// If the store fails.
    pub fn functions(&self) -> Result<BTreeMap<FunctionId, StoredFunction>, InspectError> {
        let mut functions = BTreeMap::new();
        self.scan(Table::Functions, &[], |_, payload| {
            match FunctionRecord::decode(payload) {
                Ok(record) => {
                    let id = record.id();
                    let function = StoredFunction {
                        id,
                        path: record.path.into(),
                        code: record.code,
                        is_lossy: false,
                        is_shared: false,
                        is_local: false,
                    };
                    functions.insert(id, function);
                }
                Err(_) => _ = self.store.reject(Rejected::Decode),
            }
            Visit::Continue
        })?;
        self.scan(Table::Meta, &[], |key, payload| {
            let (is_lossy, (is_shared, is_local)) = (is_lossy_key(key), is_sharing_key(key));
            if (is_lossy || is_shared || is_local)
                && let Ok(record) = FunctionRecord::decode(payload)
                && let Some(function) = functions.get_mut(&record.id())
            {
                function.is_lossy |= is_lossy;
                function.is_shared |= is_shared;
                function.is_local |= is_local;
            }
            Visit::Continue
        })?;
        Ok(functions)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        visit: impl FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), InspectError> {
        self.store.scan(table, prefix, visit).map(|_| ()).map_err(|source| self.failed(source))
    }

    /// Reads a record; one that is damaged is counted, and none.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, InspectError> {
        let mut buffer = Vec::new();
        let is_there = match self.store.read(table, key, &mut buffer) {
            Ok(found) => found.is_some(),
            Err(ReadFailure::Rejected(_)) => false,
            Err(ReadFailure::Storage(source)) => return Err(self.failed(source)),
        };
        if !is_there {
            return Ok(None);
        }
        buffer.drain(..super::ENVELOPE_BYTES);
        Ok(Some(buffer))
    }

    fn failed(&self, source: StorageError) -> InspectError {
        InspectError::Read { path: self.name.clone(), source }
    }
}

fn read_head(store: &Guarded, name: &str) -> Result<StoreHead, InspectError> {
    let path = || name.into();
    let mut buffer = Vec::new();
    let payload = match store.read(Table::Meta, STORE, &mut buffer) {
        Ok(Some(payload)) => payload,
        Ok(None) => return Err(InspectError::NoHead { path: path() }),
        Err(ReadFailure::Rejected(reason)) => return Err(InspectError::Head { path: path(), reason }),
        Err(ReadFailure::Storage(source)) => return Err(InspectError::Read { path: path(), source }),
    };
    let record = MetaRecord::decode(payload)
        .map_err(|_| InspectError::Head { path: path(), reason: Rejected::Decode })?;
    if !record.is_readable() {
        let own = MetaRecord::own(record.build, record.generation, Fingerprints::default());
        let tell = |record: &MetaRecord<'_>| {
            let digests = record.fingerprints().map_or("unknown", Fingerprints::name);
            format!(
                "format {}, codec {}, {digests} fingerprints, {}-byte pointers",
                record.format, record.codec, record.pointer
            )
        };
        let (found, known) = (tell(&record), tell(&own));
        return Err(InspectError::Foreign { path: path(), found: found.into(), known: known.into() });
    }
    let fingerprints = record.fingerprints().unwrap_or_default();
    store.set_fingerprints(fingerprints);
    Ok(StoreHead {
        format: record.format,
        codec: record.codec,
        fingerprints,
        pointer: record.pointer,
        build: record.build,
        generation: record.generation,
        created_with: record.created_with.into(),
    })
}
