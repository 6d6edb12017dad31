//! Verification of stored tasks by their records alone: which of a task's traces, if any, has read what it would read
//! now?
//!
//! A task is asked for the reads of its traces in their recorded order, all traces together (the most recent one first;
//! older ones are loaded only if that one is out): a read that all before it agree with is one that the body would
//! make now. The current fingerprint of a read is
//! * of a leaf: what was seen when the store was opened or the runtime refreshed, or what an input was set to;
//! * of a task in memory: that of its output, after it was made fresh. If that is not stored, there is none;
//! * of a task that is only stored: its record's, if that is valid; otherwise it is verified in the same way first. No task
//!   function is needed for that. If none of its traces holds, its body has to run: it gets a node (`recall.rs`), and so do
//!   those between it and the one that is verified, which are made fresh one after the other. Where that is not possible, there
//!   is no fingerprint, and the asking one's body has to run.
//!
//! Nothing here recurses: tasks that are only stored stand on a stack of frames, and for one in memory the caller is
//! asked to make it fresh.

use rustc_hash::FxHashMap;

mod frame;

use self::frame::{Frame, Next};
use crate::context::cancelled::is_to_end;
use crate::context::local::Local;
use crate::evaluate::cycle::is_barred;
use crate::evaluate::observed::{Differs, is_observed};
use crate::graph::claim::Phase;
use crate::graph::epoch::Epoch;
use crate::graph::flags::{Flags, Keeping};
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::persist::pending::Known;
use crate::persist::wide::CleanChunks;
use crate::persist::{Code, PendingChange, Persistence, StoredTrace};
use larder_storage::record::component_function;
use larder_storage::{Digest, TaskKey};

/// A verification under way.
pub(crate) struct Check {
    /// The task that is verified, then those that have to be verified for it.
    frames: Vec<Frame>,
    /// The fingerprints of what has been read so far.
    fingerprints: FxHashMap<Digest, Option<Digest>>,
    epoch: Epoch,
    /// The read of the task's last run that differs, if none of its runs holds.
    differs: Option<Differs>,
    /// A read that differs of a component that was looked at, which has no name itself.
    differs_in: Option<(TaskKey, Differs)>,
}

/// How far a verification has come.
pub(crate) enum Progress {
    /// This node must be made fresh, or [`Check::failed`] said of it.
    Needs(NodeRef),
    /// The same; tasks that have no node lie between it and the one that is verified.
    Leaps(NodeRef),
    /// All reads of this trace are current.
    Found(StoredTrace),
    /// The body has to run.
    NotFound,
}

/// The task that is looked at.
fn frame_task(frames: &[Frame]) -> Option<TaskKey> {
    frames.last().map(|frame| frame.task)
}

enum Current {
    Is(Option<Digest>),
    Needs(NodeRef),
    Verify(Known),
}

impl Check {
    /// Begins to verify a task.
    pub(crate) fn begin(task: TaskKey, known: Known, epoch: Epoch) -> Self {
        Self {
            frames: vec![Frame::new(task, known)],
            fingerprints: FxHashMap::default(),
            epoch,
            differs: None,
            differs_in: None,
        }
    }

    /// Begins the check of a task whose current trace is known to hold.
    pub(crate) fn trusting(task: TaskKey, mut known: Known, epoch: Epoch) -> Self {
        known.older.clear();
        Self {
            frames: vec![Frame::trusted(task, known)],
            fingerprints: FxHashMap::default(),
            epoch,
            differs: None,
            differs_in: None,
        }
    }

    /// Begins the check of a task of which memory knows the reads: `clean` are those that have not changed.
    pub(crate) fn begin_in_memory(
        task: TaskKey,
        known: Known,
        clean: Option<CleanChunks>,
        epoch: Epoch,
    ) -> Self {
        Self {
            frames: vec![Frame::with_clean(task, known, clean)],
            fingerprints: FxHashMap::default(),
            epoch,
            differs: None,
            differs_in: None,
        }
    }

    /// Returns the read of the last stored run that differs now, if none of the runs holds, and an observer wants to know.
    pub(crate) fn differs(&self) -> Option<Differs> {
        self.differs
    }

    /// Goes on as far as it can.
    pub(crate) fn advance(&mut self, local: &Local, persistence: &Persistence) -> Progress {
        loop {
            let Some(frame) = self.frames.last_mut() else { return Progress::NotFound };
            let reached = match frame.next(persistence) {
                Next::Read(key) => self.read(local, persistence, key),
                Next::Found if frame.is_checked(persistence) => self.found_to_check(local, persistence),
                Next::Found => self.found(persistence),
                Next::NotFound if self.asks_elsewhere(local, persistence) => None,
                Next::NotFound => self.not_found(local, persistence),
            };
            if let Some(progress) = reached {
                return progress;
            }
        }
    }

