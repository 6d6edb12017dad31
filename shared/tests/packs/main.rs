//! A store is pushed by one program and pulled by another.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use larder::storage::{BackingStorage, MemoryStorage, Operation};
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
    Runtime::builder().base(base).storage(store.clone()).code_identity("test").build()
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
fn nothing_is_used_that_is_not_signed_for_this_place_by_a_trusted_key() {
    let here = tree(3);
    let store = MemoryStorage::new();
    open(here.path(), &store).run(report);
    take_ran();
    let engine = MemoryEngine::new();
    share(&engine, &store);
    let refused =
        |engine: &MemoryEngine, trust: &Trust| match try_take(engine, trust, Arc::new(MemoryStorage::new()))
            .unwrap_err()
        {
            ShareError::NoRef { rejected, .. } => rejected,
            other => panic!("{other}"),
        };
    let trust = Trust::none().key(key().public());
    let stranger = SigningKey::parse(&format!("ci-1:{}", "08".repeat(32))).unwrap();
    assert_eq!(refused(&engine, &Trust::none()), Some(Rejection::Untrusted));
    assert_eq!(refused(&engine, &Trust::none().key(stranger.public())), Some(Rejection::Untrusted));
    let tomorrow = std::time::SystemTime::now() + Duration::from_secs(86400);
    assert_eq!(refused(&engine, &trust.clone().not_before(tomorrow)), Some(Rejection::TooOld));
    // The ref of another place.
    let mut main = Vec::new();
    engine.tamper(|name, bytes| {
        if name.ends_with("/r/main") {
            main.clone_from(bytes);
        }
    });
    let other = Namespace::new("test/other").unwrap();
    let reader = StoreReader::of(Arc::new(store.clone()), "store").unwrap();
    push(&engine, (&other, "main"), &key(), &reader, soon()).unwrap();
    engine.tamper(|name, bytes| {
        if name.starts_with("test/other") && name.ends_with("/r/main") {
            bytes.clone_from(&main);
        }
    });
    let error = pull(&engine, (&other, "main"), &trust, Arc::new(MemoryStorage::new()), None, soon());
    assert!(
        matches!(error, Err(ShareError::NoRef { rejected: Some(Rejection::Signature), .. })),
        "{error:?}"
    );
}

