//! Records that have been handed over and are not committed yet. Together with the store they tell what *will* be stored, which is
//! what this process goes by: the store itself lags behind.
//!
//! An entry is made before its group is handed over, and goes when the group is committed; so a reader that finds no entry finds
//! the truth in the store, if it looks there afterwards. An entry that could not be handed over stays until the process ends.

use std::collections::VecDeque;
use std::collections::hash_map::Entry as Slot;
use std::sync::atomic::{
    AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::Origin;
use super::sharded::Sharded;
use super::stored_trace::StoredTrace;
use larder_storage::record::{OlderTrace, TaskRecord};
use larder_storage::{
    Delivery, Digest, Fingerprints, FunctionId, Group, Guarded, Rejected, RunNumber, Table, TaskKey,
    TraceKey, WriteBehind,
};

/// The traces that are kept of a task until they are committed.
const RUNS: usize = 8;

/// The records of a task that are, or will be, stored.
pub(crate) struct Known {
    pub(crate) is_stale: bool,
    /// The most recent ones that are at hand, the current one first. Never empty.
    pub(crate) traces: Vec<StoredTrace>,
    /// Those to be loaded if they are needed.
    pub(crate) older: Vec<OlderTrace>,
    pub(crate) origin: Origin,
}

/// A change to a task that is handed over.
pub(crate) enum PendingChange {
    Ran(StoredTrace),
    Stale,
    Fresh,
    Reverted(Digest),
    Removed,
    /// Another machine ran it, a task of this function.
    Found(StoredTrace, Option<FunctionId>),
}

#[derive(Clone, Default)]
struct Entry {
    /// Groups that concern it and are being handed over right now.
    in_flight: u32,
    /// The ticket of the last group that concerns it.
    ticket: u64,
    /// Something was refused, so that the store will never say what this entry says.
    stuck: bool,
    is_stale: Option<bool>,
    removed: bool,
    /// Nearly all tasks have one.
    runs: SmallVec<[StoredTrace; 1]>,
    /// Runs of other machines, in the order in which they were handed over.
    found: Vec<StoredTrace>,
    function: Option<FunctionId>,
    current: Option<Digest>,
}

/// All that is not committed.
#[derive(Default)]
pub(crate) struct Pending {
    entries: Sharded<Box<Entry>>,
    /// At least as many as there are entries: a process that only reads asks no shard.
    count: AtomicUsize,
    /// Tickets in about their order, with the entries that may go when they are committed.
    queue: Mutex<VecDeque<(u64, Digest)>>,
    pushes: AtomicUsize,
}

impl Pending {
    /// Hands `group` over, whose changes to tasks are `changes`. Returns whether it was accepted.
    pub(crate) fn hand_over(
        &self,
        writer: &WriteBehind,
        group: &mut Group,
        changes: impl IntoIterator<Item = (Digest, PendingChange)>,
    ) -> bool {
        // Nearly always one: of a task that has run.
        let keys: SmallVec<[(Digest, Option<Digest>); 1]> =
            changes.into_iter().map(|(key, change)| (key, self.expect(key, change))).collect();
        let ticket = match writer.push(group) {
            Delivery::Accepted { ticket } => Some(ticket),
            Delivery::Refused => None,
        };
        for (key, run) in &keys {
            let mut shard = self.entries.shard(*key);
            let Some(entry) = shard.get_mut(key) else { continue };
            entry.in_flight -= 1;
            match ticket {
                Some(ticket) => entry.ticket = entry.ticket.max(ticket),
                None => entry.refused(*run),
            }
        }
        if let Some(ticket) = ticket {
            self.queue.lock().extend(keys.iter().map(|(key, _)| (ticket, *key)));
        }
        if self.pushes.fetch_add(1, Relaxed) % 512 == 511 {
            self.prune(writer.committed());
        }
        ticket.is_some()
    }

    /// Notes changes that are not handed over: this process goes by them all the same.
    pub(crate) fn withhold(&self, changes: Vec<(Digest, PendingChange)>) {
        for (key, change) in changes {
            let run = self.expect(key, change);
            if let Some(entry) = self.entries.shard(key).get_mut(&key) {
                entry.in_flight -= 1;
                entry.refused(run);
            }
        }
    }

    /// Notes a change before it is handed over; of a run, the digest of its trace.
    fn expect(&self, key: Digest, change: PendingChange) -> Option<Digest> {
        // SeqCst, before the entry is there: pairs with the load in `concerns`.
        self.count.fetch_add(1, SeqCst);
        let mut shard = self.entries.shard(key);
        let entry = match shard.entry(key) {
            Slot::Vacant(vacant) => vacant.insert(Box::default()),
            Slot::Occupied(occupied) => {
                self.count.fetch_sub(1, SeqCst);
                occupied.into_mut()
            }
        };
        entry.in_flight += 1;
        match change {
            PendingChange::Ran(run) => {
                let digest = run.digest();
                entry.runs.retain(|other| other.digest() != digest);
                entry.runs.truncate(RUNS - 1);
                entry.runs.insert(0, run);
                entry.is_stale = Some(false);
                entry.current = Some(digest);
                return Some(digest);
            }
            PendingChange::Found(run, function) => {
                let digest = run.digest();
                entry.found.push(run);
                entry.function = function;
                return Some(digest);
            }
            PendingChange::Stale => entry.is_stale = Some(true),
            PendingChange::Fresh => entry.is_stale = Some(false),
            PendingChange::Reverted(digest) => {
                entry.is_stale = Some(false);
                entry.current = Some(digest);
            }
            PendingChange::Removed => {
                **entry = Entry {
                    removed: true,
                    in_flight: entry.in_flight,
                    ticket: entry.ticket,
                    ..Entry::default()
                }
            }
        }
        None
    }

    /// Forgets entries that are committed.
    pub(crate) fn prune(&self, committed: u64) {
        let mut done = Vec::new();
        {
            let mut queue = self.queue.lock();
            while queue.front().is_some_and(|(ticket, _)| *ticket <= committed) {
                done.extend(queue.pop_front());
            }
            if queue.capacity() > 4 * queue.len() {
                let room = 2 * queue.len();
                queue.shrink_to(room);
            }
        }
        for (_, key) in done {
            let mut shard = self.entries.shard(key);
            if shard
                .get(&key)
                .is_some_and(|entry| entry.in_flight == 0 && !entry.stuck && entry.ticket <= committed)
            {
                shard.remove(&key);
                self.count.fetch_sub(1, SeqCst);
            }
        }
        self.entries.shrink();
    }

    /// Returns the records of `task` that are, or will be, stored; `is_asked` says whether a stored encoded key is the one that is asked for.
    pub(crate) fn known(
        &self,
        store: &Guarded,
        task: TaskKey,
        is_asked: impl Fn(&[u8]) -> bool,
    ) -> Option<Known> {
        let mut tries = 0;
        loop {
            // The entry first: when it goes, the store has it all.
            let entry = self.entries.get(task.0);
            let mut buffer = Vec::new();
            let record = read_task(store, task, &mut buffer).filter(|record| is_asked(record.encoded_key));
            let Some(entry) = entry else { return Known::of(store.fingerprints(), &record?) };
            let record = if entry.removed {
                None
            } else {
                record.as_ref().and_then(|record| Known::of(store.fingerprints(), record))
            };
            tries += 1;
            match entry.onto(record, store, task) {
                Onto::Moved(_) if tries < 4 => {}
                Onto::Known(known) | Onto::Moved(known) => return known,
            }
        }
    }

    /// Whether something of the task is not committed.
    pub(crate) fn concerns(&self, task: TaskKey) -> bool {
        // SeqCst: pairs with the addition in `expect`; a reader that would have found no entry finds none.
        self.count.load(SeqCst) > 0 && self.entries.shard(task.0).contains_key(&task.0)
    }
}

fn read_task<'b>(store: &Guarded, task: TaskKey, buffer: &'b mut Vec<u8>) -> Option<TaskRecord<'b>> {
    let payload = store.get(Table::Tasks, &task.to_bytes(), buffer)?;
    match TaskRecord::decode(payload) {
        Ok(record) => Some(record),
        Err(_) => {
            store.reject(Rejected::Decode);
            None
        }
    }
}

