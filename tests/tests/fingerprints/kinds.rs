//! Stores of both kinds, opened as the other one.

use std::sync::Arc;

use larder::Opened;
use larder::shared::{
    MemoryEngine, Namespace, Put, Shared, SharedEngine, SharedError, SharedKey, SigningKey,
};
use larder::storage::{BackingStorage, RedbStorage, Rejected};

use super::*;

#[task_fn]
fn length(path: &str) -> usize {
    larder::fs::read_to_string(path).unwrap().len()
}

#[task_fn]
fn lengths(up_to: usize) -> usize {
    (0..up_to).map(|number| length(&format!("{number}.txt"))).sum()
}

const FILES: usize = 3;
const BODIES: u64 = FILES as u64 + 1;

/// A tree of files.
fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    (0..FILES).for_each(|number| std::fs::write(dir.path().join(format!("{number}.txt")), "four").unwrap());
    dir
}

/// Runs the program, and returns the bodies that ran.
fn run(runtime: &Runtime) -> u64 {
    assert_eq!(runtime.run(|| lengths(FILES)), 4 * FILES);
    runtime.flush().unwrap();
    runtime.stats().runs()
}

fn opened(runtime: &Runtime) -> Opened {
    runtime.stats().storage.unwrap().opened
}

fn open(tree: &tempfile::TempDir, storage: impl BackingStorage, kind: Option<Fingerprints>) -> Runtime {
    let builder = Runtime::builder().base(tree.path());
    let builder = kind.map_or(builder.clone(), |kind| builder.fingerprints(kind));
    builder.storage(storage).build()
}

const KINDS: [(Fingerprints, Fingerprints); 2] =
    [(Fingerprints::Xxh3, Fingerprints::Blake3), (Fingerprints::Blake3, Fingerprints::Xxh3)];

fn a_store_is_of_one_kind(make: impl Fn() -> Box<dyn Fn() -> Box<dyn BackingStorage>>) {
    let tree = tree();
    for (kind, other) in KINDS {
        let store = make();
        assert_eq!(run(&open(&tree, store(), Some(kind))), BODIES);
        // It keeps its kind, asked for or not.
        for asked in [Some(kind), None] {
            let runtime = open(&tree, store(), asked);
            assert_eq!((run(&runtime), runtime.fingerprints()), (0, kind));
            assert_eq!(opened(&runtime), Opened::Warm { same_build: true });
        }
        let runtime = open(&tree, store(), Some(other));
        assert_eq!(opened(&runtime), Opened::Cold { reason: Rejected::Fingerprints });
        assert_eq!((run(&runtime), runtime.fingerprints()), (BODIES, other));
        assert!(runtime.storage_report().unwrap().unwrap().is_sound());
        drop(runtime);
        assert_eq!(run(&open(&tree, store(), None)), 0);
    }
}

#[test]
fn a_store_in_memory_is_of_one_kind() {
    a_store_is_of_one_kind(|| {
        let store = MemoryStorage::new();
        Box::new(move || Box::new(store.clone()))
    });
}

#[test]
fn a_store_in_a_file_is_of_one_kind() {
    let dir = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    a_store_is_of_one_kind(|| {
        number.set(number.get() + 1);
        let path = dir.path().join(format!("{}.larder", number.get()));
        Box::new(move || Box::new(RedbStorage::open(&path).unwrap()))
    });
}

#[test]
fn a_new_store_is_of_the_fast_kind_unless_it_shares() {
    let tree = tree();
    assert_eq!(open(&tree, MemoryStorage::new(), None).fingerprints(), Fingerprints::Xxh3);
    assert_eq!(Runtime::new().fingerprints(), Fingerprints::Xxh3);
    let identity = |kind| open(&tree, MemoryStorage::new(), Some(kind)).identity().unwrap();
    let (fast, strong) = (identity(Fingerprints::Xxh3), identity(Fingerprints::Blake3));
    assert_eq!((fast.fingerprints, strong.fingerprints), ("xxh3-128", "blake3-128"));
    assert_eq!(fast.differences(&strong), ["fingerprints"]);
}

