//! A store that is full, held, damaged, foreign, read-only or too large; sources that misbehave; processes that are killed.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use larder::storage::{BackingStorage, MemoryStorage, RedbStorage, StorageError, Table, Visit, Writes};
use larder::{Input, Opened, Runtime, fs, task_fn};
use larder_tests::deadline::in_time;

thread_local! {
    /// How many bodies have run on this thread.
    static RUNS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

fn take_runs() -> u64 {
    RUNS.take()
}

fn over(storage: impl BackingStorage) -> Runtime {
    Runtime::builder().storage(storage).code_identity("test").try_build().unwrap()
}

#[task_fn]
fn page(number: u32) -> String {
    RUNS.set(RUNS.get() + 1);
    format!("{number:>2000}")
}

#[task_fn]
fn scaled(input: &Input<u32>, by: u32) -> String {
    RUNS.set(RUNS.get() + 1);
    format!("{:>2000}", input.get() * by)
}

fn pages(runtime: &Runtime, numbers: std::ops::Range<u32>) -> u64 {
    take_runs();
    runtime.run(|| numbers.for_each(|number| assert_eq!(page(number).trim().parse(), Ok(number))));
    take_runs()
}

// ---- size ----

#[test]
fn a_cap_drops_older_traces_before_tasks() {
    let store = MemoryStorage::new();
    let open =
        |cap| Runtime::builder().storage(store.clone()).code_identity("test").max_stored_bytes(cap).build();
    let enter = |runtime: &Runtime, state: u32| {
        let input = runtime.input("state", state);
        runtime.update(|update| update.set(&input, state)).unwrap();
        take_runs();
        let sums =
            runtime.run(|| (0..20).map(|by| scaled(&input, by).trim().parse::<u32>().unwrap()).sum::<u32>());
        assert_eq!(sums, state * 190);
        take_runs()
    };
    let runtime = open(u64::MAX);
    // Five traces of each task, of about 2 KiB each.
    assert_eq!((1..=5).map(|state| enter(&runtime, state)).sum::<u64>(), 100);
    drop(runtime);
    // Room for what is current, and a little more.
    drop(open(70_000));
    let runtime = open(70_000);
    assert_eq!(enter(&runtime, 5), 0, "a current trace was dropped while there were older ones");
    assert!(enter(&runtime, 1) >= 15, "no older trace was dropped");
}

/// The store was brought under its cap when the runtime was dropped, and grew without a bound until then.
#[test]
fn a_cap_acts_while_the_program_runs() {
    const CAP: u64 = 400_000;
    in_time(|| {
        let store = MemoryStorage::new();
        let runtime =
            Runtime::builder().storage(store.clone()).code_identity("test").max_stored_bytes(CAP).build();
        let stored = || {
            runtime.flush().unwrap();
            runtime.storage_report().unwrap().unwrap()
        };
        let mut others = 0;
        // Some 2 KiB each, ten times the cap in all.
        for round in 0..20 {
            assert_eq!(pages(&runtime, round * 100..round * 100 + 100), 100);
            runtime.flush().unwrap();
            runtime.shrink_to(0).unwrap();
            // Victims go when sessions open, through the queue of the writer.
            while stored().total_bytes() > CAP + CAP / 16 {
                others += 1;
                pages(&runtime, 1_000_000 + others..1_000_001 + others);
                runtime.shrink_to(0).unwrap();
            }
        }
        let report = stored();
        assert!(report.is_sound(), "{report:?}");
        assert_eq!(report.replaced, 0);
        let stats = runtime.stats().storage.unwrap().cap.unwrap();
        assert!(stats.tasks > 1_500 && stats.looks < 200, "{stats:?}");
        // Within one process all are as recent. About a tenth of them is there, and the others are computed again.
        let again = pages(&runtime, 0..2_000);
        assert!((1_600..2_000).contains(&again), "{again}");
    });
}

/// Memory goes by the records of restored tasks: what they have read, and what it takes to find them, is in the store alone.
#[test]
fn a_cap_that_acts_while_the_program_runs_spares_what_is_in_memory() {
    let store = MemoryStorage::new();
    let open =
        |cap| Runtime::builder().storage(store.clone()).code_identity("test").max_stored_bytes(cap).build();
    let ask = |runtime: &Runtime, input: &Input<u32>| {
        runtime.run(|| (0..20).map(|by| scaled(input, by).trim().parse::<u32>().unwrap()).sum::<u32>())
    };
    let runtime = open(u64::MAX);
    assert_eq!(ask(&runtime, &runtime.input("state", 1)), 190);
    drop(runtime);
    let runtime = open(10_000);
    let input = runtime.input("state", 1);
    take_runs();
    assert_eq!(ask(&runtime, &input), 190);
    assert_eq!(take_runs(), 0, "restored");
    for round in 0..10 {
        pages(&runtime, round * 10..round * 10 + 10);
        runtime.flush().unwrap();
    }
    take_runs();
    assert_eq!(ask(&runtime, &input), 190);
    assert_eq!(take_runs(), 0);
    runtime.update(|update| update.set(&input, 2)).unwrap();
    assert_eq!(ask(&runtime, &input), 380);
    assert_eq!(take_runs(), 20);
    let stats = runtime.stats().storage.unwrap().cap.unwrap();
    assert!(stats.looks > 0, "{stats:?}");
}

/// Results that others have replaced go first.
#[test]
fn a_cap_that_acts_while_the_program_runs_drops_older_results_before_tasks() {
    const CAP: u64 = 70_000;
    in_time(|| {
        let store = MemoryStorage::new();
        let runtime =
            Runtime::builder().storage(store.clone()).code_identity("test").max_stored_bytes(CAP).build();
        let input = runtime.input("state", 0);
        let mut state = 0;
        let enter = |state: u32| {
            runtime.update(|update| update.set(&input, state)).unwrap();
            runtime
                .run(|| (0..20).for_each(|by| assert_eq!(scaled(&input, by).trim().parse(), Ok(state * by))));
            runtime.flush().unwrap();
            runtime.stats().storage.unwrap().cap.unwrap()
        };
        // Each state adds 20 results, of 2 KiB each.
        let stats = loop {
            state += 1;
            let stats = enter(state);
            if stats.trimmed > 100 {
                break stats;
            }
        };
        assert_eq!(stats.tasks, 0, "{stats:?}");
        let report = runtime.storage_report().unwrap().unwrap();
        assert!(report.is_sound(), "{report:?}");
        take_runs();
        enter(state);
        assert_eq!(take_runs(), 0);
    });
}

#[test]
fn least_recently_used_tasks_are_dropped_first() {
    let store = MemoryStorage::new();
    let open =
        |cap| Runtime::builder().storage(store.clone()).code_identity("test").max_stored_bytes(cap).build();
    assert_eq!(pages(&open(u64::MAX), 0..30), 30);
    assert_eq!(pages(&open(u64::MAX), 10..30), 0);
    // Used once more, and only now over the cap.
    assert_eq!(pages(&open(30_000), 20..30), 0);
    let runtime = open(u64::MAX);
    assert_eq!(pages(&runtime, 20..30), 0, "the most recently used ones were dropped");
    assert!(pages(&runtime, 10..20) >= pages(&open(u64::MAX), 0..10).min(5));
}

#[test]
fn compaction_gives_space_back_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let size = || std::fs::metadata(&path).unwrap().len();
    let runtime = over(RedbStorage::open(&path).unwrap());
    assert_eq!(pages(&runtime, 0..2000), 2000);
    runtime.flush().unwrap();
    runtime.run(|| assert!((0..1900).all(page::forget)));
    runtime.run(|| ());
    runtime.flush().unwrap();
    let before = size();
    runtime.compact_storage().unwrap();
    assert!(size() < before / 2, "{before} bytes before, {} after", size());
    assert!(runtime.storage_report().unwrap().unwrap().is_sound());
    drop(runtime);
    let runtime = over(RedbStorage::open(&path).unwrap());
    assert_eq!(pages(&runtime, 1900..2000), 0);
    assert_eq!(pages(&runtime, 1890..1900), 10);
}

