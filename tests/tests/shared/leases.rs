//! Leases: of several writers one runs what takes long, and nothing else depends on them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use larder::shared::{
    FolderEngine, Holder, Lease, MemoryEngine, Namespace, Put, Shared, SharedEngine, SharedError, SharedKey,
    SharedStats, SigningKey,
};
use larder::storage::RedbStorage;
use larder::{CancelToken, TaskError};

use super::*;

/// Bodies of `linked`, by their argument: those that have begun, and whether they may end.
static BODIES: Mutex<Option<HashMap<String, (usize, bool)>>> = Mutex::new(None);
static CHANGED: Condvar = Condvar::new();

fn bodies<R>(name: &str, look: impl FnOnce(&mut (usize, bool)) -> R) -> R {
    let mut bodies = BODIES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let result = look(bodies.get_or_insert_default().entry(name.to_owned()).or_default());
    CHANGED.notify_all();
    result
}

fn wait_until(name: &str, is_so: impl Fn(&(usize, bool)) -> bool) {
    let mut bodies = BODIES.lock().unwrap();
    while !is_so(bodies.get_or_insert_default().entry(name.to_owned()).or_default()) {
        bodies = CHANGED.wait(bodies).unwrap();
    }
}

/// Takes as long as the test wants.
#[task_fn]
fn linked(name: &str) -> usize {
    bodies(name, |body| body.0 += 1);
    wait_until(name, |body| body.1);
    count(name)
}

fn count(file: &str) -> usize {
    fs::read_to_string(file).map_or(0, |text| text.split_whitespace().count())
}

#[task_fn]
fn failing(name: &str) -> usize {
    bodies(name, |body| body.0 += 1);
    assert!(count(name) != 3, "a body that fails");
    0
}

/// An engine that counts how often a lease was another one's, and in which another machine may be at work.
#[derive(Default)]
struct Counted {
    inner: MemoryEngine,
    held: AtomicUsize,
    /// Another machine takes the first lease that is asked for, for so long.
    first_is_taken: Mutex<Option<Duration>>,
    /// Another machine has each lease.
    is_busy: AtomicBool,
}

impl Counted {
    fn first_is_taken(lasts: Duration) -> Self {
        Self { first_is_taken: Mutex::new(Some(lasts)), ..Self::default() }
    }
}

impl SharedEngine for Counted {
    fn get(&self, keys: &[SharedKey], until: Instant) -> Result<Vec<Option<Vec<u8>>>, SharedError> {
        self.inner.get(keys, until)
    }
    fn put(&self, items: &[(SharedKey, &[u8])], how: Put, until: Instant) -> Result<(), SharedError> {
        self.inner.put(items, how, until)
    }
    fn lease(
        &self,
        key: &SharedKey,
        holder: &Holder,
        lasts: Duration,
        until: Instant,
    ) -> Result<Lease, SharedError> {
        if let Some(lasts) = self.first_is_taken.lock().unwrap().take() {
            self.inner.lease(key, &Holder::new().unwrap(), lasts, until)?;
        }
        let is_busy = self.is_busy.load(SeqCst);
        let lease = if is_busy { Ok(Lease::Held) } else { self.inner.lease(key, holder, lasts, until) };
        if matches!(lease, Ok(Lease::Held)) {
            self.held.fetch_add(1, SeqCst);
        }
        lease
    }
    fn end_lease(&self, key: &SharedKey, holder: &Holder, until: Instant) -> Result<(), SharedError> {
        self.inner.end_lease(key, holder, until)
    }
}

/// Longer than anything here takes, so that no wait ends by time.
const LONG: Duration = Duration::from_secs(600);

fn writer(engine: impl SharedEngine, slow: Duration) -> Shared {
    let namespace = Namespace::new("acme/leases").unwrap();
    let key = SigningKey::parse(&format!("ci:{}", "7".repeat(64))).unwrap();
    Shared::new(engine, namespace).writer(key).leases(slow)
}

fn machine(file: &str) -> Machine {
    let machine = Machine::new();
    edit(&machine, file, 3);
    machine
}

fn edit(machine: &Machine, file: &str, words: usize) {
    std::fs::write(machine.base.path().join(file), "word ".repeat(words)).unwrap();
}

