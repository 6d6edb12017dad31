//! Probe: a call that memory does not know, with a store behind it. The arguments stay on the caller's stack until the
//! store has been asked; a thread that loses the race for the node has allocated nothing.

use std::cell::RefCell;
use std::sync::atomic::Ordering::SeqCst;

use super::Check;
use super::restore::lasts;
use crate::call::args::ArgsSlot;
use crate::call::digested::keyed;
use crate::context::cancelled::{check_cancelled, is_to_end};
use crate::context::local::Local;
use crate::evaluate::cycle;
use crate::evaluate::demand::{Made, demand, end_restored, make, release};
use crate::evaluate::execute::execute;
use crate::evaluate::lookup::{hand_out, insert};
use crate::graph::claim::Phase;
use crate::graph::flags::Leaving;
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::graph::read_filter::ReadFilter;
use crate::graph::stale_reads::StaleReads;
use crate::graph::stop::Stop;
use crate::graph::table::Inserted;
use crate::graph::task_fn::RawTaskFn;
use crate::persist::{Known, Origin, PendingChange, Persistence, StoredTrace, wide};
use larder_storage::record::{TaskRecord, claim, output};
use larder_storage::{Digest, ENVELOPE_BYTES, Table, TaskKey, Visit};

/// Buffers that are used again and again.
#[derive(Default)]
struct Buffers {
    key: Vec<u8>,
    record: Vec<u8>,
    output: Vec<u8>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// The outcome of a probe.
struct Probed {
    buffers: Buffers,
    /// The task's key, if it has one.
    task: Option<TaskKey>,
    /// Whether there is a record, as sound as its seal says; it stands in the buffer.
    found: bool,
    /// Whether it is certain that there is none: the store has not failed.
    is_absent: bool,
    /// The number of changes made in sessions before the store was read.
    changes: u64,
}

impl Drop for Probed {
    fn drop(&mut self) {
        _ = BUFFERS.try_with(|buffers| buffers.swap(&RefCell::new(std::mem::take(&mut self.buffers))));
    }
}

/// The use of a record that was found.
enum Taken {
    /// The node has its value.
    Restored,
    /// It is to be verified first.
    Check(Check),
    /// Nothing: the body has to run.
    Nothing,
}

/// A call that memory does not know. Returns its node, fresh and recorded as read.
#[inline(never)]
pub(crate) fn miss(
    local: &Local,
    persistence: &Persistence,
    task_fn: &'static RawTaskFn,
    hash: u64,
    slot: &mut ArgsSlot<'_>,
) -> NodeRef {
    let function = local.function(task_fn);
    let probed = persistence.probe(function, task_fn, slot);
    match insert(local, task_fn, hash, slot, Phase::Running) {
        Inserted::New(node) => {
            let counters = local.counters.of(function);
            let taken = match persistence.take_in(local, node, probed) {
                Taken::Nothing => persistence.ask_for(local, node).map_or(Taken::Nothing, Taken::Check),
                taken => taken,
            };
            let outcome = match taken {
                Taken::Restored => {
                    counters.storage_hits.add(1);
                    end_restored(local, node);
                    Ok(())
                }
                Taken::Check(check) => {
                    let (outcome, made) = make(local, node, check);
                    match made {
                        Made::Found => counters.storage_hits.add(1),
                        Made::Run => counters.misses.add(1),
                    }
                    outcome
                }
                Taken::Nothing if persistence.instead_of_run(local, node).is_some() => {
                    counters.storage_hits.add(1);
                    end_restored(local, node);
                    Ok(())
                }
                Taken::Nothing => match check_after_waiting(local, persistence) {
                    Ok(()) => {
                        counters.misses.add(1);
                        execute(local, node)
                    }
                    Err(stop) => {
                        release(local, node, Phase::Empty, StaleReads::None);
                        Err(stop)
                    }
                },
            };
            hand_out(local, node, cycle::outcome(local, node, outcome), true)
        }
        Inserted::Existing(node) => {
            drop(probed);
            local.counters.memory_hit(function);
            let outcome = demand(local, node);
            hand_out(local, node, outcome, false)
        }
    }
}

/// Checks, where other machines may have been asked and waited for, whether a body is still to run.
///
/// # Errors
/// `Cancelled`, if the session has been cancelled meanwhile.
#[inline]
pub(crate) fn check_after_waiting(local: &Local, persistence: &Persistence) -> Result<(), Stop> {
    if persistence.elsewhere.is_some() { check_cancelled(local) } else { Ok(()) }
}

impl Persistence {
    /// Asks the store for a call, by its borrowed arguments. No lock is held.
    fn probe(&self, function: u32, task_fn: &'static RawTaskFn, slot: &ArgsSlot<'_>) -> Probed {
        let changes = self.changes_in_sessions.load(SeqCst);
        let mut probed = Probed {
            buffers: BUFFERS.try_with(RefCell::take).unwrap_or_default(),
            task: None,
            found: false,
            is_absent: false,
            changes,
        };
        let Some(id) = self.functions.id(function, task_fn) else { return probed };
        let buffers = &mut probed.buffers;
        TaskKey::start(id, &mut buffers.key);
        let fingerprints = self.fingerprints();
        if keyed(fingerprints, || slot.get().encode(&mut buffers.key)).is_ok() {
            let task = TaskKey::of(fingerprints, &buffers.key);
            probed.task = Some(task);
            let record = self.store.read(Table::Tasks, &task.to_bytes(), &mut buffers.record);
            (probed.found, probed.is_absent) = (matches!(record, Ok(Some(_))), matches!(record, Ok(None)));
        }
        probed
    }

