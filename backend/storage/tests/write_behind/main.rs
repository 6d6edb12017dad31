//! From handing over to the store and back, and all that can go wrong between.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its support code too")]

mod pace;
#[path = "../support/mod.rs"]
mod support;
mod trouble;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use larder_storage::record::{
    Incomplete, InputRecord, Leaf, NewReads, NewTask, NewTrace, Trace, TraceSearch, find_trace, probe,
    read_dependents, read_leaves,
};
use larder_storage::{
    BackingStorage, Batch, Delivery, Digest, Filter, Fingerprints, Group, Guarded, MemoryStorage, Opening,
    Operation, Rejected, RunNumber, StorageError, Table, TraceKey, Visit, WriteBehind, WriteBehindOptions,
    Writes, evict, verify_store,
};
use support::*;

fn dependents(store: &Guarded, target: Digest) -> Result<Vec<u32>, Incomplete> {
    let mut keys = Vec::new();
    read_dependents(store, target, &mut keys)?;
    let mut numbers: Vec<u32> = (0..3000).filter(|&number| keys.contains(&task(number))).collect();
    numbers.dedup();
    Ok(numbers)
}

#[test]
fn what_was_flushed_is_found_by_the_next_process() {
    let disk = MemoryStorage::new();
    let (store, opening) = open(disk.clone());
    assert!(matches!(opening, Opening::Fresh));
    fill(&store, 300, 1);
    let (store, opening) = open(disk.crash());
    assert!(matches!(opening, Opening::Warm { generation: RunNumber(2), same_build: true }), "{opening:?}");
    for number in 0..300 {
        assert_eq!(stored_output(&store, number), Some(output_of(number, 1)));
    }
    assert_eq!(stored_output(&store, 300), None);
    let key = encoded_key(14);
    let mut buffer = Vec::new();
    let record = probe(&store, &key, &mut buffer).unwrap().unwrap();
    assert!(!record.stale);
    assert_eq!(record.function(), Some(function()));
    assert_eq!(record.current.reads().collect::<Vec<_>>(), reads_of(14, 1));
    assert_eq!(record.current.emitted().map(|emitted| emitted.value).collect::<Vec<_>>(), [b"emitted"]);
    assert_eq!(dependents(&store, task(13).0).unwrap(), [14]);
    assert_eq!(dependents(&store, source(3)).unwrap().len(), 30);
    assert_eq!(dependents(&store, task(299).0).unwrap(), []);
    let report = verify_store(&store).unwrap();
    assert!(report.is_sound(), "{:?}", report.damage);
    assert_eq!(report.functions[0].1.tasks, 300);
    assert_eq!(store.rejected().total(), 0);
}

#[test]
fn several_traces_are_kept_and_found_again_by_what_they_read() {
    let (store, _) = open(MemoryStorage::new());
    for state in 1..=12 {
        fill(&store, 60, state);
    }
    let mut buffer = Vec::new();
    let key = encoded_key(50);
    let record = probe(&store, &key, &mut buffer).unwrap().unwrap();
    let older: Vec<_> = record.older().collect();
    assert_eq!(older.len(), 7, "8 traces in all");
    let payloads: Vec<Vec<u8>> = older
        .iter()
        .map(|trace| {
            let key = TraceKey { task: task(50), part: trace.digest }.to_bytes();
            let mut buffer = Vec::new();
            store.get(Table::Traces, &key, &mut buffer).unwrap().to_vec()
        })
        .collect();
    let traces: Vec<_> = payloads.iter().map(|payload| Trace::decode(payload).unwrap()).collect();
    // State 9 again: the source first, then the task before.
    let mut asked = Vec::new();
    let found = find_trace(&traces, |key| {
        asked.push(key);
        reads_of(50, 9).iter().find(|read| read.key == key).map(|read| read.fingerprint)
    });
    assert_eq!(found, TraceSearch::Found(2), "states 11, 10, 9");
    assert_eq!(asked, [source(0), task(49).0]);
    // A state never seen: the first answer decides, and nothing else is asked.
    let mut asked = 0;
    let found = find_trace(&traces, |_| {
        asked += 1;
        Some(Digest(999))
    });
    assert_eq!((found, asked), (TraceSearch::None, 1));

    let writer = writer(&store);
    let mut group = Group::new(Fingerprints::Xxh3);
    group.reverted(task(50), traces[2].digest(Fingerprints::Xxh3));
    accepted(writer.push(&mut group));
    writer.flush().unwrap();
    assert_eq!(stored_output(&store, 50), Some(output_of(50, 9)));
    let record = probe(&store, &key, &mut buffer).unwrap().unwrap();
    assert!(!record.stale && record.older().len() == 7);
    let report = verify_store(&store).unwrap();
    assert!(report.is_sound(), "{:?}", report.damage);
    assert_eq!(report.records[Table::Traces.index()], 60 * 7);
    assert_eq!(report.records[Table::Values.index()], 2 * 8, "outputs of dropped traces are dropped");
}

