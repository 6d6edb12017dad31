//! Walking a whole store: damage, and the size of each function's records.

use std::collections::{BTreeMap, HashMap};

use super::record::{
    CauseRecord, Chunk, ComponentMember, FunctionRecord, Incomplete, InputRecord, MetaRecord, OutputPlace,
    SINCE, SOURCES, SinceRecord, SourceRecord, TaskRecord, Trace, good_key, is_good_key, is_lossy_key,
    is_sharing_key, local_key, lossy_key, members_of, read_dependents, read_leaves, shared_key,
};
use super::{Fingerprints, FunctionId, Guarded, Rejected, StorageError, Table, TaskKey, Visit, envelope};

/// Something that is wrong in a store. All of it is survived: as misses, or by verifying what is stored before use.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// A record that is never used.
    Record {
        /// Its table.
        table: Table,
        /// Its key.
        key: Box<[u8]>,
        /// Why.
        reason: Rejected,
    },
    /// A task whose dependents are not all known.
    Dependents {
        /// The task.
        task: TaskKey,
    },
    /// Not all sources and inputs are known.
    Leaves,
}

/// The size of the records of one task function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FunctionSize {
    /// Its path; empty if the store does not name it.
    pub path: Box<str>,
    /// Stored tasks.
    pub tasks: u64,
    /// Stored traces, older ones included.
    pub traces: u64,
    /// Bytes of keys and records: of the tasks, their traces and their outputs.
    pub bytes: u64,
}

/// The content of a store.
#[derive(Clone, Debug, Default)]
pub struct StoreReport {
    /// Records by table, in the order of [`Table::ALL`].
    pub records: [u64; Table::ALL.len()],
    /// Bytes of keys and records by table.
    pub bytes: [u64; Table::ALL.len()],
    /// Bytes of results that others have replaced: kept for the case that what they have read is back as it was.
    pub replaced: u64,
    /// Bytes of lists of dependents of what is not stored any more: forgotten, dropped or removed. They go in time, or stay for what is
    /// stored of those dependents.
    pub unreachable: u64,
    /// The bytes the store takes where it is kept, if it can tell. Those beyond [`StoreReport::total_bytes`] are the store's own, or
    /// free: later results take them, and compaction gives them back.
    pub size: Option<u64>,
    /// Everything that is wrong.
    pub damage: Vec<Damage>,
    /// Sizes by task function, largest first.
    pub functions: Vec<(FunctionId, FunctionSize)>,
}

impl StoreReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
    }

    /// Returns the bytes of all keys and records.
    pub fn total_bytes(&self) -> u64 {
        self.bytes.iter().sum()
    }
}

/// Reads every record of `store`, checks it, and checks that tasks and dependents fit together.
///
/// Memory: about 80 bytes for each stored task.
pub fn verify_store(store: &Guarded) -> Result<StoreReport, StorageError> {
    let mut walk = Walk::default();
    for table in Table::ALL {
        store.storage().scan(table, &[], &mut |key, record| {
            walk.record(store.fingerprints(), table, key, record);
            Visit::Continue
        })?;
    }
    let Walk { mut report, functions, owners, lists } = walk;
    let mut dependents = Vec::new();
    for task in owners.keys().map(|key| TaskKey(super::Digest::from_bytes(*key))) {
        dependents.clear();
        match read_dependents(store, task.0, &mut dependents) {
            Ok(()) => {}
            Err(Incomplete::Unread(super::ReadFailure::Storage(error))) => return Err(error),
            Err(_) => report.damage.push(Damage::Dependents { task }),
        }
    }
    if report.records[Table::Meta.index()] > 0 && read_leaves(store, |_| {}).is_err() {
        report.damage.push(Damage::Leaves);
    }
    report.unreachable = lists.into_values().sum();
    report.size = store.storage().size()?;
    report.functions = functions.into_iter().collect();
    report.functions.sort_by_key(|(_, size)| std::cmp::Reverse(size.bytes));
    Ok(report)
}

/// A walk over all records, in the order of [`Table::ALL`]: tasks are met before their parts.
#[derive(Default)]
struct Walk {
    report: StoreReport,
    functions: BTreeMap<FunctionId, FunctionSize>,
    owners: HashMap<[u8; 16], Owner>,
    /// Bytes of lists of dependents by what they are of, if that is no task.
    lists: HashMap<[u8; 16], u64>,
}

