//! The engine: everything that the sessions of one runtime share.

use std::any::TypeId;
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use crate::base::clock::{Clock, PassTime};
use crate::base::crew::Crew;
use crate::base::stack::on_enough_stack;
use crate::context::aparts::Aparts;
use crate::context::async_runs::AsyncRuns;
use crate::context::chores::Chores;
use crate::context::gate::Gate;
use crate::context::generation::AtomicGeneration;
use crate::context::local::Local;
use crate::context::memory::Memory;
use crate::context::observers::Observers;
use crate::context::runners::Runners;
use crate::context::threads::Threads;
use crate::context::waits::WaitGraph;
use crate::context::watch::Watch;
use crate::graph::claim::Lot;
use crate::graph::epoch::{AtomicEpoch, Epoch};
use crate::graph::expiry::Expiries;
use crate::graph::flags::Flags;
use crate::graph::held::{Held, Released};
use crate::graph::node::NodeRef;
use crate::graph::recents::Recents;
use crate::graph::table::Table;
use crate::graph::task_fn::RawTaskFn;
use crate::persist::{Persistence, StorageConfig, deadline};
use crate::session::reclaim::Reclaim;
use larder_storage::{Fingerprints, StorageError};

/// How an engine is made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Shards of the table. More cost memory, fewer make threads meet.
    pub shards: usize,
    /// Threads that work at once in a scope, the calling one among them.
    pub threads: usize,
    /// How long chores (expired and volatile results, tasks to be forgotten) wait for a moment without sessions before new sessions
    /// wait for one. `None`: for ever.
    pub patience: Option<Duration>,
    /// How long carried work trusts the owner of a task to finish it, if nothing is known of such tasks.
    pub apart_after: Duration,
    /// The most bytes that tasks may take between sessions.
    pub memory_cap: Option<usize>,
    /// After how many sessions a task goes that was not asked for.
    pub collect_after: Option<u32>,
    /// Where relative paths of sources start; `None`: at the process' current directory at each look.
    pub base_dir: Option<Arc<Path>>,
    /// The kind of digests by which contents are told apart. `None`: those of the store, and the default without one.
    pub fingerprints: Option<Fingerprints>,
    /// Whether it is recorded why tasks run.
    pub records_causes: bool,
    /// The share of bodies that are run twice.
    pub checks_determinism: f64,
    /// The clock, which tests put ahead.
    pub clock: Clock,
}

impl Default for Config {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let patience = Some(Duration::from_millis(50));
        let apart_after = Duration::from_millis(100);
        Self {
            shards: (threads * 4).next_power_of_two(),
            threads,
            patience,
            apart_after,
            // See ci/capped.sh.
            memory_cap: if cfg!(larder_capped) { Some(0) } else { None },
            collect_after: None,
            base_dir: None,
            fingerprints: None,
            records_causes: false,
            checks_determinism: 0.0,
            clock: Clock::new(),
        }
    }
}

