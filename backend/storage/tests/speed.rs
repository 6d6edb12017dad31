//! The cost of the envelope and the guards over redb as it is, in one run:
//! `cargo test --release -p larder-storage --test speed -- --ignored --nocapture`
#![cfg(feature = "redb")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its support code too")]

mod support;

use std::hint::black_box;
use std::ops::Bound;
use std::time::{Duration, Instant};

use larder_storage::{BackingStorage, Batch, Digest, Filter, RedbOptions, RedbStorage, Table, verify_store};
use redb::{Database, ReadableDatabase, TableDefinition};
use support::*;

const RECORDS: u32 = 100_000;
const VALUE: usize = 150;
const RAW: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("raw");

enum Raw {
    Insert,
    Cursor,
}

fn key(number: u32) -> [u8; 16] {
    Digest::xxh3(&number.to_le_bytes()).to_bytes()
}

fn value(number: u32) -> [u8; VALUE] {
    std::array::from_fn(|at| (number as usize * 7 + at) as u8)
}

fn best(rounds: u32, mut run: impl FnMut() -> Duration) -> Duration {
    (0..rounds).map(|_| run()).min().unwrap()
}

fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

#[test]
#[ignore = "measures; run it alone and in release"]
fn speed() {
    let folder = tempfile::tempdir().unwrap();
    let order: Vec<u32> = {
        let mut random = Random(99);
        (0..RECORDS).map(|_| random.below(RECORDS.into()) as u32).collect()
    };
    let each = |time: Duration| time.as_nanos() as f64 / f64::from(RECORDS);

    // One sorted durable commit of everything into a new file.
    let mut sorted: Vec<_> = (0..RECORDS).map(|number| (key(number), value(number))).collect();
    sorted.sort_unstable();
    let mut file = 0;
    let mut new_file = || {
        file += 1;
        folder.path().join(format!("{file}.redb"))
    };
    let raw_store = |path: &std::path::Path, how: Raw| {
        let database = Database::builder().set_cache_size(256 << 20).create(path).unwrap();
        let time = timed(|| {
            let transaction = database.begin_write().unwrap();
            let mut table = transaction.open_table(RAW).unwrap();
            match how {
                Raw::Insert => {
                    for (key, value) in &sorted {
                        table.insert(&key[..], &value[..]).unwrap();
                    }
                }
                Raw::Cursor => {
                    let mut cursor = table.upper_bound_mut(Bound::<&[u8]>::Unbounded).unwrap();
                    for (key, value) in &sorted {
                        cursor.insert_before(&key[..], &value[..]).unwrap();
                    }
                    cursor.close().unwrap();
                }
            }
            drop(table);
            transaction.commit().unwrap();
        });
        (time, database)
    };
    let guarded_store = |path: &std::path::Path| {
        let store = guard(RedbStorage::open(path).unwrap());
        let mut batch = Batch::new();
        let fill = timed(|| {
            for number in 0..RECORDS {
                batch.seal(Table::Tasks, &key(number), |out| out.extend_from_slice(&value(number)));
            }
        });
        let sort = timed(|| _ = batch.writes());
        let commit = timed(|| store.commit(batch.writes()).unwrap());
        (fill, sort, commit, store)
    };
    let (mut inserted, mut spliced, mut commit) = (Duration::MAX, Duration::MAX, Duration::MAX);
    for _ in 0..5 {
        inserted = inserted.min(raw_store(&new_file(), Raw::Insert).0);
        spliced = spliced.min(raw_store(&new_file(), Raw::Cursor).0);
        commit = commit.min(guarded_store(&new_file()).2);
    }
    let (sealing, sort) =
        (0..5).map(|_| guarded_store(&new_file())).map(|(fill, sort, ..)| (fill, sort)).min().unwrap();
    println!("commit of 100k, raw redb, presorted: {inserted:?}, through its cursor {spliced:?}");
    println!("commit of 100k, guarded: {commit:?} (and sealing {sealing:?}, sorting {sort:?})");

    // Point reads in random order.
    let (_, database) = raw_store(&new_file(), Raw::Cursor);
    let (.., store) = guarded_store(&new_file());
    let transaction = database.begin_read().unwrap();
    let table = transaction.open_table(RAW).unwrap();
    let mut buffer = Vec::new();
    let storage = store.storage().clone();
    // Interleaved, so that a slow moment of the machine hits all of them; each twice, so that none finds the caches
    // warmer than the others do.
    let (mut raw_get, mut unchecked, mut get) = (Duration::MAX, Duration::MAX, Duration::MAX);
    for _ in 0..9 {
        for _ in 0..2 {
            raw_get = raw_get.min(timed(|| {
                for &number in &order {
                    buffer.clear();
                    buffer.extend_from_slice(table.get(&key(number)[..]).unwrap().unwrap().value());
                    black_box(&buffer);
                }
            }));
        }
        for _ in 0..2 {
            unchecked = unchecked.min(timed(|| {
                for &number in &order {
                    assert!(storage.get(Table::Tasks, &key(number), &mut buffer).unwrap());
                    black_box(&buffer);
                }
            }));
        }
        for _ in 0..2 {
            get = get.min(timed(|| {
                for &number in &order {
                    assert!(black_box(store.get(Table::Tasks, &key(number), &mut buffer)).is_some());
                }
            }));
        }
    }
    let raw_miss = best(7, || {
        timed(|| {
            for &number in &order {
                assert!(table.get(&key(number + RECORDS)[..]).unwrap().is_none());
            }
        })
    });
    let miss = best(7, || {
        timed(|| {
            for &number in &order {
                assert!(store.get(Table::Tasks, &key(number + RECORDS), &mut buffer).is_none());
            }
        })
    });
    println!(
        "get: raw {:.0} ns, RedbStorage {:.0} ns, guarded {:.0} ns",
        each(raw_get),
        each(unchecked),
        each(get)
    );
    println!("miss: raw {:.0} ns, guarded {:.0} ns", each(raw_miss), each(miss));

    // Tasks through the whole stack: handed over, merged, with edges, flushed.
    let path = new_file();
    let (store, _) = open(RedbStorage::open(&path).unwrap());
    let stored = timed(|| fill(&store, RECORDS, 1));
    let report = verify_store(&store).unwrap();
    let size = store.storage().size().unwrap().unwrap();
    println!(
        "100k tasks, 2 reads each, through WriteBehind, flushed: {stored:?}; {} records of {} bytes, file {size}",
        report.records.iter().sum::<u64>(),
        report.total_bytes()
    );
    let again = timed(|| fill(&store, RECORDS, 2));
    println!(
        "all 100k again with other traces: {again:?}; file {}",
        store.storage().size().unwrap().unwrap()
    );
    let compacted = timed(|| store.storage().compact().unwrap());
    println!("compacted in {compacted:?}; file {}", store.storage().size().unwrap().unwrap());
    let verify = timed(|| assert!(verify_store(&store).unwrap().is_sound()));
    let filter = Filter::new();
    let filled = timed(|| filter.fill(&**store.storage()).unwrap());
    let keys: Vec<_> = (0..RECORDS).map(|number| task(number + RECORDS)).collect();
    let mut maybe = 0;
    let filtered = timed(|| maybe = keys.iter().filter(|key| filter.may_hold(**key)).count());
    println!(
        "verify_store {verify:?}; filter filled in {filled:?}, miss {:.1} ns, {maybe} false of 100k",
        each(filtered)
    );
    drop(store);
    let reopened = timed(|| drop(black_box(open(RedbStorage::open(&path).unwrap()))));
    let read_only = timed(|| drop(black_box(open(RedbStorage::open_read_only(&path).unwrap()))));
    println!("open and close: {reopened:?}; for reading only {read_only:?}");
    for (what, reads) in [("without a filter", u32::MAX), ("with one", 0)] {
        let (store, _) = open(RedbOptions::new().filter_after(reads).open(&path).unwrap());
        let made = timed(|| fill(&store, 1, 2));
        let missed = || {
            let mut buffer = Vec::new();
            keys.iter()
                .for_each(|key| assert!(store.get(Table::Tasks, &key.to_bytes(), &mut buffer).is_none()));
        };
        println!(
            "a task that is not stored, {what}: {:.0} ns; the commit before took {made:?}",
            each(best(3, || timed(missed)))
        );
    }
}

