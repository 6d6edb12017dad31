//! Elsewhere: records of tasks that other machines have stored.
//!
//! # When it is asked
//! ```text
//! a leaf has changed      the walk notes all tasks that it marks                               wanted
//! a check finds no trace  the task is wanted: all that are wanted are asked for, in one batch   asked
//! ..                      what comes is merged as older traces; reads that are new are asked for, at most 3 times
//! ..                      the check goes on with the traces that have come; if none holds, the body runs
//! ```
//! A task that no walk has foreseen, because nothing is stored of it, is asked for by itself, and only where a run of its function
//! takes long enough (`Remote::is_worthwhile`). For example, of 1,000 files 10 have changed, and 150 tasks depend on them: the first of the 150
//! that finds no trace asks for all 150, while threads that come to another one of them wait.
//!
//! A task whose body is to run after all may be one that another machine runs just now: the remote is asked for its turn
//! (`Remote::await_turn`), and may wait for the record of that run instead.
//!
//! # Invariants
//! 1. A record that comes is believed in nothing but this: that a run with these reads returned this output. The record is verified by the leaves
//!    of *this* machine before it is used, as every older trace is.
//! 2. The remote is asked with no lock of the engine held, and never while the gate is held exclusively. It bounds its own time.
//! 3. A leaf that a record names, and that is not known, is looked at here, and only if its name is portable
//!    (`ForeignLeaf::is_portable`) and there is a base directory. A trace that reads another one does not hold.
//! 4. A record that comes has the generation 0, before every run of this store. So the code of its reads is never taken for that of this
//!    program without a look.

mod check;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::{Condvar, Mutex, MutexGuard};
use rustc_hash::FxHashSet;

use self::check::SharedCheck;
use super::counts::Count;
use super::stored_trace::PlacedChunk;
use super::{LeafState, PendingChange, Persistence, StoredTrace};
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::graph::task_fn::Seen;
use larder_storage::record::{
    ForeignLeaf, ForeignTask, NewReads, decode_reads, for_each_pulled, members_of, source_key,
};
use larder_storage::{Digest, Fingerprints, Group, Guarded, RunNumber, TaskKey};

/// Records that other machines have stored.
///
/// Methods are called from any thread, and block the call of a task. Nothing of what they return is believed.
pub trait Remote: Send + Sync + 'static {
    /// Returns what is known of these tasks, in any order; those of which nothing is known are left out. It bounds its own time, and
    /// returns nothing when that is over.
    fn records(&self, tasks: &[TaskKey]) -> Vec<ForeignTask>;

    /// Whether to ask for a single task of a function that usually runs so long; `None` if it has not run in this process.
    fn is_worthwhile(&self, usual: Option<Duration>) -> bool;

    /// The body of a task is about to run: nothing that is known of it holds. Returns when it may run here, which by default is at once.
    ///
    /// A remote that waits for another machine's run gives what comes of it to the turn, and returns when that is news. It also returns soon
    /// after the session was cancelled.
    fn await_turn(&self, turn: &mut Turn<'_>) {
        _ = turn;
    }

    /// A run of the task has been handed to the store. Returns whether other machines wait for it: [`Remote::committed`] is called then.
    fn stored(&self, task: TaskKey) -> bool {
        _ = task;
        false
    }

    /// The store has committed a run that other machines wait for.
    fn committed(&self, task: TaskKey) {
        _ = task;
    }

    /// Returns the share of results that came from elsewhere, and hold, whose bodies are to run all the same.
    fn checks(&self) -> f64 {
        0.0
    }

    /// The body of such a task has run.
    fn compared(&self, outcome: Compared) {
        _ = outcome;
    }

    /// Returns by which key the record of a task that has come was signed, and when.
    fn signed(&self, task: TaskKey) -> Option<SharedOrigin> {
        _ = task;
        None
    }
}

/// A task whose body is about to run, and may wait for another machine's run of it.
pub struct Turn<'a> {
    /// The task.
    pub task: TaskKey,
    /// How long its function usually runs; `None` if it has not run in this process.
    pub usual: Option<Duration>,
    take: &'a mut dyn FnMut(Vec<ForeignTask>) -> bool,
    is_cancelled: &'a dyn Fn() -> bool,
}