    /// Compares a read of the innermost task with what it would read now, or begins to find that out. Returns what is needed for it, if
    /// this cannot go on by itself.
    fn read(&mut self, local: &Local, persistence: &Persistence, key: Digest) -> Option<Progress> {
        match self.current(persistence, key) {
            Current::Is(fingerprint) => self.agree(persistence, key, fingerprint),
            Current::Needs(node) => match self.recall(local, persistence) {
                Some(between) => return Some(between),
                None if self.frames.len() == 1 => return Some(Progress::Needs(node)),
                None if is_barred(node, self.epoch) => self.agree(persistence, key, None),
                None => return Some(Progress::Leaps(node)),
            },
            Current::Verify(known) => {
                let reader = frame_task(&self.frames);
                match Frame::read_by(persistence, reader, TaskKey(key), known) {
                    Some(frame) => self.frames.push(frame),
                    None => self.agree(persistence, key, None),
                }
            }
        }
        None
    }

    /// Ends the innermost frame, one of whose traces holds.
    fn found(&mut self, persistence: &Persistence) -> Option<Progress> {
        let Some(frame) = self.frames.pop() else { return Some(Progress::NotFound) };
        let (task, trace) = frame.confirm(persistence);
        if self.frames.is_empty() {
            return Some(Progress::Found(trace));
        }
        self.fingerprints.insert(task.0, Some(trace.trace().output.fingerprint));
        None
    }

    /// Ends the innermost frame, one of whose traces holds, and whose body is to run nevertheless, to compare what comes of it.
    fn found_to_check(&mut self, local: &Local, persistence: &Persistence) -> Option<Progress> {
        if self.frames.len() > 1 {
            // It is asked for by itself, and comes here once more then. Without a node its body cannot run.
            return self.recall(local, persistence).or_else(|| self.found(persistence));
        }
        let Some(frame) = self.frames.pop() else { return Some(Progress::NotFound) };
        frame.expect(persistence);
        persistence.note_recorded(frame.task, &frame.known);
        Some(Progress::NotFound)
    }

    /// Ends the innermost frame, none of whose traces holds.
    fn not_found(&mut self, local: &Local, persistence: &Persistence) -> Option<Progress> {
        if let Some(needs) = self.recall(local, persistence) {
            return Some(needs);
        }
        let Some(frame) = self.frames.pop() else { return Some(Progress::NotFound) };
        if !self.frames.is_empty() {
            if frame.is_component() && is_observed(local) {
                self.differs_in = frame.differs(persistence).map(|differs| (frame.task, differs));
            }
            persistence.note_must_run(frame.task.0, self.epoch);
            self.fingerprints.insert(frame.task.0, None);
            return None;
        }
        if is_observed(local) {
            self.differs = frame.differs(persistence).map(|differs| match self.differs_in {
                Some((component, within)) if component.0 == differs.key => within,
                _ => differs,
            });
        }
        persistence.note_recorded(frame.task, &frame.known);
        if let (Some(reads), Some(node)) = (frame.reads(), persistence.nodes.get(frame.task.0)) {
            Persisted::change(node, |persisted| persisted.reads = reads);
        }
        Some(Progress::NotFound)
    }

    /// Asks other machines for the task that is looked at, once, and then for its turn if its body is to run. Returns whether runs of theirs
    /// have come with which to go on.
    fn asks_elsewhere(&mut self, local: &Local, persistence: &Persistence) -> bool {
        let is_outermost = self.frames.len() == 1;
        let Some(frame) = self.frames.last_mut() else { return false };
        // Components stay where they are.
        if persistence.elsewhere.is_none() || frame.is_component() {
            return false;
        }
        let node = persistence.nodes.get(frame.task.0);
        let usual = || local.engine().usual_time(node?.function);
        if !std::mem::replace(&mut frame.has_asked, true) {
            persistence.ask_elsewhere(frame.task, usual, &|| is_to_end(local));
            if frame.resume(persistence) {
                return true;
            }
        }
        let is_shared = node.is_some_and(|node| node.task_fn.has_records());
        if !is_outermost || !is_shared || std::mem::replace(&mut frame.had_turn, true) {
            return false;
        }
        persistence.await_turn(frame.task, usual, &|| is_to_end(local));
        frame.resume(persistence)
    }