/// The shared state of a runtime.
pub struct Engine {
    /// Itself.
    pub(crate) me: Weak<Self>,
    pub(crate) id: u64,
    pub(crate) table: Table,
    pub(crate) lot: Lot,
    pub(crate) waits: WaitGraph,
    pub(crate) crew: Crew,
    pub(crate) async_runs: AsyncRuns,
    pub(crate) runners: Runners,
    pub(crate) expiries: Expiries,
    pub(crate) gate: Arc<Gate>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) chores: Chores,
    pub(crate) clock: Clock,
    pub(crate) observers: Observers,
    /// How many updates have changed something.
    pub(crate) updates: AtomicU64,
    pub(crate) memory: Memory,
    /// The process that made it. In one that was forked off it, its threads are missing.
    process: u32,
    pub(crate) functions: Functions,
    /// Counts the updates that changed something.
    epoch: AtomicEpoch,
    /// Another number each time that nodes were freed, and another one in each engine: a thread cache of another generation is
    /// cleared.
    pub(crate) generation: AtomicGeneration,
    /// Another number each time that nodes have left the table.
    pub(crate) departures: AtomicGeneration,
    pub(crate) threads: Arc<Threads>,
    pub(crate) inputs: Mutex<HashMap<Box<str>, NodeRef>>,
    /// Nodes to run again in the next session.
    pub(crate) volatiles: Mutex<Vec<NodeRef>>,
    pub(crate) sources: Mutex<Vec<NodeRef>>,
    /// Held by a refresh, so that what one has observed is not compared with what another has put in place meanwhile.
    pub(crate) refreshing: Mutex<()>,
    pub(crate) untidy: Mutex<Vec<NodeRef>>,
    pub(crate) drops: Mutex<Vec<NodeRef>>,
    /// Tasks that are to run again from the next session on.
    pub(crate) to_invalidate: Mutex<Vec<Held>>,
    /// Nodes to be dropped with all that they alone have read.
    pub(crate) deep_drops: Mutex<Vec<NodeRef>>,
    /// Under a cap on memory: nodes that have been made lately, ON_PROBATION, the oldest first.
    pub(crate) probation: Mutex<VecDeque<NodeRef>>,
    /// The outputs of functions that keep a number of them.
    pub(crate) recents: Recents,
    /// Nodes on their way out.
    pub(crate) reclaim: Reclaim,
    /// The last handles of nodes that are not wanted any more.
    pub(crate) released: Arc<Released>,
    /// See [`Config::apart_after`].
    pub(crate) apart_after: Duration,
    pub(crate) aparts: Aparts,
    /// Twins to be freed when no session is open (`apart.rs`).
    pub(crate) twins: Mutex<Vec<NodeRef>>,
    /// Nodes with dead reverse edges. These point at readers, so they are all dropped before any node is freed.
    with_dead_edges: Mutex<Vec<NodeRef>>,
    /// About how many reverse edges these have in all.
    dead_edges_to_look_at: AtomicUsize,
    /// See [`Config::base_dir`].
    base_dir: Option<Arc<Path>>,
    fingerprints: Fingerprints,
    persistence: Option<Box<Persistence>>,
}

/// Those that wait for a time look again.
impl PassTime for Engine {
    fn pass_time(&self, time: Duration) {
        self.gate.pass_time(time);
        self.wake_waiting();
    }
}

static NEXT_ENGINE: AtomicU64 = AtomicU64::new(1);

impl Engine {
    /// Makes an engine that holds nothing yet.
    #[must_use]
    pub fn new(config: &Config) -> Arc<Self> {
        Self::with(config, Observers::new(config), None)
    }

