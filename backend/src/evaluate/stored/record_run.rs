//! The records of a run: handed over when the run completes, before its node is FRESH.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::restore::lasts;
use crate::context::local::{Local, Naming};
use crate::evaluate::cycle;
use crate::graph::edges::Edge;
use crate::graph::failure::short_name;
use crate::graph::flags::{Flags, Keeping};
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::graph::read_filter::ReadFilter;
use crate::graph::reason::Reason;
use crate::graph::task_fn::{Ran, Replaced};
use crate::graph::task_name::Fingerprint;
use crate::persist::wide::{self, WideReads, is_wide};
use crate::persist::{PendingChange, Persistence, StoredTrace};
use larder_storage::record::{Because, Emitted, NewReads, NewTask, NewTrace, Read};
use larder_storage::{Digest, Group, Table, TaskKey};

/// A run that has completed: what came of it, and why the body ran, if that was observed.
#[derive(Clone, Copy)]
pub(crate) struct Completion {
    pub(crate) ran: Ran,
    pub(crate) because: Because,
}

/// Buffers that are used again and again.
#[derive(Default)]
struct Buffers {
    key: Vec<u8>,
    output: Vec<u8>,
    emitted: Vec<u8>,
    trace: Vec<u8>,
    reads: Vec<Read>,
    /// Of the store that was written last.
    group: Option<Group>,
}

/// How many reads are named on the way to why a task is not stored.
const MOST_NAMES: usize = 8;

thread_local! {
    /// In a box: they are taken out while they are used, and are some hundred bytes.
    static BUFFERS: RefCell<Option<Box<Buffers>>> = const { RefCell::new(None) };
}

/// Lends the thread's buffers. The code that runs with them may need buffers itself: it encodes values by the user's code.
fn with_buffers<R>(run: impl FnOnce(&mut Buffers) -> R) -> R {
    // A thread that ends has none.
    let taken = BUFFERS.try_with(RefCell::take).ok().flatten();
    let mut buffers = taken.unwrap_or_default();
    let result = run(&mut buffers);
    _ = BUFFERS.try_with(|place| place.replace(Some(buffers)));
    result
}

impl Persistence {
    /// A claimed node has run; its value, reads and emitted values are in place, and may be used in later sessions if it
    /// `lasts`. Returns an output that had to be replaced.
    pub(crate) fn completed(
        &self,
        local: &Local,
        node: NodeRef,
        run: Completion,
        lasts: bool,
    ) -> Option<Replaced> {
        if node.task_fn.leaf.is_some() {
            let replaced = self.adopt_source(node);
            if self.has_queued() {
                local.engine().chores.list_prompt();
            }
            return replaced;
        }
        self.record_run(local, node, run, lasts);
        None
    }

    /// Stores the run of a claimed node whose value, reads and emitted values are in place, unless something speaks against
    /// it. Runs the user's `Serialize`; a panic in it is a reason not to store.
    fn record_run(&self, local: &Local, node: NodeRef, run: Completion, lasts: bool) {
        if node.task_fn.stored.is_none() {
            return;
        }
        self.writer.keep_pace();
        let stored = if lasts {
            with_buffers(|buffers| self.store_run(local, node, run, buffers))
        } else {
            Err(Reason::DoesNotLast)
        };
        match stored {
            Ok(()) => self.counts.stored.add(),
            Err(reason) => self.not_stored(node, run.ran, reason),
        }
    }

    /// Returns why a node that is FRESH in the open session is not stored, as far as that can be found out anew. None if it is transient.
    #[cold]
    pub(crate) fn why_not_stored(&self, node: NodeRef) -> Option<Reason> {
        if node.task_fn.observe.is_some() {
            return Some(Reason::SourceChanged);
        }
        if node.task_fn.stored.is_none() {
            let lasts = !node.task_fn.volatile;
            return (!lasts).then_some(Reason::DoesNotLast);
        }
        let mut buffers = Buffers::default();
        // SAFETY: the node is FRESH.
        let edges = unsafe { node.deps() }.as_slice();
        let mut check = || {
            if let Some(resolved) = cycle::component_of(node) {
                return self.why_component_not_stored(&resolved);
            }
            if !lasts(node) {
                return Err(Reason::DoesNotLast);
            }
            self.check_libraries(node.function, edges)?;
            self.reads_of(node, edges, &mut buffers.reads)?;
            self.encode_key(node, &mut buffers.key)?;
            self.encode_value(node, &mut buffers.output)?;
            self.encode_emitted(node, &mut buffers.emitted)?;
            Ok(())
        };
        Some(check().err().unwrap_or(Reason::Refused))
    }