    /// The task that is looked at, and those between it and the one that is verified, get nodes; the outermost of these is
    /// needed now. Each of them is claimed in turn then, so that a cycle among them is seen whole.
    ///
    /// Where some have no way to a node, the first one that has is leapt to.
    fn recall(&mut self, local: &Local, persistence: &Persistence) -> Option<Progress> {
        let inner = self.frames.iter().enumerate().skip(1).filter(|(_, frame)| !frame.is_unknown);
        let nodes: Vec<_> = inner.map(|(at, frame)| (at, persistence.node_of(local, frame.task.0))).collect();
        for (at, node) in &nodes {
            self.frames[*at].is_unknown = node.is_none();
        }
        let (at, node) = nodes.into_iter().find_map(|(at, node)| Some((at, node?)))?;
        if at > 1 && is_barred(node, self.epoch) {
            return None;
        }
        self.frames.truncate(at);
        Some(if at == 1 { Progress::Needs(node) } else { Progress::Leaps(node) })
    }

    /// A node that was needed cannot be made fresh.
    pub(crate) fn failed(&mut self, node: NodeRef) {
        let persisted = Persisted::of(node);
        if let Some(key) = persisted.and_then(|persisted| persisted.key) {
            self.fingerprints.insert(key, None);
        }
    }

    fn agree(&mut self, persistence: &Persistence, key: Digest, fingerprint: Option<Digest>) {
        if let Some(frame) = self.frames.last_mut() {
            frame.agree(persistence, key, fingerprint);
        }
    }

    fn current(&self, persistence: &Persistence, key: Digest) -> Current {
        if let Some(fingerprint) = self.fingerprints.get(&key) {
            return Current::Is(*fingerprint);
        }
        if self.frames.iter().any(|frame| frame.task.0 == key) {
            // It depends on itself: its body will meet the cycle.
            return Current::Is(None);
        }
        if let Some(leaf) = persistence.leaves.lock().get(&key) {
            return Current::Is(leaf.is_stored.then_some(leaf.seen.content));
        }
        if let Some(node) = persistence.nodes.get(key) {
            let persisted = Persisted::of(node);
            let is_evicted = node.keeping().contains(Keeping::EVICTED)
                && node.flag(Flags::FORGOTTEN)
                && !node.flag(Flags::MARKED)
                && node.state.phase() == Phase::Empty;
            if !node.state.is_fresh() && !is_evicted {
                return Current::Needs(node);
            }
            return Current::Is(
                persisted.filter(|persisted| persisted.is_stored).map(|persisted| persisted.fingerprint),
            );
        }
        if persistence.must_run(key, self.epoch) {
            return Current::Is(None);
        }
        let task = TaskKey(key);
        match persistence.pending.known(&persistence.store, task, |_| true) {
            // Whatever it would read now, this program may not have its function any more.
            Some(known) if persistence.code_of(known.origin) == Code::Unknown => Current::Is(None),
            None => Current::Is(None),
            // None but its members read a component, by traces that say so.
            Some(known)
                if known.origin.function == Some(component_function())
                    && self.frames.last().is_none_or(|reader| reader.kind() != Some(key)) =>
            {
                Current::Is(None)
            }
            Some(known) if persistence.is_trusted(task, &known) => {
                Current::Is(known.traces.first().map(|trace| trace.trace().output.fingerprint))
            }
            Some(known) => Current::Verify(known),
        }
    }
}

impl Persistence {
    /// The trace of a task was found to hold; `is_current` says that it is the one that the store calls the current one.
    pub(crate) fn confirm(&self, task: TaskKey, trace: &StoredTrace, is_current: bool, known: &Known) {
        let mut group = self.group();
        let digest = trace.digest();
        if let Some(elsewhere) = &self.elsewhere {
            elsewhere.confirmed(task, digest);
        }
        if !is_current {
            group.reverted(task, digest);
            self.counts.reverted.add();
            self.hand_over(&mut group, [(task.0, PendingChange::Reverted(digest))]);
        } else if known.is_stale {
            group.fresh(task);
            self.counts.verified.add();
            self.hand_over(&mut group, [(task.0, PendingChange::Fresh)]);
        }
        self.trust(task, known);
    }

    /// No trace of a task holds, and its body is about to run: notes what the last one came to.
    fn note_recorded(&self, task: TaskKey, known: &Known) {
        let Some(node) = self.nodes.get(task.0).filter(|node| !node.flag(Flags::HAS_VALUE)) else { return };
        let last = known.traces.first().map(StoredTrace::trace);
        let last = last.map(|trace| (trace.output.fingerprint, trace.component().is_some()));
        if let (Some((last, is_member)), Some(place)) = (last, node.persisted())
            && let Some(persisted) = place.lock().as_mut()
            && !persisted.is_stored
        {
            (persisted.fingerprint, persisted.is_recorded) = (last, true);
            persisted.is_member = is_member;
        }
    }
}
