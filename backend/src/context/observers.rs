//! Observers: what is told of each run, verification, session and update of an engine.
//!
//! - Without an observer nothing is told: each place that would tell loads [`Observers::any`], and a hit does not even do that.
//! - An observer is told on the thread where something happens, before the outcome is seen by others. For example, a run is told of while
//!   its task is still claimed: when `runtime.run` returns, all runs of that session have been told of.
//! - It is told under no lock of the engine, with no session in sight, on a stack that is deep enough. A panic of it goes nowhere.
//! - What it causes itself on the same thread is not told of, so that an observer that opens a session does not go on for ever.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::{Mutex, RwLock};

use crate::base::stack::on_enough_stack;
use crate::context::engine::{Config, Engine};
use crate::context::event::{Committed, Event, Impure};
use crate::context::local::Naming;
use crate::context::spans::{Begins, Ends, Openers, OpensSpans};
use crate::graph::task_name::{TaskId, TaskRef};
use larder_storage::{BatchDone, OnBatch};

thread_local! {
    /// Whether an observer is being told of something on this thread.
    static TELLING: Cell<bool> = const { Cell::new(false) };
}

/// Is told what happens in a runtime.
///
/// It runs on the thread where that happens, often while a task is claimed, so it should be quick, and must not call task functions: it sees
/// no session. A panic of it is caught, and changes nothing. Closures `Fn(&Event<TaskRef<'_>>)` are observers.
pub trait Observer: Send + Sync + 'static {
    /// Takes note of `event`.
    fn event(&self, event: &Event<TaskRef<'_>>);
}