    /// Brings what was found for a new node into it, if it is valid; otherwise says how to verify it.
    fn take_in(&self, local: &Local, node: NodeRef, mut probed: Probed) -> Taken {
        let key = probed.task.map(|task| task.0);
        let task = if probed.found { self.own_restored(node, key) } else { self.own(node, key) };
        let Some(task) = task else { return Taken::Nothing };
        if probed.found && self.functions.is_restore_due(node.function) && !self.check_key(node) {
            return Taken::Nothing;
        }
        // From here on a change finds the node, so the reads before must not have changed since.
        let Probed { buffers, found, is_absent, changes, .. } = &mut probed;
        let check = |known| Check::begin(task, known, local.engine().epoch());
        if self.pending.concerns(task) || self.changes_in_sessions.load(SeqCst) != *changes {
            let known = self.pending.known(&self.store, task, |key| key == &buffers.key[..]);
            return known.map_or(Taken::Nothing, |known| Taken::Check(check(known)));
        }
        let payload = buffers.record.get(ENVELOPE_BYTES..).filter(|_| *found);
        if *is_absent {
            Persisted::change(node, |persisted| persisted.reads = ReadFilter::NONE);
        }
        let record = payload.and_then(|payload| claim(&self.store, &buffers.key, payload).ok());
        let Some(record) = record else { return Taken::Nothing };
        if !self.is_trusted_record(task, record.stale, Origin::of(&record)) {
            return Known::of(self.fingerprints(), &record)
                .map_or(Taken::Nothing, |known| Taken::Check(check(known)));
        }
        let trace = record.current;
        if let Some(restored) = self.restore_member(local, node, task, trace.component()) {
            return restored.map_or(Taken::Nothing, |_| Taken::Restored);
        }
        let Some(encoded) = output(&self.store, task, trace.output, &mut buffers.output) else {
            return Taken::Nothing;
        };
        match self.fill(local, node, task, &trace, encoded, None) {
            Some(_) => {
                let last = || {
                    StoredTrace::committed(self.fingerprints(), trace.bytes())?.last_read(&self.store, task)
                };
                self.restore_deadline(local, node, last);
                Taken::Restored
            }
            None => Taken::Nothing,
        }
    }

    /// Asks other machines for a new node of which nothing is stored.
    #[inline]
    pub(super) fn ask_for(&self, local: &Local, node: NodeRef) -> Option<Check> {
        self.elsewhere.as_ref()?;
        self.ask_for_record(local, node)
    }

    #[cold]
    fn ask_for_record(&self, local: &Local, node: NodeRef) -> Option<Check> {
        let task = TaskKey(Persisted::of(node)?.key?);
        let encoded = self.encoded_key(node).filter(|_| lasts(node))?;
        let usual = || local.engine().usual_time(node.function);
        self.ask_elsewhere(task, usual, &|| is_to_end(local));
        let known = || self.pending.known(&self.store, task, |key| key == &encoded[..]);
        let known = known().or_else(|| {
            node.task_fn.has_records().then(|| self.await_turn(task, usual, &|| is_to_end(local)));
            known()
        })?;
        Some(Check::begin(task, known, local.engine().epoch()))
    }

    /// Notes what a node is called in the store. None if it has no name there, or another node has the same.
    pub(super) fn own(&self, node: NodeRef, key: Option<Digest>) -> Option<TaskKey> {
        let key =
            key.filter(|key| self.nodes.own(*key, node) || self.make_way(*key) && self.nodes.own(*key, node));
        self.name(node, key)
    }

    /// Makes a new node of which a record was found.
    fn own_restored(&self, node: NodeRef, key: Option<Digest>) -> Option<TaskKey> {
        let key = key.filter(|key| {
            self.nodes.restore(*key, node) || self.make_way(*key) && self.nodes.restore(*key, node)
        });
        self.name(node, key)
    }

