//! A store is pushed by one program and pulled by another.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod builds;
mod failing;
mod hostile;

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use larder::storage::{BackingStorage, Fingerprints, MemoryStorage, Operation};
use larder::{Input, Runtime, task_fn};
use larder_shared::{
    FolderEngine, MemoryEngine, Namespace, Pulled, Pushed, Rejection, ShareError, SharedEngine, SigningKey,
    Trust, list, pull, push,
};
use larder_storage::inspect::StoreReader;

thread_local! {
    static RAN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn ran(what: String) {
    RAN.with_borrow_mut(|ran| ran.push(what));
}

fn take_ran() -> Vec<String> {
    let mut ran = RAN.take();
    ran.sort();
    ran
}

// ---- a small program over a tree of files ----

#[task_fn]
fn words(path: &Path) -> Vec<String> {
    ran(format!("words {}", path.display()));
    let text = larder::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

#[task_fn]
fn count(path: &Path) -> usize {
    ran(format!("count {}", path.display()));
    words(path).len()
}

/// Large enough to stand in a table of its own.
#[task_fn]
fn report() -> String {
    ran("report".to_owned());
    let entries = larder::fs::read_dir("src").unwrap();
    let lines = entries.iter().map(|entry| format!("{:>600} {}", entry.path.display(), count(&entry.path)));
    lines.collect::<Vec<_>>().join("\n")
}

fn open(base: &Path, store: &MemoryStorage) -> Runtime {
    Runtime::builder()
        .base(base)
        .storage(store.clone())
        .fingerprints(Fingerprints::Blake3)
        .code_identity("test")
        .build()
}

fn tree(files: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    for number in 0..files {
        fs::write(folder.path().join(format!("src/{number:03}.txt")), "a b ".repeat(number)).unwrap();
    }
    folder
}

// ---- sharing ----

fn namespace() -> Namespace {
    Namespace::new("test/program").unwrap()
}

fn key() -> SigningKey {
    SigningKey::parse(&format!("ci-1:{}", "07".repeat(32))).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(600)
}

fn share(engine: &dyn SharedEngine, store: &MemoryStorage) -> Pushed {
    let reader = StoreReader::of(Arc::new(store.clone()), "store").unwrap();
    push(engine, (&namespace(), "main"), &key(), &reader, soon()).unwrap()
}

fn try_take(
    engine: &dyn SharedEngine,
    trust: &Trust,
    store: Arc<dyn BackingStorage>,
) -> Result<Pulled, ShareError> {
    pull(engine, (&namespace(), "main"), trust, store, None, soon())
}

fn take(engine: &dyn SharedEngine, store: &MemoryStorage) -> Pulled {
    try_take(engine, &Trust::none().key(key().public()), Arc::new(store.clone())).unwrap()
}

#[test]
fn another_machine_runs_nothing() {
    let (here, there) = (tree(20), tree(20));
    let (first, second) = (MemoryStorage::new(), MemoryStorage::new());
    let expected = open(here.path(), &first).run(report);
    assert_eq!(take_ran().len(), 41);
    let engine = MemoryEngine::new();
    let pushed = share(&engine, &first);
    assert_eq!((pushed.tasks, pushed.packs, pushed.is_base), (41, 1, true));
    assert_eq!(pushed.skipped, larder_shared::Skipped::default());
    let before = engine.trips();
    let pulled = take(&engine, &second);
    assert_eq!(engine.trips() - before, 3);
    assert_eq!((pulled.imported, pulled.known, pulled.left_out), (41, 0, 0));
    assert_eq!((&*pulled.signer, pulled.sequence), ("ci-1", 1));
    let runtime = open(there.path(), &second);
    assert_eq!(runtime.run(report), expected);
    assert_eq!(take_ran(), [""; 0]);
    drop(runtime);
    // From here on they are this machine's own.
    fs::write(there.path().join("src/007.txt"), "changed").unwrap();
    let runtime = open(there.path(), &second);
    assert_ne!(runtime.run(report), expected);
    assert_eq!(take_ran(), ["count src/007.txt", "report", "words src/007.txt"]);
    assert!(runtime.storage_report().unwrap().unwrap().is_sound());
}

#[test]
fn what_differs_here_runs_and_no_more() {
    let (here, there) = (tree(100), tree(100));
    let (first, second) = (MemoryStorage::new(), MemoryStorage::new());
    open(here.path(), &first).run(report);
    let engine = MemoryEngine::new();
    share(&engine, &first);
    take_ran();
    // The number of words stays, and so does what counts them.
    fs::write(there.path().join("src/007.txt"), "c d ".repeat(7)).unwrap();
    take(&engine, &second);
    open(there.path(), &second).run(report);
    assert_eq!(take_ran(), ["count src/007.txt", "words src/007.txt"]);
}

#[test]
fn pulling_twice_or_over_results_of_its_own_changes_nothing_for_the_worse() {
    let (here, there) = (tree(10), tree(10));
    let (first, second) = (MemoryStorage::new(), MemoryStorage::new());
    fs::write(there.path().join("src/003.txt"), "other").unwrap();
    let own = open(there.path(), &second).run(report);
    open(here.path(), &first).run(report);
    let engine = MemoryEngine::new();
    share(&engine, &first);
    take_ran();
    for imported in [3, 0] {
        let pulled = take(&engine, &second);
        assert_eq!((pulled.imported, pulled.known), (imported, 21 - imported));
        assert_eq!(open(there.path(), &second).run(report), own);
        assert_eq!(take_ran(), [""; 0]);
    }
    // The result for what is here now has come from there.
    fs::write(there.path().join("src/003.txt"), "a b ".repeat(3)).unwrap();
    open(there.path(), &second).run(report);
    assert_eq!(take_ran(), [""; 0]);
    // And back.
    fs::write(there.path().join("src/003.txt"), "other").unwrap();
    assert_eq!(open(there.path(), &second).run(report), own);
    assert_eq!(take_ran(), [""; 0]);
}

#[test]
fn a_second_push_writes_what_is_new() {
    let (here, there) = (tree(30), tree(30));
    let (first, second) = (MemoryStorage::new(), MemoryStorage::new());
    let engine = MemoryEngine::new();
    open(here.path(), &first).run(report);
    assert_eq!(share(&engine, &first).sequence, 1);
    let again = share(&engine, &first);
    assert_eq!((again.sequence, again.tasks, again.packs), (1, 0, 0), "there is nothing new");
    for round in 2..14 {
        for folder in [&here, &there] {
            fs::write(folder.path().join("src/001.txt"), "x ".repeat(round + 10)).unwrap();
        }
        open(here.path(), &first).run(report);
        let pushed = share(&engine, &first);
        assert_eq!(pushed.sequence, round as u64);
        assert!(pushed.is_base || pushed.tasks == 3, "{pushed:?}");
        take_ran();
        take(&engine, &second);
        open(there.path(), &second).run(report);
        assert_eq!(take_ran(), [""; 0], "round {round}");
    }
    let trust = Trust::none().key(key().public());
    let manifest = list(&engine, (&namespace(), "main"), &trust, soon()).unwrap();
    assert!(manifest.packs.len() <= 9, "deltas do not pile up: {}", manifest.packs.len());
}

#[test]
fn a_folder_is_an_engine() {
    let (here, there, shared) = (tree(5), tree(5), tempfile::tempdir().unwrap());
    let (first, second) = (MemoryStorage::new(), MemoryStorage::new());
    open(here.path(), &first).run(report);
    let engine = FolderEngine::new(shared.path().join("cache"));
    let trust = Trust::none().key(key().public());
    let nothing = try_take(&engine, &trust, Arc::new(second.clone())).unwrap_err();
    assert!(matches!(nothing, ShareError::NoRef { rejected: None, .. }), "{nothing}");
    share(&engine, &first);
    take_ran();
    take(&engine, &second);
    open(there.path(), &second).run(report);
    assert_eq!(take_ran(), [""; 0]);
}

#[test]
fn results_over_absolute_paths_and_secrets_stay_here() {
    #[task_fn]
    fn login() -> bool {
        larder::env::var("LARDER_TEST_API_TOKEN").is_some()
    }
    #[task_fn]
    fn greeting() -> String {
        if login() { "hello".to_owned() } else { "who?".to_owned() }
    }
    #[task_fn]
    fn home() -> Option<String> {
        larder::env::var("LARDER_TEST_HOME")
    }
    let here = tree(3);
    let store = MemoryStorage::new();
    let runtime = open(here.path(), &store);
    let absolute = here.path().join("src/001.txt");
    runtime.run(|| (count(&absolute), count(Path::new("src/../src/001.txt")), greeting(), home()));
    drop(runtime);
    let engine = MemoryEngine::new();
    let pushed = share(&engine, &store);
    assert_eq!(pushed.tasks, 1, "of `home`");
    assert_eq!((pushed.skipped.absolute_paths, pushed.skipped.secrets), (4, 2));
    engine.tamper(|name, bytes| {
        let has = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!has("TOKEN") && !has(&absolute.to_string_lossy()), "{name}");
    });
}

#[task_fn]
fn doubled(input: Input<u32>) -> u32 {
    ran("doubled".to_owned());
    2 * input.get()
}

#[test]
fn inputs_are_compared_by_value_and_their_values_stay_here() {
    let here = tree(1);
    let (first, second) = (MemoryStorage::new(), MemoryStorage::new());
    let runtime = open(here.path(), &first);
    let input = runtime.input("n", 21);
    assert_eq!(runtime.run(|| doubled(input.clone())), 42);
    drop((input, runtime));
    let engine = MemoryEngine::new();
    share(&engine, &first);
    take_ran();
    take(&engine, &second);
    let runtime = open(here.path(), &second);
    let input = runtime.input("n", 21);
    assert_eq!(runtime.run(|| doubled(input.clone())), 42);
    assert_eq!(take_ran(), [""; 0]);
    runtime.update(|update| update.set(&input, 4)).unwrap();
    assert_eq!(runtime.run(|| doubled(input.clone())), 8);
    assert_eq!(take_ran(), ["doubled"]);
}

#[task_fn]
fn wide(files: u32) -> u64 {
    ran("wide".to_owned());
    (0..files).map(|n| u64::from(leaf(n))).sum()
}

#[task_fn]
fn leaf(n: u32) -> u32 {
    larder::fs::read_to_string("src/000.txt").map_or(0, |text| u32::try_from(text.len()).unwrap_or(0)) + n
}

#[test]
fn tasks_of_very_many_reads_are_shared() {
    let (here, there) = (tree(1), tree(1));
    let (first, second) = (MemoryStorage::new(), MemoryStorage::new());
    let sum = open(here.path(), &first).run(|| wide(3000));
    let engine = MemoryEngine::new();
    assert_eq!(share(&engine, &first).tasks, 3001);
    take_ran();
    assert_eq!(take(&engine, &second).imported, 3001);
    assert_eq!(open(there.path(), &second).run(|| wide(3000)), sum);
    assert_eq!(take_ran(), [""; 0]);
}

#[test]
fn large_outputs_that_cannot_be_compressed_are_shared_or_counted() {
    #[task_fn]
    fn noise(seed: u64, megabytes: usize) -> Vec<u8> {
        ran(format!("noise {seed}"));
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        };
        (0..megabytes << 17).flat_map(|_| next()).collect()
    }
    let here = tree(1);
    let (first, second, engine) = (MemoryStorage::new(), MemoryStorage::new(), MemoryEngine::new());
    open(here.path(), &first)
        .run(|| (0..3).map(|seed| noise(seed, 9).len()).sum::<usize>() + noise(9, 20).len());
    take_ran();
    let pushed = share(&engine, &first);
    assert_eq!((pushed.tasks, pushed.skipped.too_large), (3, 1), "{pushed:?}");
    assert_eq!(take(&engine, &second).imported, 3);
    open(here.path(), &second).run(|| (0..3).for_each(|seed| assert_eq!(noise(seed, 9).len(), 9 << 20)));
    assert_eq!(take_ran(), [""; 0]);
}