impl<F: Fn(&Event<TaskRef<'_>>) + Send + Sync + 'static> Observer for F {
    fn event(&self, event: &Event<TaskRef<'_>>) {
        self(event);
    }
}

type List = Arc<[(u64, Arc<dyn Observer>)]>;

/// The observers of an engine, and what opens spans for it.
pub(crate) struct Observers {
    pub(crate) openers: Arc<Openers>,
    /// Whether something listens.
    any: AtomicBool,
    /// Whether causes are recorded, for explanations: something listens always then.
    records: bool,
    /// The share of bodies that are run twice, to see whether they come to the same.
    checks: f64,
    /// Bodies that have not; the first ones.
    impure: Mutex<Vec<Impure<TaskId>>>,
    list: Arc<RwLock<List>>,
    next: AtomicU64,
}

impl Observers {
    /// Whether causes are recorded.
    pub(crate) fn records(&self) -> bool {
        self.records
    }

    pub(crate) fn new(config: &Config) -> Self {
        let (records, checks) = (config.records_causes, config.checks_determinism);
        let list = Arc::new(RwLock::new(Arc::from(Vec::new())));
        Self {
            openers: Arc::default(),
            any: AtomicBool::new(records || checks > 0.0),
            records,
            checks,
            impure: Mutex::default(),
            list,
            next: AtomicU64::new(0),
        }
    }

    /// Whether something listens: the one load of a run or a verification.
    #[inline(always)]
    pub(crate) fn any(&self) -> bool {
        self.any.load(Relaxed)
    }

    /// The share of bodies that are run twice.
    pub(crate) fn checks(&self) -> f64 {
        self.checks
    }

    /// Notes a body that has come to something else.
    pub(crate) fn note_impure(&self, impure: &Impure<TaskRef<'_>>) {
        const KEPT: usize = 100;
        let impure = impure.to_owned();
        let mut kept = self.impure.lock();
        if kept.len() < KEPT {
            kept.push(impure);
        }
    }

    fn change(&self, change: impl FnOnce(&mut Vec<(u64, Arc<dyn Observer>)>)) {
        let mut list = self.list.write();
        let mut changed = list.to_vec();
        change(&mut changed);
        self.any.store(self.records || self.checks > 0.0 || !changed.is_empty(), Relaxed);
        let before = std::mem::replace(&mut *list, changed.into());
        drop(list);
        // An observer may be dropped here.
        drop(before);
    }

    /// Tells all observers of something that has happened.
    #[cold]
    #[inline(never)]
    pub(crate) fn tell(&self, event: &Event<TaskRef<'_>>) {
        // The lock is not held while they are told.
        let list = self.list.read().clone();
        tell(list, event);
    }

    /// Returns what tells the observers of batches that the store commits. It does not keep the engine: the writer's thread, which the
    /// engine waits for when it ends, would be the last to drop it.
    pub(crate) fn on_batch(&self) -> OnBatch {
        let (list, openers) = (self.list.clone(), self.openers.clone());
        OnBatch(Arc::new(move || {
            let (list, mut spans) = (list.clone(), openers.open(|| Begins::Batch));
            spans.enter();
            Box::new(move |batch| {
                let (list, event) = (list.read().clone(), Event::Committed(committed(batch)));
                tell(list, &event);
                spans.end(Ends::Told(&event));
            })
        }))
    }
}

fn tell(list: List, event: &Event<TaskRef<'_>>) {
    if list.is_empty() || is_aside() {
        return;
    }
    aside(|| {
        list.iter().for_each(|(_, observer)| _ = caught(|| observer.event(event)));
        // Perhaps this is the last use of one that was taken off meanwhile.
        caught(|| drop(list));
    });
}

/// Whether code of an observer runs on this thread.
pub(crate) fn is_aside() -> bool {
    TELLING.get()
}

/// Runs code of observers, with no session in sight, on a stack that is deep enough. Observers are not told of what it causes. `work` does not panic.
pub(crate) fn aside<R>(work: impl FnOnce() -> R) -> R {
    let before = TELLING.replace(true);
    let done = on_enough_stack(|| {
        let _no_session = Naming::begin();
        work()
    });
    TELLING.set(before);
    done
}

/// Runs code of one observer. A panic of it goes nowhere.
pub(crate) fn caught<R>(work: impl FnOnce() -> R) -> Option<R> {
    let outcome = catch_unwind(AssertUnwindSafe(work));
    outcome.map_err(|payload| drop(catch_unwind(AssertUnwindSafe(|| drop(payload))))).ok()
}

fn committed(batch: &BatchDone) -> Committed {
    let BatchDone { writes, bytes, start, .. } = *batch;
    Committed { writes, bytes, thread: std::thread::current().id(), start, end: Instant::now() }
}

impl Engine {
    /// Returns the first bodies that were found to come to something else when they were run once more.
    pub fn impure(&self) -> Vec<Impure<TaskId>> {
        self.observers.impure.lock().clone()
    }

    /// Tells `observer` of all that happens from now on, until the guard is dropped.
    pub fn observe(&self, observer: Arc<dyn Observer>) -> Observing {
        let number = self.observers.next.fetch_add(1, Relaxed);
        self.observers.change(|list| list.push((number, observer)));
        Observing { engine: self.me.clone(), number, opener: None }
    }

    /// Tells `observer` of all that happens from now on, and has `opener` open spans, until the guard is dropped. The observer is told of an end
    /// before the span is.
    pub fn observe_with_spans(&self, observer: Arc<dyn Observer>, opener: Arc<dyn OpensSpans>) -> Observing {
        let mut observing = self.observe(observer);
        observing.opener = Some(self.observers.openers.add(opener));
        observing
    }
}

/// An observer is told of what happens as long as this lives.
#[must_use = "the observer is told of nothing any more when this is dropped"]
pub struct Observing {
    engine: Weak<Engine>,
    number: u64,
    opener: Option<u64>,
}

impl std::fmt::Debug for Observing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observing").finish_non_exhaustive()
    }
}

impl Drop for Observing {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.upgrade() {
            engine.observers.change(|list| list.retain(|(number, _)| *number != self.number));
            self.opener.into_iter().for_each(|opener| engine.observers.openers.remove(opener));
        }
    }
}
