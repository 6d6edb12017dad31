//! Groups: records that are handed over together.

use std::ops::Range;

use crate::record::{
    Because, ForeignTrace, FunctionRecord, InputRecord, MetaRecord, NewChunks, NewTask, PulledRecord,
    SinceRecord, SourceRecord, TaskOp, good_key, local_key, lossy_key, pulled_key, shared_key,
};
use crate::{Batch, Digest, Fingerprints, RunNumber, Table, TaskKey, TraceKey};

/// Changes that are committed together, or not at all. Filling a reused group allocates nothing.
///
/// Hand a task over after what it read: a reader of something that is not stored would never be marked stale.
#[derive(Debug)]
pub struct Group {
    /// The kind of digests in the store that the group is for.
    fingerprints: Fingerprints,
    /// Records that replace whatever was there.
    pub(super) batch: Batch,
    /// Changes to tasks, which depend on what is stored of them.
    tasks: Vec<(TaskKey, Change)>,
    /// Tasks marked stale, which a change can be by the hundred thousand.
    stale: Vec<TaskKey>,
    /// Encoded keys, traces and new chunks of those that ran.
    runs: Vec<u8>,
    /// Sources and inputs put (`true`) or removed.
    pub(super) sources: Vec<(Digest, SourceChange)>,
}

/// The content of a group that was full, as numbers of items and bytes. Groups that are filled one after the other are much alike, and
/// one that has the room at once is not copied again and again while it grows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Room {
    writes: usize,
    bytes: usize,
    tasks: usize,
    stale: usize,
    runs: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Where its encoded key begins in `runs`, and the lengths of that, of the trace and of the new chunks, which follow it.
    Ran {
        generation: RunNumber,
        because: Because,
        at: usize,
        encoded_key: u32,
        trace: u32,
        chunks: u32,
    },
    /// The first of these tasks in `stale`, and those behind it.
    Stale(Range<usize>),
    Fresh,
    Revert(Digest),
    Remove,
    /// A run of another machine: where its encoded key begins in `runs`, and the lengths of that, of the trace, of the new chunks and of an
    /// output that does not stand in the trace.
    Found {
        at: usize,
        encoded_key: u32,
        trace: u32,
        chunks: u32,
        output: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceChange {
    Put,
    Remove,
    /// It goes, and nothing will ever be looked for by it again.
    End,
}

/// The length of an encoded key, trace or list of chunks. Keys and values are limited to far less.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a record is shorter than 4 GiB")
}

impl Group {
    /// Returns an empty group, for a store of these fingerprints.
    pub fn new(fingerprints: Fingerprints) -> Self {
        Self {
            fingerprints,
            batch: Batch::default(),
            tasks: Vec::new(),
            stale: Vec::new(),
            runs: Vec::new(),
            sources: Vec::new(),
        }
    }

    /// Returns an empty group for the same store.
    #[must_use]
    pub fn like(&self) -> Self {
        Self::new(self.fingerprints)
    }

    /// Returns what it holds, to be reserved in another one.
    pub(super) fn room(&self) -> Room {
        Room {
            writes: self.batch.len(),
            bytes: self.batch.bytes(),
            tasks: self.tasks.len(),
            stale: self.stale.len(),
            runs: self.runs.len(),
        }
    }

    pub(super) fn reserve(&mut self, room: Room) {
        self.batch.reserve(room.writes, room.bytes);
        self.tasks.reserve(room.tasks);
        self.stale.reserve(room.stale);
        self.runs.reserve(room.runs);
    }

    /// Makes room for so many more tasks that are marked stale.
    pub fn reserve_stale(&mut self, tasks: usize) {
        self.stale.reserve(tasks);
    }

    /// Notes that a task ran. It is no longer stale; its trace becomes the current one, and those it had before are kept.
    pub fn ran(&mut self, task: &NewTask<'_>) {
        let key = TaskKey::of(self.fingerprints, task.encoded_key);
        self.push_run(key, task, Because::Unknown, |runs| _ = task.trace.encode_into(runs));
    }

    /// Notes that a task ran, as [`Group::ran`] does, for a known cause. That is stored if the task is stored already.
    ///
    /// Notes a run, for a caller that has the task's key and the encoded trace at hand.
    pub fn ran_because(&mut self, key: TaskKey, task: &NewTask<'_>, encoded_trace: &[u8], because: Because) {
        debug_assert!(key == TaskKey::of(self.fingerprints, task.encoded_key), "the key of another task");
        self.push_run(key, task, because, |runs| runs.extend_from_slice(encoded_trace));
    }

    fn push_run(
        &mut self,
        key: TaskKey,
        task: &NewTask<'_>,
        because: Because,
        trace: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = self.runs.len();
        self.runs.extend_from_slice(task.encoded_key);
        let between = self.runs.len();
        trace(&mut self.runs);
        let end = self.runs.len();
        self.runs.extend_from_slice(task.trace.reads.new_chunks().bytes());
        let change = Change::Ran {
            generation: task.generation,
            because,
            at: start,
            encoded_key: length(between - start),
            trace: length(end - between),
            chunks: length(self.runs.len() - end),
        };
        self.tasks.push((key, change));
        if !task.trace.is_inline() {
            let at = TraceKey { task: key, part: task.trace.fingerprint }.to_bytes();
            self.batch.seal(Table::Values, &at, |out| out.extend_from_slice(task.trace.output));
        }
    }

