//! Machines that share a cache: what a cold one costs, what a stale one asks, and what a cache that is not asked costs.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use larder::shared::{
    FolderEngine, MemoryEngine, Namespace, Put, Shared, SharedEngine, SharedError, SharedKey, SigningKey,
};
use larder::storage::{Fingerprints, RedbStorage};
use larder::{Runtime, StoredBuilder};
use tempfile::TempDir;

use super::stored::folder;
use crate::busy::spin_60_ns;
use crate::lane::{Lane, timed};
use crate::work::{Record, STORED, STORED_HITS, record, scattered};

/// Files of a tree.
const FILES: usize = 1_000;

/// How long the body about a file works: a census takes 7 ms for each.
const BODY: Duration = Duration::from_millis(1);

#[larder::task_fn]
fn weight(path: &str) -> u64 {
    let text = larder::fs::read_to_string(path).expect("the tree is whole");
    let (start, mut sum) = (Instant::now(), 0);
    while start.elapsed() < BODY {
        sum ^= spin_60_ns(sum);
    }
    black_box(sum);
    text.len() as u64
}

#[larder::task_fn]
fn all_weights() -> u64 {
    (0..FILES).map(|file| weight(&name(file))).sum()
}

fn name(file: usize) -> String {
    format!("{file:04}.txt")
}

/// A machine with a checkout and an empty store.
struct Machine {
    tree: TempDir,
    cache: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { tree: folder(), cache: folder() };
        (0..FILES).for_each(|file| machine.write(file, "a line\n"));
        machine
    }

    fn write(&self, file: usize, text: &str) {
        std::fs::write(self.tree.path().join(name(file)), text.repeat(file + 1)).expect("the disk takes it");
    }

    fn builder(&self) -> StoredBuilder {
        let storage = RedbStorage::open(self.cache.path().join("store")).expect("the store is free");
        // Also where nothing is shared: the kinds are not what is compared.
        Runtime::builder().base(self.tree.path()).fingerprints(Fingerprints::Blake3).storage(storage)
    }

    /// Seconds from opening the store until the root is known, and the bodies that ran.
    fn run(&self, shared: Option<Shared>) -> (f64, u64, Runtime) {
        let start = Instant::now();
        let builder = self.builder();
        let runtime = match shared {
            Some(shared) => builder.shared(shared).build(),
            None => builder.build(),
        };
        black_box(runtime.run(all_weights));
        (start.elapsed().as_secs_f64(), runtime.stats().get("weight").map_or(0, |stats| stats.runs), runtime)
    }
}

fn shared(engine: impl SharedEngine, key: &SigningKey) -> Shared {
    let namespace = Namespace::new("acme/budget").expect("that is a namespace");
    Shared::new(engine, namespace).trust(key.public())
}

fn key() -> SigningKey {
    SigningKey::generate("ci").expect("the system has random bytes")
}

/// A cold machine, with a cache that another one has filled and without.
pub struct Cold {
    /// Seconds without.
    pub without: f64,
    /// Seconds with.
    pub with: f64,
    /// Bodies that ran with it.
    pub bodies: u64,
}

/// Runs cold machines over a folder.
#[must_use]
pub fn cold() -> Cold {
    let (place, key) = (folder(), key());
    let engine = |place: &Path| FolderEngine::new(place);
    let writer = Machine::new();
    let (without, _, runtime) = writer.run(Some(shared(engine(place.path()), &key).writer(key.clone())));
    runtime.flush_shared(Duration::from_secs(60)).expect("the disk takes it");
    let (with, bodies, _) = Machine::new().run(Some(shared(engine(place.path()), &key)));
    Cold { without, with, bodies }
}

/// A machine on which one file in a hundred has changed, as it has on another one that has pushed since.
pub struct Stale {
    /// Round trips for the stale tasks.
    pub trips: u64,
    /// Bodies that ran.
    pub bodies: u64,
}

struct Counted(Arc<MemoryEngine>, Arc<AtomicU64>);