    /// Returns the identities of other code of a node's function whose result of this call is in the store.
    #[cold]
    pub(crate) fn other_code(&self, node: NodeRef) -> Vec<Fingerprint> {
        let Some(encoded) = self.encoded_key(node) else { return Vec::new() };
        self.functions
            .others_of(node.function)
            .into_iter()
            .filter_map(|function| {
                let mut key = Vec::new();
                TaskKey::start(function.id, &mut key);
                let own = key.len();
                key.extend_from_slice(encoded.get(own..)?);
                let is_there = self
                    .store
                    .get(Table::Tasks, &TaskKey::of(self.fingerprints(), &key).to_bytes(), &mut Vec::new())
                    .is_some();
                is_there.then_some(Fingerprint(function.code.0))
            })
            .collect()
    }

    /// A claimed node has been found current, though what it has read is not stored as it was: stores it anew. Returns whether it is
    /// stored.
    pub(super) fn record_anew(&self, local: &Local, node: NodeRef) -> bool {
        if !lasts(node) || !node.flag(Flags::HAS_VALUE) {
            return false;
        }
        let run = Completion { ran: Ran::Equal, because: Because::Verified };
        with_buffers(|buffers| self.store_run(local, node, run, buffers)).is_ok()
    }

    pub(super) fn not_stored(&self, node: NodeRef, ran: Ran, reason: Reason) {
        if self.counts.unstored(node.function, reason) {
            let way = self.names_to_unstored(node, reason);
            self.counts.note_way(node.function, reason, way);
        }
        wide::forget(node);
        Persisted::change(node, |persisted| {
            if std::mem::take(&mut persisted.is_stored) {
                self.nodes.explore_anew();
            }
            persisted.is_recorded = false;
            persisted.is_member = false;
            if !matches!(ran, Ran::Equal | Ran::Held) {
                persisted.fingerprint = Digest::default();
            }
        });
    }

    /// Names a task and the reads that lead to why it is not stored, for people.
    #[cold]
    fn names_to_unstored(&self, node: NodeRef, reason: Reason) -> Box<[String]> {
        // Names are printed by the user's code, which belongs to no task.
        let _no_session = Naming::begin();
        let is_for_a_read = matches!(
            reason,
            Reason::ReadsUnstored | Reason::ReadsFailed | Reason::ReadsLibrary | Reason::Collects
        );
        let way = if is_for_a_read { self.way_to_unstored(node) } else { Vec::new() };
        let names = |nodes: &[NodeRef]| nodes.iter().map(|node| short_name(*node)).collect::<Vec<_>>();
        let mut told = vec![short_name(node)];
        match way.len().checked_sub(MOST_NAMES) {
            None | Some(0) => told.extend(names(&way)),
            Some(more) => {
                let (first, rest) = way.split_at(MOST_NAMES / 2);
                told.extend(names(first));
                told.push(format!("(and {more} more)"));
                told.extend(names(&rest[more..]));
            }
        }
        told.into()
    }

    /// Names a task for people. Names are printed by the user's code, which belongs to no task.
    #[cold]
    fn named_for_people(&self, node: NodeRef) -> String {
        let _no_session = Naming::begin();
        short_name(node)
    }