impl Turn<'_> {
    /// Hands over what has come of the task. Returns whether it is news.
    pub fn take(&mut self, found: Vec<ForeignTask>) -> bool {
        (self.take)(found)
    }

    /// Whether the session in which the body is to run is cancelled, or its deadline has passed.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        (self.is_cancelled)()
    }
}

/// The outcome of a run of a task whose result has come from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The name of the task in the store.
    pub key: TaskKey,
    /// The task, as a call with its arguments.
    pub task: String,
    /// The fingerprint of the value that came.
    pub came: u128,
    /// The fingerprint of the value that the body has returned here. It is the value of the task.
    pub computed: u128,
    /// Whether the two values are equal.
    pub is_equal: bool,
    /// Whether the body has read something else here.
    pub reads_differ: bool,
    /// The origin of the value that came, as far as it is known.
    pub origin: Option<SharedOrigin>,
}

/// The origin of a value that another machine has computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedOrigin {
    /// The name of the key that has signed it.
    pub by: String,
    /// When it was signed.
    pub at: SystemTime,
}

/// Traffic with other machines' records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteStats {
    /// Tasks asked for.
    pub asked: u64,
    /// Batches in which they were asked for.
    pub batches: u64,
    /// Runs of other machines that were merged into the store.
    pub came: u64,
    /// Tasks that were found current by such a run: their bodies did not run.
    pub used: u64,
}

/// How often a thread that waits for another one's batch looks whether its session is cancelled.
const GLANCE: Duration = Duration::from_millis(20);

/// So often are the reads of what came asked for in turn.
const ROUNDS: usize = 4;

/// At most so many tasks are kept to be asked for, and so many are asked for at once.
const MOST: usize = 1 << 16;

/// Groups of more bytes than this are handed over.
const GROUP_BYTES: usize = 4 << 20;

/// The engine's side of a [`Remote`].
pub(crate) struct Elsewhere {
    remote: Arc<dyn Remote>,
    /// The kind of digests in the store.
    fingerprints: Fingerprints,
    tasks: Mutex<Tasks>,
    /// A batch has been answered.
    answered: Condvar,
    /// Traces that have come, by task and digest.
    came: Mutex<FxHashSet<(Digest, Digest)>>,
    check: SharedCheck,
    counts: RemoteCounts,
}

#[derive(Default)]
struct Tasks {
    /// To be asked for with the next batch.
    wanted: FxHashSet<Digest>,
    under_way: FxHashSet<Digest>,
    /// Asked for by themselves since the last change.
    singles: FxHashSet<Digest>,
}

#[derive(Default)]
struct RemoteCounts {
    asked: Count,
    batches: Count,
    came: Count,
    used: Count,
}

impl Elsewhere {
    pub(crate) fn new(remote: Arc<dyn Remote>, store: &Guarded) -> Self {
        let (fingerprints, check) = (store.fingerprints(), SharedCheck::new(&*remote, store));
        Self {
            remote,
            check,
            fingerprints,
            tasks: Mutex::default(),
            answered: Condvar::new(),
            came: Mutex::default(),
            counts: RemoteCounts::default(),
        }
    }

    /// These tasks were marked: they are asked for before the first of their bodies runs.
    pub(crate) fn want(&self, tasks: impl Iterator<Item = TaskKey>) {
        let mut state = self.tasks.lock();
        state.singles.clear();
        let room = MOST.saturating_sub(state.wanted.len());
        state.wanted.extend(tasks.map(|task| task.0).take(room));
    }

    /// A run of the task has been handed to the store. Returns whether other machines wait for it.
    fn stored(&self, task: TaskKey) -> bool {
        // A panic of the remote is its own affair: the task has its value.
        catch_unwind(AssertUnwindSafe(|| self.remote.stored(task))).unwrap_or(false)
    }

    fn committed(&self, task: TaskKey) {
        _ = catch_unwind(AssertUnwindSafe(|| self.remote.committed(task)));
    }

