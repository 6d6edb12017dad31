//! Results that travel in packs: from a store, by way of an engine in memory, to a store at another place.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder::Runtime;
use larder::storage::{BackingStorage, Fingerprints, MemoryStorage, RedbStorage, Table, Visit};
use larder_shared::{MemoryEngine, Namespace, Pulled, ShareError, SigningKey, Trust, pull, push};
use larder_storage::inspect::StoreReader;
use tempfile::TempDir;

use super::stored::folder;

const FILES: u32 = 1000;
const ITEMS: u32 = 98;

#[larder::task_fn]
fn text_of(file: u32) -> Arc<str> {
    larder::fs::read_to_string(format!("{file}.txt")).expect("the file is there")
}

#[larder::task_fn]
fn item(file: u32, number: u32) -> u64 {
    text_of(file).bytes().fold(u64::from(number), |sum, byte| sum * 31 % 65_521 + u64::from(byte))
}

#[larder::task_fn]
fn group(file: u32) -> u64 {
    (0..ITEMS).map(|number| item(file, number)).sum()
}

#[larder::task_fn]
fn tree(files: u32) -> u64 {
    (0..files).map(group).sum()
}

/// A task of a grid reads three of the level below.
#[larder::task_fn]
fn grid(level: u32, column: u32) -> u64 {
    match level.checked_sub(1) {
        None => u64::from(text_of(column % FILES).len() as u32),
        Some(below) => (0..3).map(|step| grid(below, (column + step) % 1000) % 1000).sum(),
    }
}

#[larder::task_fn]
fn chain(length: u32) -> u64 {
    if length == 0 { text_of(0).len() as u64 } else { chain(length - 1) + 1 }
}

/// The shape of what is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// 100,000 tasks over 1,000 files, four levels.
    Tree,
    /// 100 levels of 1,000.
    Levels,
    /// 10,000, one over the other.
    Chain,
}

impl Shape {
    fn ask(self) -> u64 {
        match self {
            Self::Tree => tree(FILES),
            Self::Levels => (0..1000).map(|column| grid(99, column) % 1000).sum(),
            Self::Chain => chain(10_000),
        }
    }
}

/// Files, and a store of what was computed of them.
pub struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = folder();
        for file in 0..FILES {
            let text = format!("the text of file {file}");
            std::fs::write(folder.path().join(format!("{file}.txt")), text).expect("a file can be written");
        }
        Self { folder }
    }

    fn store(&self) -> RedbStorage {
        RedbStorage::open(self.folder.path().join("store"))
            .expect("a store that nobody else has can be opened")
    }

    fn runtime(&self, storage: impl BackingStorage) -> Runtime {
        runtime(self.folder.path(), storage)
    }
}

fn runtime(base: &Path, storage: impl BackingStorage) -> Runtime {
    let builder = Runtime::builder().base(base).fingerprints(Fingerprints::Blake3).storage(storage);
    let builder = builder.code_identity("budgets");
    builder.try_build().expect("the store can be used")
}

