//! Restore: a value out of the store, put in place in a node that this strand has claimed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::Check;
use crate::base::stack::on_enough_stack;
use crate::call::digested::keyed;
use crate::context::local::Local;
use crate::evaluate::publish::{Changes, publish_value};
use crate::evaluate::relink::relink;
use crate::graph::claim::Phase;
use crate::graph::edges::Edge;
use crate::graph::emitted::EmittedValue;
use crate::graph::epoch::Epoch;
use crate::graph::extra::Extra;
use crate::graph::flags::{Flags, Keeping};
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::graph::reason::Reason;
use crate::graph::task_fn::{Put, Replaced};
use crate::persist::{Persistence, StoredTrace, wide};
use larder_storage::record::{Read, Trace, decode_reads};
use larder_storage::{Digest, Rejected, RunNumber, TaskKey};

/// The output that a restored one replaced, to be dropped when the claim has ended.
pub(crate) struct Restored(Option<Replaced>);

impl Drop for Restored {
    fn drop(&mut self) {
        if let Some(replaced) = self.0.take() {
            on_enough_stack(|| drop(replaced));
        }
    }
}

/// How to find out whether a claimed node can be made fresh from the store instead of running its body. `from` is the phase
/// that it was claimed in, `changed` the first of its reads that has changed, if that is known.
pub(crate) fn consult(local: &Local, node: NodeRef, from: Phase, changed: Option<Edge>) -> Option<Check> {
    let persistence = local.engine().persistence()?;
    // An output that was dropped to save memory comes back by the store, a forgotten one does not.
    let is_forgotten = node.flag(Flags::FORGOTTEN) && !node.keeping().contains(Keeping::EVICTED);
    let must_run = node.flag(Flags::MUST_RUN) && !may_be_back(node);
    if is_forgotten || must_run || node.flag(Flags::ON_CYCLE) || !lasts(node) {
        return None;
    }
    persistence.consult(local, node, from, changed)
}

/// Whether a task has to run only because its component was dissolved, when its reads had changed. They may be what they were before that, and
/// the task need not have been on a cycle then.
fn may_be_back(node: NodeRef) -> bool {
    node.extra().is_some_and(|extra| {
        let dissolved = extra.dissolved.get();
        dissolved > node.verified_at.get() && dissolved > extra.invalidated.get()
    })
}

/// Whether results of the node's task function are stored at all.
pub(super) fn lasts(node: NodeRef) -> bool {
    node.task_fn.stored.is_some() && !node.task_fn.volatile
}

impl Persistence {
    fn consult(&self, local: &Local, node: NodeRef, from: Phase, changed: Option<Edge>) -> Option<Check> {
        Persisted::change(node, |persisted| persisted.runs = false);
        let persisted = Persisted::of(node);
        if persisted.is_some_and(|persisted| self.has_never_read(node, persisted, changed)) {
            return None;
        }
        let (task, encoded) = match persisted {
            Some(persisted) => (TaskKey(persisted.key?), None),
            // A handle made it, so that no call has asked the store for it.
            None => {
                let encoded = self.encoded_key(node);
                let key = encoded.as_ref().map(|encoded| TaskKey::of(self.fingerprints(), encoded).0);
                (self.own(node, key)?, encoded)
            }
        };
        let is_asked = |key: &[u8]| encoded.as_ref().is_none_or(|encoded| key == &encoded[..]);
        let known = match self.pending.known(&self.store, task, is_asked) {
            Some(known) => known,
            None => return self.ask_for(local, node),
        };
        let epoch = local.engine().epoch();
        let was_member = node.flag(Flags::MUST_RUN);
        if from == Phase::Empty && !was_member && self.is_trusted(task, &known) {
            return Some(Check::trusting(task, known, epoch));
        }
        if from != Phase::Stale || was_member || node.flag(Flags::RESTORED) {
            return Some(Check::begin(task, known, epoch));
        }
        // SAFETY: the claim is held.
        let clean = wide::clean(node, unsafe { node.deps() }.as_slice());
        Some(Check::begin_in_memory(task, known, clean, epoch))
    }

    /// Whether no trace of a task can hold, since none has read what this read has changed to.
    fn has_never_read(&self, node: NodeRef, persisted: Persisted, changed: Option<Edge>) -> bool {
        // Other machines may have traces that nothing here knows of. A value that is not in place is compared with the last record.
        if self.elsewhere.is_some() || persisted.has_joined || !node.flag(Flags::HAS_VALUE) {
            return false;
        }
        let read = changed.filter(|edge| !edge.reads_effects() && edge.node().state.is_fresh());
        let now = read.and_then(|edge| Persisted::of(edge.node()));
        // Traces name the reads of a transient task instead of the task; readers of a former member may have recorded another fingerprint.
        now.filter(|now| now.is_stored && !now.has_joined).is_some_and(|now| {
            now.key.is_some_and(|key| !persisted.reads.may_hold(Read { key, fingerprint: now.fingerprint }))
        })
    }

