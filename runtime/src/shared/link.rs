//! The link of a runtime to its shared cache: packs in, packs and records out, and what is counted.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use larder_backend::explanation::SharedOrigin;
use larder_backend::storage::inspect::StoreReader;
use larder_backend::storage::record::ForeignTask;
use larder_backend::storage::{BackingStorage, Digest, TaskKey};
use larder_shared::{
    Counts, Kind, Limits, Put, ShareError, SharedEngine, SharedError, SharedKey, Signed, SigningKey, publish,
    pull_new, push,
};

use super::breaker::Breaker;
use super::{Shared, SharedStats};

/// A runtime's way to its shared cache. A writer pushes when the last reference to it goes, which is after the store has committed all.
pub(crate) struct Link {
    pub(super) config: Shared,
    storage: Arc<dyn BackingStorage>,
    pub(super) breaker: Breaker,
    state: Mutex<State>,
    /// The process that has made it. One that is forked off has not run what it would push.
    process: u32,
}

#[derive(Default)]
struct State {
    stats: SharedStats,
    rejected: BTreeMap<String, u64>,
    /// The keys that have signed the records that came.
    origins: HashMap<TaskKey, Signed>,
    /// Tasks that have run and whose records have not been written.
    ran: HashSet<TaskKey>,
}

/// The most records of a process that are written.
const MOST_RECORDS: usize = 1 << 16;

impl Link {
    /// Pulls the packs of the ref into the store, unless they are there already, and links to the cache.
    pub(crate) fn open(config: Shared, storage: Arc<dyn BackingStorage>, build: Digest) -> Arc<Self> {
        let breaker = Breaker::new(config.patience, config.budget);
        let link = Self { config, storage, breaker, state: Mutex::default(), process: std::process::id() };
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
        let stats = &mut self.state().stats;
        stats.pulled = pulled.imported;
        stats.signed = Some((pulled.signer, pulled.signed_at));
        Ok(())
    }

    /// Pushes what the store holds, and writes records of what has run, within this time.
    ///
    /// # Errors
    /// If the store cannot be read, or the engine fails.
    pub(crate) fn push(&self, within: Duration) -> Result<(), ShareError> {
        let Some(key) = &self.config.writer else { return Ok(()) };
        let ran: Vec<TaskKey> = std::mem::take(&mut self.state().ran).into_iter().collect();
        if ran.is_empty() {
            return Ok(());
        }
        let pushed = self.push_all(key, &ran, within);
        if pushed.is_err() {
            ran.into_iter().for_each(|task| self.note_run(task));
        }
        pushed
    }

    fn push_all(&self, key: &SigningKey, ran: &[TaskKey], within: Duration) -> Result<(), ShareError> {
        let Shared { engine, namespace, reference, .. } = &self.config;
        let until = Instant::now() + within;
        let reader = StoreReader::of(self.storage.clone(), "the store of the runtime")?;
        let pushed = push(&**engine, (namespace, reference), key, &reader, until)?;
        self.count(&pushed.counts);
        self.state().stats.pushed += pushed.tasks;
        let published = publish(&**engine, namespace, key, (&reader, ran), until)?;
        self.count(&published.counts);
        self.state().stats.published += published.tasks;
        Ok(())
    }

    pub(super) fn note_run(&self, task: TaskKey) {
        let ran = &mut self.state().ran;
        if ran.len() < MOST_RECORDS {
            ran.insert(task);
        }
    }

    pub(super) fn count(&self, counts: &Counts) {
        let mut state = self.state();
        state.stats.trips += counts.trips;
        state.stats.bytes_in += counts.bytes_in;
        state.stats.bytes_out += counts.bytes_out;
        for (_, why) in &counts.rejected {
            *state.rejected.entry(why.to_string()).or_default() += 1;
        }
    }

    pub(super) fn note_origins(&self, found: &[(ForeignTask, Signed)]) {
        let mut state = self.state();
        for (task, signed) in found {
            state.origins.insert(task.key(), signed.clone());
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
        stats
    }

    fn state(&self) -> MutexGuard<'_, State> {
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
    }
}
