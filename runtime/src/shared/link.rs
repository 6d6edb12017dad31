//! The link of a runtime to its shared cache: packs in, packs and records out, and what is counted.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use larder_backend::explanation::SharedOrigin;
use larder_backend::storage::inspect::StoreReader;
use larder_backend::storage::record::ForeignTask;
use larder_backend::storage::{BackingStorage, Digest, TaskKey};
use larder_shared::{
    Counts, Holder, Kind, Limits, Put, ShareError, SharedEngine, SharedError, SharedKey, Signed, SigningKey,
    publish, pull_new, push,
};

use super::breaker::Breaker;
use super::timed::Timed;
use super::{Shared, SharedStats};

/// A runtime's way to its shared cache. A writer pushes when the last reference to it goes, which is after the store has committed all.
pub(crate) struct Link {
    /// Its engine is `timed`.
    pub(super) config: Shared,
    timed: Arc<Timed>,
    pub(super) storage: Arc<dyn BackingStorage>,
    pub(super) breaker: Breaker,
    /// Also of the threads that write records.
    pub(super) state: Arc<Mutex<State>>,
    /// The process that has made it. One that is forked off has not run what it would push.
    process: u32,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) stats: SharedStats,
    rejected: BTreeMap<String, u64>,
    /// The keys that have signed the records that came.
    pub(super) origins: HashMap<TaskKey, Signed>,
    /// The packs with which tasks came to this process, if some of these are checked.
    pub(super) packs: HashMap<TaskKey, [u8; 32]>,
    /// Tasks that have run since the last push.
    pub(super) ran: HashSet<TaskKey>,
    /// Tasks of `ran` whose records are written, or about to be.
    pub(super) published: HashSet<TaskKey>,
    /// Tasks whose lease this process has, until they are stored.
    pub(super) leased: HashSet<TaskKey>,
    pub(super) holder: Option<Holder>,
    /// The engine has no leases, or refuses them.
    pub(super) has_no_leases: bool,
    /// The time for which calls have waited for leases.
    pub(super) waited_for_turns: Duration,
    /// Threads that write records.
    pub(super) threads: Vec<JoinHandle<()>>,
}

impl State {
    pub(super) fn count(&mut self, counts: &Counts) {
        self.stats.trips += counts.trips;
        self.stats.bytes_in += counts.bytes_in;
        self.stats.bytes_out += counts.bytes_out;
        for (_, why) in &counts.rejected {
            *self.rejected.entry(why.to_string()).or_default() += 1;
        }
    }
}

/// The most records of a process that are written.
const MOST_RECORDS: usize = 1 << 16;

impl Link {
    /// Pulls the packs of the ref into the store, unless they are there already, and links to the cache.
    pub(crate) fn open(mut config: Shared, storage: Arc<dyn BackingStorage>, build: Digest) -> Arc<Self> {
        let breaker = Breaker::new(config.patience, config.budget);
        let timed = Arc::new(Timed::new(config.engine));
        config.engine = timed.clone();
        let link =
            Self { config, timed, storage, breaker, state: Arc::default(), process: std::process::id() };
        // An engine that panics is one that does not work.
        let pulled = catch_unwind(AssertUnwindSafe(|| link.pull(build)));
        match pulled {
            Ok(Ok(())) => {}
            Ok(Err(error)) => link.note_error(&error.to_string()),
            Err(_) => link.note_error("the engine panicked"),
        }
        Arc::new(link)
    }