#[test]
fn a_report_names_the_size_of_each_function_and_what_is_damaged() {
    let store = MemoryStorage::new();
    let runtime = over(store.clone());
    pages(&runtime, 0..50);
    runtime.run(|| (1..=3).for_each(|by| drop(scaled(&runtime.input("x", 1), by))));
    let report = runtime.storage_report().unwrap().unwrap();
    assert!(report.is_sound());
    let sizes: Vec<_> =
        report.functions.iter().map(|(_, size)| (&*size.path, size.tasks, size.bytes)).collect();
    assert!(sizes[0].0.ends_with("::page") && sizes[0].1 == 50 && sizes[0].2 > 100_000, "{sizes:?}");
    assert!(sizes[1].0.ends_with("::scaled") && sizes[1].1 == 3 && sizes[1].2 > 6000, "{sizes:?}");
    drop(runtime);
    let damaged = store.crash();
    assert!((0..400).all(|at| damaged.flip_bit(at * 9_999_991).is_some()));
    let report = over(damaged).storage_report().unwrap().unwrap();
    assert!(report.damage.len() > 10, "{:?}", report.damage);
}

// ---- the process that has the file ----

const STORE: &str = "LARDER_TEST_STORE";

/// Runs one of the tests below that are children, in a process of its own.
fn child(name: &str, path: &Path, round: u32) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(STORE, path)
        .env(ROUND, round.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Where the child that is to be killed goes on.
const ROUND: &str = "LARDER_TEST_ROUND";

fn store_of_child() -> Option<PathBuf> {
    std::env::var_os(STORE).map(PathBuf::from)
}

/// The numbers that a child prints after `word`.
fn numbers(child: &mut Child, word: &'static str) -> impl Iterator<Item = u32> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map_while(Result::ok).filter_map(move |line| line.trim().strip_prefix(word)?.trim().parse().ok())
}

#[test]
fn child_that_holds_the_store() {
    let Some(path) = store_of_child() else { return };
    let runtime = over(RedbStorage::open(path).unwrap());
    pages(&runtime, 0..20);
    runtime.flush().unwrap();
    println!("\nopened 1");
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_store_that_another_process_has_is_a_clear_error_or_read_as_it_is_by_choice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    assert_eq!(pages(&over(RedbStorage::open(&path).unwrap()), 0..10), 10);
    let mut child = child("child_that_holds_the_store", &path, 0);
    numbers(&mut child, "opened").next().unwrap();
    let error = RedbStorage::open(&path).unwrap_err();
    assert!(error.is_held() && error.to_string().contains("open in another process"), "{error}");
    let before = std::fs::read(&path).unwrap();
    let runtime = over(RedbStorage::open_snapshot(&path).unwrap());
    assert_eq!(pages(&runtime, 0..25), 5, "what was stored by then is there");
    assert!(runtime.flush().is_err(), "a snapshot takes nothing");
    assert!(runtime.take_write_error().unwrap().to_string().contains("read"), "and says so");
    drop(runtime);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(pages(&over(RedbStorage::open(&path).unwrap()), 0..20), 0);
}

#[test]
fn a_store_in_a_folder_that_cannot_be_written_is_read_by_choice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    assert_eq!(pages(&over(RedbStorage::open(&path).unwrap()), 0..10), 10);
    let before = std::fs::read(&path).unwrap();
    let mut permissions = std::fs::metadata(folder.path()).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(folder.path(), permissions.clone()).unwrap();
    // Two of them at once, too.
    let runtimes = [(); 2].map(|()| over(RedbStorage::open_read_only(&path).unwrap()));
    for runtime in &runtimes {
        assert_eq!(pages(runtime, 0..15), 5);
        assert!(runtime.flush().is_err());
        assert!(runtime.take_write_error().is_some() && runtime.take_write_error().is_none());
        assert_eq!(pages(runtime, 0..15), 0, "in memory they stay");
    }
    drop(runtimes);
    #[allow(
        clippy::permissions_set_readonly_false,
        reason = "it is a folder of this test, about to be removed"
    )]
    permissions.set_readonly(false);
    std::fs::set_permissions(folder.path(), permissions).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_of_another_program_is_not_touched_and_results_stay_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    for foreign in [&b"not a store"[..], &[0; 100_000], b"redb\x1a\x0a\xa9\x0d\x0a and more"] {
        std::fs::write(&path, foreign).unwrap();
        let error = RedbStorage::open(&path).unwrap_err();
        assert!(error.to_string().contains("is not a store, and was not touched"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), foreign);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_damaged_store_is_kept_and_a_new_one_begun() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    assert_eq!(pages(&over(RedbStorage::open(&path).unwrap()), 0..5), 5);
    let mut damaged = std::fs::read(&path).unwrap();
    damaged[64..320].fill(1);
    std::fs::write(&path, &damaged).unwrap();
    let storage = RedbStorage::open(&path).unwrap();
    assert_eq!(std::fs::read(storage.set_aside().unwrap().path).unwrap(), damaged);
    let runtime = over(storage);
    assert_eq!(runtime.stats().storage.unwrap().opened, Opened::Fresh);
    assert_eq!(pages(&runtime, 0..5), 5);
    drop(runtime);
    assert_eq!(pages(&over(RedbStorage::open(&path).unwrap()), 0..5), 0);
}