    /// Makes an engine that has a store behind it.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub fn with_storage(config: &Config, mut storage: StorageConfig) -> Result<Arc<Self>, StorageError> {
        let observers = Observers::new(config);
        storage.write_behind.on_batch = Some(observers.on_batch());
        let persistence =
            Persistence::open(storage, config.base_dir.clone(), config.clock.clone(), config.fingerprints)?;
        let deadlines = persistence.leaves.deadlines();
        let engine = Self::with(config, observers, Some(Box::new(persistence)));
        for (key, at) in deadlines {
            engine.expiries.set_deadline(key, deadline::left(at, engine.expiries.clock()));
        }
        Ok(engine)
    }

    fn with(config: &Config, observers: Observers, persistence: Option<Box<Persistence>>) -> Arc<Self> {
        // Its parts are large, and are built on the stack.
        let engine = on_enough_stack(|| Self::make(config, observers, persistence));
        let me: Weak<Self> = engine.me.clone();
        config.clock.tell(me);
        engine
    }

    fn make(config: &Config, observers: Observers, persistence: Option<Box<Persistence>>) -> Arc<Self> {
        let fingerprints = match &persistence {
            Some(persistence) => persistence.fingerprints(),
            None => config.fingerprints.unwrap_or_default(),
        };
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            id: NEXT_ENGINE.fetch_add(1, Ordering::Relaxed),
            table: Table::new(config.shards),
            lot: Lot::default(),
            waits: WaitGraph::default(),
            crew: Crew::new(config.threads),
            async_runs: AsyncRuns::default(),
            runners: Runners::default(),
            expiries: Expiries::new(config.clock.clone()),
            gate: Gate::new(config.patience),
            watch: Arc::new(Watch::new(config.clock.clone())),
            chores: Chores::new(config.clock.clone()),
            clock: config.clock.clone(),
            observers,
            updates: AtomicU64::new(0),
            memory: Memory::new(config.memory_cap, config.collect_after),
            process: std::process::id(),
            functions: Functions::default(),
            epoch: AtomicEpoch::new(Epoch::FIRST),
            generation: AtomicGeneration::new(),
            departures: AtomicGeneration::new(),
            threads: Arc::default(),
            inputs: Mutex::default(),
            volatiles: Mutex::default(),
            sources: Mutex::default(),
            refreshing: Mutex::default(),
            untidy: Mutex::default(),
            drops: Mutex::default(),
            to_invalidate: Mutex::default(),
            deep_drops: Mutex::default(),
            probation: Mutex::default(),
            recents: Recents::default(),
            reclaim: Reclaim::default(),
            released: Arc::default(),
            apart_after: config.apart_after,
            aparts: Aparts::default(),
            twins: Mutex::default(),
            with_dead_edges: Mutex::default(),
            dead_edges_to_look_at: AtomicUsize::new(0),
            base_dir: config.base_dir.clone(),
            fingerprints,
            persistence,
        })
    }

    /// Returns the number of tasks in memory.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no task is in memory.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this thread has a session of this engine open.
    pub fn is_in_session(&self) -> bool {
        Local::of(self).in_session()
    }

    /// Returns where relative paths of sources start, if they do not at the current directory.
    pub fn base_dir(&self) -> Option<&Arc<Path>> {
        self.base_dir.as_ref()
    }

    /// Returns the kind of digests by which contents are told apart, in the store as well.
    pub fn fingerprints(&self) -> Fingerprints {
        self.fingerprints
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch.get()
    }

    /// Begins a new epoch. The caller holds the gate exclusively.
    pub(crate) fn advance(&self) -> Epoch {
        self.epoch.advance()
    }

    /// The store behind this engine, and what is known of it.
    #[inline]
    pub(crate) fn persistence(&self) -> Option<&Persistence> {
        self.persistence.as_deref()
    }

    /// Whether there is something to do. The caller, which holds the gate exclusively, does it.
    pub(crate) fn take_chores(&self) -> bool {
        self.chores.take()
            || self.released.any()
            || self.expiries.is_due()
            || self.memory.due().is_some()
            || self.has_victims()
    }

    /// A session opens.
    #[inline]
    pub(crate) fn begin_session(&self) {
        self.memory.begin_session(|| {
            self.persistence().map_or(u64::MAX, |persistence| persistence.writer.committed())
        });
    }

    /// Whether the cap of the store wants records to go.
    pub(crate) fn has_victims(&self) -> bool {
        self.persistence().is_some_and(Persistence::has_victims)
    }

    /// Lists nodes that have been made.
    pub(crate) fn list_new(&self, nodes: &mut Vec<NodeRef>) {
        if !nodes.is_empty() {
            self.probation.lock().extend(nodes.drain(..));
        }
    }

    /// Notes that tasks take so many bytes more.
    pub(crate) fn add_memory(&self, bytes: isize) {
        if self.memory.add(bytes) {
            self.clear_caches();
        }
    }

    /// Lets each thread's cache be cleared when the thread next enters a session.
    pub(crate) fn clear_caches(&self) {
        // Release: pairs with the Acquire in `Local::enter`.
        self.generation.renew(Ordering::Release);
    }

    /// Whether this is the process that made the engine, and not one that was forked off it.
    pub(crate) fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }

    /// Lists a node whose reverse edges are to be tidied when the gate is next held exclusively.
    pub(crate) fn queue_tidying(&self, node: NodeRef) {
        let mut untidy = self.untidy.lock();
        if !node.flag(Flags::TIDY_QUEUED) {
            node.set_flag(Flags::TIDY_QUEUED);
            untidy.push(node);
            self.chores.list_tidying();
        }
    }

    /// Keeps a twin until no session is open.
    pub(crate) fn keep_twin(&self, twin: NodeRef) {
        self.twins.lock().push(twin);
        self.chores.list_tidying();
    }

    /// Notes that a node with so many reverse edges has got its first dead one since it was last purged.
    pub(crate) fn note_dead_edges(&self, node: NodeRef, edges: usize) {
        self.dead_edges_to_look_at.fetch_add(edges, Ordering::Relaxed);
        let mut listed = self.with_dead_edges.lock();
        if listed.len() >= 1024 && listed.len().is_power_of_two() {
            // Marking has purged many of them meanwhile, and some of those are listed again.
            listed.retain(|node| node.dead.load(Ordering::Relaxed) > 0);
            listed.sort_unstable_by_key(|node| node.address());
            listed.dedup();
        }
        listed.push(node);
    }

    /// All nodes that may have dead reverse edges. The caller holds the gate exclusively, and purges them.
    pub(crate) fn take_dead_edges(&self) -> Vec<NodeRef> {
        self.dead_edges_to_look_at.store(0, Ordering::Relaxed);
        std::mem::take(&mut *self.with_dead_edges.lock())
    }

    /// About how many edges it takes a look at to find all dead ones.
    pub(crate) fn dead_edges_to_look_at(&self) -> usize {
        self.dead_edges_to_look_at.load(Ordering::Relaxed)
    }

    /// Lists a node whose output is to be dropped when the gate is next held exclusively.
    pub(crate) fn queue_drop(&self, node: NodeRef) {
        self.queue(&self.drops, node);
    }

    /// Lists a task that is to run again from the next session on.
    pub(crate) fn queue_invalidation(&self, task: Held) {
        self.to_invalidate.lock().push(task);
        self.chores.list_prompt();
    }

    /// Lists a node to be dropped with all that it alone has read.
    pub(crate) fn queue_deep_drop(&self, node: NodeRef) {
        self.queue(&self.deep_drops, node);
    }

    fn queue(&self, drops: &Mutex<Vec<NodeRef>>, node: NodeRef) {
        let mut drops = drops.lock();
        if !node.flag(Flags::DROP_QUEUED) {
            node.set_flag(Flags::DROP_QUEUED);
            drops.push(node);
            self.chores.list_prompt();
        }
    }

    /// Notes that a function that keeps a number of outputs has one in memory, and has those beyond the number dropped.
    pub(crate) fn note_recent(&self, node: NodeRef) {
        if self.recents.note(node) {
            if self.memory.begin_counting() {
                self.clear_caches();
            }
            self.chores.list_prompt();
        }
    }
}

