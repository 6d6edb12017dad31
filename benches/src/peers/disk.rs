//! What others keep on disk: redb by itself, and the ways to disk of peers that have one.

use crate::lane::{Contestant, Lane, timed};
use crate::work::{Record, STORED, STORED_HITS, Work, record, scattered};
use redb::{Database, ReadableDatabase, TableDefinition};
use std::hint::black_box;

/// redb by itself: a point read in a snapshot that stays open, and the value decoded.
pub const REDB: Contestant = Contestant { name: "redb", enter };

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

/// What stands before the value in a record of larder's: seal, flags, key, fingerprint. The pages are to hold as much.
const HEAD: usize = 84;

fn enter(work: Work) -> Option<Lane> {
    let Work::Probe = work else { return None };
    let folder = tempfile::tempdir().expect("the system's folder for temporary files can be written");
    let database = filled(&folder.path().join("redb"));
    let keys: Vec<[u8; 16]> = (0..STORED).map(key).collect();
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
                black_box(decode(&found.value()[HEAD..]));
            }
        })
    }))
}

/// Uniform, as digests are.
fn key(number: u32) -> [u8; 16] {
    xxhash_rust::xxh3::xxh3_128(&number.to_le_bytes()).to_be_bytes()
}

fn filled(path: &std::path::Path) -> Database {
    let database =
        Database::builder().set_cache_size(256 << 20).create(path).expect("a database can be made");
    let transaction = database.begin_write().expect("nobody else writes");
    let mut numbers: Vec<u32> = (0..STORED).collect();
    numbers.sort_by_key(|number| key(*number));
    let mut table = transaction.open_table(TABLE).expect("the table can be made");
    for number in numbers {
        let mut value = vec![0; HEAD];
        let config = bincode::config::standard();
        bincode::serde::encode_into_std_write(record(number), &mut value, config).expect("it can be encoded");
        table.insert(&key(number)[..], &value[..]).expect("the disk takes it");
    }
    drop(table);
    transaction.commit().expect("the disk takes it");
    database
}

fn decode(bytes: &[u8]) -> Record {
    let config = bincode::config::standard().with_limit::<{ 256 << 20 }>();
    bincode::serde::decode_from_slice(bytes, config).expect("it was encoded so").0
}

/// A peer's way to disk, for the records of [`STORED`] numbers.
#[cfg(feature = "disk-peers")]
pub mod kept {
    use super::{Record, STORED, record};
    use cached::{ConcurrentCached, RedbCache};
    use std::time::Instant;

    /// What keeping all records took.
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