    fn pull(&self, build: Digest) -> Result<(), ShareError> {
        let Shared { engine, namespace, reference, trust, budget, patience, .. } = &self.config;
        let engine = Hasty { engine: engine.clone(), patience: *patience, answered: AtomicBool::new(false) };
        let place = (namespace, &**reference);
        let begun = Instant::now();
        let pulled = pull_new(&engine, place, trust, self.storage.clone(), build, begun + *budget);
        let outcome = match &pulled {
            Err(ShareError::Engine(error)) => Err(error),
            _ => Ok(()),
        };
        if engine.answered.load(Relaxed) {
            self.breaker.answered();
        }
        self.breaker.note_packs(outcome, begun.elapsed());
        let pulled = match pulled {
            Ok(Some(pulled)) => pulled,
            Ok(None) => {
                let stats = &mut self.state().stats;
                (stats.was_current, stats.trips) = (true, 2);
                return Ok(());
            }
            // Nothing has been pushed so far.
            Err(ShareError::NoRef { rejected: None, .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        self.count(&pulled.counts);
        let mut state = self.state();
        if self.config.check > 0.0 {
            let packs = pulled.packs.iter();
            state.packs.extend(packs.flat_map(|pack| pack.tasks.iter().map(|task| (*task, pack.digest))));
        }
        let stats = &mut state.stats;
        (stats.pulled, stats.older_than) = (pulled.imported, pulled.older_than);
        stats.signed = Some((pulled.signer, pulled.signed_at));
        Ok(())
    }

    /// Pushes what the store holds, and writes records of what has run, within this time.
    ///
    /// # Errors
    /// If the store cannot be read, or the engine fails.
    pub(crate) fn push(&self, within: Duration) -> Result<(), ShareError> {
        let Some(key) = &self.config.writer else { return Ok(()) };
        self.join();
        let (ran, published) = {
            let mut state = self.state();
            (std::mem::take(&mut state.ran), std::mem::take(&mut state.published))
        };
        if ran.is_empty() {
            return Ok(());
        }
        let rest: Vec<TaskKey> = ran.difference(&published).copied().collect();
        let pushed = self.push_all(key, &rest, within);
        if pushed.is_err() {
            let mut state = self.state();
            state.ran.extend(ran);
            state.published.extend(published);
        }
        pushed
    }

    fn push_all(&self, key: &SigningKey, ran: &[TaskKey], within: Duration) -> Result<(), ShareError> {
        let Shared { engine, namespace, reference, .. } = &self.config;
        let until = Instant::now() + within;
        let reader = StoreReader::of(self.storage.clone(), "the store of the runtime")?;
        let pushed = push(&**engine, (namespace, reference), key, &reader, until)?;
        self.count(&pushed.counts);
        {
            let stats = &mut self.state().stats;
            stats.pushed += pushed.tasks;
            stats.skipped = pushed.skipped;
        }
        if ran.is_empty() {
            return Ok(());
        }
        let published = publish(&**engine, namespace, key, (&reader, ran), until)?;
        self.count(&published.counts);
        self.state().stats.published += published.tasks;
        Ok(())
    }

    /// Notes that a run is stored. Returns whether others wait for its record.
    pub(super) fn note_run(&self, task: TaskKey) -> bool {
        let mut state = self.state();
        if state.ran.len() < MOST_RECORDS {
            state.ran.insert(task);
        }
        // Its record, if one is written already, is of an earlier run.
        state.published.remove(&task);
        state.leased.remove(&task)
    }

    pub(super) fn count(&self, counts: &Counts) {
        self.state().count(counts);
    }

    pub(super) fn note_origins(&self, found: &[(ForeignTask, Signed)]) {
        let mut state = self.state();
        for (task, signed) in found {
            state.origins.insert(task.key(self.config.namespace.fingerprints()), signed.clone());
        }
    }

    pub(super) fn origin(&self, task: TaskKey) -> Option<SharedOrigin> {
        let signed = self.state().origins.get(&task).cloned()?;
        Some(SharedOrigin { by: signed.by.into(), at: signed.at })
    }

    pub(super) fn failed(&self, error: &SharedError) {
        self.note_error(&error.to_string());
    }

    fn note_error(&self, error: &str) {
        self.state().stats.error = Some(error.into());
    }

    /// Returns what has been counted; records as far as the engine of the runtime knows of them.
    pub(crate) fn stats(&self, records: larder_backend::RemoteStats) -> SharedStats {
        let state = self.state();
        let mut stats = state.stats.clone();
        stats.rejected = state.rejected.iter().map(|(why, count)| (why.as_str().into(), *count)).collect();
        drop(state);
        (stats.asked, stats.came, stats.used) = (records.asked, records.came, records.used);
        (stats.waited, stats.openings) = self.breaker.used();
        stats.trip_times = self.timed.quantile(500).zip(self.timed.quantile(990));
        stats
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The engine for a pull: what is small is given no more time than a look for records, so that a server that does not answer is found out early.
struct Hasty {
    engine: Arc<dyn SharedEngine>,
    patience: Duration,
    answered: AtomicBool,
}

impl SharedEngine for Hasty {
    fn get(&self, keys: &[SharedKey], until: Instant) -> Result<Vec<Option<Vec<u8>>>, SharedError> {
        let is_large = keys.iter().any(|key| key.kind() == Kind::Pack);
        let until = if is_large { until } else { until.min(Instant::now() + self.patience) };
        let found = self.engine.get(keys, until)?;
        self.answered.store(true, Relaxed);
        Ok(found)
    }

    fn put(&self, items: &[(SharedKey, &[u8])], how: Put, until: Instant) -> Result<(), SharedError> {
        self.engine.put(items, how, until)
    }

    fn limits(&self) -> Limits {
        self.engine.limits()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            return;
        }
        // No caller is left to be told. The store keeps what was not pushed, for the next push.
        let within = self.config.at_the_end;
        _ = catch_unwind(AssertUnwindSafe(|| self.push(within)));
        _ = catch_unwind(AssertUnwindSafe(|| self.end_leases(within)));
    }
}