/// The task functions that an engine has met, by identity and by index.
#[derive(Default)]
pub(crate) struct Functions {
    by_id: RwLock<HashMap<TypeId, u32>>,
    list: RwLock<Vec<&'static RawTaskFn>>,
}

impl Functions {
    /// The index of a task function, given out on the first call.
    pub(crate) fn index(&self, task_fn: &'static RawTaskFn) -> u32 {
        if let Some(index) = self.by_id.read().get(&task_fn.id) {
            return *index;
        }
        let mut by_id = self.by_id.write();
        *by_id.entry(task_fn.id).or_insert_with(|| {
            let mut list = self.list.write();
            list.push(task_fn);
            u32::try_from(list.len() - 1).expect("a program has fewer than 2^32 task functions")
        })
    }

    pub(crate) fn all(&self) -> Vec<&'static RawTaskFn> {
        self.list.read().clone()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        on_enough_stack(|| self.free_nodes());
    }
}

impl Engine {
    fn free_nodes(&mut self) {
        // No other thread can reach the nodes: sessions own the engine, and handles use a node only inside a session.
        let invalidated = std::mem::take(self.to_invalidate.get_mut());
        let handles = self.released.close();
        self.threads.clear();
        Local::forget_engine(self.id);
        let inputs = self.inputs.get_mut().drain().map(|(_, node)| node);
        let leaving = self.reclaim.take_all();
        for node in self.table.nodes().into_iter().chain(inputs).chain(leaving) {
            // SAFETY: this is the last user of the engine, so of its nodes; table, inputs and what reclaim has are disjoint.
            unsafe { node.free() };
        }
        for twin in self.twins.get_mut().drain(..) {
            // SAFETY: as above; twins are in no list but this.
            unsafe { twin.free_twin() };
        }
        drop((handles, invalidated));
    }
}

// A panic in a task leaves the engine as it should be: that is one of its tasks.
impl std::panic::UnwindSafe for Engine {}
impl std::panic::RefUnwindSafe for Engine {}

/// A share of an open session's hold on the gate.
pub(crate) struct Hold(Arc<Engine>);

impl Hold {
    /// Holds the gate beyond the current call. A session of `engine` is open on this thread.
    pub(crate) fn join(engine: Arc<Engine>) -> Self {
        engine.gate.join();
        Self(engine)
    }

    /// A hold that the opener of a session has taken already.
    pub(crate) fn of_opened(engine: Arc<Engine>) -> Self {
        Self(engine)
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.0
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.gate.close();
    }
}