    /// Notes that another machine has run a task: the run becomes an older one of the task, or the current one, marked stale, of a task of which nothing
    /// is stored. Nothing that is stored already is replaced.
    pub fn found(&mut self, encoded_key: &[u8], trace: &ForeignTrace) {
        let at = self.runs.len();
        self.runs.extend_from_slice(encoded_key);
        let between = self.runs.len();
        let (trace_len, chunks, output) = trace.as_new(self.fingerprints, |trace| {
            trace.encode_into(&mut self.runs);
            let end = self.runs.len();
            let chunks = trace.reads.new_chunks().bytes();
            self.runs.extend_from_slice(chunks);
            let output = if trace.is_inline() { &[] } else { trace.output };
            self.runs.extend_from_slice(output);
            (length(end - between), length(chunks.len()), length(output.len()))
        });
        let change =
            Change::Found { at, encoded_key: length(encoded_key.len()), trace: trace_len, chunks, output };
        self.tasks.push((TaskKey::of(self.fingerprints, encoded_key), change));
    }

    /// Marks a task stale: something that it depends on, directly or not, has changed. Belongs into the group of that change.
    pub fn stale(&mut self, task: TaskKey) {
        let at = self.stale.len();
        self.stale.push(task);
        match self.tasks.last_mut() {
            Some((_, Change::Stale(range))) if range.end == at => range.end += 1,
            _ => self.tasks.push((task, Change::Stale(at..at + 1))),
        }
    }

    /// Returns all tasks that are marked stale.
    pub fn stale_tasks(&self) -> impl Iterator<Item = TaskKey> {
        self.stale.iter().copied()
    }

    /// Notes that a stale task was verified: all its reads have the values that they had.
    pub fn fresh(&mut self, task: TaskKey) {
        self.tasks.push((task, Change::Fresh));
    }

    /// Notes that an older trace of the task is current again: all its reads have the values that they had then.
    pub fn reverted(&mut self, task: TaskKey, trace: Digest) {
        self.tasks.push((task, Change::Revert(trace)));
    }

    /// Forgets the task, with all its traces. Its dependents stay known: they are still to be marked stale.
    pub fn remove_task(&mut self, task: TaskKey) {
        self.tasks.push((task, Change::Remove));
        self.batch.delete(Table::Uses, &task.to_bytes());
    }

    /// Notes that a source was seen for the first time, or has changed.
    pub fn source(&mut self, source: &SourceRecord<'_>) {
        let key = source.key(self.fingerprints);
        self.batch.seal(Table::Sources, &key.to_bytes(), |out| source.encode_into(out));
        self.sources.push((key, SourceChange::Put));
    }

    /// Removes a source that nothing that is stored reads any more.
    pub fn remove_source(&mut self, key: Digest) {
        self.remove_leaf(key);
    }

    /// Removes a source or input. All tasks that depend on it have to be marked stale in the same group.
    pub fn remove_leaf(&mut self, key: Digest) {
        self.batch.delete(Table::Sources, &key.to_bytes());
        self.batch.delete(Table::Inputs, &key.to_bytes());
        self.sources.push((key, SourceChange::Remove));
    }

    /// Removes a source that will never be there again: its list of dependents goes with it. All tasks that depend on it have to be marked
    /// stale in the same group.
    pub fn end_source(&mut self, key: Digest) {
        self.batch.delete(Table::Sources, &key.to_bytes());
        self.sources.push((key, SourceChange::End));
    }

    /// Notes that an input was set.
    pub fn input(&mut self, input: &InputRecord<'_>) {
        let key = input.key(self.fingerprints);
        self.batch.seal(Table::Inputs, &key.to_bytes(), |out| input.encode_into(out));
        self.sources.push((key, SourceChange::Put));
    }

    /// Notes that the task was used in the run of this generation. Once per run is enough, and needless if it ran.
    pub fn used(&mut self, task: TaskKey, generation: RunNumber) {
        self.batch
            .seal(Table::Uses, &task.to_bytes(), |out| out.extend_from_slice(&generation.0.to_le_bytes()));
    }

    /// Names a task function.
    pub fn function(&mut self, function: &FunctionRecord<'_>) {
        let key = function.id().0.to_bytes();
        self.batch.seal(Table::Functions, &key, |out| function.encode_into(out));
    }

    /// Values of the task function do not come back as they were: no record of it is to be used.
    pub fn lossy_function(&mut self, function: &FunctionRecord<'_>) {
        let key = lossy_key(function.id());
        self.batch.seal(Table::Meta, &key, |out| function.encode_into(out));
    }

    /// Names a task function whose results other builds are given.
    pub fn shared_function(&mut self, function: &FunctionRecord<'_>) {
        self.function(function);
        let key = shared_key(function.id());
        self.batch.seal(Table::Meta, &key, |out| function.encode_into(out));
    }