// ---- kills ----

#[task_fn]
fn step(input: &Input<u32>, number: u32) -> u64 {
    RUNS.set(RUNS.get() + 1);
    let before = if number == 0 { 0 } else { step(input, number - 1) };
    // Half of the steps change with the input.
    before + if number % 2 == 0 { u64::from(input.get()) } else { u64::from(number) }
}

fn expected(state: u32, number: u32) -> u64 {
    (0..=number).map(|number| u64::from(if number % 2 == 0 { state } else { number })).sum()
}

#[test]
fn child_that_computes_until_it_is_killed() {
    let Some(path) = store_of_child() else { return };
    let storage = RedbStorage::open(path).unwrap();
    let delay = Duration::from_millis(3);
    let runtime = Runtime::builder()
        .storage(storage)
        .code_identity("test")
        .max_commit_delay(delay)
        .try_build()
        .unwrap();
    let first = std::env::var(ROUND).unwrap().parse().unwrap();
    for round in first.. {
        let input = runtime.input("round", round);
        runtime.update(|update| update.set(&input, round % 7)).unwrap();
        for number in (0..60).step_by(3) {
            assert_eq!(runtime.run(|| step(&input, number)), expected(round % 7, number));
        }
        // Some of them may have been stored before the kill.
        pages(&runtime, round * 10..round * 10 + 10);
        runtime.flush().unwrap();
        println!("\nflushed {round}");
    }
}

