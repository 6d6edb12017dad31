//! Decoding of records: a payload whose checksum holds is a record of its table or none.

use larder::storage::{BackingStorage, MemoryStorage, Table, Visit};
use larder_storage::record::{
    FunctionRecord, InputRecord, MetaRecord, SinceRecord, SourceRecord, TaskRecord, Trace, TraceSearch,
    find_trace,
};
use larder_storage::{ENVELOPE_BYTES, Fingerprints};

use super::program::{fill, open};

/// Decodes `data` as records of all kinds, and uses what comes out.
pub fn run(data: &[u8]) {
    if let Ok(task) = TaskRecord::decode(data) {
        assert!(task.older().len() * 33 <= data.len() && task.current.reads().len() * 32 <= data.len());
        let _ = (task.function(), task.current.digest(Fingerprints::Xxh3), task.current.emitted().count());
    }
    if let Ok(trace) = Trace::decode(data) {
        assert!(trace.emitted().map(|emitted| emitted.value.len()).sum::<usize>() <= data.len());
        let found = find_trace(&[trace, trace], |key| {
            trace.reads().find(|read| read.key == key).map(|read| read.fingerprint)
        });
        let repeats =
            trace.reads().any(|read| trace.reads().any(|other| other.key == read.key && other != read));
        assert!(repeats || found == TraceSearch::Found(0), "its own reads are current");
    }
    let _ = SourceRecord::decode(data).map(|source| source.key(Fingerprints::Xxh3));
    let _ = InputRecord::decode(data).map(|input| input.key(Fingerprints::Xxh3));
    let _ = FunctionRecord::decode(data).map(|function| function.id());
    let _ = MetaRecord::decode(data).map(|meta| meta.is_readable());
    let _ = SinceRecord::decode(data).is_ok();
}

/// All records of a store.
pub fn seeds() -> Vec<Vec<u8>> {
    let store = MemoryStorage::new();
    fill(|| open(store.clone()));
    let mut seeds = Vec::new();
    for table in Table::ALL {
        let collect = &mut |_: &[u8], record: &[u8]| {
            seeds.extend(record.get(ENVELOPE_BYTES..).map(<[u8]>::to_vec));
            Visit::Continue
        };
        store.scan(table, &[], collect).expect("it is in memory");
    }
    seeds
}