/// The cost of the bounds over bincode as it is.
#[test]
#[ignore = "measures; run it alone and in release"]
fn codec_speed() {
    use larder_storage::codec::{decode, encode_into};
    use serde::{Serialize, de::DeserializeOwned};

    #[derive(Serialize, serde::Deserialize)]
    struct Small {
        name: String,
        counts: Vec<u32>,
        pairs: Vec<(u64, bool)>,
        parent: Option<Box<str>>,
    }

    fn measure<T: Serialize + DeserializeOwned>(name: &str, value: &T) {
        let config = bincode::config::standard().with_limit::<{ 256 << 20 }>();
        let mut bytes = Vec::new();
        encode_into(value, &mut bytes).unwrap();
        let rounds = (20_000_000 / (bytes.len() + 200)).max(3) as u32;
        let each = |time: Duration| time.as_nanos() as f64 / f64::from(rounds);
        let repeat = |run: &mut dyn FnMut()| best(5, || timed(|| (0..rounds).for_each(|_| run())));
        let mut buffer = Vec::new();
        let encode = repeat(&mut || {
            buffer.clear();
            encode_into(black_box(value), &mut buffer).unwrap();
        });
        let mut buffer = vec![0; bytes.len() + 16];
        let raw_encode = repeat(&mut || {
            bincode::serde::encode_into_slice(black_box(value), &mut buffer, config).unwrap();
        });
        let decode = repeat(&mut || drop(black_box(decode::<T>(black_box(&bytes)).unwrap())));
        let raw_decode = repeat(&mut || {
            drop(black_box(bincode::serde::decode_from_slice::<T, _>(black_box(&bytes), config).unwrap()));
        });
        println!(
            "{name}, {} bytes: encode {:.0} ns (bincode {:.0}), decode {:.0} ns (bincode {:.0})",
            bytes.len(),
            each(encode),
            each(raw_encode),
            each(decode),
            each(raw_decode),
        );
    }

    let small = Small {
        name: "a name of some forty bytes in the middle".into(),
        counts: (0..20).map(|count| count * 1000).collect(),
        pairs: (0..8).map(|pair| (pair << 20, pair % 2 == 0)).collect(),
        parent: Some("parent".into()),
    };
    measure("a struct", &small);
    measure("a string", &"x".repeat(10_000));
    measure("Vec<u64>", &(0..10_000_u64).collect::<Vec<_>>());
    measure("Vec<u8>", &vec![7_u8; 1 << 20]);
}