impl SharedEngine for Counted {
    fn get(&self, keys: &[SharedKey], until: Instant) -> Result<Vec<Option<Vec<u8>>>, SharedError> {
        self.1.fetch_add(1, Relaxed);
        self.0.get(keys, until)
    }
    fn put(&self, items: &[(SharedKey, &[u8])], how: Put, until: Instant) -> Result<(), SharedError> {
        self.0.put(items, how, until)
    }
}

/// Runs two machines over an engine in memory that counts.
#[must_use]
pub fn stale() -> Stale {
    let (engine, trips, key) = (Arc::new(MemoryEngine::new()), Arc::new(AtomicU64::new(0)), key());
    let cache = || shared(Counted(engine.clone(), trips.clone()), &key);
    let (writer, reader) = (Machine::new(), Machine::new());
    drop(writer.run(Some(cache().writer(key.clone()))));
    let (_, _, runtime) = reader.run(Some(cache()));
    for file in (0..FILES).step_by(100) {
        writer.write(file, "an edit\n");
        reader.write(file, "an edit\n");
    }
    drop(writer.run(Some(cache().writer(key.clone()))));
    let before = (trips.load(Relaxed), runtime.stats().runs());
    runtime.refresh().expect("no session is open");
    black_box(runtime.run(all_weights));
    Stale { trips: trips.load(Relaxed) - before.0, bodies: runtime.stats().runs() - before.1 }
}

#[larder::task_fn]
fn record_of(number: u32) -> Record {
    record(number)
}

/// A full store, opened anew for each sample.
struct Full {
    folder: TempDir,
    shares: bool,
}

impl Full {
    fn new(shares: bool) -> Self {
        let full = Self { folder: folder(), shares };
        full.open().run(|| (0..STORED).for_each(|number| drop(record_of(number))));
        full
    }

    fn open(&self) -> Runtime {
        let storage = RedbStorage::open(self.folder.path().join("store")).expect("the store is free");
        let builder = Runtime::builder().storage(storage);
        if self.shares {
            builder.shared(shared(MemoryEngine::new(), &key())).build()
        } else {
            builder.build()
        }
    }
}

/// Hits in a store, with a shared cache that knows nothing and without one. Unit: one.
#[must_use]
pub fn stored_hits(shares: bool) -> Lane {
    let full = Full::new(shares);
    let mut samples = 0;
    Box::new(move || {
        let runtime = full.open();
        samples += 1;
        runtime.run(|| {
            black_box(record_of(STORED - 1));
            timed(STORED_HITS, || scattered(samples).for_each(|number| drop(black_box(record_of(number)))))
        })
    })
}

/// Hits in memory, likewise.
#[must_use]
pub fn hits(shares: bool) -> Lane {
    let full = Full::new(shares);
    let runtime = full.open();
    Box::new(move || {
        let _alive = &full;
        runtime.run(|| {
            black_box(record_of(7));
            timed(STORED_HITS, || (0..STORED_HITS).for_each(|_| drop(black_box(record_of(7)))))
        })
    })
}

static LINKED: AtomicU64 = AtomicU64::new(0);

#[larder::task_fn]
fn linked(path: &str) -> usize {
    LINKED.fetch_add(1, Relaxed);
    // Long enough for the other machine to ask meanwhile.
    std::thread::sleep(Duration::from_millis(300));
    larder::fs::read_to_string(path).map_or(0, |text| text.len())
}

/// Runs one slow body on two machines at once, whose writers take leases over a folder. Returns the bodies that ran.
#[must_use]
pub fn once() -> u64 {
    let (place, key) = (folder(), key());
    let machines = [Machine::new(), Machine::new()];
    LINKED.store(0, Relaxed);
    std::thread::scope(|scope| {
        for machine in &machines {
            let shared = shared(FolderEngine::new(place.path()), &key).writer(key.clone());
            scope.spawn(move || {
                let builder = machine.builder().shared(shared.leases(Duration::from_secs(60)));
                black_box(builder.build().run(|| linked(&name(7))));
            });
        }
    });
    LINKED.load(Relaxed)
}
