//! Records: what goes in comes out, and any bytes are a record or none.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its support code too")]

mod support;

use std::time::{Duration, SystemTime};

use larder_storage::record::{
    Emitted, FunctionRecord, InputRecord, Leaf, MetaRecord, NewReads, NewTask, NewTrace, Read, SourceKind,
    SourceRecord, Stamp, TaskRecord, Trace, output, probe, read_leaves,
};
use larder_storage::{
    Digest, Fingerprints, FunctionId, Group, MemoryStorage, RunNumber, TaskKey, verify_store,
};
use proptest::prelude::*;
use support::{accepted, open, writer};

fn digest() -> impl Strategy<Value = Digest> {
    any::<u128>().prop_map(Digest)
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..most)
}

fn stamp() -> impl Strategy<Value = Stamp> {
    let time = || (any::<i64>(), 0..1_000_000_000_u32);
    (any::<u64>(), time(), time(), any::<u64>(), any::<u64>())
        .prop_map(|(size, modified, changed, inode, device)| Stamp { size, modified, changed, inode, device })
}

fn decode_as_everything(bytes: &[u8]) {
    if let Ok(task) = TaskRecord::decode(bytes) {
        assert!(task.older().len() * 33 <= bytes.len() && task.current.reads().len() * 32 <= bytes.len());
        let _ = (task.function(), task.current.digest(Fingerprints::Xxh3), task.current.emitted().count());
    }
    if let Ok(trace) = Trace::decode(bytes) {
        let _ = (trace.reads().count(), trace.emitted().count());
    }
    let _ = SourceRecord::decode(bytes).map(|source| source.key(Fingerprints::Xxh3));
    let _ = InputRecord::decode(bytes).map(|input| input.key(Fingerprints::Xxh3));
    let _ = FunctionRecord::decode(bytes).map(|function| function.id());
    let _ = MetaRecord::decode(bytes).map(|meta| meta.is_readable());
}

proptest! {
    #[test]
    fn a_task_comes_back_as_it_was(
        arguments in bytes(100),
        result in bytes(3000),
        reads in prop::collection::vec((digest(), digest()), 0..50),
        emitted in prop::collection::vec((digest(), bytes(50)), 0..5),
        generation in any::<u64>(),
    ) {
        let (store, _) = open(MemoryStorage::new());
        let mut key = Vec::new();
        TaskKey::start(FunctionId::new("f", Digest(1)), &mut key);
        key.extend_from_slice(&arguments);
        let reads: Vec<_> = reads.into_iter().map(|(key, fingerprint)| Read { key, fingerprint }).collect();
        let emitted: Vec<_> =
            emitted.iter().map(|(channel, value)| Emitted { channel: *channel, value }).collect();
        let trace = NewTrace { fingerprint: Digest::xxh3(&result), output: &result, reads: NewReads::Here(&reads), emitted: &emitted };
        let mut group = Group::new(Fingerprints::Xxh3);
        group.ran(&NewTask { encoded_key: &key, generation: RunNumber(generation), trace });
        let writer = writer(&store);
        accepted(writer.push(&mut group));
        writer.flush().unwrap();

        let (mut buffer, mut elsewhere) = (Vec::new(), Vec::new());
        let record = probe(&store, &key, &mut buffer).unwrap().unwrap();
        prop_assert!(!record.stale && record.generation == RunNumber(generation) && record.older().len() == 0);
        prop_assert_eq!(record.current.reads().collect::<Vec<_>>(), reads);
        prop_assert_eq!(record.current.emitted().collect::<Vec<_>>(), emitted);
        let output = output(&store, TaskKey::of(Fingerprints::Xxh3, &key), record.current.output, &mut elsewhere);
        prop_assert_eq!(output, Some(&result[..]));
    }

    #[test]
    fn leaves_come_back_as_they_were(
        name in bytes(80), value in bytes(200), content in digest(), stamp in prop::option::of(stamp()), racy: bool,
    ) {
        let (store, _) = open(MemoryStorage::new());
        let source = SourceRecord { kind: SourceKind::Directory, name: &name, stamp, racy, content };
        let input = InputRecord { name: &name, fingerprint: content, value: &value };
        let function = FunctionRecord { path: "a::b", code: content };
        let mut group = Group::new(Fingerprints::Xxh3);
        group.source(&source);
        group.input(&input);
        group.function(&function);
        let writer = writer(&store);
        accepted(writer.push(&mut group));
        writer.flush().unwrap();
        let mut seen = 0;
        read_leaves(&store, |leaf| {
            seen += 1;
            match leaf {
                Leaf::Source(found) => assert_eq!(found, source),
                Leaf::Input(found) => assert_eq!(found, input),
            }
        }).unwrap();
        prop_assert_eq!(seen, 2);
        prop_assert!(source.key(Fingerprints::Xxh3) != input.key(Fingerprints::Xxh3), "a source and an input of one name are two things");
        prop_assert!(verify_store(&store).unwrap().is_sound());
    }

    #[test]
    fn any_bytes_are_a_record_or_none(bytes in bytes(300)) {
        decode_as_everything(&bytes);
    }
}