/// An engine that several runtimes share.
struct Through(Arc<MemoryEngine>);

impl SharedEngine for Through {
    fn get(
        &self,
        keys: &[SharedKey],
        until: std::time::Instant,
    ) -> Result<Vec<Option<Vec<u8>>>, SharedError> {
        self.0.get(keys, until)
    }
    fn put(
        &self,
        items: &[(SharedKey, &[u8])],
        how: Put,
        until: std::time::Instant,
    ) -> Result<(), SharedError> {
        self.0.put(items, how, until)
    }
}

struct Cache {
    engine: Arc<MemoryEngine>,
    key: SigningKey,
}

impl Cache {
    fn new() -> Self {
        Self { engine: Arc::new(MemoryEngine::new()), key: SigningKey::generate("ci").unwrap() }
    }

    fn shared(&self) -> Shared {
        Shared::new(Through(self.engine.clone()), Namespace::new("acme/kinds").unwrap())
            .writer(self.key.clone())
    }

    /// A machine that shares, with a store.
    fn open(&self, tree: &tempfile::TempDir, store: &MemoryStorage, kind: Option<Fingerprints>) -> Runtime {
        let builder: StoredBuilder = Runtime::builder().base(tree.path()).storage(store.clone());
        let builder = kind.map_or(builder.clone(), |kind| builder.fingerprints(kind));
        builder.shared(self.shared()).build()
    }
}

#[test]
fn a_shared_cache_is_of_the_strong_kind_unless_asked_otherwise() {
    let (cache, tree) = (Cache::new(), tree());
    let runtime = cache.open(&tree, &MemoryStorage::new(), None);
    assert_eq!((run(&runtime), runtime.fingerprints()), (BODIES, Fingerprints::Blake3));
    drop(runtime);
    // The other kind finds nothing of it, and the same kind all.
    for (kind, bodies) in [(Fingerprints::Xxh3, BODIES), (Fingerprints::Blake3, 0), (Fingerprints::Xxh3, 0)] {
        let runtime = cache.open(&tree, &MemoryStorage::new(), Some(kind));
        assert_eq!((run(&runtime), runtime.fingerprints()), (bodies, kind));
        let stats = runtime.shared_stats().unwrap();
        assert_eq!((stats.pulled, stats.error), (BODIES - bodies, None), "{kind}");
    }
}

#[test]
fn a_store_of_the_fast_kind_starts_anew_when_it_begins_to_share_and_stays_strong() {
    let (cache, tree) = (Cache::new(), tree());
    assert_eq!(run(&cache.open(&tree, &MemoryStorage::new(), None)), BODIES);
    let store = MemoryStorage::new();
    assert_eq!(run(&open(&tree, store.clone(), None)), BODIES);
    let runtime = cache.open(&tree, &store, None);
    assert_eq!((run(&runtime), runtime.fingerprints()), (0, Fingerprints::Blake3));
    assert_eq!(runtime.shared_stats().unwrap().pulled, BODIES);
    drop(runtime);
    // Without the cache, as on a train, nothing is lost.
    let runtime = open(&tree, store.clone(), None);
    assert_eq!((run(&runtime), runtime.fingerprints()), (0, Fingerprints::Blake3));
    drop(runtime);
    let runtime = cache.open(&tree, &store, None);
    assert_eq!(run(&runtime), 0);
    assert!(runtime.shared_stats().unwrap().was_current);
}

#[test]
fn a_forged_file_of_a_pull_request_does_not_get_what_was_shared_of_another() {
    let cache = Cache::new();
    let machine = |which: usize| {
        let tree = tempfile::tempdir().unwrap();
        std::fs::write(tree.path().join("content"), forged()[which]).unwrap();
        tree
    };
    for (kind, got) in [(Fingerprints::Blake3, 1), (Fingerprints::Xxh3, 0)] {
        for which in 0..2 {
            let tree = machine(which);
            let runtime = cache.open(&tree, &MemoryStorage::new(), Some(kind));
            let expected = forged()[if which == 0 { 0 } else { got }];
            assert_eq!(runtime.run(|| of_file("content")), sum(&expected), "{kind}");
        }
    }
}
