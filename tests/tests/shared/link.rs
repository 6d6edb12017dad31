//! The whole way: one runtime pushes, another one pulls, and asks for records.

use std::time::{Duration, Instant};

use larder::shared::{
    MemoryEngine, Namespace, Put, Shared, SharedEngine, SharedError, SharedKey, SharedStats, SigningKey,
};

use super::*;

pub(crate) const FILES: usize = 50;

fn key(name: &str) -> SigningKey {
    SigningKey::generate(name).unwrap()
}

/// A cache, and the key of the job that writes to it.
pub(crate) struct Cache {
    engine: Arc<MemoryEngine>,
    pub(crate) key: SigningKey,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self { engine: Arc::new(MemoryEngine::new()), key: key("ci") }
    }

    /// The names of all that is kept.
    pub(crate) fn engine_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.engine.tamper(|name, _| names.push(name.to_owned()));
        names
    }

    pub(crate) fn shared(&self) -> Shared {
        let namespace = Namespace::new("acme/words").unwrap();
        Shared::new(Through(self.engine.clone()), namespace).trust(self.key.public())
    }

    /// Runs the program on a machine that writes.
    pub(crate) fn write(&self, machine: &Machine) -> (usize, u64) {
        run(&machine.builder().shared(self.shared().writer(self.key.clone())).build())
    }

    /// Runs the program on a machine that reads.
    fn read(&self, machine: &Machine) -> (usize, u64, SharedStats) {
        read(machine, self.shared())
    }
}

fn read(machine: &Machine, shared: Shared) -> (usize, u64, SharedStats) {
    let runtime = machine.builder().shared(shared).build();
    let (page, bodies) = run(&runtime);
    (page, bodies, runtime.shared_stats().unwrap())
}

/// An engine that several runtimes share.
struct Through(Arc<MemoryEngine>);

impl SharedEngine for Through {
    fn get(&self, keys: &[SharedKey], until: Instant) -> Result<Vec<Option<Vec<u8>>>, SharedError> {
        self.0.get(keys, until)
    }
    fn put(&self, items: &[(SharedKey, &[u8])], how: Put, until: Instant) -> Result<(), SharedError> {
        self.0.put(items, how, until)
    }
}

#[test]
fn a_warm_second_machine_runs_nothing_and_pulls_once() {
    let (cache, ci) = (Cache::new(), Machine::with_files(FILES));
    let (page, bodies) = cache.write(&ci);
    assert_eq!(bodies, FILES as u64 + 2);
    let laptop = Machine::with_files(FILES);
    let (again, bodies, stats) = cache.read(&laptop);
    assert_eq!((again, bodies), (page, 0));
    assert_eq!((stats.pulled, stats.asked), (FILES as u64 + 2, 0));
    assert_eq!(stats.signed.as_ref().map(|(by, _)| &**by), Some("ci"));
    // Ref, manifest, packs.
    assert_eq!(stats.trips, 3);
    let (_, bodies, stats) = cache.read(&laptop);
    assert_eq!((bodies, stats.was_current, stats.trips), (0, true, 2));
}

#[test]
fn a_changed_file_runs_what_it_affects_and_no_more() {
    let (cache, ci) = (Cache::new(), Machine::with_files(FILES));
    let (page, _) = cache.write(&ci);
    let laptop = Machine::with_files(FILES);
    laptop.write(7, 100);
    let (changed, bodies, stats) = cache.read(&laptop);
    assert_eq!((changed, bodies), (page + 93, 3));
    // The file, the total and the page, in one batch of one trip, behind the three for the packs.
    assert_eq!((stats.asked, stats.trips), (3, 4));
    assert_eq!((stats.came, stats.used), (0, 0));
}

#[test]
fn records_of_an_edit_that_another_job_has_run_on_spare_its_bodies() {
    let (cache, ci) = (Cache::new(), Machine::with_files(FILES));
    cache.write(&ci);
    let laptop = Machine::with_files(FILES);
    cache.read(&laptop);
    // The job of a colleague's edit has run since, and this runtime was opened before it has pushed.
    let runtime = laptop.builder().shared(cache.shared()).build();
    ci.write(7, 100);
    let (page, bodies) = cache.write(&ci);
    assert_eq!(bodies, 3);
    laptop.write(7, 100);
    runtime.refresh().unwrap();
    assert_eq!(run(&runtime), (page, 0));
    let stats = runtime.shared_stats().unwrap();
    assert_eq!((stats.asked, stats.came, stats.used), (3, 3, 3));
}