    /// Stores a run: gathers what the record tells, encodes it, and hands it to the writer.
    fn store_run(
        &self,
        local: &Local,
        node: NodeRef,
        run: Completion,
        buffers: &mut Buffers,
    ) -> Result<(), Reason> {
        let Completion { ran, because } = run;
        let wide = self.gather_reads(local, node, &mut buffers.reads)?;
        let task = self.named(node, &mut buffers.key)?;
        let before = Persisted::of(node);
        let digest = self.encode_checked(node, ran, before, &mut buffers.output)?;
        let fingerprint = self.fingerprint_of(node, task, ran, before, digest);
        let Buffers { key, output, emitted, trace, reads, group } = buffers;
        let emitted = self.encode_emitted(node, emitted)?;
        let mut known = before.map_or(ReadFilter::UNKNOWN, |before| before.reads);
        match wide {
            Some(_) => known = ReadFilter::UNKNOWN,
            None => known.add(reads.iter().copied()),
        }
        let reads = wide.as_ref().map_or(NewReads::Here(reads), WideReads::as_new);
        let new = NewTrace { fingerprint, output, reads, emitted: &emitted };
        trace.clear();
        let place = new.encode_into(trace);
        let group = group.get_or_insert_with(|| self.group());
        group.clear_for(self.fingerprints());
        self.functions.announce(node.function, group);
        let task_run = NewTask { encoded_key: key, generation: self.generation, trace: new };
        group.ran_because(task, &task_run, trace, because);
        let chunks = wide.map(WideReads::into_placed);
        let run = StoredTrace::new(self.fingerprints(), (trace, place), output, chunks.clone());
        self.compare_with_elsewhere(
            task,
            (digest, run.digest()),
            |came| self.is_equal(node, task, came),
            || self.named_for_people(node),
        );
        let explored = before.map_or(0, |before| before.explored);
        let named = Persisted::named(Some(task.0));
        let persisted = Persisted { fingerprint, is_stored: true, explored, reads: known, ..named };
        if !self.hand_over(group, [(task.0, PendingChange::Ran(run))]) {
            group.clear();
            return Err(Reason::Refused);
        }
        persisted.put(node);
        if node.task_fn.has_records() {
            self.tell_elsewhere(task);
        }
        if let Some(chunks) = chunks {
            wide::keep(node, &chunks, local.engine().epoch());
        }
        Ok(())
    }

    /// Gathers into `reads` what a claimed node has read, in chunks if that is much. An error if its run cannot be stored for what it has
    /// read, or for how long it lasts.
    fn gather_reads(
        &self,
        local: &Local,
        node: NodeRef,
        reads: &mut Vec<Read>,
    ) -> Result<Option<WideReads>, Reason> {
        if !lasts(node) {
            return Err(Reason::DoesNotLast);
        }
        // SAFETY: the claim is held.
        let edges = unsafe { node.deps() }.as_slice();
        if local.engine().expiries.holds(node) && !self.ends_with_deadline(edges) {
            return Err(Reason::DoesNotLast);
        }
        self.check_libraries(node.function, edges)?;
        if is_wide(edges.len()) {
            return WideReads::gather(self.fingerprints(), node, edges, reads).map(Some);
        }
        self.reads_of(node, edges, reads)?;
        Ok(None)
    }

    /// Encodes the value in place into `output`, and decodes it again if that is due for its function, or if the encoding does not tell
    /// it from the value before. Returns the digest of the encoding.
    fn encode_checked(
        &self,
        node: NodeRef,
        ran: Ran,
        before: Option<Persisted>,
        output: &mut Vec<u8>,
    ) -> Result<Digest, Reason> {
        self.encode_value(node, output)?;
        let digest = self.fingerprints().digest(output);
        // The value has changed, and its encoding has not.
        let is_untold = ran == Ran::Changed
            && before.is_some_and(|before| before.is_stored && before.fingerprint == digest);
        if self.functions.is_store_due(node.function) || is_untold {
            self.check_return(node, output)?;
        }
        Ok(digest)
    }

    /// Returns the fingerprint of the value in place, whose encoding has this digest: the one that readers have seen, if the value equals
    /// the value of the run `before`.
    fn fingerprint_of(
        &self,
        node: NodeRef,
        task: TaskKey,
        ran: Ran,
        before: Option<Persisted>,
        digest: Digest,
    ) -> Digest {
        match before {
            // The value in place is still the one that readers have seen, though it may encode to other bytes.
            // A member of a component had another fingerprint, though its value may be equal (`record_component.rs`).
            Some(before) if before.is_member => digest,
            Some(before) if ran == Ran::Equal && before.fingerprint != Digest::default() => {
                before.fingerprint
            }
            Some(before) if before.is_recorded || node.keeping().contains(Keeping::EVICTED) => {
                self.fingerprint_after(node, task, before, digest)
            }
            _ => digest,
        }
    }