fn place() -> (Namespace, SigningKey) {
    let key = SigningKey::parse(&format!("budgets:{}", "01".repeat(32)));
    (Namespace::new("larder/budgets").expect("it is one"), key.expect("it is one"))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

fn take(engine: &MemoryEngine, storage: Arc<dyn BackingStorage>) -> Result<Pulled, ShareError> {
    let (namespace, key) = place();
    pull(engine, (&namespace, "main"), &Trust::none().key(key.public()), storage, None, soon())
}

fn share(engine: &MemoryEngine, storage: Arc<dyn BackingStorage>) -> u64 {
    let (namespace, key) = place();
    let reader = StoreReader::of(storage, "store").expect("it was written just now");
    push(engine, (&namespace, "main"), &key, &reader, soon())
        .expect("an engine in memory does not fail")
        .tasks
}

/// The costs of sharing, and its outcome.
#[derive(Clone, Copy, Debug)]
pub struct Shared {
    /// Tasks that were shared.
    pub tasks: u64,
    /// Computing and storing them, durable.
    pub storing: f64,
    /// Pulling them into a new store, durable.
    pub importing: f64,
    /// Opening that and asking for the root: all of it is verified, nothing runs.
    pub verifying: f64,
    /// Bodies that ran there.
    pub runs: u64,
    /// Round trips, one after the other.
    pub trips: usize,
    /// Bytes of the packs.
    pub packed: u64,
    /// Bytes of the same records by zstd, level 1.
    pub zipped: u64,
}

/// Shares all of a shape.
#[must_use]
pub fn shared(shape: Shape) -> Shared {
    let (here, there) = (Machine::new(), Machine::new());
    let start = Instant::now();
    let first = here.runtime(here.store());
    let value = first.run(|| shape.ask());
    drop(first);
    let storing = start.elapsed().as_secs_f64();
    let engine = MemoryEngine::new();
    let store = Arc::new(here.store());
    let tasks = share(&engine, Arc::clone(&store) as Arc<dyn BackingStorage>);
    let zipped = zipped(&*store);
    let mut packed = 0;
    engine.tamper(|_, bytes| packed += bytes.len() as u64);
    let before = engine.trips();
    let start = Instant::now();
    take(&engine, Arc::new(there.store())).expect("it was pushed just now");
    let importing = start.elapsed().as_secs_f64();
    let trips = engine.trips() - before;
    let start = Instant::now();
    let second = there.runtime(there.store());
    assert_eq!(second.run(|| shape.ask()), value, "a wrong value");
    let verifying = start.elapsed().as_secs_f64();
    let runs = second.stats().runs();
    Shared { tasks, storing, importing, verifying, runs, trips, packed, zipped }
}

/// The bytes of all records of tasks and leaves by zstd, level 1.
fn zipped(store: &dyn BackingStorage) -> u64 {
    let mut all = Vec::new();
    for table in [Table::Tasks, Table::Traces, Table::Values, Table::Reads, Table::Sources, Table::Functions]
    {
        let visit = &mut |key: &[u8], record: &[u8]| {
            all.extend_from_slice(key);
            all.extend_from_slice(record);
            Visit::Continue
        };
        store.scan(table, &[], visit).expect("the store can be read");
    }
    zstd::bulk::compress(&all, 1).expect("bytes can be packed").len() as u64
}

/// Pulls what was changed in some way, so many times. Returns how often something of that was used, though it was changed.
#[must_use]
pub fn hostile(times: u32) -> u64 {
    let machine = Machine::new();
    let storage = MemoryStorage::new();
    machine.runtime(storage.clone()).run(|| (0..4).map(group).sum::<u64>());
    let (engine, mut originals) = (MemoryEngine::new(), Vec::new());
    let tasks = share(&engine, Arc::new(storage));
    engine.tamper(|_, bytes| originals.push(bytes.clone()));
    let mut seed = 88_172_645_463_325_252_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed >> 33).expect("31 bits fit") % below.max(1)
    };
    let mut used = 0;
    for time in 0..times {
        let (which, other) = (random(originals.len()), random(originals.len()));
        let mut at = 0;
        engine.tamper(|_, bytes| {
            bytes.clone_from(&originals[at]);
            if at == which {
                let place = random(bytes.len());
                match time % 6 {
                    0 => bytes[place] ^= 1 << random(8),
                    1 => bytes.truncate(place.max(1)),
                    2 => bytes.extend_from_slice(&[0; 64]),
                    3 => bytes.clone_from(&originals[other]),
                    4 => bytes[place] = bytes[place].wrapping_add(1),
                    _ => *bytes = zstd::bulk::compress(&vec![0; 1 << 20], 1).expect("zeros can be packed"),
                }
            }
            at += 1;
        });
        let mut changed = false;
        at = 0;
        engine.tamper(|_, bytes| {
            changed |= *bytes != originals[at];
            at += 1;
        });
        let pulled = take(&engine, Arc::new(MemoryStorage::new()));
        let is_used = pulled.is_ok_and(|pulled| pulled.imported > 0);
        used += u64::from(is_used && changed && tasks > 0);
    }
    used
}