/// CI runs this in place of a fuzzer: real records, mutated 200,000 times, from a fixed seed.
#[test]
fn mutated_records_are_records_or_none() {
    let disk = MemoryStorage::new();
    let (store, _) = open(disk.clone());
    support::fill(&store, 60, 1);
    support::fill(&store, 60, 2);
    let mut records = Vec::new();
    for table in larder_storage::Table::ALL {
        let collect = |_: &[u8], payload: &[u8]| {
            records.push(payload.to_vec());
            larder_storage::Visit::Continue
        };
        store.scan(table, &[], collect).unwrap();
    }
    let mut random = support::Random(0xfeed);
    for _ in 0..support::count("LARDER_MUTATIONS", 200_000) {
        let mut record = records[random.below(records.len() as u64) as usize].clone();
        for _ in 0..=random.below(3) {
            let length = record.len() as u64;
            let at = random.below(length.max(1)) as usize;
            match random.below(5) {
                0 => record.truncate(at),
                1 => record.insert(at.min(record.len()), random.below(256) as u8),
                2 => record.splice(at.min(record.len()).., [0xff; 4]).for_each(drop),
                // A length of four bytes, where there may be one.
                3 if length > 4 => {
                    let at = at.min(record.len() - 4);
                    record[at..at + 4].copy_from_slice(&(random.below(1 << 32) as u32).to_le_bytes());
                }
                _ if length > 0 => record[at] ^= 1 << random.below(8),
                _ => {}
            }
        }
        decode_as_everything(&record);
    }
}

#[test]
fn a_stamp_proves_nothing_when_the_file_is_as_young_as_the_look_at_it() {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let fine = Stamp { size: 1, modified: (1000, 500), changed: (1000, 500), ..Stamp::default() };
    let whole = Stamp { modified: (1000, 0), changed: (1000, 0), ..fine };
    // Whole seconds may be kept in steps of two.
    for (stamp, last) in [(fine, 1002), (whole, 1004)] {
        for young in [stamp, Stamp { modified: (5, 0), ..stamp }, Stamp { changed: (5, 1), ..fine }] {
            assert!(young.is_racy(at(1000)) && young.is_racy(at(1002)), "{young:?}");
        }
        assert!(stamp.is_racy(at(last)) && !stamp.is_racy(at(last + 1)), "{stamp:?}");
    }
    let stamp = fine;
    for unknown in [Stamp { changed: (0, 0), ..stamp }, Stamp { size: 0, ..stamp }] {
        assert!(unknown.is_racy(at(5000)), "{unknown:?}");
    }
    assert!(stamp.is_racy(at(10)), "a clock behind the file system's");
    assert!(stamp.is_racy(SystemTime::UNIX_EPOCH - Duration::from_secs(10)), "a clock before 1970");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, b"one").unwrap();
    let before = Stamp::of(&std::fs::metadata(&path).unwrap());
    assert_eq!(before.size, 3);
    std::fs::write(folder.path().join("other"), b"two").unwrap();
    std::fs::rename(folder.path().join("other"), &path).unwrap();
    assert_ne!(Stamp::of(&std::fs::metadata(&path).unwrap()), before);
}
