//! Records: tasks one by one, for what has changed since the packs were made. Each is signed by itself.
//!
//! ```text
//! 16  task key
//! bytes  encoded key
//! count, sources:  1 kind;  bytes name
//! count, traces:   16 output fingerprint;  bytes output;  count, reads: 16 key, 16 fingerprint;
//!                  count, emitted values: 16 channel, bytes value
//! ```
//! For example, a leaf was edited since CI has pushed its packs, and a colleague's job has run on the same edit: the tasks above the leaf are
//! asked for by their keys, in one round trip, before the first of their bodies runs.

use std::collections::HashMap;
use std::time::{Instant, SystemTime};

use larder_storage::inspect::StoreReader;
use larder_storage::record::{ForeignLeaf, ForeignTask, ForeignTrace, Read, SourceKind};
use larder_storage::{Digest, Fingerprints, TaskKey};

use crate::bounds::{MOST_READS, MOST_RECORD_BYTES, MOST_TRACES};
use crate::client::{Client, Rejection};
use crate::envelope::{self, Place};
use crate::export::{Export, ExportedTask, is_below_base};
use crate::wire::{Malformed, Reader, put_bytes, put_count};
use crate::{
    Counts, Kind, Namespace, Put, ShareError, SharedEngine, SharedError, SharedKey, SigningKey, Trust,
};

/// Records that came, each with the name of the key that has signed it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fetched {
    /// The records.
    pub tasks: Vec<(ForeignTask, Signed)>,
    /// Calls of the engine, and bytes.
    pub counts: Counts,
}

/// By which key a record was signed, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The name of the key.
    pub by: Box<str>,
    /// The moment.
    pub at: SystemTime,
}

/// Records that were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// How many.
    pub tasks: u64,
    /// Tasks whose record would be larger than it may be. They travel in packs alone.
    pub too_large: u64,
    /// Calls of the engine, and bytes.
    pub counts: Counts,
}

/// Returns what is kept of tasks, as far as it holds. One round trip for as many tasks as the engine takes at once.
///
/// # Errors
/// If the engine fails, or the time is over.
pub fn fetch(
    engine: &dyn SharedEngine,
    namespace: &Namespace,
    trust: &Trust,
    tasks: &[TaskKey],
    until: Instant,
) -> Result<Fetched, SharedError> {
    let mut client = Client::new(engine, until);
    let found = fetch_all(&mut client, namespace, trust, tasks)?;
    Ok(Fetched { tasks: found, counts: client.counts })
}

fn fetch_all(
    client: &mut Client<'_>,
    namespace: &Namespace,
    trust: &Trust,
    tasks: &[TaskKey],
) -> Result<Vec<(ForeignTask, Signed)>, SharedError> {
    let keys: Vec<_> = tasks.iter().map(|task| SharedKey::task(namespace, *task)).collect();
    let found = client.get_all(&keys)?;
    let mut records = Vec::new();
    for ((task, key), bytes) in tasks.iter().zip(&keys).zip(found) {
        let Some(bytes) = bytes else { continue };
        if !client.has_time() {
            return Err(SharedError::Slow);
        }
        match open(namespace, trust, *task, key, &bytes) {
            Ok(record) => records.push(record),
            Err(why) => client.reject(key, why),
        }
    }
    Ok(records)
}

/// Writes the records of some of a store's tasks, signed, as far as they may leave this machine. Records of them that this key has signed
/// before are merged.
///
/// # Errors
/// If the store cannot be read, or the engine fails. Some records may be written then.
pub fn publish(
    engine: &dyn SharedEngine,
    namespace: &Namespace,
    key: &SigningKey,
    (reader, tasks): (&StoreReader, &[TaskKey]),
    until: Instant,
) -> Result<Published, ShareError> {
    let mut client = Client::new(engine, until);
    let namespace = &namespace.of_kind(reader.head().fingerprints);
    let fingerprints = namespace.fingerprints();
    let trust = Trust::none().key(key.public());
    let export = Export::of(reader)?;
    let mut exported: HashMap<TaskKey, &ExportedTask> =
        export.tasks.iter().map(|task| (task.key, task)).collect();
    let shared: Vec<TaskKey> = tasks.iter().filter(|task| exported.contains_key(task)).copied().collect();
    let mut published = Published::default();
    for tasks in shared.chunks(engine.limits().keys.max(1)) {
        let there = fetch_all(&mut client, namespace, &trust, tasks)?;
        let mut there: HashMap<TaskKey, ForeignTask> =
            there.into_iter().map(|(task, _)| (task.key(fingerprints), task)).collect();
        let mut sealed = Vec::with_capacity(tasks.len());
        for task in tasks {
            let Some(exported) = exported.remove(task) else { continue };
            let record = merged(foreign(exported, &export), there.remove(task));
            let bytes = encode(*task, &record);
            if bytes.len() > MOST_RECORD_BYTES - 256 {
                published.too_large += 1;
                continue;
            }
            let name = SharedKey::task(namespace, *task);
            let place = Place { namespace, kind: Kind::Trace, name: name.name() };
            let bytes = envelope::seal(place, key, SystemTime::now(), &bytes);
            sealed.push((name, bytes));
        }
        client.put_all(&sealed, Put::Replace)?;
        published.tasks += sealed.len() as u64;
    }
    published.counts = client.counts;
    Ok(published)
}