#[test]
fn of_two_machines_one_runs_and_the_other_waits_for_what_comes_of_it_edit_by_edit() {
    let engine = Arc::new(Counted::default());
    let machines = ["one", "other"].map(|_| machine("edited"));
    // Each round is a process, in which no run is timed yet. In the later ones there is a record of an edit before, which must not end the wait.
    for round in 1..=3 {
        bodies("edited", |body| *body = (0, false));
        machines.iter().for_each(|machine| edit(machine, "edited", 3 + round));
        let build = |machine: &Machine| machine.builder().shared(writer(engine.clone(), LONG)).build();
        let runtimes = machines.each_ref().map(build);
        let held = engine.held.load(SeqCst);
        thread::scope(|scope| {
            let one = scope.spawn(|| runtimes[0].run(|| linked("edited")));
            wait_until("edited", |body| body.0 == 1);
            let other = scope.spawn(|| runtimes[1].run(|| linked("edited")));
            while engine.held.load(SeqCst) == held {
                thread::yield_now();
            }
            bodies("edited", |body| body.1 = true);
            assert_eq!((one.join().unwrap(), other.join().unwrap()), (3 + round, 3 + round));
        });
        assert_eq!(bodies("edited", |body| body.0), 1, "round {round}");
        let stats = runtimes[1].shared_stats().unwrap();
        assert_eq!((stats.awaited, stats.error), (1, None));
    }
}

fn runs(file: &str, engine: impl SharedEngine, slow: Duration) -> SharedStats {
    bodies(file, |body| *body = (0, true));
    let machine = machine(file);
    let runtime = machine.builder().shared(writer(engine, slow)).build();
    assert_eq!(runtime.run(|| linked(file)), 3);
    assert_eq!(bodies(file, |body| body.0), 1);
    runtime.shared_stats().unwrap()
}

#[test]
fn a_holder_that_died_is_waited_for_until_its_lease_or_the_patience_ends() {
    // The lease ends first.
    let stats = runs("lease-ends", Counted::first_is_taken(Duration::from_millis(50)), LONG);
    assert_eq!((stats.leases, stats.awaited), (1, 1));
    // The usual time of a run, which is not known, ends first.
    let stats = runs("patience-ends", Counted::first_is_taken(LONG), Duration::from_millis(50));
    assert_eq!((stats.leases, stats.awaited), (0, 1));
}

#[test]
fn a_session_that_is_cancelled_waits_for_no_machine_and_runs_no_body() {
    // A task of which nothing is stored, and one that is stored with other words.
    for (file, is_stored) in [("cancelled-new", false), ("cancelled-stored", true)] {
        bodies(file, |body| body.1 = true);
        let machine = machine(file);
        if is_stored {
            edit(&machine, file, 5);
            assert_eq!(machine.builder().build().run(|| linked(file)), 5);
            edit(&machine, file, 3);
        }
        let ran = bodies(file, |body| body.0);
        let engine = Arc::new(Counted { is_busy: true.into(), ..Counted::default() });
        let runtime = machine.builder().shared(writer(engine.clone(), LONG)).build();
        let token = CancelToken::new();
        let cancelled = thread::scope(|s| {
            s.spawn(|| {
                while engine.held.load(SeqCst) == 0 {
                    thread::yield_now();
                }
                token.cancel();
            });
            runtime.session().token(&token).try_run(|| linked(file))
        });
        assert!(matches!(cancelled, Err(TaskError::Cancelled)), "{file}: {cancelled:?}");
        assert_eq!(bodies(file, |body| body.0), ran, "{file}");
        engine.is_busy.store(false, SeqCst);
        assert_eq!(runtime.run(|| linked(file)), 3, "{file}");
        assert_eq!(bodies(file, |body| body.0), ran + 1, "{file}");
    }
}