    /// The trace of a task was found to hold.
    pub(crate) fn confirmed(&self, task: TaskKey, trace: Digest) {
        if self.came.lock().contains(&(task.0, trace)) {
            self.counts.used.add();
        }
    }

    pub(crate) fn stats(&self) -> RemoteStats {
        let RemoteCounts { asked, batches, came, used } = &self.counts;
        RemoteStats { asked: asked.get(), batches: batches.get(), came: came.get(), used: used.get() }
    }

    /// The tasks to be asked for now, `task` among them. Waits for another thread that asks for it already, unless the session is cancelled
    /// meanwhile, and returns nothing then.
    fn take(
        &self,
        task: Digest,
        usual: impl FnOnce() -> Option<Duration>,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Vec<TaskKey> {
        let is_foreseen = {
            let state = self.tasks.lock();
            state.wanted.contains(&task) || state.under_way.contains(&task)
        };
        // Asks the user's code, so no lock is held.
        let is_worthwhile = || catch_unwind(AssertUnwindSafe(|| self.remote.is_worthwhile(usual())));
        if !is_foreseen && !is_worthwhile().unwrap_or(false) {
            return Vec::new();
        }
        let mut state = self.tasks.lock();
        if state.under_way.contains(&task) {
            while state.under_way.contains(&task) {
                if MutexGuard::unlocked(&mut state, is_cancelled) {
                    break;
                }
                // Nothing else says that a session is cancelled, or its deadline over.
                self.answered.wait_for(&mut state, GLANCE);
            }
            return Vec::new();
        }
        let mut batch = Vec::new();
        if state.wanted.contains(&task) {
            batch.extend(state.wanted.drain());
        } else if state.singles.insert(task) {
            batch.push(task);
        }
        state.under_way.extend(&batch);
        batch.into_iter().map(TaskKey).collect()
    }

    /// Asks for these tasks; of what is returned, only they are taken.
    fn ask(&self, tasks: &[TaskKey]) -> Vec<ForeignTask> {
        self.counts.asked.add_all(tasks.len());
        self.counts.batches.add();
        let asked: FxHashSet<TaskKey> = tasks.iter().copied().collect();
        // The code of the user may panic; then nothing has come.
        let found = catch_unwind(AssertUnwindSafe(|| self.remote.records(tasks)));
        let is_asked = |task: &ForeignTask| asked.contains(&task.key(self.fingerprints));
        found.unwrap_or_default().into_iter().filter(is_asked).collect()
    }
}

/// Tasks that are being asked for. When it is dropped, threads that wait for them go on.
struct UnderWay<'a>(&'a Elsewhere, Vec<TaskKey>);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.0.tasks.lock();
        for task in &self.1 {
            state.under_way.remove(&task.0);
        }
        self.0.answered.notify_all();
    }
}

impl Persistence {
    /// Asks other machines for a task whose body is about to run, with all others that are wanted, unless that is not worthwhile.
    /// Returns when what has come is merged, to be found by a look at the task's record.
    pub(crate) fn ask_elsewhere(
        &self,
        task: TaskKey,
        usual: impl FnOnce() -> Option<Duration>,
        is_cancelled: &dyn Fn() -> bool,
    ) {
        let Some(elsewhere) = &self.elsewhere else { return };
        let batch = elsewhere.take(task.0, usual, is_cancelled);
        if batch.is_empty() {
            return;
        }
        let under_way = UnderWay(elsewhere, batch);
        let found = elsewhere.ask(&under_way.1);
        self.receive(elsewhere, &under_way.1, found);
    }

    /// Merges what has come of these tasks, and asks for what that has read, in turn.
    fn receive(&self, elsewhere: &Elsewhere, tasks: &[TaskKey], mut found: Vec<ForeignTask>) {
        let mut asked: FxHashSet<Digest> = tasks.iter().map(|task| task.0).collect();
        let mut has_come = false;
        for round in 1..=ROUNDS {
            has_come |= !found.is_empty();
            let next = self.merge(elsewhere, &found, &mut asked);
            if next.is_empty() || round == ROUNDS {
                break;
            }
            found = elsewhere.ask(&next);
        }
        if has_come {
            // The edges of what came are in the store alone. One commit here spares each of the tasks one of its own.
            _ = self.writer.flush();
            self.pending.prune(self.writer.committed());
        }
    }