/// Returns the traces of a task, those of this machine first.
fn merged(mut record: ForeignTask, there: Option<ForeignTask>) -> ForeignTask {
    let Some(there) = there else { return record };
    for trace in there.traces {
        let is_known = record.traces.iter().any(|known| known.reads == trace.reads);
        if !is_known && record.traces.len() < MOST_TRACES {
            record.traces.push(trace);
        }
    }
    record.leaves.extend(there.leaves);
    record.leaves.sort();
    record.leaves.dedup();
    record
}

fn foreign(task: &ExportedTask, export: &Export) -> ForeignTask {
    let reads = task.traces.iter().flat_map(|trace| &trace.reads);
    let mut leaves: Vec<_> = reads
        .filter_map(|read| export.leaves.get(&read.key))
        .filter(|leaf| leaf.kind != SourceKind::Input)
        .map(|leaf| ForeignLeaf { kind: leaf.kind, name: leaf.name.to_vec() })
        .collect();
    leaves.sort();
    leaves.dedup();
    ForeignTask { encoded_key: task.encoded_key.to_vec(), traces: task.traces.clone(), leaves }
}

fn encode(task: TaskKey, record: &ForeignTask) -> Vec<u8> {
    let mut out = task.to_bytes().to_vec();
    put_bytes(&mut out, &record.encoded_key);
    put_count(&mut out, record.leaves.len());
    for leaf in &record.leaves {
        out.push(leaf.kind as u8);
        put_bytes(&mut out, &leaf.name);
    }
    put_count(&mut out, record.traces.len());
    for trace in &record.traces {
        out.extend_from_slice(&trace.fingerprint.to_bytes());
        put_bytes(&mut out, &trace.output);
        put_count(&mut out, trace.reads.len());
        trace.reads.iter().for_each(|read| read.encode_into(&mut out));
        put_count(&mut out, trace.emitted.len());
        for (channel, value) in &trace.emitted {
            out.extend_from_slice(&channel.to_bytes());
            put_bytes(&mut out, value);
        }
    }
    out
}

fn open(
    namespace: &Namespace,
    trust: &Trust,
    task: TaskKey,
    key: &SharedKey,
    bytes: &[u8],
) -> Result<(ForeignTask, Signed), Rejection> {
    let place = Place { namespace, kind: Kind::Trace, name: key.name() };
    let opened = envelope::open(place, trust, MOST_RECORD_BYTES, bytes)?;
    let fingerprints = namespace.fingerprints();
    let record = decode(fingerprints, opened.payload).map_err(|Malformed| Rejection::Decode)?;
    if record.key(fingerprints) != task {
        return Err(Rejection::Digest);
    }
    Ok((record, Signed { by: opened.signer, at: opened.signed_at }))
}

fn decode(fingerprints: Fingerprints, payload: &[u8]) -> Result<ForeignTask, Malformed> {
    let mut reader = Reader::new(payload);
    let task = digest(&mut reader)?;
    let encoded_key = reader.bytes()?.to_vec();
    if TaskKey::of(fingerprints, &encoded_key).0 != task {
        return Err(Malformed);
    }
    let mut leaves = Vec::new();
    for _ in 0..reader.count(5, MOST_READS)? {
        let kind = SourceKind::of(reader.u8()?).filter(|kind| *kind != SourceKind::Input).ok_or(Malformed)?;
        let name = reader.bytes()?;
        // A name that leads out of the tree is never looked at.
        if is_below_base(kind, name) {
            leaves.push(ForeignLeaf { kind, name: name.to_vec() });
        }
    }
    let mut traces = Vec::new();
    for _ in 0..reader.count(28, MOST_TRACES)? {
        traces.push(trace(&mut reader)?);
    }
    reader.end()?;
    Ok(ForeignTask { encoded_key, traces, leaves })
}

fn trace(reader: &mut Reader<'_>) -> Result<ForeignTrace, Malformed> {
    let fingerprint = digest(reader)?;
    let output = reader.bytes()?.to_vec();
    let count = reader.count(32, MOST_READS)?;
    let mut reads = Vec::with_capacity(count);
    for _ in 0..count {
        reads.push(Read { key: digest(reader)?, fingerprint: digest(reader)? });
    }
    let mut emitted = Vec::new();
    for _ in 0..reader.count(20, MOST_READS)? {
        emitted.push((digest(reader)?, reader.bytes()?.to_vec()));
    }
    Ok(ForeignTrace { fingerprint, output, reads, emitted })
}

fn digest(reader: &mut Reader<'_>) -> Result<Digest, Malformed> {
    Ok(Digest::from_bytes(reader.array()?))
}