/// An entry together with the record that was read after it.
enum Onto {
    Known(Option<Known>),
    /// The current trace stands at neither place. Mostly it was about to move: for example, a task was found back in an earlier
    /// state, and the batch that makes that trace the current one was committed between the look at the record, which still had it
    /// among the older ones, and the look at the older one. Another look at both finds it.
    Moved(Option<Known>),
}

impl Entry {
    /// Refuses the records that were handed over.
    fn refused(&mut self, run: Option<Digest>) {
        self.stuck = true;
        if let Some(run) = run {
            if self.found.iter().any(|other| other.digest() == run) {
                self.found.retain(|other| other.digest() != run);
                return;
            }
            self.runs.retain(|other| other.digest() != run);
            self.is_stale = Some(true);
            self.current = None;
        }
    }

    /// The content of the store when this is committed.
    fn onto(self, record: Option<Known>, store: &Guarded, task: TaskKey) -> Onto {
        let nobody = Origin { generation: RunNumber::BEFORE_ALL, function: self.function };
        let mut record =
            record.unwrap_or(Known { is_stale: true, traces: Vec::new(), older: Vec::new(), origin: nobody });
        if !self.runs.is_empty() {
            // It has run in this process.
            record.origin.generation = RunNumber(u64::MAX);
        }
        let origin = record.origin;
        let mut traces = self.runs.into_vec();
        let mut older = record.older;
        let ours: Vec<Digest> = traces.iter().map(|run| run.digest()).collect();
        for (run, digest) in traces.iter_mut().zip(&ours) {
            let in_record = record.traces.iter().any(|trace| trace.digest() == *digest);
            run.is_pending = !in_record && !older.iter().any(|trace| trace.digest == *digest);
        }
        traces.extend(record.traces.into_iter().filter(|trace| !ours.contains(&trace.digest())));
        older.retain(|trace| !ours.contains(&trace.digest));
        for mut run in self.found {
            let is_known = traces.iter().any(|trace| trace.digest() == run.digest())
                || older.iter().any(|trace| trace.digest == run.digest());
            if !is_known {
                run.is_pending = true;
                traces.push(run);
            }
        }
        let mut is_stale = self.is_stale.unwrap_or(record.is_stale);
        let mut has_moved = false;
        if let Some(current) = self.current {
            if let Some(at) = traces.iter().position(|trace| trace.digest() == current) {
                let trace = traces.remove(at);
                traces.insert(0, trace);
            } else if let Some(at) = older.iter().position(|trace| trace.digest == current)
                && let Some(trace) = load_older(store, task, &older.remove(at))
            {
                traces.insert(0, trace);
            } else {
                (is_stale, has_moved) = (true, true);
            }
        }
        let known = (!traces.is_empty()).then_some(Known { is_stale, traces, older, origin });
        if has_moved { Onto::Moved(known) } else { Onto::Known(known) }
    }
}

impl Origin {
    pub(crate) fn of(record: &TaskRecord<'_>) -> Self {
        Self { generation: record.generation, function: record.function() }
    }
}

impl Known {
    pub(crate) fn of(fingerprints: Fingerprints, record: &TaskRecord<'_>) -> Option<Self> {
        let current = StoredTrace::committed(fingerprints, record.current.bytes())?;
        let origin = Origin::of(record);
        Some(Self { is_stale: record.stale, traces: vec![current], older: record.older().collect(), origin })
    }
}

/// Reads an older trace.
pub(crate) fn load_older(store: &Guarded, task: TaskKey, older: &OlderTrace) -> Option<StoredTrace> {
    let mut buffer = Vec::new();
    let key = TraceKey { task, part: older.digest }.to_bytes();
    let payload = store.get(Table::Traces, &key, &mut buffer)?;
    let found =
        StoredTrace::committed(store.fingerprints(), payload).filter(|found| found.digest() == older.digest);
    if found.is_none() {
        store.reject(Rejected::Decode);
    }
    found
}
