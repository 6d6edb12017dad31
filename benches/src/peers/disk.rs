//! Disk formats of others: redb by itself, and the ways to disk of peers that have one.

use crate::lane::{Contestant, Lane, timed};
use crate::work::{Record, STORED, STORED_HITS, Work, record, scattered};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;
use std::hint::black_box;

/// redb by itself, on a store that larder has filled: a point read in a snapshot that stays open, and the output in that
/// record decoded where it stands. No checksum is verified, and nothing is kept.
pub const REDB: Contestant = Contestant { name: "redb", enter };

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("larder.tasks");

fn enter(work: Work) -> Option<Lane> {
    let Work::Probe = work else { return None };
    let folder = tempfile::tempdir().expect("the system's folder for temporary files can be written");
    let path = folder.path().join("store");
    drop(crate::ours::stored::filled(&path));
    let database = Database::builder().set_cache_size(256 << 20).open(path).expect("it is a database");
    let keys = keys(&database);
    let mut samples = 0;
    Some(Box::new(move || {
        let _alive = &folder;
        let snapshot = database.begin_read().expect("the database is open");
        let table = snapshot.open_table(TABLE).expect("the table is there");
        samples += 1;
        timed(STORED_HITS, || {
            for number in scattered(samples) {
                let found = table.get(&keys[number as usize][..]).expect("the file can be read");
                let found = found.expect("every number has a record");
                black_box(decode::<Record>(output(found.value())));
            }
        })
    }))
}

/// Seconds that redb takes for one durable batch of these records, a table each, in order of their keys.
pub fn one_batch(path: &std::path::Path, tables: &[Vec<(Vec<u8>, Vec<u8>)>]) -> f64 {
    let database =
        Database::builder().set_cache_size(256 << 20).create(path).expect("a new store can be made");
    let start = std::time::Instant::now();
    let batch = database.begin_write().expect("the database is open");
    for (number, records) in tables.iter().enumerate() {
        let name = number.to_string();
        let table = TableDefinition::<&[u8], &[u8]>::new(&name);
        let mut table = batch.open_table(table).expect("a table can be made");
        for (key, record) in records {
            table.insert(&key[..], &record[..]).expect("the disk takes it");
        }
    }
    batch.commit().expect("the disk takes it");
    start.elapsed().as_secs_f64()
}

/// The key of each number's record.
fn keys(database: &Database) -> Vec<[u8; 16]> {
    let mut keys = vec![[0; 16]; STORED as usize];
    let table =
        database.begin_read().expect("the database is open").open_table(TABLE).expect("the table is there");
    for entry in table.iter().expect("the file can be read") {
        let (key, value) = entry.expect("the file can be read");
        let (arguments, _) = parts(value.value());
        let number: u32 = decode(&arguments[FUNCTION..]);
        assert_eq!(
            decode::<Record>(output(value.value())),
            record(number),
            "the layout of records has changed"
        );
        keys[number as usize] = key.value().try_into().expect("a key is a digest");
    }
    keys
}

/// The bytes of a function's id before the arguments.
const FUNCTION: usize = 16;

/// The encoded key in a record, and what follows it: docs/storage-format.md, sections 3 and 5.
fn parts(record: &[u8]) -> (&[u8], &[u8]) {
    const SEAL_FLAGS_GENERATION: usize = 9 + 1 + 8;
    counted(&record[SEAL_FLAGS_GENERATION..])
}

/// The encoded output in a record.
fn output(record: &[u8]) -> &[u8] {
    const FINGERPRINT_PLACE: usize = 16 + 1;
    counted(&parts(record).1[FINGERPRINT_PLACE..]).0
}

/// Bytes behind their length, and what follows them.
fn counted(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = bytes.split_first_chunk().expect("a length stands here");
    rest.split_at(u32::from_le_bytes(*length) as usize)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> T {
    let config = bincode::config::standard().with_limit::<{ 256 << 20 }>();
    bincode::serde::decode_from_slice(bytes, config).expect("it was encoded so").0
}

/// A peer's way to disk, for the records of [`STORED`] numbers.
#[cfg(feature = "disk-peers")]
pub mod kept {
    use super::{Record, STORED, record};
    use cached::{ConcurrentCached, RedbCache};
    use std::time::Instant;

    /// The cost of keeping all records.
    pub struct Kept {
        /// Whose way it is.
        pub who: &'static str,
        /// Seconds, computing included.
        pub seconds: f64,
        /// Bytes on disk.
        pub bytes: u64,
    }

    /// An input for each number: salsa's persistence keeps no tracked function of plain arguments.
    #[salsa::input(persist)]
    struct Number {
        #[returns(copy)]
        value: u32,
    }

    #[salsa::tracked(returns(clone), persist)]
    fn record_of(db: &dyn salsa::Database, number: Number) -> Record {
        record(number.value(db))
    }

    /// salsa: the whole database as one value, in JSON as its own tests write it, and in bincode.
    pub fn salsa() -> [Kept; 2] {
        let start = Instant::now();
        let mut db = salsa::DatabaseImpl::default();
        for number in 0..STORED {
            record_of(&db, Number::new(&db, number));
        }
        let computed = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let json =
            serde_json::to_vec(&<dyn salsa::Database>::as_serialize(&mut db)).expect("it is all strings");
        let as_json = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let config = bincode::config::standard();
        let all = <dyn salsa::Database>::as_serialize(&mut db);
        let binary = bincode::serde::encode_to_vec(all, config).map_or(0, |bytes| bytes.len());
        let as_binary = start.elapsed().as_secs_f64();
        let kept = |who, seconds, bytes| Kept { who, seconds: computed + seconds, bytes };
        [
            kept("salsa, JSON, in memory", as_json, json.len() as u64),
            kept("salsa, bincode, in memory", as_binary, binary as u64),
        ]
    }

    /// cached: its redb store, which makes one transaction of each entry; synced once, at the end.
    pub fn cached() -> Kept {
        let folder = tempfile::tempdir().expect("the system's folder for temporary files can be written");
        let start = Instant::now();
        let cache = RedbCache::<u32, Record>::builder("records").disk_dir(folder.path()).durable(false);
        let cache = cache.build().expect("a new cache can be made");
        for number in 0..STORED {
            cache.cache_set(number, record(number)).expect("the disk takes it");
        }
        cache.flush().expect("the disk takes it");
        let seconds = start.elapsed().as_secs_f64();
        drop(cache);
        let files = std::fs::read_dir(folder.path()).expect("the folder is there");
        let bytes = files.flatten().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum();
        Kept { who: "cached, redb", seconds, bytes }
    }
}