impl Walk {
    /// Counts a record, checks it, and notes what it belongs to.
    fn record(&mut self, fingerprints: Fingerprints, table: Table, key: &[u8], record: &[u8]) {
        let bytes = (key.len() + record.len()) as u64;
        self.report.records[table.index()] += 1;
        self.report.bytes[table.index()] += bytes;
        let checked = envelope::open(table, key, record)
            .and_then(|payload| check(fingerprints, table, key, payload).ok_or(Rejected::Decode));
        match checked {
            Ok(Meaning::Task(function, output)) => {
                let size = self.functions.entry(function).or_default();
                (size.tasks, size.traces, size.bytes) = (size.tasks + 1, size.traces + 1, size.bytes + bytes);
                if let Some(key) = key.first_chunk() {
                    self.owners.insert(*key, Owner { function, output });
                }
            }
            Ok(Meaning::Function(id, path)) => self.functions.entry(id).or_default().path = path,
            Ok(Meaning::Part) => self.part(table, key, bytes),
            Ok(Meaning::Other) => match (table, key.first_chunk::<16>()) {
                (Table::Dependents, Some(target)) if !self.owners.contains_key(target) => {
                    *self.lists.entry(*target).or_default() += bytes;
                }
                (Table::Sources | Table::Inputs, Some(leaf)) => _ = self.lists.remove(leaf),
                _ => {}
            },
            Err(reason) => self.report.damage.push(Damage::Record { table, key: key.into(), reason }),
        }
    }

    /// Counts a part of a task for its function.
    fn part(&mut self, table: Table, key: &[u8], bytes: u64) {
        let Some(owner) = key.first_chunk().and_then(|task: &[u8; 16]| self.owners.get(task)) else { return };
        let size = self.functions.entry(owner.function).or_default();
        size.traces += u64::from(table == Table::Traces);
        size.bytes += bytes;
        let is_current = key.get(16..) == Some(&owner.output.to_bytes()[..]);
        if table == Table::Traces || table == Table::Values && !is_current {
            self.report.replaced += bytes;
        }
    }
}

/// A stored task.
struct Owner {
    function: FunctionId,
    /// The fingerprint of its current output.
    output: super::Digest,
}

enum Meaning {
    Task(FunctionId, super::Digest),
    Function(FunctionId, Box<str>),
    /// Of a task.
    Part,
    Other,
}

/// Whether a component tells of the members that its key names, as far as the record shows it. So is anything else.
fn is_whole(record: &TaskRecord<'_>) -> bool {
    let Some(members) = members_of(record.encoded_key) else { return true };
    match record.current.output.place {
        OutputPlace::Inline(output) => ComponentMember::decode_all(output)
            .is_ok_and(|told| told.iter().map(|member| member.task).eq(members)),
        OutputPlace::Stored { .. } => true,
    }
}

/// Returns the kind of a payload, if it is what its table holds.
fn check(fingerprints: Fingerprints, table: Table, key: &[u8], payload: &[u8]) -> Option<Meaning> {
    let other = |ok: bool| ok.then_some(Meaning::Other);
    match table {
        Table::Meta if key == SOURCES => other(super::record::SourceSet::decode(payload).is_ok()),
        Table::Meta if key == SINCE => other(SinceRecord::decode(payload).is_ok()),
        Table::Meta if is_lossy_key(key) => {
            other(FunctionRecord::decode(payload).is_ok_and(|function| lossy_key(function.id()) == key))
        }
        Table::Meta if is_good_key(key) => {
            other(FunctionRecord::decode(payload).is_ok_and(|function| good_key(function.id()) == key))
        }
        Table::Meta if key.starts_with(super::record::PULLED) => {
            other(super::record::PulledRecord::decode(payload).is_ok())
        }
        Table::Meta if is_sharing_key(key) != (false, false) => {
            let is_own = |id| shared_key(id) == key || local_key(id) == key;
            other(FunctionRecord::decode(payload).is_ok_and(|function| is_own(function.id())))
        }
        Table::Meta => other(MetaRecord::decode(payload).is_ok()),
        Table::Tasks => {
            let record = TaskRecord::decode(payload).ok()?;
            let own = TaskKey::of(fingerprints, record.encoded_key).to_bytes() == key;
            let output = record.current.output.fingerprint;
            if !is_whole(&record) {
                return None;
            }
            record.function().filter(|_| own).map(|function| Meaning::Task(function, output))
        }
        Table::Traces => {
            let trace = Trace::decode(payload).ok()?;
            let own = key.get(16..) == Some(&trace.digest(fingerprints).to_bytes()[..]);
            let inline_fits = !matches!(trace.output.place, OutputPlace::Inline(bytes) if bytes.len() > super::record::INLINE_OUTPUT);
            (own && inline_fits).then_some(Meaning::Part)
        }
        Table::Values => (key.len() == 32).then_some(Meaning::Part),
        Table::Reads => {
            let own = key.get(16..) == Some(&Chunk::of(fingerprints, payload).digest.to_bytes()[..]);
            own.then_some(Meaning::Part)
        }
        Table::Dependents => other(matches!(key.len(), 16 | 20)),
        Table::Sources => other(SourceRecord::decode(payload).ok()?.key(fingerprints).to_bytes() == key),
        Table::Inputs => other(InputRecord::decode(payload).ok()?.key(fingerprints).to_bytes() == key),
        Table::Uses => other(key.len() == 16 && payload.len() == 8),
        Table::Causes => other(key.len() == 16 && CauseRecord::decode(payload).is_ok()),
        Table::Functions => {
            let record = FunctionRecord::decode(payload).ok()?;
            let own = record.id().0.to_bytes() == key;
            own.then(|| Meaning::Function(record.id(), record.path.into()))
        }
    }
}
