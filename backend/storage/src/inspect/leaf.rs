//! Sources and inputs, as they were last seen.

use std::time::{Duration, SystemTime};

use super::{InspectError, StoreReader};
use crate::record::{InputRecord, SourceKind, SourceRecord, Stamp};
use crate::{Digest, Fingerprints, Rejected, Table, TaskKey, Visit};

/// A stored source or input.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredLeaf {
    /// Its key among the reads of tasks.
    pub key: Digest,
    /// The kind.
    pub kind: SourceKind,
    /// Its path or name, in the bytes of the system that wrote it.
    pub name: Box<[u8]>,
    /// The fingerprint of its content or value.
    pub fingerprint: Digest,
    /// Its stamp; none of an input, and of a source that has none or did not exist.
    pub stamp: Option<Stamp>,
    /// Whether the stamp proves nothing.
    pub is_racy: bool,
    /// The bytes of an input's encoded value; none of a source.
    pub value_bytes: Option<u64>,
}

impl StoredLeaf {
    fn source(record: &SourceRecord<'_>, fingerprints: Fingerprints) -> Self {
        Self {
            key: record.key(fingerprints),
            kind: record.kind,
            name: record.name.into(),
            fingerprint: record.content,
            stamp: record.stamp,
            is_racy: record.racy,
            value_bytes: None,
        }
    }

    fn input(record: &InputRecord<'_>, fingerprints: Fingerprints) -> Self {
        Self {
            key: record.key(fingerprints),
            kind: SourceKind::Input,
            name: record.name.into(),
            fingerprint: record.fingerprint,
            stamp: None,
            is_racy: false,
            value_bytes: Some(record.value.len() as u64),
        }
    }

    fn decode(fingerprints: Fingerprints, table: Table, payload: &[u8]) -> Option<Self> {
        match table {
            Table::Sources => {
                SourceRecord::decode(payload).ok().map(|record| Self::source(&record, fingerprints))
            }
            _ => InputRecord::decode(payload).ok().map(|record| Self::input(&record, fingerprints)),
        }
    }
}

impl StoredLeaf {
    /// Returns the task whose result expires and the moment at which it does, if this is a deadline.
    #[must_use]
    pub fn deadline(&self) -> Option<(TaskKey, SystemTime)> {
        let (task, at) = self.name.split_first_chunk::<16>().filter(|_| self.kind == SourceKind::Deadline)?;
        let at = Duration::from_millis(u64::from_le_bytes(at.try_into().ok()?));
        Some((TaskKey(Digest::from_bytes(*task)), SystemTime::UNIX_EPOCH.checked_add(at)?))
    }
}

impl StoreReader {
    /// Returns the source or input of a key, if it is stored.
    ///
    /// # Errors
    /// If the store fails.
    pub fn leaf(&self, key: Digest) -> Result<Option<StoredLeaf>, InspectError> {
        for table in [Table::Sources, Table::Inputs] {
            if let Some(payload) = self.get(table, &key.to_bytes())? {
                let leaf = StoredLeaf::decode(self.store.fingerprints(), table, &payload);
                if leaf.is_none() {
                    self.store.reject(Rejected::Decode);
                }
                return Ok(leaf);
            }
        }
        Ok(None)
    }

    /// Visits all sources, then all inputs, each in the order of their keys.
    ///
    /// # Errors
    /// If the store fails.
    pub fn leaves(&self, mut visit: impl FnMut(StoredLeaf) -> Visit) -> Result<(), InspectError> {
        let mut stopped = false;
        for table in [Table::Sources, Table::Inputs] {
            self.scan(table, &[], |_, payload| {
                let Some(leaf) = StoredLeaf::decode(self.store.fingerprints(), table, payload) else {
                    self.store.reject(Rejected::Decode);
                    return Visit::Continue;
                };
                let next = visit(leaf);
                stopped = next == Visit::Stop;
                next
            })?;
            if stopped {
                break;
            }
        }
        Ok(())
    }
}