#[test]
fn a_mark_is_stored_with_the_change_that_made_it() {
    let disk = MemoryStorage::new();
    let (store, _) = open(disk.clone());
    fill(&store, 20, 1);
    let writer = writer(&store);
    let mut group = Group::new(Fingerprints::Xxh3);
    sources(&mut group, 2);
    (0..20).for_each(|number| group.stale(task(number)));
    accepted(writer.push(&mut group));
    writer.flush().unwrap();
    let is_stale = |store: &Guarded, number| {
        let mut buffer = Vec::new();
        probe(store, &encoded_key(number), &mut buffer).unwrap().unwrap().stale
    };
    let (later, _) = open(disk.crash());
    assert!((0..20).all(|number| is_stale(&later, number)));
    ran(&mut group, 3, 2);
    group.fresh(task(4));
    // Of several changes in one batch, the last counts.
    group.fresh(task(5));
    group.stale(task(5));
    group.stale(task(1_000_000));
    accepted(writer.push(&mut group));
    writer.flush().unwrap();
    assert!(!is_stale(&store, 3) && !is_stale(&store, 4) && is_stale(&store, 5));
    assert!(verify_store(&store).unwrap().is_sound());
}

#[test]
fn many_dependents_are_kept_in_segments_and_added_up() {
    let (store, _) = open(MemoryStorage::new());
    let writer = writer(&store);
    let mut group = Group::new(Fingerprints::Xxh3);
    sources(&mut group, 1);
    for number in 0..3000 {
        ran(&mut group, number, 1);
        accepted(writer.push(&mut group));
        if number % 100 == 0 {
            writer.flush().unwrap();
        }
    }
    writer.flush().unwrap();
    assert_eq!(dependents(&store, source(4)).unwrap().len(), 300);
    // One segment lost: known.
    let mut segment = source(4).to_bytes().to_vec();
    segment.extend_from_slice(&0_u32.to_be_bytes());
    let mut batch = Batch::new();
    batch.delete(Table::Dependents, &segment);
    store.commit(batch.writes()).unwrap();
    assert!(matches!(dependents(&store, source(4)), Err(Incomplete::Lost)));
    // A head lost: known, and still known when it was made again.
    batch.clear();
    batch.delete(Table::Dependents, &source(5).to_bytes());
    store.commit(batch.writes()).unwrap();
    assert!(matches!(dependents(&store, source(5)), Err(Incomplete::NoHead)));
    ran(&mut group, 3005, 1);
    accepted(writer.push(&mut group));
    writer.flush().unwrap();
    assert!(matches!(dependents(&store, source(5)), Err(Incomplete::Lost)));
}

#[test]
fn a_lost_leaf_is_known() {
    let disk = MemoryStorage::new();
    let (store, _) = open(disk.clone());
    fill(&store, 5, 1);
    let writer = writer(&store);
    let mut group = Group::new(Fingerprints::Xxh3);
    group.input(&InputRecord { name: b"depth", fingerprint: Digest(9), value: b"\x03" });
    accepted(writer.push(&mut group));
    writer.flush().unwrap();
    let mut names = Vec::new();
    read_leaves(&store, |leaf| {
        names.push(match leaf {
            Leaf::Source(source) => source.name.to_vec(),
            Leaf::Input(input) => input.name.to_vec(),
        });
    })
    .unwrap();
    assert_eq!(names.len(), 11);
    assert_eq!(names.last().unwrap(), b"depth");
    group.remove_source(source(7));
    accepted(writer.push(&mut group));
    writer.flush().unwrap();
    read_leaves(&store, |_| {}).unwrap();
    let mut batch = Batch::new();
    batch.delete(Table::Sources, &source(1).to_bytes());
    store.commit(batch.writes()).unwrap();
    assert!(read_leaves(&store, |_| {}).is_err());
    // Everything at the leaves lost at once, with the set itself.
    let (store, _) = open(disk.crash());
    for number in 0..10 {
        batch.delete(Table::Sources, &source(number).to_bytes());
    }
    batch.delete(Table::Meta, b"sources");
    store.commit(batch.writes()).unwrap();
    assert!(read_leaves(&store, |_| {}).is_err());
}