    /// The fingerprint of the first value in this process, given that of the last one that is stored: the same if the two are
    /// equal, though they may encode to other bytes. (The order in a `HashMap` is another one in each process.)
    fn fingerprint_after(
        &self,
        node: NodeRef,
        task: TaskKey,
        before: Persisted,
        fingerprint: Digest,
    ) -> Digest {
        if fingerprint == before.fingerprint {
            return fingerprint;
        }
        let known = self.pending.known(&self.store, task, |_| true);
        let mut traces = known.iter().flat_map(|known| &known.traces);
        let earlier = traces.find(|trace| trace.trace().output.fingerprint == before.fingerprint);
        let is_equal = earlier.is_some_and(|earlier| self.is_equal(node, task, earlier));
        if is_equal { before.fingerprint } else { fingerprint }
    }

    /// Whether the value in place in a claimed node equals that of an earlier run.
    pub(super) fn is_equal(&self, node: NodeRef, task: TaskKey, earlier: &StoredTrace) -> bool {
        let Some(stored) = node.task_fn.stored else { return false };
        let is_equal = |encoded: &[u8]| {
            // SAFETY: the claim is held and the value in place; the descriptor is the node's.
            catch_unwind(AssertUnwindSafe(|| unsafe { (stored.is_equal)(node, encoded) })).unwrap_or(false)
        };
        earlier.with_output(&self.store, task, is_equal) == Some(true)
    }

    /// Returns the node's name in the store, and encodes its key into `encoded`.
    pub(super) fn named(&self, node: NodeRef, encoded: &mut Vec<u8>) -> Result<TaskKey, Reason> {
        self.encode_key(node, encoded)?;
        let task = match Persisted::of(node) {
            Some(persisted) => persisted.key.map(TaskKey),
            None => self.own(node, Some(TaskKey::of(self.fingerprints(), encoded).0)),
        };
        let task = task.ok_or(Reason::AmbiguousKey)?;
        // A key that encodes to other bytes the second time would be stored where no lookup finds it.
        if task == TaskKey::of(self.fingerprints(), encoded) { Ok(task) } else { Err(Reason::NotEncoded) }
    }

    pub(super) fn encode_value(&self, node: NodeRef, output: &mut Vec<u8>) -> Result<(), Reason> {
        let Some(stored) = node.task_fn.stored else { return Err(Reason::NotEncoded) };
        output.clear();
        // SAFETY: the claim is held and the value in place; the descriptor is the node's.
        let encoded = catch_unwind(AssertUnwindSafe(|| unsafe { (stored.encode_value)(node, output) }));
        encoded.map_err(|_| Reason::NotEncoded)??;
        Ok(())
    }

    /// Whether the identity of a reader stands for the code of all that it read.
    pub(super) fn check_libraries(&self, reader: u32, edges: &[Edge]) -> Result<(), Reason> {
        let covers = |edge: &Edge| self.functions.covers(reader, edge.node().function);
        if self.functions.has_libraries() && !edges.iter().all(covers) {
            return Err(Reason::ReadsLibrary);
        }
        Ok(())
    }

    /// Encodes what the run emitted into `bytes`, one after the other.
    pub(super) fn encode_emitted<'b>(
        &self,
        node: NodeRef,
        bytes: &'b mut Vec<u8>,
    ) -> Result<Vec<Emitted<'b>>, Reason> {
        bytes.clear();
        let Some(extra) = node.extra() else { return Ok(Vec::new()) };
        let emitted = extra.emitted.lock().clone();
        let channels = self.channels();
        let mut ends = Vec::with_capacity(emitted.len());
        for value in emitted.iter() {
            bytes.extend_from_slice(&self.functions.build().to_bytes());
            let channel = catch_unwind(AssertUnwindSafe(|| value.encode(channels, bytes)));
            ends.push((channel.unwrap_or(Err(Reason::NotEncoded))?, bytes.len()));
        }
        let mut start = 0;
        let cut = ends.into_iter().map(|(channel, end)| {
            let value = &bytes[std::mem::replace(&mut start, end)..end];
            Emitted { channel, value }
        });
        Ok(cut.collect())
    }
}
