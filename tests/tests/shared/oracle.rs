//! Random histories: two machines with checkouts of their own, edits, pushes, evictions, tampering and outages. Every value equals that of a
//! machine that computes it from scratch.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use larder::shared::{
    Holder, Lease, MemoryEngine, Namespace, Put, Shared, SharedEngine, SharedError, SharedKey, SigningKey,
};
use larder::storage::Fingerprints;
use proptest::prelude::*;

use super::*;

const FILES: usize = 6;

#[derive(Clone, Debug)]
enum Step {
    /// Both checkouts, or one, come to another content.
    Edit { both: bool, second: bool, file: usize, words: usize },
    /// A file goes.
    Remove { second: bool, file: usize },
    /// A machine runs, and may push.
    Run { second: bool, writes: bool },
    /// Both machines run at once, as writers that take leases.
    Race,
    /// A machine runs, and asks for each task that it does not know in the other one's store.
    Ask { second: bool },
    /// A machine loses its store.
    Lose { second: bool },
    /// Some items of the cache go.
    Evict { seed: u8 },
    /// Some items are damaged, or exchanged with others.
    Tamper { seed: u8 },
    /// The engine fails until the next of these.
    Outage,
}

fn step() -> impl Strategy<Value = Step> {
    let (second, file) = (any::<bool>(), 0..FILES);
    prop_oneof![
        4 => (any::<bool>(), second, file.clone(), 0..4_usize)
            .prop_map(|(both, second, file, words)| Step::Edit { both, second, file, words }),
        1 => (any::<bool>(), file).prop_map(|(second, file)| Step::Remove { second, file }),
        6 => (any::<bool>(), any::<bool>()).prop_map(|(second, writes)| Step::Run { second, writes }),
        1 => Just(Step::Race),
        3 => any::<bool>().prop_map(|second| Step::Ask { second }),
        1 => any::<bool>().prop_map(|second| Step::Lose { second }),
        1 => any::<u8>().prop_map(|seed| Step::Evict { seed }),
        1 => any::<u8>().prop_map(|seed| Step::Tamper { seed }),
        1 => Just(Step::Outage),
    ]
}

#[derive(Default)]
struct Engine {
    inner: MemoryEngine,
    fails: AtomicBool,
    gets: Mutex<u64>,
}

struct Through(Arc<Engine>);

impl SharedEngine for Through {
    fn get(&self, keys: &[SharedKey], until: Instant) -> Result<Vec<Option<Vec<u8>>>, SharedError> {
        *self.0.gets.lock().unwrap() += 1;
        if self.0.fails.load(Relaxed) { Err(SharedError::Slow) } else { self.0.inner.get(keys, until) }
    }
    fn put(&self, items: &[(SharedKey, &[u8])], how: Put, until: Instant) -> Result<(), SharedError> {
        if self.0.fails.load(Relaxed) { Err(SharedError::Slow) } else { self.0.inner.put(items, how, until) }
    }
    fn lease(
        &self,
        key: &SharedKey,
        holder: &Holder,
        lasts: Duration,
        until: Instant,
    ) -> Result<Lease, SharedError> {
        if self.0.fails.load(Relaxed) {
            Err(SharedError::Slow)
        } else {
            self.0.inner.lease(key, holder, lasts, until)
        }
    }
    fn end_lease(&self, key: &SharedKey, holder: &Holder, until: Instant) -> Result<(), SharedError> {
        if self.0.fails.load(Relaxed) {
            Err(SharedError::Slow)
        } else {
            self.0.inner.end_lease(key, holder, until)
        }
    }
}

impl Machine {
    fn expected(&self) -> usize {
        let files = std::fs::read_dir(self.base.path().join("src")).unwrap();
        let words = |path| std::fs::read_to_string(path).unwrap().split_whitespace().count();
        files.map(|file| words(file.unwrap().path())).sum()
    }

    /// A runtime's life: its values are right, also after an edit, and its store is sound.
    fn live(&self, runtime: &Runtime) {
        assert_eq!(run(runtime).0, self.expected());
        let storage = runtime.stats().storage.unwrap();
        assert!(!storage.distrusted);
        assert_eq!(storage.rejected.total(), 0);
        self.write(0, 9);
        runtime.refresh().unwrap();
        assert_eq!(run(runtime).0, self.expected());
        let report = runtime.storage_report().unwrap().unwrap();
        assert!(report.damage.is_empty(), "{:?}", report.damage);
    }
}

fn history(steps: Vec<Step>) {
    let engine = Arc::new(Engine::default());
    let key = SigningKey::generate("ci").unwrap();
    let namespace = Namespace::new("acme/oracle").unwrap();
    let mut machines = [Machine::with_files(FILES), Machine::with_files(FILES)];
    for step in steps {
        match step {
            Step::Edit { both, second, file, words } => {
                machines[usize::from(second)].write(file, words);
                if both {
                    machines[usize::from(!second)].write(file, words);
                }
            }
            Step::Remove { second, file } => {
                _ = std::fs::remove_file(
                    machines[usize::from(second)].base.path().join(format!("src/{file:03}")),
                );
            }
            Step::Run { second, writes } => {
                let machine = &machines[usize::from(second)];
                let shared = Shared::new(Through(engine.clone()), namespace.clone()).trust(key.public());
                let shared = if writes { shared.writer(key.clone()) } else { shared };
                machine.live(&machine.builder().shared(shared).build());
            }
            Step::Race => std::thread::scope(|scope| {
                for machine in &machines {
                    let shared = Shared::new(Through(engine.clone()), namespace.clone());
                    let shared = shared.writer(key.clone()).leases(Duration::from_millis(1));
                    scope.spawn(move || machine.live(&machine.builder().shared(shared).build()));
                }
            }),
            Step::Ask { second } => {
                let (machine, other) = (&machines[usize::from(second)], &machines[usize::from(!second)]);
                let remote = Arc::new(Fake::over(&other.store).asking_singly());
                // Of the kind that a shared cache has, or the store would begin anew.
                let builder = machine.builder().fingerprints(Fingerprints::Blake3);
                machine.live(&builder.remote(remote).build());
            }
            Step::Lose { second } => machines[usize::from(second)].store = MemoryStorage::new(),
            Step::Evict { seed } => engine.inner.tamper(|name, bytes| {
                if name.len() % 3 == usize::from(seed) % 3
                    || name.as_bytes().last() == Some(&(b'0' + seed % 10))
                {
                    bytes.clear();
                }
            }),
            Step::Tamper { seed } => {
                let mut last: Option<Vec<u8>> = None;
                engine.inner.tamper(|name, bytes| {
                    if name.as_bytes().last().is_some_and(|digit| digit % 4 == seed % 4) {
                        if let Some(last) = &last {
                            last.clone_into(bytes);
                        }
                    } else if !bytes.is_empty() {
                        let at = usize::from(seed) * 7 % bytes.len();
                        last = Some(bytes.clone());
                        bytes[at] ^= if seed % 2 == 0 { 1 } else { 0 };
                    }
                });
            }
            Step::Outage => _ = engine.fails.fetch_xor(true, Relaxed),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn no_history_gives_a_wrong_value(steps in proptest::collection::vec(step(), 1..24)) {
        history(steps);
    }
}