#[test]
fn a_crash_leaves_what_was_committed_at_one_moment() {
    // A lost batch must not be followed by a later one: task n reads task n - 1, so what is stored is a prefix.
    for seed in 1..30 {
        let disk = MemoryStorage::new();
        let (store, _) = open(disk.clone());
        let options = WriteBehindOptions { batch_bytes: 2000, attempts: 2, ..Default::default() };
        let writer = WriteBehind::start(store, options).unwrap();
        disk.faults().delay(Operation::Commit, Duration::from_micros(200));
        disk.faults().fail_nth(Operation::Commit, seed % 7 + 1);
        disk.faults().tear_nth_commit(seed % 5 + 2);
        let mut group = Group::new(Fingerprints::Xxh3);
        let mut flushed = 0;
        let mut last = None;
        for number in 0..200 {
            ran(&mut group, number, 1);
            if writer.push(&mut group) == Delivery::Refused {
                break;
            }
            if u64::from(number) % (20 + seed) == 0 && writer.flush().is_ok() {
                flushed = number + 1;
            }
            if u64::from(number) == seed * 6 {
                last = Some((disk.crash(), flushed));
            }
        }
        let (crashed, flushed) = last.unwrap_or_else(|| (disk.crash(), flushed));
        let (store, opening) = open(crashed);
        assert!(matches!(opening, Opening::Warm { .. }), "{opening:?}");
        let stored = (0..200).take_while(|&number| stored_output(&store, number).is_some()).count() as u32;
        assert!(stored >= flushed, "seed {seed}: {flushed} flushed, {stored} found");
        for number in 0..200 {
            let expected = (number < stored).then(|| output_of(number, 1));
            assert_eq!(stored_output(&store, number), expected, "seed {seed}, task {number}");
        }
        assert!((0..stored).all(|number| read_dependents(&store, task(number).0, &mut Vec::new()).is_ok()));
    }
}

#[test]
fn dropping_commits_what_is_waiting() {
    let disk = MemoryStorage::new();
    let (store, _) = open(disk.clone());
    let options = WriteBehindOptions { batch_delay: Duration::from_secs(3600), ..Default::default() };
    let writer = WriteBehind::start(store, options).unwrap();
    let mut group = Group::new(Fingerprints::Xxh3);
    ran(&mut group, 0, 1);
    let ticket = accepted(writer.push(&mut group));
    assert!(writer.committed() < ticket);
    drop(writer);
    assert_eq!(disk.len(Table::Tasks), 1);
}

#[test]
fn threads_hand_over_at_once() {
    let (store, _) = open(MemoryStorage::new());
    let writer = writer(&store);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let writer = &writer;
            scope.spawn(move || {
                let mut group = Group::new(Fingerprints::Xxh3);
                for number in 0..500 {
                    ran(&mut group, thread * 500 + number, 1);
                    accepted(writer.push(&mut group));
                    if number % 100 == 0 {
                        writer.flush().unwrap();
                    }
                }
            });
        }
    });
    writer.flush().unwrap();
    assert!((0..2000).all(|number| stored_output(&store, number) == Some(output_of(number, 1))));
}

#[test]
fn a_store_of_another_format_codec_or_byte_order_is_emptied() {
    for (at, what) in [(0, "byte order"), (4, "format"), (6, "codec"), (8, "pointers")] {
        let disk = MemoryStorage::new();
        let (store, _) = open(disk.clone());
        fill(&store, 10, 1);
        let mut payload = Vec::new();
        let mut foreign = store.get(Table::Meta, b"store", &mut payload).unwrap().to_vec();
        foreign[at] ^= 0x55;
        let mut batch = Batch::new();
        batch.seal(Table::Meta, b"store", |out| out.extend_from_slice(&foreign));
        store.commit(batch.writes()).unwrap();
        let (store, opening) = open(disk.clone());
        assert!(matches!(opening, Opening::Cold { reason: Rejected::Foreign }), "{what}: {opening:?}");
        assert_eq!(store.rejected().of(Rejected::Foreign), 1);
        assert_eq!((disk.len(Table::Tasks), disk.len(Table::Meta)), (0, 2));
        fill(&store, 10, 1);
        assert!(matches!(open(disk).1, Opening::Warm { .. }));
    }
}

#[test]
fn another_build_is_told_and_a_store_that_fails_is_not_used() {
    let disk = MemoryStorage::new();
    let (store, _) = open(disk.clone());
    fill(&store, 1, 1);
    let other = larder_storage::StoreIdentity { build: Digest(78), fingerprints: None };
    let opening = larder_storage::open_store(&guard(disk.clone()), &other);
    assert!(matches!(opening, Opening::Warm { same_build: false, .. }), "{opening:?}");
    disk.faults().fail_all(Operation::Get);
    assert!(matches!(open(disk.clone()).1, Opening::Unusable(_)));
}