    /// Waits until a body may run here. Returns when it may, or when another machine's run of it is merged.
    pub(crate) fn await_turn(
        &self,
        task: TaskKey,
        usual: impl FnOnce() -> Option<Duration>,
        is_cancelled: &dyn Fn() -> bool,
    ) {
        let Some(elsewhere) = &self.elsewhere else { return };
        let mut take = |found: Vec<ForeignTask>| {
            let before = elsewhere.counts.came.get();
            let found = found.into_iter().filter(|found| found.key(self.fingerprints()) == task).collect();
            self.receive(elsewhere, &[task], found);
            elsewhere.counts.came.get() > before
        };
        // The code of the user may panic; then it is this machine's turn.
        _ = catch_unwind(AssertUnwindSafe(|| {
            elsewhere.remote.await_turn(&mut Turn { task, usual: usual(), take: &mut take, is_cancelled });
        }));
    }

    /// A run of the task has been handed to the store.
    pub(crate) fn tell_elsewhere(&self, task: TaskKey) {
        let Some(elsewhere) = &self.elsewhere else { return };
        if elsewhere.stored(task) {
            _ = self.writer.flush();
            elsewhere.committed(task);
        }
    }

    /// Returns the origin of a stored value, if another machine has computed it. It reads the task's record.
    #[cold]
    pub(crate) fn shared_origin(&self, node: NodeRef) -> Option<SharedOrigin> {
        let task = TaskKey(Persisted::of(node).filter(|persisted| persisted.is_stored)?.key?);
        let known = self.pending.known(&self.store, task, |_| true)?;
        self.origin_of(task, known.traces.first()?.digest(), known.origin.generation)
    }

