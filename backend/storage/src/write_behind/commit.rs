//! One batch: what was handed over, merged with what is stored, sealed and committed.

use super::Group;
use super::group::SourceChange;
use crate::record::{EdgeWriter, Merged, SOURCES, SourceSet, TaskOp, Trace, is_target_stored, merge_task};
use crate::sweep::Sweeper;
use crate::{Batch, Digest, Guarded, Operation, ReadFailure, StorageError, Table};

/// Merges and commits; keeps its buffers from batch to batch.
pub(super) struct Committer {
    max_traces: usize,
    batch: Batch,
    edges: EdgeWriter,
    /// Targets that go with this batch, each with what it read.
    gone: Vec<(Digest, Box<[Digest]>)>,
    ended: Vec<Digest>,
    sweeper: Sweeper,
    writes: u64,
}

impl Committer {
    pub(super) fn new(max_traces: usize) -> Self {
        Self {
            max_traces,
            batch: Batch::new(),
            edges: EdgeWriter::default(),
            gone: Vec::new(),
            ended: Vec::new(),
            sweeper: Sweeper::default(),
            writes: 0,
        }
    }

    /// The number of writes of the last batch.
    pub(super) fn writes(&self) -> u64 {
        self.writes
    }

    /// The bytes of the last batch.
    pub(super) fn bytes(&self) -> u64 {
        self.batch.bytes() as u64
    }

    /// Commits all of `groups`, or nothing. May be called again with the same after an error: what they come to is put in place of what is
    /// there, so once that is known they are not needed, and are dropped.
    pub(super) fn commit(&mut self, store: &Guarded, groups: &mut Vec<Group>) -> Result<(), StorageError> {
        if !groups.is_empty() {
            self.merge(store, groups).map_err(failed)?;
            *groups = Vec::new();
        }
        let writes = self.batch.writes();
        self.writes = writes.len() as u64;
        store.commit(writes)?;
        self.gone.drain(..).for_each(|(target, reads)| self.sweeper.note(target, reads));
        self.ended.drain(..).for_each(|target| self.sweeper.note_end(target));
        Ok(())
    }

    /// Makes a batch of groups and of what is stored.
    fn merge(&mut self, store: &Guarded, groups: &[Group]) -> Result<(), ReadFailure> {
        self.batch.clear();
        self.edges.clear();
        self.gone.clear();
        self.ended.clear();
        let (mut writes, mut bytes) = (0, 0);
        for group in groups {
            let more = group.comes_to();
            (writes, bytes) = (writes + more.0, bytes + more.1);
        }
        self.batch.reserve(writes, bytes);
        for group in groups {
            self.batch.append(&group.batch);
        }
        self.merge_tasks(store, groups)?;
        self.merge_sources(store, groups)?;
        self.edges.write(store, &mut self.batch)
    }

    /// Gives back the buffers of a large batch; those of small ones are used again.
    pub(super) fn relax(&mut self) {
        const SMALL: usize = 1 << 20;
        if self.batch.bytes() > SMALL {
            self.batch = Batch::new();
            self.edges = EdgeWriter::default();
        }
    }

    /// Whether there may be lists of dependents to be swept.
    pub(super) fn has_sweeping(&self) -> bool {
        self.sweeper.has_work()
    }

    /// Sweeps the lists of some targets, in a batch of its own.
    pub(super) fn sweep(&mut self, store: &Guarded) -> Result<(), StorageError> {
        self.batch.clear();
        self.sweeper.slice(store, &mut self.batch);
        if self.batch.is_empty() { Ok(()) } else { store.commit(self.batch.writes()) }
    }