#[test]
fn what_nobody_trusted_has_signed_is_not_used() {
    let (cache, ci) = (Cache::new(), Machine::with_files(FILES));
    let (page, _) = cache.write(&ci);
    let namespace = || Namespace::new("acme/words").unwrap();
    let engine = || Through(cache.engine.clone());
    let strangers = [
        Shared::new(engine(), namespace()),
        Shared::new(engine(), namespace()).trust(key("ci").public()),
        cache.shared().not_before(std::time::SystemTime::now() + Duration::from_secs(3600)),
    ];
    for shared in strangers {
        let (again, bodies, stats) = read(&Machine::with_files(FILES), shared);
        assert_eq!((again, bodies, stats.pulled), (page, FILES as u64 + 2, 0));
        assert!(stats.error.is_some());
    }
    // Another program's results are not looked for.
    let other = Shared::new(engine(), Namespace::new("acme/other").unwrap()).trust(cache.key.public());
    assert_eq!(read(&Machine::with_files(FILES), other).2.error, None);
}

#[test]
fn packs_are_pulled_anew_for_another_build() {
    let (cache, ci) = (Cache::new(), Machine::with_files(3));
    let new = |machine: &Machine, shared| machine.builder().code_identity("new").shared(shared).build();
    let (page, _) = cache.write(&ci);
    let next = Machine::with_files(3);
    run(&new(&next, cache.shared().writer(cache.key.clone())));
    // Both builds' packs are in the list by now. This machine uses the old program first.
    let laptop = Machine::with_files(3);
    assert_eq!(cache.read(&laptop).1, 0);
    assert_eq!(run(&new(&laptop, cache.shared())), (page, 0));
}

#[test]
fn an_explanation_says_who_has_computed_a_value() {
    let (cache, ci) = (Cache::new(), Machine::with_files(3));
    cache.write(&ci);
    let laptop = Machine::with_files(3);
    let who = |runtime: &Runtime, dir: &str| {
        // Only what has a value has an origin.
        runtime.run(|| total(dir));
        runtime.explain(|| total(dir)).shared.map(|origin| origin.by)
    };
    // From packs, in the process that has pulled them, and in the next one.
    for _ in 0..2 {
        let runtime = laptop.builder().shared(cache.shared()).build();
        run(&runtime);
        assert_eq!(who(&runtime, "src").as_deref(), Some("ci"));
        let text = runtime.explain(|| total("src")).to_string();
        assert!(text.contains("its value came from the shared cache, written by ci at 2"), "{text}");
    }
    // From a record.
    let runtime = laptop.builder().shared(cache.shared()).build();
    run(&runtime);
    ci.write(1, 9);
    cache.write(&ci);
    laptop.write(1, 9);
    runtime.refresh().unwrap();
    assert_eq!(run(&runtime).1, 0);
    assert_eq!(who(&runtime, "src").as_deref(), Some("ci"));
    // And its own.
    laptop.write(1, 10);
    runtime.refresh().unwrap();
    run(&runtime);
    assert_eq!(who(&runtime, "src"), None);
}

#[test]
fn a_reader_writes_nothing() {
    let (cache, machine) = (Cache::new(), Machine::with_files(3));
    cache.read(&machine);
    let mut items = 0;
    cache.engine.tamper(|_, _| items += 1);
    assert_eq!(items, 0);
}

#[test]
fn an_explicit_push_comes_before_the_end() {
    let (cache, ci) = (Cache::new(), Machine::with_files(3));
    let runtime = ci.builder().shared(cache.shared().writer(cache.key.clone())).build();
    let (page, _) = run(&runtime);
    runtime.flush_shared(Duration::from_secs(60)).unwrap();
    let stats = runtime.shared_stats().unwrap();
    assert_eq!((stats.pushed, stats.skipped.absolute_paths), (5, 0));
    let (median, most) = stats.trip_times.unwrap();
    assert!(median <= most);
    let (again, bodies, _) = cache.read(&Machine::with_files(3));
    assert_eq!((again, bodies), (page, 0));
}

#[test]
fn absolute_paths_stay_here() {
    let (cache, ci) = (Cache::new(), Machine::with_files(3));
    let path = ci.base.path().join("src");
    let path = path.to_str().unwrap();
    let runtime = ci.builder().shared(cache.shared().writer(cache.key.clone())).build();
    assert_eq!(runtime.run(|| total(path)), 3);
    runtime.flush_shared(Duration::from_secs(60)).unwrap();
    assert!(runtime.shared_stats().unwrap().skipped.absolute_paths > 0);
    drop(runtime);
    cache.engine.tamper(|name, _| assert!(!name.contains("/t/"), "{name}"));
}

mod trouble {
    //! Engines that fail.
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    /// Fails each call in its way.
    struct Broken(fn() -> SharedError, Arc<AtomicUsize>);

    impl SharedEngine for Broken {
        fn get(&self, _: &[SharedKey], _: Instant) -> Result<Vec<Option<Vec<u8>>>, SharedError> {
            self.1.fetch_add(1, Relaxed);
            Err((self.0)())
        }
        fn put(&self, _: &[(SharedKey, &[u8])], _: Put, _: Instant) -> Result<(), SharedError> {
            Err((self.0)())
        }
    }