    /// A key is taken. If that is by a task whose arguments hold an input that was removed, its key is another input's now that has
    /// the same name. Returns whether it has been given up.
    #[cold]
    fn make_way(&self, key: Digest) -> bool {
        let Some(owner) = self.nodes.get(key) else { return true };
        if self.encoded_key(owner).is_some() {
            return false;
        }
        self.nodes.give_up(key, owner);
        true
    }

    fn name(&self, node: NodeRef, key: Option<Digest>) -> Option<TaskKey> {
        let named = Persisted::named(key);
        // A handle that is encoded may come to this on another thread.
        node.persisted_or_insert(Some(named)).lock().get_or_insert(named).key.map(TaskKey)
    }

    /// Forgets the records of nodes. Their readers stay: they would come to the same again.
    pub(crate) fn forget(&self, nodes: &[NodeRef]) {
        let mut group = self.group();
        let mut changes = Vec::new();
        for node in nodes {
            let Some(mut persisted) = Persisted::of(*node) else { continue };
            let Some(key) = persisted.key else { continue };
            group.remove_task(TaskKey(key));
            changes.push((key, PendingChange::Removed));
            persisted.is_stored = false;
            persisted.put(*node);
            wide::forget(*node);
        }
        if !changes.is_empty() {
            self.nodes.explore_anew();
            self.hand_over(&mut group, changes);
        }
    }

    /// Drops the records of tasks over removed inputs whose nodes have gone. They have read an input that is not there any more: only
    /// one that is made again, with the value that it had, could make use of them, and that is a new one.
    pub(crate) fn drop_orphans(&self) {
        let orphans = std::mem::take(&mut *self.orphans.lock());
        self.remove(orphans);
    }

    /// Drops the records of a function's tasks that memory does not have. Returns of how many. Cost: a look at each stored task.
    #[cold]
    pub(crate) fn forget_function(&self, function: u32, task_fn: &'static RawTaskFn) -> usize {
        let Some(id) = self.functions.id(function, task_fn) else { return 0 };
        // The scan finds what is committed. If that or the scan fails, the tasks go that were found.
        let _flushed = self.writer.flush();
        let mut tasks = Vec::new();
        let _scanned = self.store.scan(Table::Tasks, &[], |key: &[u8], payload: &[u8]| {
            let is_of_it = TaskRecord::decode(payload).is_ok_and(|record| record.function() == Some(id));
            let key = <[u8; 16]>::try_from(key).ok().map(Digest::from_bytes).filter(|_| is_of_it);
            tasks.extend(key.filter(|key| self.nodes.get(*key).is_none()));
            Visit::Continue
        });
        let count = tasks.len();
        self.remove(tasks);
        count
    }

    /// Removes the records of tasks that no node stands for.
    fn remove(&self, tasks: Vec<Digest>) {
        if tasks.is_empty() {
            return;
        }
        let mut group = self.group();
        tasks.iter().for_each(|key| group.remove_task(TaskKey(*key)));
        // Refused, they cost their bytes.
        self.hand_over(&mut group, tasks.into_iter().map(|key| (key, PendingChange::Removed)));
    }

    /// Whether the cap of the store wants records to go.
    pub(crate) fn has_victims(&self) -> bool {
        self.live_cap.as_ref().is_some_and(|cap| cap.has_victims())
    }

    /// Drops the records of some tasks that the cap of the store wants to go, and that are not in memory: a node that is restored is
    /// found by what the store knows of it. The caller holds the gate exclusively, so none is being restored.
    pub(crate) fn drop_victims(&self) {
        const AT_ONCE: usize = 1024;
        let Some(cap) = self.live_cap.as_ref().filter(|cap| cap.has_victims()) else { return };
        let may_go = |task: TaskKey| {
            self.nodes.get(task.0).is_none()
                && self.nodes.twins(task.0).is_empty()
                && !self.pending.concerns(task)
        };
        self.remove(cap.take_victims(AT_ONCE, may_go).into_iter().map(|task| task.0).collect());
    }

    /// A node is about to be freed.
    pub(crate) fn disown(&self, node: NodeRef) {
        let persisted = Persisted::of(node);
        let key = persisted.and_then(|persisted| persisted.key);
        self.nodes.remove(key, node);
        if let Some(key) = key {
            self.nodes.explore_anew();
            self.components.disown(key, node);
            if node.has(Leaving::MEMBER) || persisted.is_some_and(|persisted| persisted.is_member) {
                self.components.forget_member(key);
            }
            if node.task_fn.leaf.is_some() {
                self.release_source(key);
            } else if node.has(Leaving::UNREACHABLE) || persisted.is_some_and(|persisted| persisted.is_orphan)
            {
                self.orphans.lock().push(key);
            }
        }
    }
}