    fn merge_tasks(&mut self, store: &Guarded, groups: &[Group]) -> Result<(), ReadFailure> {
        // Numbers, not the changes: there are as many as tasks in the batch.
        let mut changes = Vec::with_capacity(groups.iter().map(Group::len).sum());
        for (group, number) in groups.iter().zip(0_u32..) {
            let place =
                |change| (number, u32::try_from(change).expect("a group has less than 4 billion changes"));
            changes.extend(group.changes().map(|(task, change)| (task, place(change))));
        }
        // The changes to one task stay in their order.
        changes.sort_unstable();
        let mut ops = Vec::new();
        for changes in changes.chunk_by(|a, b| a.0 == b.0) {
            let task = changes[0].0;
            ops.clear();
            ops.extend(
                changes.iter().map(|(_, (group, change))| groups[*group as usize].op(*change as usize)),
            );
            let edges = &mut self.edges;
            new_targets(store, &ops, edges)?;
            let merged = merge_task(store, task, &ops, self.max_traces, &mut self.batch, |read| {
                edges.add(read, task)
            })?;
            match merged {
                Merged::New => edges.new_target(task.0),
                Merged::Known => {}
                Merged::Removed { was_new, reads } => {
                    if was_new {
                        // A task that has read it in between is in this batch, and lists it.
                        edges.new_target(task.0);
                    }
                    self.gone.push((task.0, reads));
                }
            }
        }
        Ok(())
    }

    fn merge_sources(&mut self, store: &Guarded, groups: &[Group]) -> Result<(), ReadFailure> {
        let mut changes: Vec<(Digest, SourceChange)> =
            groups.iter().flat_map(|group| group.sources.iter().copied()).collect();
        if changes.is_empty() {
            return Ok(());
        }
        changes.sort_by_key(|(key, _)| *key);
        let mut buffer = Vec::new();
        let mut set = match store.read(Table::Meta, SOURCES, &mut buffer) {
            Ok(Some(payload)) => SourceSet::decode(payload).unwrap_or_else(|_| SourceSet::lost()),
            Ok(None) | Err(ReadFailure::Rejected(_)) => SourceSet::lost(),
            Err(failure) => return Err(failure),
        };
        for changes in changes.chunk_by(|a, b| a.0 == b.0) {
            let (key, last) = changes[changes.len() - 1];
            let known = is_stored(store, key, &mut buffer)?;
            match last {
                SourceChange::Put if !known => {
                    set.insert(&key.to_bytes());
                    self.edges.new_target(key);
                }
                SourceChange::End => {
                    if known {
                        set.remove(&key.to_bytes());
                    } else {
                        // A task that has read it may be in this batch.
                        self.edges.new_target(key);
                    }
                    self.ended.push(key);
                }
                SourceChange::Remove if known => {
                    set.remove(&key.to_bytes());
                    self.gone.push((key, Box::default()));
                }
                SourceChange::Remove if changes.iter().any(|(_, change)| *change == SourceChange::Put) => {
                    // It has come and gone in this batch, and so has what read it.
                    self.edges.new_target(key);
                    self.gone.push((key, Box::default()));
                }
                _ => {}
            }
        }
        self.batch.seal(Table::Meta, SOURCES, |out| set.encode_into(out));
        Ok(())
    }
}

/// Another machine's runs may have read what is not stored here. Should it be stored later, its list of dependents is to be whole.
fn new_targets(store: &Guarded, ops: &[TaskOp<'_>], edges: &mut EdgeWriter) -> Result<(), ReadFailure> {
    for op in ops {
        let TaskOp::Found { trace, chunks, .. } = op else { continue };
        let Ok(trace) = Trace::decode(trace) else { continue };
        for read in trace.reads().chain(chunks.reads()) {
            if !is_target_stored(store, read.key)? {
                edges.new_target(read.key);
            }
        }
    }
    Ok(())
}

/// Whether a source or input has a record, sound or not.
fn is_stored(store: &Guarded, key: Digest, buffer: &mut Vec<u8>) -> Result<bool, ReadFailure> {
    for table in [Table::Sources, Table::Inputs] {
        match store.read(table, &key.to_bytes(), buffer) {
            Ok(None) => {}
            Ok(Some(_)) | Err(ReadFailure::Rejected(_)) => return Ok(true),
            Err(failure) => return Err(failure),
        }
    }
    Ok(false)
}

fn failed(failure: ReadFailure) -> StorageError {
    match failure {
        ReadFailure::Storage(error) => error,
        rejected => StorageError::failed(Operation::Commit, rejected),
    }
}