    #[test]
    fn an_engine_that_fails_is_left_alone_and_nothing_else_happens() {
        let ways: [fn() -> SharedError; 4] = [
            || SharedError::broken("the connection was reset"),
            || SharedError::Slow,
            || SharedError::Refused { reason: "403".into() },
            || panic!("a bug in the engine"),
        ];
        for way in ways {
            let machine = Machine::with_files(FILES);
            let page = machine.run_alone().0;
            let calls = Arc::default();
            let namespace = Namespace::new("acme/words").unwrap();
            let shared = Shared::new(Broken(way, Arc::clone(&calls)), namespace).writer(key("ci"));
            let runtime = machine.builder().shared(shared).build();
            for round in 1..10 {
                machine.write(0, round);
                runtime.refresh().unwrap();
                assert_eq!(run(&runtime).0, page + round);
            }
            let stats = runtime.shared_stats().unwrap();
            assert!(stats.error.is_some());
            drop(runtime);
            // For packs, at most three for records, and one to push.
            assert!(calls.load(Relaxed) <= 5);
        }
    }

    /// An engine whose calls fail or are late by their number, without any time that passes.
    struct Faulty {
        inner: Through,
        fails: fn(usize) -> bool,
        calls: Arc<AtomicUsize>,
    }

    impl SharedEngine for Faulty {
        fn get(&self, keys: &[SharedKey], until: Instant) -> Result<Vec<Option<Vec<u8>>>, SharedError> {
            let number = self.calls.fetch_add(1, Relaxed);
            if (self.fails)(number) { Err(SharedError::Slow) } else { self.inner.get(keys, until) }
        }
        fn put(&self, items: &[(SharedKey, &[u8])], how: Put, until: Instant) -> Result<(), SharedError> {
            self.inner.put(items, how, until)
        }
    }

    /// Edits a file so many times, and returns the calls of the engine. Each edit would ask once.
    fn calls_of_sessions(sessions: usize, fails: fn(usize) -> bool) -> usize {
        let (cache, ci) = (Cache::new(), Machine::with_files(3));
        cache.write(&ci);
        let (laptop, alone) = (Machine::with_files(3), Machine::with_files(3));
        let calls = Arc::new(AtomicUsize::new(0));
        let inner = Through(cache.engine.clone());
        let engine = Faulty { inner, fails, calls: calls.clone() };
        let namespace = Namespace::new("acme/words").unwrap();
        // Time decides nothing here: on a busy machine an answer may take long.
        let hour = Duration::from_secs(3600);
        let shared = Shared::new(engine, namespace).trust(cache.key.public()).budget(hour, hour);
        let runtime = laptop.builder().shared(shared).build();
        let from_scratch = alone.builder().build();
        for session in 0..sessions {
            for (machine, runtime) in [(&laptop, &runtime), (&alone, &from_scratch)] {
                machine.write(1, 10 + session);
                runtime.refresh().unwrap();
            }
            assert_eq!(run(&runtime).0, run(&from_scratch).0);
        }
        calls.load(Relaxed)
    }

    #[test]
    fn an_engine_that_never_answers_is_asked_once() {
        assert_eq!(calls_of_sessions(50, |_| true), 1);
    }

    #[test]
    fn an_engine_that_answers_packs_and_then_nothing_is_asked_three_times_more() {
        assert_eq!(calls_of_sessions(50, |number| number >= 3), 6);
    }

    #[test]
    fn an_engine_that_is_late_every_second_time_is_left_alone_after_ten_calls() {
        // The pull fails at its second call and counts as one.
        let calls = calls_of_sessions(50, |number| number % 2 == 1);
        assert!((10..=12).contains(&calls), "{calls}");
    }

    #[test]
    fn an_engine_that_is_late_once_in_a_while_is_asked_all_the_time() {
        assert_eq!(calls_of_sessions(50, |number| number % 17 == 16), 53);
    }

    #[test]
    fn damaged_items_are_rejected_with_a_reason() {
        let (cache, ci) = (Cache::new(), Machine::with_files(FILES));
        let (page, _) = cache.write(&ci);
        for at in [0, 5, 40, 200] {
            cache.engine.tamper(|name, bytes| {
                if name.contains("/p/") || name.contains("/t/") {
                    let at = at % bytes.len();
                    bytes[at] ^= 0x41;
                }
            });
            let laptop = Machine::with_files(FILES);
            laptop.run_alone();
            laptop.write(1, 10);
            let (again, _, stats) = cache.read(&laptop);
            assert_eq!(again, page + 9);
            assert!(!stats.rejected.is_empty());
            // Undone.
            cache.engine.tamper(|name, bytes| {
                if name.contains("/p/") || name.contains("/t/") {
                    let at = at % bytes.len();
                    bytes[at] ^= 0x41;
                }
            });
        }
    }
}