/// Each item is changed in some way; whatever comes of it, values are right, and what is taken is what was pushed.
#[test]
fn hostile_bytes_give_no_value() {
    let (here, there) = (tree(12), tree(12));
    let store = MemoryStorage::new();
    let expected = open(here.path(), &store).run(report);
    take_ran();
    let trust = Trust::none().key(key().public());
    let mut seed = 0x9e37_79b9_u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    let (engine, mut originals) = (MemoryEngine::new(), Vec::new());
    share(&engine, &store);
    engine.tamper(|_, bytes| originals.push(bytes.clone()));
    let mut unhurt = 0;
    for round in 0..400 {
        let mut restored = originals.iter();
        engine.tamper(|_, bytes| bytes.clone_from(restored.next().unwrap()));
        let which = random(3);
        let mut at = 0;
        engine.tamper(|_, bytes| {
            let place = random(bytes.len());
            if at == which {
                match round % 5 {
                    0 => bytes[place] ^= 1 << random(8),
                    1 => bytes.truncate(place.max(1)),
                    2 => bytes.extend_from_slice(&[0; 100]),
                    3 => bytes.resize(20 << 20, 7),
                    _ => bytes[place..].fill(0xff),
                }
            }
            at += 1;
        });
        let second = MemoryStorage::new();
        match try_take(&engine, &trust, Arc::new(second.clone())) {
            Ok(pulled) => {
                assert!(pulled.imported == 0 || pulled.imported == 25, "{pulled:?}");
                unhurt += u32::from(pulled.imported > 0);
            }
            Err(ShareError::NoRef { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        if round % 10 == 0 {
            assert_eq!(open(there.path(), &second).run(report), expected);
        }
    }
    take_ran();
    assert!(unhurt < 8, "{unhurt} of 400 changes were not noticed; a truncation to the whole length is none");
}

#[test]
fn a_key_is_read_back_and_never_printed() {
    let key = SigningKey::generate("ci").unwrap();
    assert_eq!(SigningKey::parse(&key.secret_text()).unwrap().public(), key.public());
    assert_eq!(format!("{key:?}"), "SigningKey(ci:***)");
    let wrong = SigningKey::parse("ci:1234").unwrap_err();
    assert!(!wrong.to_string().contains("1234"));
    assert!(larder_shared::TrustedKey::parse(&format!("x:{}", "00".repeat(32))).is_err());
}

#[task_fn(version = 1, shared)]
fn versioned(n: u32) -> u32 {
    ran(format!("versioned {n}"));
    n + 1
}

#[task_fn(version = 1, shared)]
fn over_versioned(n: u32) -> u32 {
    ran(format!("over_versioned {n}"));
    versioned(n) * 2
}

#[task_fn(version = 1, shared)]
fn over_unversioned(n: u32) -> u32 {
    ran(format!("over_unversioned {n}"));
    leaf(n) + over_versioned(n)
}

#[test]
fn another_build_uses_functions_that_declare_a_version_and_no_others() {
    let here = tree(1);
    let open_as = |code: &str, store: &MemoryStorage| {
        Runtime::builder().base(here.path()).storage(store.clone()).code_identity(code).build()
    };
    let engine = MemoryEngine::new();
    let first = MemoryStorage::new();
    open_as("old", &first).run(|| over_unversioned(3));
    let pushed = share(&engine, &first);
    assert_eq!((pushed.tasks, pushed.packs), (4, 2));
    take_ran();
    let second = MemoryStorage::new();
    // A store that a newer program has used already.
    open_as("new", &second).run(|| words(Path::new("src/000.txt")));
    let pulled = take(&engine, &second);
    assert_eq!((pulled.imported, pulled.other_builds), (2, 1));
    take_ran();
    open_as("new", &second).run(|| over_unversioned(3));
    assert_eq!(take_ran(), ["over_unversioned 3"], "what it has read has no version");
}

/// Fails after so many calls.
struct Failing {
    engine: MemoryEngine,
    left: AtomicI32,
}

impl Failing {
    fn check(&self) -> Result<(), larder_shared::SharedError> {
        if self.left.fetch_sub(1, Relaxed) > 0 { Ok(()) } else { Err(larder_shared::SharedError::Slow) }
    }
}

impl SharedEngine for Failing {
    fn get(
        &self,
        keys: &[larder_shared::SharedKey],
        until: Instant,
    ) -> Result<Vec<Option<Vec<u8>>>, larder_shared::SharedError> {
        self.check()?;
        self.engine.get(keys, until)
    }

    fn put(
        &self,
        items: &[(larder_shared::SharedKey, &[u8])],
        how: larder_shared::Put,
        until: Instant,
    ) -> Result<(), larder_shared::SharedError> {
        self.check()?;
        self.engine.put(items, how, until)
    }
}

#[test]
fn an_engine_that_fails_in_the_middle_leaves_what_was_there() {
    let (here, there) = (tree(8), tree(8));
    let store = MemoryStorage::new();
    open(here.path(), &store).run(report);
    let engine = Failing { engine: MemoryEngine::new(), left: i32::MAX.into() };
    share(&engine, &store);
    fs::write(here.path().join("src/001.txt"), "changed").unwrap();
    fs::write(there.path().join("src/001.txt"), "changed").unwrap();
    let expected = open(here.path(), &store).run(report);
    let reader = StoreReader::of(Arc::new(store.clone()), "store").unwrap();
    let trust = Trust::none().key(key().public());
    for calls in 0..20 {
        engine.left.store(calls, Relaxed);
        let pushed = push(&engine, (&namespace(), "main"), &key(), &reader, soon());
        engine.left.store(i32::MAX, Relaxed);
        let second = MemoryStorage::new();
        assert_eq!(try_take(&engine, &trust, Arc::new(second.clone())).unwrap().counts.rejected, []);
        take_ran();
        assert_eq!(open(there.path(), &second).run(report), expected);
        match pushed {
            Ok(_) => return assert_eq!(take_ran(), [""; 0]),
            Err(error) => assert!(matches!(error, ShareError::Engine(_)), "{error}"),
        }
        assert_eq!(take_ran(), ["count src/001.txt", "report", "words src/001.txt"]);
    }
    panic!("twenty calls are enough for a push");
}

#[test]
fn a_pull_that_is_cut_off_leaves_a_sound_store() {
    let (here, there) = (tree(40), tree(40));
    let store = MemoryStorage::new();
    let expected = open(here.path(), &store).run(report);
    let engine = MemoryEngine::new();
    share(&engine, &store);
    let trust = Trust::none().key(key().public());
    for commit in 1..4 {
        let second = MemoryStorage::new();
        second.faults().fail_nth(Operation::Commit, commit);
        let cut = try_take(&engine, &trust, Arc::new(second.clone()));
        // The process ends here, and the disk is well again.
        second.faults().heal();
        take_ran();
        assert_eq!(open(there.path(), &second).run(report), expected, "{cut:?}");
        take_ran();
        assert_eq!(open(there.path(), &second).run(report), expected);
        assert_eq!(take_ran(), [""; 0]);
    }
    // A store that fails for good is an error, and so is one whose commits are lost.
    let second = MemoryStorage::new();
    second.faults().fail_all(Operation::Commit);
    assert!(try_take(&engine, &trust, Arc::new(second)).is_err());
}

#[task_fn(version = 1)]
fn not_shared(n: u32) -> u32 {
    ran(format!("not_shared {n}"));
    n
}

#[task_fn(local)]
fn local(n: u32) -> u32 {
    ran(format!("local {n}"));
    n
}

#[task_fn]
fn over_local(n: u32) -> u32 {
    ran(format!("over_local {n}"));
    local(n)
}

#[test]
fn versions_are_shared_with_the_same_build_alone_unless_they_say_so_and_what_is_local_stays() {
    let here = tree(1);
    let open_as = |code: &str, store: &MemoryStorage| {
        Runtime::builder().base(here.path()).storage(store.clone()).code_identity(code).build()
    };
    let (engine, first) = (MemoryEngine::new(), MemoryStorage::new());
    open_as("old", &first).run(|| (not_shared(1), over_local(1)));
    let pushed = share(&engine, &first);
    assert_eq!((pushed.tasks, pushed.packs), (1, 1));
    let second = MemoryStorage::new();
    open_as("new", &second).run(|| words(Path::new("src/000.txt")));
    assert_eq!(take(&engine, &second).imported, 0);
    take_ran();
    open_as("new", &second).run(|| not_shared(1));
    let third = MemoryStorage::new();
    assert_eq!(take(&engine, &third).imported, 1);
    open_as("old", &third).run(|| (not_shared(1), over_local(1)));
    assert_eq!(take_ran(), ["local 1", "not_shared 1", "over_local 1"]);
}

thread_local! {
    static SCALE: std::cell::Cell<usize> = const { std::cell::Cell::new(1) };
}

/// Its code is another one in each build.
#[task_fn]
fn scale() -> usize {
    SCALE.get()
}

#[task_fn(version = 1)]
fn scaled() -> usize {
    scale() * words(Path::new("src/000.txt")).len()
}

#[test]
fn a_result_over_other_code_stays_one_that_has_to_be_verified() {
    let (here, there) = (tree(1), tree(1));
    fs::write(here.path().join("src/000.txt"), "a b c d e").unwrap();
    fs::write(there.path().join("src/000.txt"), "a b c").unwrap();
    let open_as = |code: &str, base: &Path, store: &MemoryStorage| {
        Runtime::builder().base(base).storage(store.clone()).code_identity(code).build()
    };
    let (first, second, engine) = (MemoryStorage::new(), MemoryStorage::new(), MemoryEngine::new());
    assert_eq!(open_as("old", there.path(), &second).run(scaled), 3);
    // The new program writes to the store, and does not ask for what the old one has left.
    SCALE.set(2);
    open_as("new", there.path(), &second).run(|| count(Path::new("src/000.txt")));
    assert_eq!(open_as("new", here.path(), &first).run(scaled), 10);
    share(&engine, &first);
    take(&engine, &second);
    assert_eq!(open_as("new", there.path(), &second).run(scaled), 6);
    SCALE.set(1);
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
