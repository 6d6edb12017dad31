//! Shared by the storage tests: a small, fully known world of tasks.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::sync::Arc;

use larder_storage::record::{
    Emitted, NewReads, NewTask, NewTrace, Read, SourceKind, SourceRecord, Stamp, output, probe, source_key,
};
use larder_storage::{
    BackingStorage, Delivery, Digest, Fingerprints, FlushError, FunctionId, Group, Guarded, Opening,
    StoreIdentity, TaskKey, WriteBehind, WriteBehindOptions, open_store,
};

pub(crate) const IDENTITY: StoreIdentity = StoreIdentity { build: Digest(77), fingerprints: None };

pub(crate) fn guard(storage: impl BackingStorage) -> Arc<Guarded> {
    Arc::new(Guarded::new(Arc::new(storage)))
}

/// Guards a store and opens it.
pub(crate) fn open(storage: impl BackingStorage) -> (Arc<Guarded>, Opening) {
    let store = guard(storage);
    let opening = open_store(&store, &IDENTITY);
    (store, opening)
}

pub(crate) fn function() -> FunctionId {
    FunctionId::new("world::task", Digest(1))
}

/// The encoded key of the task with this number.
pub(crate) fn encoded_key(number: u32) -> Vec<u8> {
    let mut buffer = Vec::new();
    TaskKey::start(function(), &mut buffer);
    buffer.extend_from_slice(&number.to_le_bytes());
    buffer
}

pub(crate) fn task(number: u32) -> TaskKey {
    TaskKey::of(Fingerprints::Xxh3, &encoded_key(number))
}

/// The source that task `number` reads.
pub(crate) fn source(number: u32) -> Digest {
    source_key(Fingerprints::Xxh3, SourceKind::File, format!("file {number}").as_bytes())
}

/// The output of task `number` in `state`; every 50th is too large to be stored inline.
pub(crate) fn output_of(number: u32, state: u32) -> Vec<u8> {
    let length = if number.is_multiple_of(50) { 3000 } else { 40 + number as usize % 90 };
    let mut bytes = format!("output of {number} in state {state};").into_bytes();
    while bytes.len() < length {
        bytes.push((bytes.len() as u32 * 31 + number + state) as u8);
    }
    bytes
}

/// The reads of task `number` in `state`: a source, and the task before it.
pub(crate) fn reads_of(number: u32, state: u32) -> Vec<Read> {
    let mut reads = vec![Read { key: source(number % 10), fingerprint: Digest(u128::from(state)) }];
    if number > 0 {
        let fingerprint = Digest::xxh3(&output_of(number - 1, state));
        reads.push(Read { key: task(number - 1).0, fingerprint });
    }
    reads
}

pub(crate) fn ran(group: &mut Group, number: u32, state: u32) {
    let (key, output, reads) = (encoded_key(number), output_of(number, state), reads_of(number, state));
    let emitted = [Emitted { channel: Digest(5), value: b"emitted" }];
    let trace = NewTrace {
        fingerprint: Digest::xxh3(&output),
        output: &output,
        reads: NewReads::Here(&reads),
        emitted: if number.is_multiple_of(7) { &emitted } else { &[] },
    };
    group.ran(&NewTask { encoded_key: &key, generation: larder_storage::RunNumber(state.into()), trace });
}

pub(crate) fn sources(group: &mut Group, state: u32) {
    for number in 0..10 {
        group.source(&SourceRecord {
            kind: SourceKind::File,
            name: format!("file {number}").as_bytes(),
            stamp: Some(Stamp { size: state.into(), ..Stamp::default() }),
            racy: false,
            content: Digest(u128::from(state)),
        });
    }
}

#[track_caller]
pub(crate) fn accepted(delivery: Delivery) -> u64 {
    match delivery {
        Delivery::Accepted { ticket } => ticket,
        Delivery::Refused => panic!("refused"),
    }
}

pub(crate) fn writer(store: &Arc<Guarded>) -> WriteBehind {
    WriteBehind::start(store.clone(), WriteBehindOptions::default()).unwrap()
}

/// Stores all tasks below `count`, in `state`, and all sources.
#[track_caller]
pub(crate) fn fill(store: &Arc<Guarded>, count: u32, state: u32) {
    try_fill(store, count, state).unwrap();
}

/// The same, on a store that may fail.
pub(crate) fn try_fill(store: &Arc<Guarded>, count: u32, state: u32) -> Result<(), FlushError> {
    let writer = writer(store);
    let mut group = Group::new(Fingerprints::Xxh3);
    group.run(IDENTITY.build, larder_storage::RunNumber(1));
    sources(&mut group, state);
    let _ = writer.push(&mut group);
    for number in 0..count {
        group.clear();
        ran(&mut group, number, state);
        let _ = writer.push(&mut group);
    }
    writer.flush()
}

/// The stored output of a task: `None` is a miss.
pub(crate) fn stored_output(store: &Guarded, number: u32) -> Option<Vec<u8>> {
    let (mut buffer, mut elsewhere) = (Vec::new(), Vec::new());
    let key = encoded_key(number);
    let record = probe(store, &key, &mut buffer).ok().flatten()?;
    let trace = record.current;
    let bytes = output(store, task(number), trace.output, &mut elsewhere)?;
    Some(bytes.to_vec())
}

/// A small deterministic generator.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A number from the environment, to run a test for longer.
pub(crate) fn count(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A folder in memory, where there is one: these tests open files ten thousand times.
pub(crate) fn fast_folder() -> tempfile::TempDir {
    let shm = std::path::Path::new("/dev/shm");
    if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.unwrap()
}