    /// Whether the store has something of a node's task, or will.
    pub(crate) fn holds(&self, node: NodeRef) -> bool {
        let key = self.key_of(node);
        key.is_some_and(|key| self.pending.known(&self.store, TaskKey(key), |_| true).is_some())
    }

    /// Returns a node's key in the store, if it can be stored.
    pub(crate) fn key_of(&self, node: NodeRef) -> Option<Digest> {
        match Persisted::of(node) {
            Some(persisted) => persisted.key,
            None => {
                let encoded = self.encoded_key(node)?;
                self.own(node, Some(TaskKey::of(self.fingerprints(), &encoded).0)).map(|task| task.0)
            }
        }
    }

    /// The encoded key of a node, if it has one.
    pub(crate) fn encoded_key(&self, node: NodeRef) -> Option<Vec<u8>> {
        let mut encoded = Vec::new();
        self.encode_key(node, &mut encoded).ok()?;
        Some(encoded)
    }

    /// Encodes a node's key into `encoded`, or returns why it has none.
    pub(crate) fn encode_key(&self, node: NodeRef, encoded: &mut Vec<u8>) -> Result<(), Reason> {
        let id = self.functions.id(node.function, node.task_fn);
        let id = id.ok_or_else(|| self.functions.refusal(node.function).unwrap_or(Reason::AmbiguousKey))?;
        let encode = node.task_fn.stored.ok_or(Reason::NotEncoded)?.encode_key;
        encoded.clear();
        TaskKey::start(id, encoded);
        // SAFETY: the key of a node may be read at any time; the descriptor is the node's.
        keyed(self.fingerprints(), || unsafe { encode(node, encoded) })?;
        Ok(())
    }

    /// Puts a trace in place that was found to hold. None if that is not possible after all.
    pub(crate) fn put(&self, local: &Local, node: NodeRef, found: &StoredTrace) -> Option<Restored> {
        let task = TaskKey(Persisted::of(node)?.key?);
        let trace = found.trace();
        if let Some(restored) = self.restore_member(local, node, task, trace.component()) {
            return restored;
        }
        let reads = self.edges_of(node, task, found);
        if reads.is_none() && found.is_pending && !self.commits_at_once() {
            // Its edges are neither in memory nor in the store.
            return None;
        }
        let reads = reads.as_deref();
        let restored = found.with_output(&self.store, task, |encoded| {
            self.fill(local, node, task, &trace, encoded, reads)
        })??;
        if let (Some(_), Some(chunks)) = (reads, found.chunks()) {
            wide::keep(node, chunks, local.engine().epoch());
        }
        self.restore_deadline(local, node, || found.last_read(&self.store, task));
        Some(restored)
    }

    /// Commits what waits, unless the store does not work. This is for a trace that is not committed, of which some reads have left
    /// memory. For example, an input is removed and made again, and its readers went with it: waiting for a batch is better than
    /// running the bodies above them.
    pub(super) fn commits_at_once(&self) -> bool {
        self.writer.stats().failing_since.is_none() && self.writer.flush().is_ok()
    }

    /// Puts the last stored output of a task in place of the one in a claimed node, which is not to be kept (`last_good`): what is stored was.
    /// Returns the output that it has replaced. None if there is none that is known to be of this machine.
    ///
    /// It is no value of the reads of now, so the node is not stored with it, nor is what reads it. Its readers in the store have
    /// recorded its fingerprint, which the node takes.
    #[cold]
    pub(crate) fn put_last_good(&self, node: NodeRef) -> Option<Option<Replaced>> {
        let encoded_key = self.encoded_key(node)?;
        let task = TaskKey(self.key_of(node)?);
        let known = self.pending.known(&self.store, task, |key| key == &encoded_key[..])?;
        // A run of another machine that has not been verified here.
        if self.elsewhere.is_some() && known.origin.generation == RunNumber::BEFORE_ALL {
            return None;
        }
        let last = known.traces.first().filter(|last| last.trace().component().is_none())?;
        let put_value = node.task_fn.stored?.put_value;
        let put = last.with_output(&self.store, task, |encoded| {
            // SAFETY: the claim is held, and the descriptor is the node's.
            catch_unwind(AssertUnwindSafe(|| unsafe { put_value(node, encoded) }))
        })?;
        let Ok(Ok(put)) = put else {
            self.store.reject(Rejected::Decode);
            return None;
        };
        let fingerprint = last.trace().output.fingerprint;
        Persisted::change(node, |persisted| persisted.fingerprint = fingerprint);
        Some(match put {
            Put::New(replaced) => replaced,
            Put::Equal => None,
        })
    }