    /// Names a task function whose results stay on this machine.
    pub fn local_function(&mut self, function: &FunctionRecord<'_>) {
        self.function(function);
        let key = local_key(function.id());
        self.batch.seal(Table::Meta, &key, |out| function.encode_into(out));
    }

    /// Results of the task function that have expired stay, as long as there is no newer one: it hands the last good one out.
    pub fn good_function(&mut self, function: &FunctionRecord<'_>) {
        let key = good_key(function.id());
        self.batch.seal(Table::Meta, &key, |out| function.encode_into(out));
    }

    /// Notes that this run writes to the store: its build, its generation, and since when that build alone has written. Belongs into a
    /// run's first group.
    pub fn run_since(&mut self, build: Digest, generation: RunNumber, since: RunNumber) {
        self.run(build, generation);
        let record = SinceRecord { build, generation: since };
        self.batch.seal(Table::Meta, crate::record::SINCE, |out| record.encode_into(out));
    }

    /// Notes that all that a list of shared results names has been put into the store.
    pub fn pulled(&mut self, name: &str, list: PulledRecord<'_>) {
        self.batch.seal(Table::Meta, &pulled_key(name), |out| list.encode_into(out));
    }

    /// Notes that this run writes to the store: its build and its generation.
    pub fn run(&mut self, build: Digest, generation: RunNumber) {
        let record = MetaRecord::own(build, generation, self.fingerprints);
        self.batch.seal(Table::Meta, crate::record::STORE, |out| record.encode_into(out));
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.tasks.is_empty()
    }

    /// Returns about the bytes it takes while waiting.
    pub fn bytes(&self) -> usize {
        self.batch.bytes()
            + self.batch.len() * 48
            + self.runs.len()
            + self.tasks.len() * 64
            + self.stale.len() * 16
    }

    /// Empties it for a store of these fingerprints, and keeps its buffers.
    pub fn clear_for(&mut self, fingerprints: Fingerprints) {
        self.clear();
        self.fingerprints = fingerprints;
    }

    /// Empties it and keeps its buffers.
    pub fn clear(&mut self) {
        self.batch.clear();
        self.tasks.clear();
        self.runs.clear();
        self.stale.clear();
        self.sources.clear();
    }

    pub(super) fn append(&mut self, other: &Self) {
        let (runs, stale) = (self.runs.len(), self.stale.len());
        self.stale.extend_from_slice(&other.stale);
        self.batch.append(&other.batch);
        self.runs.extend_from_slice(&other.runs);
        self.sources.extend_from_slice(&other.sources);
        self.tasks.extend(other.tasks.iter().map(|(task, change)| {
            let mut change = change.clone();
            match &mut change {
                Change::Ran { at, .. } | Change::Found { at, .. } => *at += runs,
                Change::Stale(range) => *range = range.start + stale..range.end + stale,
                Change::Fresh | Change::Revert(_) | Change::Remove => {}
            }
            (*task, change)
        }));
    }

    /// All tasks that are changed, in order, each with the number of the change.
    pub(super) fn changes(&self) -> impl Iterator<Item = (TaskKey, usize)> {
        self.tasks.iter().enumerate().flat_map(|(number, (task, change))| {
            let (stale, other) = match change {
                Change::Stale(range) => (&self.stale[range.clone()], None),
                _ => (&[][..], Some(*task)),
            };
            stale.iter().copied().chain(other).map(move |task| (task, number))
        })
    }

    /// The number of tasks that are changed.
    pub(super) fn len(&self) -> usize {
        self.tasks.len() + self.stale.len()
    }

    /// The number of records and of their bytes that it comes to, about.
    pub(super) fn comes_to(&self) -> (usize, usize) {
        // A task's record has a seal and a few fields beside what is here, and each new one a record of its dependents.
        let writes = self.batch.len() + 2 * self.tasks.len() + self.stale.len();
        (writes, self.batch.bytes() + self.runs.len() + 104 * self.tasks.len())
    }

    /// The change of a number.
    pub(super) fn op(&self, number: usize) -> TaskOp<'_> {
        match &self.tasks[number].1 {
            Change::Ran { generation, because, at, encoded_key, trace, chunks } => {
                let (encoded_key, rest) = self.runs[*at..].split_at(*encoded_key as usize);
                let (trace, rest) = rest.split_at(*trace as usize);
                let chunks = NewChunks::new(&rest[..*chunks as usize]);
                TaskOp::Ran { generation: *generation, because: *because, encoded_key, trace, chunks }
            }
            Change::Found { at, encoded_key, trace, chunks, output } => {
                let (encoded_key, rest) = self.runs[*at..].split_at(*encoded_key as usize);
                let (trace, rest) = rest.split_at(*trace as usize);
                let (chunks, rest) = rest.split_at(*chunks as usize);
                let output = &rest[..*output as usize];
                TaskOp::Found { encoded_key, trace, chunks: NewChunks::new(chunks), output }
            }
            Change::Stale(_) => TaskOp::Stale,
            Change::Fresh => TaskOp::Fresh,
            Change::Revert(trace) => TaskOp::Revert(*trace),
            Change::Remove => TaskOp::Remove,
        }
    }
}