#[test]
fn an_engine_without_leases_or_one_that_fails_at_them_changes_nothing() {
    struct Without(MemoryEngine, fn() -> Result<Lease, SharedError>);
    impl SharedEngine for Without {
        fn get(&self, keys: &[SharedKey], until: Instant) -> Result<Vec<Option<Vec<u8>>>, SharedError> {
            self.0.get(keys, until)
        }
        fn put(&self, items: &[(SharedKey, &[u8])], how: Put, until: Instant) -> Result<(), SharedError> {
            self.0.put(items, how, until)
        }
        fn lease(&self, _: &SharedKey, _: &Holder, _: Duration, _: Instant) -> Result<Lease, SharedError> {
            (self.1)()
        }
    }
    // One that refuses leases alone is asked for records as before: of the body's edit, in the round behind it.
    let refusing = || Err(SharedError::Refused { reason: "NOPERM".into() });
    let machine = machine("refused");
    bodies("refused", |body| body.1 = true);
    let runtime = machine.builder().shared(writer(Without(MemoryEngine::new(), refusing), LONG)).build();
    for words in 4..7 {
        edit(&machine, "refused", words);
        runtime.refresh().unwrap();
        assert_eq!(runtime.run(|| linked("refused")), words);
    }
    let stats = runtime.shared_stats().unwrap();
    assert_eq!((stats.asked, stats.openings), (2, 0));
    let ways: [fn() -> Result<Lease, SharedError>; 4] = [
        || Ok(Lease::NotSupported),
        || Err(SharedError::Slow),
        || Err(SharedError::Refused { reason: "403".into() }),
        || panic!("a bug in the engine"),
    ];
    for way in ways {
        let stats = runs("without", Without(MemoryEngine::new(), way), LONG);
        assert_eq!((stats.leases, stats.awaited), (0, 0));
    }
}

#[test]
fn a_lease_on_what_fails_ends_with_the_runtime() {
    let engine = Arc::new(Counted::default());
    let one = machine("failing");
    let runtime = one.builder().shared(writer(engine.clone(), LONG)).build();
    let failed =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.run(|| failing("failing"))));
    assert!(failed.is_err());
    drop(runtime);
    let other = machine("failing");
    edit(&other, "failing", 4);
    let runtime = other.builder().shared(writer(engine.clone(), LONG)).build();
    assert_eq!(runtime.run(|| failing("failing")), 0);
    assert_eq!((engine.held.load(SeqCst), bodies("failing", |body| body.0)), (0, 2));
}

#[test]
fn a_function_that_is_known_to_be_fast_takes_no_lease() {
    let engine = Arc::new(Counted::default());
    bodies("fast", |body| body.1 = true);
    let machine = machine("fast");
    let runtime = machine.builder().shared(writer(engine, LONG)).build();
    for words in 1..10 {
        edit(&machine, "fast", words);
        runtime.refresh().unwrap();
        assert_eq!(runtime.run(|| linked("fast")), words);
    }
    // Before a run of it was timed.
    assert_eq!(runtime.shared_stats().unwrap().leases, 1);
}

/// Runs in the processes of the test below: the file is in `LARDER_LEASES`, with the cache and what the processes tell each other.
#[test]
#[ignore = "is run by the test below, in processes of its own"]
fn a_process() {
    let place = PathBuf::from(std::env::var_os("LARDER_LEASES").unwrap());
    let own = place.join(std::process::id().to_string());
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(own.join("file"), "a b c").unwrap();
    std::fs::write(place.join(format!("ready-{}", std::process::id())), "").unwrap();
    let storage = RedbStorage::open(own.join("store")).unwrap();
    let shared = writer(FolderEngine::new(place.join("cache")), LONG);
    let runtime = Runtime::builder().base(&own).storage(storage).code_identity("test").shared(shared).build();
    assert_eq!(runtime.run(|| linked_by_processes("file")), 3);
}

#[task_fn]
fn linked_by_processes(file: &str) -> usize {
    let place = PathBuf::from(std::env::var_os("LARDER_LEASES").unwrap());
    std::fs::write(place.join(format!("body-{}", std::process::id())), "").unwrap();
    while !place.join("go").exists() {
        thread::sleep(Duration::from_millis(5));
    }
    count(file)
}

#[test]
fn of_two_processes_one_runs() {
    let place = tempfile::tempdir().unwrap();
    let start = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "leases::a_process", "--ignored"])
            .env("LARDER_LEASES", place.path())
            .spawn()
            .unwrap()
    };
    let files = |prefix: &str| {
        let entries = std::fs::read_dir(place.path()).unwrap().flatten();
        entries.filter(|entry| entry.file_name().to_str().unwrap().starts_with(prefix)).count()
    };
    let runs = |child: &mut Child| assert!(child.try_wait().unwrap().is_none(), "a process has ended");
    let mut one = start();
    while files("body-") == 0 {
        runs(&mut one);
        thread::sleep(Duration::from_millis(5));
    }
    let mut other = start();
    while files("ready-") < 2 {
        runs(&mut other);
        thread::sleep(Duration::from_millis(5));
    }
    std::fs::write(place.path().join("go"), "").unwrap();
    assert!(one.wait().unwrap().success() && other.wait().unwrap().success());
    assert_eq!(files("body-"), 1);
}