    /// The reads of a trace, if all of them are in memory. The caller holds the node's claim.
    fn edges_of(&self, node: NodeRef, task: TaskKey, found: &StoredTrace) -> Option<Vec<Edge>> {
        let edge = |key| self.nodes.get(key).map(Edge::value_of);
        let Some(chunks) = found.chunks() else {
            return found.trace().reads().map(|read| edge(read.key)).collect();
        };
        // SAFETY: the claim is held.
        let before = unsafe { node.deps() }.as_slice();
        let mut edges = Vec::with_capacity(before.len());
        for placed in chunks.iter() {
            match wide::edges_of(node, before, placed) {
                Some(same) => edges.extend_from_slice(same),
                None => {
                    for read in decode_reads(&placed.load(&self.store, task)?) {
                        edges.push(edge(read.key)?);
                    }
                }
            }
        }
        Some(edges)
    }

    /// Puts a valid trace with its output in place: with its reads, or else as RESTORED. None if it does not decode.
    pub(super) fn fill(
        &self,
        local: &Local,
        node: NodeRef,
        task: TaskKey,
        trace: &Trace<'_>,
        encoded: &[u8],
        reads: Option<&[Edge]>,
    ) -> Option<Restored> {
        let put_value = node.task_fn.stored?.put_value;
        let emitted = self.emitted_of(trace)?;
        let fingerprint = trace.output.fingerprint;
        let before = Persisted::of(node);
        let is_the_last = || before.is_some_and(|before| before.fingerprint == fingerprint);
        // Readers have seen this value, though it is not here any more; and if nothing was marked since, its effects.
        let seen = node.keeping().contains(Keeping::EVICTED) && !node.flag(Flags::FAILED) && is_the_last();
        let seen_effects = seen && node.flag(Flags::FORGOTTEN) && !node.flag(Flags::MARKED);
        let has_this = node.flag(Flags::HAS_VALUE) && is_the_last();
        let put = if has_this {
            Put::Equal
        } else {
            // SAFETY: the claim is held, and the descriptor is the node's.
            match catch_unwind(AssertUnwindSafe(|| unsafe { put_value(node, encoded) })) {
                Ok(Ok(put)) => put,
                Ok(Err(_)) | Err(_) => {
                    self.store.reject(Rejected::Decode);
                    return None;
                }
            }
        };
        relink(local, node, reads.unwrap_or_default());
        match reads {
            Some(_) => node.clear_flag(Flags::RESTORED),
            None => {
                // From here on the store alone knows whose dependent it is.
                self.nodes.explore_anew();
                node.set_flag(Flags::RESTORED);
            }
        }
        // Most tasks emit nothing; and a node that has had no effects so far is spared the lock.
        let same_emitted = emitted.is_empty() && node.effects_at.get() == Epoch::NEVER;
        let had_emitted = if same_emitted { None } else { keep_emitted(node.extra_or_insert(), emitted) };
        let (replaced, is_new) = match put {
            Put::New(replaced) => (replaced, true),
            Put::Equal => (None, false),
        };
        // Its dependencies may emit other values than before, even if its own are the same.
        publish_value(local, node, Changes { value: is_new && !seen, effects: !seen_effects });
        let is_member = trace.component().is_some();
        let named = Persisted::named(Some(task.0));
        let reads = before.map_or(named.reads, |before| before.reads);
        Persisted { fingerprint, is_stored: true, is_member, reads, ..named }.put(node);
        self.counts.restored.add();
        self.note_use(task);
        if had_emitted.is_some() {
            on_enough_stack(|| drop(had_emitted));
        }
        Some(Restored(replaced))
    }
}

/// Puts the emitted values of a restored run in place, and returns those that were there.
fn keep_emitted(extra: &Extra, emitted: Vec<EmittedValue>) -> Option<Arc<[EmittedValue]>> {
    let mut place = extra.emitted.lock();
    // An `Arc` of nothing would be an allocation.
    let is_same = emitted.is_empty() && place.is_empty();
    (!is_same).then(|| std::mem::replace(&mut *place, emitted.into()))
}
