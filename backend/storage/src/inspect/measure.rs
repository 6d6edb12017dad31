//! Sizes and counts, by function and by table.

use rustc_hash::FxHashMap;

use super::{InspectError, StoreReader};
use crate::record::TaskRecord;
use crate::{Digest, ENVELOPE_BYTES, FunctionId, Rejected, Table, Visit};

/// The records of one task function.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionMeasure {
    /// The id.
    pub id: FunctionId,
    /// The path; empty if the store does not name it.
    pub path: Box<str>,
    /// The code identity, if the store names the function.
    pub code: Option<Digest>,
    /// Stored tasks.
    pub tasks: u64,
    /// Tasks among them that have to be verified before they are used.
    pub stale: u64,
    /// Stored traces, older ones included.
    pub traces: u64,
    /// Bytes of keys and records: of tasks, traces, values and chunks of reads.
    pub bytes: u64,
    /// The number of the run that stored or used one of them last.
    pub last_used: u64,
    /// The number of the run that stored the oldest of them.
    pub oldest: u64,
}

/// The sizes and counts of a store.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct StoreMeasure {
    /// By task function, largest first.
    pub functions: Vec<FunctionMeasure>,
    /// Records by table, in the order of [`Table::ALL`].
    pub records: [u64; Table::ALL.len()],
    /// Bytes of keys and records by table.
    pub bytes: [u64; Table::ALL.len()],
    /// Records that were rejected: damaged.
    pub rejected: u64,
    /// The bytes of the file.
    pub file_bytes: Option<u64>,
}

/// Finds the function of a task, for keys that come in ascending order: as tasks have been scanned in that order as well, no map is needed.
struct Owners {
    tasks: Vec<([u8; 16], u32)>,
    at: usize,
}

impl Owners {
    fn of(&mut self, key: &[u8]) -> Option<u32> {
        let task = key.first_chunk::<16>()?;
        while self.tasks.get(self.at).is_some_and(|(known, _)| known < task) {
            self.at += 1;
        }
        self.tasks.get(self.at).filter(|(known, _)| known == task).map(|(_, function)| *function)
    }
}

impl StoreReader {
    /// Reads all records once, and counts them by function and table. Memory: 20 bytes a task.
    ///
    /// # Errors
    /// If the store fails.
    pub fn measure(&self) -> Result<StoreMeasure, InspectError> {
        let before = self.rejected().total();
        let mut measure = StoreMeasure::default();
        let names = self.functions()?;
        let mut indices: FxHashMap<FunctionId, u32> = FxHashMap::default();
        for function in names.values() {
            indices.insert(function.id, indices.len() as u32);
            measure.functions.push(unused(function.id, &function.path, Some(function.code)));
        }
        let mut owners = Owners { tasks: Vec::new(), at: 0 };
        self.scan(Table::Tasks, &[], |key, payload| {
            let bytes = note(&mut measure, Table::Tasks, key, payload);
            let Some((task, record, function)) = task_of(key, payload) else {
                self.store.reject(Rejected::Decode);
                return Visit::Continue;
            };
            let functions = &mut measure.functions;
            let index = *indices.entry(function).or_insert_with(|| {
                functions.push(unused(function, "", None));
                (functions.len() - 1) as u32
            });
            owners.tasks.push((task, index));
            let of = &mut functions[index as usize];
            (of.tasks, of.stale) = (of.tasks + 1, of.stale + u64::from(record.stale));
            (of.traces, of.bytes) = (of.traces + 1, of.bytes + bytes);
            of.last_used = of.last_used.max(record.generation.0);
            of.oldest = of.oldest.min(record.generation.0);
            Visit::Continue
        })?;
        for table in Table::ALL.into_iter().filter(|table| *table != Table::Tasks) {
            owners.at = 0;
            self.scan(table, &[], |key, payload| {
                let bytes = note(&mut measure, table, key, payload);
                if !matches!(
                    table,
                    Table::Traces | Table::Values | Table::Reads | Table::Uses | Table::Causes
                ) {
                    return Visit::Continue;
                }
                let Some(index) = owners.of(key) else { return Visit::Continue };
                let of = &mut measure.functions[index as usize];
                match table {
                    Table::Uses => {
                        let used = payload.try_into().map_or(0, u64::from_le_bytes);
                        of.last_used = of.last_used.max(used);
                    }
                    _ => {
                        of.traces += u64::from(table == Table::Traces);
                        of.bytes += bytes;
                    }
                }
                Visit::Continue
            })?;
        }
        measure.rejected = self.rejected().total() - before;
        measure.file_bytes = self.store.storage().size().map_err(|source| self.failed(source))?;
        measure.functions.iter_mut().filter(|of| of.tasks == 0).for_each(|of| of.oldest = 0);
        measure.functions.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
        Ok(measure)
    }
}

fn unused(id: FunctionId, path: &str, code: Option<Digest>) -> FunctionMeasure {
    FunctionMeasure {
        id,
        path: path.into(),
        code,
        tasks: 0,
        stale: 0,
        traces: 0,
        bytes: 0,
        last_used: 0,
        oldest: u64::MAX,
    }
}

fn note(measure: &mut StoreMeasure, table: Table, key: &[u8], payload: &[u8]) -> u64 {
    let bytes = (key.len() + payload.len() + ENVELOPE_BYTES) as u64;
    measure.records[table.index()] += 1;
    measure.bytes[table.index()] += bytes;
    bytes
}

fn task_of<'p>(key: &[u8], payload: &'p [u8]) -> Option<([u8; 16], TaskRecord<'p>, FunctionId)> {
    let record = TaskRecord::decode(payload).ok()?;
    let function = record.function()?;
    Some((key.try_into().ok()?, record, function))
}