/// Longer by `LARDER_KILLS`.
#[test]
fn a_killed_program_goes_on_where_it_was_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let kills = std::env::var("LARDER_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(15);
    let mut random = 0x2545_f491_u64;
    let mut next = 0;
    for _ in 0..kills {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = child("child_that_computes_until_it_is_killed", &path, next);
        let mut flushed = numbers(&mut child, "flushed");
        let waited = flushed.by_ref().take(1 + (random >> 33) as usize % 20).last();
        std::thread::sleep(Duration::from_micros((random >> 40) % 10_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let last = flushed.last().or(waited).unwrap();
        next = last + 1;

        let storage = RedbStorage::open(&path).unwrap();
        assert_eq!(storage.set_aside(), None);
        let runtime = over(storage);
        assert!(runtime.storage_report().unwrap().unwrap().is_sound());
        let flushed = (last * 10 + 10).saturating_sub(500)..last * 10 + 10;
        assert_eq!(pages(&runtime, flushed), 0, "something that was flushed is lost");
        for state in [last % 7, 3, 20] {
            let input = runtime.input("round", state);
            runtime.update(|update| update.set(&input, state)).unwrap();
            assert_eq!(runtime.run(|| step(&input, 57)), expected(state, 57));
        }
    }
    assert!(next > 0);
}

/// A store that does something before it reads an older trace for the first time.
struct Hooked {
    store: MemoryStorage,
    hook: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl BackingStorage for Hooked {
    fn get(&self, table: Table, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StorageError> {
        let hook = if table == Table::Traces { self.hook.lock().unwrap().take() } else { None };
        if let Some(hook) = hook {
            hook();
        }
        self.store.get(table, key, value)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), StorageError> {
        self.store.scan(table, prefix, visit)
    }

    fn commit(&self, writes: Writes<'_>) -> Result<(), StorageError> {
        self.store.commit(writes)
    }
}

static SHARED_RUNS: AtomicU64 = AtomicU64::new(0);

#[task_fn]
fn shared(input: &Input<u32>) -> u32 {
    SHARED_RUNS.fetch_add(1, Relaxed);
    input.get() * 2
}

#[task_fn]
fn reader(input: &Input<u32>, number: u32) -> u32 {
    SHARED_RUNS.fetch_add(1, Relaxed);
    shared(input) + number
}

/// Flushed states ran a few bodies again after a kill, 1 in 250: two threads verified one task that was only stored, and what the
/// first one had found (an older trace is current again) was committed while the second one looked for that trace among the older ones.
#[test]
fn a_task_that_two_threads_verify_at_once_runs_no_body() {
    let store = MemoryStorage::new();
    let enter = |runtime: &Runtime, state: u32| {
        let input = runtime.input("state", state);
        runtime.update(|update| update.set(&input, state)).unwrap();
        input
    };
    let runtime = over(store.clone());
    for state in [1, 2] {
        let input = enter(&runtime, state);
        runtime.run(|| assert_eq!(reader(&input, 1) + reader(&input, 2), 4 * state + 3));
    }
    drop(runtime);
    let hooked = Arc::new(Hooked { store, hook: Mutex::default() });
    let runtime = over(hooked.clone());
    let input = enter(&runtime, 1);
    runtime.flush().unwrap();
    let met = Arc::new(AtomicU64::new(0));
    let other = {
        let (runtime, input, met) = (runtime.clone(), input.clone(), met.clone());
        move || {
            let thread = std::thread::spawn(move || {
                met.store(u64::from(runtime.run(|| reader(&input, 2))), Relaxed);
                runtime.flush().unwrap();
            });
            thread.join().unwrap();
        }
    };
    *hooked.hook.lock().unwrap() = Some(Box::new(other));
    SHARED_RUNS.store(0, Relaxed);
    assert_eq!(runtime.run(|| reader(&input, 1)), 3);
    assert_eq!(met.load(Relaxed), 4, "the other thread has been there in between");
    assert_eq!(SHARED_RUNS.load(Relaxed), 0, "bodies ran in a state that was stored");
}

// ---- sources ----

#[task_fn]
fn text(path: &Path) -> Result<String, String> {
    RUNS.set(RUNS.get() + 1);
    fs::read_to_string(path).map(|text| text.to_string()).map_err(|error| error.to_string())
}

#[task_fn]
fn names(path: &Path) -> Vec<(PathBuf, bool)> {
    RUNS.set(RUNS.get() + 1);
    let entries = fs::read_dir(path).unwrap();
    entries.iter().map(|entry| (entry.path.clone(), entry.kind == fs::EntryKind::Symlink)).collect()
}

fn set_modified(path: &Path, time: SystemTime) {
    std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_clock_that_goes_backwards_or_is_far_ahead_hides_no_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let now = SystemTime::now();
    let (hour, years) = (Duration::from_secs(3600), Duration::from_secs(40 * 365 * 86_400));
    for time in [now + hour, now - hour, SystemTime::UNIX_EPOCH - hour, now + years, SystemTime::UNIX_EPOCH] {
        let store = MemoryStorage::new();
        std::fs::write(&path, "before").unwrap();
        set_modified(&path, time);
        let first = over(store.clone());
        assert_eq!(first.run(|| text(&path)).unwrap(), "before");
        // Equally long, and equally old by its own account.
        std::fs::write(&path, "behind").unwrap();
        set_modified(&path, time);
        first.refresh().unwrap();
        assert_eq!(first.run(|| text(&path)).unwrap(), "behind");
        drop(first);
        std::fs::write(&path, "beyond").unwrap();
        set_modified(&path, time);
        assert_eq!(over(store.clone()).run(|| text(&path)).unwrap(), "beyond", "{time:?}");
        // Older than before.
        std::fs::write(&path, "former").unwrap();
        set_modified(&path, time - hour);
        assert_eq!(over(store.clone()).run(|| text(&path)).unwrap(), "former", "{time:?}");
    }
}

#[cfg(unix)]
#[test]
fn loops_of_symbolic_links_are_errors_and_entries_and_noticed_when_they_end() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    symlink(at("b"), at("a")).unwrap();
    symlink(at("a"), at("b")).unwrap();
    symlink(folder.path(), at("here")).unwrap();
    let store = MemoryStorage::new();
    for expected in [2, 0] {
        let runtime = over(store.clone());
        take_runs();
        assert!(runtime.run(|| text(&at("a"))).is_err());
        let found = runtime.run(|| names(folder.path()));
        assert!(found.len() == 3 && found.iter().all(|(_, is_link)| *is_link), "{found:?}");
        assert_eq!(take_runs(), expected);
        // A pattern ends, too.
        let pattern = format!("{}/**/a", folder.path().display());
        assert!(runtime.run(|| fs::glob(&pattern)).unwrap().len() <= 100);
    }
    std::fs::remove_file(at("b")).unwrap();
    std::fs::write(at("b"), "a file").unwrap();
    let runtime = over(store.clone());
    assert_eq!(runtime.run(|| text(&at("a"))).unwrap(), "a file");
    assert!(runtime.run(|| names(folder.path())).contains(&(at("b"), false)));
}

#[test]
fn files_that_change_while_they_are_read_are_never_mixed() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..4).map(|number| folder.path().join(format!("{number}"))).collect();
    let write = |path: &Path, letter: u8| {
        // Not atomic: a process that reads meanwhile may see part of it.
        std::fs::write(path, vec![letter; 20_000 + usize::from(letter)]).unwrap();
    };
    paths.iter().for_each(|path| write(path, b'a'));
    let store = MemoryStorage::new();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for letter in (b'a'..=b'z').cycle() {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                paths.iter().for_each(|path| write(path, letter));
            }
        });
        for _ in 0..40 {
            let runtime = over(store.clone());
            for _ in 0..5 {
                for path in &paths {
                    // Once in a session, a file is one thing.
                    let (first, second) = runtime.run(|| (text(path), text(path)));
                    assert_eq!(first, second);
                }
                runtime.refresh().unwrap();
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    for _ in 0..2 {
        let runtime = over(store.clone());
        for path in &paths {
            assert_eq!(runtime.run(|| text(path)).unwrap(), std::fs::read_to_string(path).unwrap());
        }
    }
}

// ---- keys ----

/// Differs from another one in what is not encoded.
#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize)]
struct Hidden {
    shown: u32,
    #[serde(skip)]
    hidden: u32,
}

#[task_fn]
fn hides(key: &Hidden, input: &Input<u32>) -> u32 {
    RUNS.set(RUNS.get() + 1);
    key.shown + input.get()
}

#[test]
fn tasks_whose_arguments_encode_alike_are_all_marked_when_what_they_read_changes() {
    let store = MemoryStorage::new();
    let ask = |runtime: &Runtime, state: u32| {
        let input = runtime.input("x", state);
        for hidden in 0..3 {
            assert_eq!(runtime.run(|| hides(&Hidden { shown: 10, hidden }, &input)), 10 + state);
        }
        input
    };
    ask(&over(store.clone()), 1);
    for round in 0..3 {
        let runtime = over(store.clone());
        let input = ask(&runtime, 1);
        for state in [2, 3, 1] {
            runtime.update(|update| update.set(&input, state + round)).unwrap();
            ask(&runtime, state + round);
        }
        runtime.update(|update| update.set(&input, 1)).unwrap();
        ask(&runtime, 1);
    }
    assert!(store.len(Table::Tasks) > 0);
}