    /// Returns the origin of a trace of a task, if it has come from elsewhere; `generation` is that of the task's current trace.
    pub(super) fn origin_of(
        &self,
        task: TaskKey,
        trace: Digest,
        generation: RunNumber,
    ) -> Option<SharedOrigin> {
        if let Some(elsewhere) = &self.elsewhere
            && elsewhere.came.lock().contains(&(task.0, trace))
        {
            return catch_unwind(AssertUnwindSafe(|| elsewhere.remote.signed(task))).ok().flatten();
        }
        let mut origin = None;
        for_each_pulled(&self.store, |list| {
            let came_with_it = [RunNumber::BEFORE_ALL, list.generation].contains(&generation);
            let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(list.signed_at));
            if let (true, Some(at)) = (came_with_it, at) {
                origin = Some(SharedOrigin { by: list.signer.to_owned(), at });
            }
        });
        origin
    }

    /// Merges what has come into the store. Returns the tasks among its reads of which nothing is known here, and adds them to `asked`.
    fn merge(
        &self,
        elsewhere: &Elsewhere,
        found: &[ForeignTask],
        asked: &mut FxHashSet<Digest>,
    ) -> Vec<TaskKey> {
        let mut unknown = Vec::new();
        let mut part = Part::new(self.group());
        for task in found {
            self.add_leaves(task, &mut part);
            self.add_traces(elsewhere, task, &mut part);
            for read in task.traces.iter().flat_map(|trace| &trace.reads) {
                let is_asked = asked.contains(&read.key) || asked.len() >= MOST;
                if !is_asked && !self.knows(read.key) {
                    asked.insert(read.key);
                    unknown.push(TaskKey(read.key));
                }
            }
            if part.group.bytes() > GROUP_BYTES {
                let next = Part::new(self.group());
                self.hand_over_part(std::mem::replace(&mut part, next));
            }
        }
        self.hand_over_part(part);
        unknown
    }

    /// Adds the runs of a task that are not known here.
    fn add_traces(&self, elsewhere: &Elsewhere, task: &ForeignTask, part: &mut Part) {
        if members_of(&task.encoded_key).is_some() {
            return;
        }
        let key = task.key(self.fingerprints());
        let known = self.pending.known(&self.store, key, |_| true);
        let has = |digest: Digest| {
            known.as_ref().is_some_and(|known| {
                known.traces.iter().any(|trace| trace.digest() == digest)
                    || known.older.iter().any(|trace| trace.digest == digest)
            })
        };
        // Each is put before those that came before it.
        for trace in task.traces.iter().rev() {
            let stored = trace.as_new(self.fingerprints(), |new| {
                let mut bytes = Vec::new();
                let reads = new.encode_into(&mut bytes);
                let chunks = match new.reads {
                    NewReads::Here(_) | NewReads::Component(_) => None,
                    NewReads::Chunks { .. } => Some(placed(self.fingerprints(), trace)),
                };
                StoredTrace::new(self.fingerprints(), (&bytes, reads), new.output, chunks)
            });
            if has(stored.digest()) {
                continue;
            }
            part.group.found(&task.encoded_key, trace);
            elsewhere.came.lock().insert((key.0, stored.digest()));
            elsewhere.counts.came.add();
            let function = TaskKey::function(&task.encoded_key);
            part.changes.push((key.0, PendingChange::Found(stored, function)));
        }
    }

    /// Looks at the sources that a task has read and that are not known here.
    fn add_leaves(&self, task: &ForeignTask, part: &mut Part) {
        if self.base_dir.is_none() {
            return;
        }
        for leaf in task.leaves.iter().filter(|leaf| leaf.is_portable()) {
            let ForeignLeaf { kind, name } = leaf;
            let key = source_key(self.fingerprints(), *kind, name);
            if self.leaves.fingerprint(key).is_some() {
                continue;
            }
            let Some(seen) = self.look_at(*kind, name, &Seen::unknown()) else { continue };
            let leaf = LeafState {
                kind: *kind,
                name: name.clone().into(),
                seen,
                is_stored: false,
                in_memory: false,
                is_untold: false,
            };
            // Another thread may have read it meanwhile: what that has seen counts.
            let mut leaves = self.leaves.lock();
            if let std::collections::hash_map::Entry::Vacant(vacant) = leaves.entry(key) {
                leaf.record(&[], &mut part.group);
                vacant.insert(leaf);
                part.leaves.push((key, seen));
            }
        }
    }

    fn hand_over_part(&self, mut part: Part) {
        if part.group.is_empty() {
            return;
        }
        let is_stored = self.hand_over(&mut part.group, part.changes);
        let mut leaves = self.leaves.lock();
        for (key, seen) in part.leaves {
            if let Some(leaf) = leaves.get_mut(&key).filter(|leaf| leaf.seen == seen && !leaf.in_memory) {
                leaf.is_stored = is_stored;
            }
        }
    }

    /// Whether a leaf, a node or a record has this key.
    fn knows(&self, key: Digest) -> bool {
        self.leaves.fingerprint(key).is_some()
            || self.nodes.get(key).is_some()
            || self.pending.known(&self.store, TaskKey(key), |_| true).is_some()
    }
}

/// Changes that are handed over together.
struct Part {
    group: Group,
    changes: Vec<(Digest, PendingChange)>,
    leaves: Vec<(Digest, Seen)>,
}

impl Part {
    fn new(group: Group) -> Self {
        Self { group, changes: Vec::new(), leaves: Vec::new() }
    }
}

/// The chunks of a wide trace, with their reads.
fn placed(fingerprints: Fingerprints, trace: &larder_storage::record::ForeignTrace) -> Arc<[PlacedChunk]> {
    let mut start = 0;
    let placed = trace.chunks().map(|reads| {
        let mut encoded = Vec::new();
        reads.iter().for_each(|read| read.encode_into(&mut encoded));
        debug_assert_eq!(decode_reads(&encoded).len(), reads.len());
        let placed = PlacedChunk {
            start,
            chunk: larder_storage::record::Chunk::of(fingerprints, &encoded),
            encoded: Some(encoded.into()),
        };
        start = placed.end();
        placed
    });
    placed.collect()
}