#[test]
fn a_record_of_another_key_with_the_same_digest_is_a_miss() {
    let (store, _) = open(MemoryStorage::new());
    fill(&store, 2, 1);
    let mut payload = Vec::new();
    let other = store.get(Table::Tasks, &task(1).to_bytes(), &mut payload).unwrap().to_vec();
    let mut batch = Batch::new();
    batch.seal(Table::Tasks, &task(0).to_bytes(), |out| out.extend_from_slice(&other));
    store.commit(batch.writes()).unwrap();
    assert_eq!(stored_output(&store, 0), None);
    assert_eq!(store.rejected().of(Rejected::OtherKey), 1);
}

#[test]
fn the_least_recently_used_go_first() {
    let (store, _) = open(MemoryStorage::new());
    for state in 1..=3 {
        fill(&store, 100, state);
    }
    let writer = writer(&store);
    let mut group = Group::new(Fingerprints::Xxh3);
    for number in 50..100 {
        group.used(task(number), RunNumber(9));
    }
    accepted(writer.push(&mut group));
    let all = writer.quiesced(|store| verify_store(store).unwrap().total_bytes()).unwrap();
    let trimmed = writer.quiesced(|store| evict(store, all * 9 / 10).unwrap()).unwrap();
    assert!(trimmed.trimmed > 0 && trimmed.tasks == 0, "{trimmed:?}");
    // Lower and lower, until there is nothing left to drop but tasks.
    let mut cap = all * 4 / 5;
    let dropped = loop {
        cap = cap * 97 / 100;
        let dropped = writer.quiesced(|store| evict(store, cap).unwrap()).unwrap();
        if dropped.tasks > 0 {
            break dropped;
        }
    };
    assert!(dropped.tasks < 50, "{dropped:?}");
    assert!((50..100).all(|number| stored_output(&store, number) == Some(output_of(number, 3))));
    let report = verify_store(&store).unwrap();
    assert!(report.is_sound(), "{:?}", report.damage);
    assert!(report.total_bytes() <= cap, "{} of {cap}", report.total_bytes());
    // Readers of a dropped task are still found from what the dropped task read.
    assert_eq!(dependents(&store, task(49).0).unwrap(), [50]);
}

#[test]
fn a_filter_knows_what_is_stored_and_most_of_what_is_not() {
    let disk = MemoryStorage::new();
    let (store, _) = open(disk.clone());
    fill(&store, 2000, 1);
    let filter = Filter::new();
    assert!(filter.may_hold(task(999_999)), "not ready: maybe");
    filter.fill(&disk).unwrap();
    (2000..60_000).for_each(|number| filter.insert(task(number)));
    assert!((0..60_000).all(|number| filter.may_hold(task(number))));
    let wrong = (100_000..200_000).filter(|&number| filter.may_hold(task(number))).count();
    assert!(wrong < 5000, "{wrong} of 100,000");
}

#[test]
fn a_flipped_bit_in_memory_is_never_a_wrong_value() {
    let disk = MemoryStorage::new();
    let (store, _) = open(disk.clone());
    fill(&store, 120, 1);
    fill(&store, 120, 2);
    let mut random = Random(0x5eed_5eed);
    let mut hit = [0; Table::ALL.len()];
    for _ in 0..count("LARDER_FLIPS", 1000) {
        let damaged = disk.crash();
        let table = damaged.flip_bit(random.0).unwrap();
        random.below(1);
        hit[table.index()] += 1;
        let store: Arc<Guarded> = guard(damaged);
        let mut seen = 0;
        for number in 0..120 {
            if let Some(output) = stored_output(&store, number) {
                assert_eq!(output, output_of(number, 2));
                seen += 1;
            }
        }
        assert!(seen >= 119);
        assert!(!verify_store(&store).unwrap().is_sound(), "a flip in {table:?} was not found");
    }
    assert!(hit[1..6].iter().all(|&hits| hits > 0 || hit.len() < 6) && hit[1] > 0, "{hit:?}");
}

#[test]
fn an_output_that_contradicts_another_of_the_same_reads_is_counted() {
    let (store, _) = open(MemoryStorage::new());
    let writer = WriteBehind::start(store.clone(), WriteBehindOptions::default()).unwrap();
    let run = |state, output: &[u8]| {
        let (key, reads) = (encoded_key(14), reads_of(14, state));
        let reads = NewReads::Here(&reads);
        let trace = NewTrace { fingerprint: Digest::xxh3(output), output, reads, emitted: &[] };
        let mut group = Group::new(Fingerprints::Xxh3);
        group.ran(&NewTask { encoded_key: &key, generation: RunNumber(1), trace });
        assert!(matches!(writer.push(&mut group), Delivery::Accepted { .. }));
        writer.flush().unwrap();
        writer.stats().contradictions
    };
    assert_eq!(run(1, b"one"), 0);
    assert_eq!(run(1, b"one"), 0, "the same again");
    assert_eq!(run(2, b"two"), 0, "other reads, another output");
    assert_eq!(run(1, b"three"), 1, "the reads of the first one");
}
