//! Expired: what goes of a stored task when deadlines have passed that its traces have read.
//!
//! A deadline is the last read of its trace, and never comes back, so that trace does not hold again. The most recent trace may be of use
//! all the same: its readers have recorded its fingerprint, and its task is made again from the key in its record. So it stays if something
//! that is stored has read the task, or if the function hands its last good result out (`last_good`); then the older ones go, and else
//! the record. For example, a price that is kept for an hour and asked for once a day had eight older traces, and has none.

use super::super::super::{Batch, Digest, Guarded, ReadFailure, Table, TaskKey};
use super::super::chunks::decode as decode_reads;
use super::super::dependents::{dependents_count, is_target_stored};
use super::super::wide::{ChunkWriter, known_keys};
use super::super::{TaskRecord, Trace, component_function, good_key};
use super::{Held, State, TaskOp};

/// Drops the traces of a task that have read one of `deadlines`, which have passed and are not stored. Returns what the task had read, if
/// its record goes. A record that cannot be read stays as it is.
pub(crate) fn drop_expired(
    store: &Guarded,
    task: TaskKey,
    deadlines: &[Digest],
    batch: &mut Batch,
) -> Result<Option<Box<[Digest]>>, ReadFailure> {
    let mut buffer = Vec::new();
    let Some(payload) = store.read(Table::Tasks, &task.to_bytes(), &mut buffer)? else { return Ok(None) };
    let Ok(record) = TaskRecord::decode(payload) else { return Ok(None) };
    // The members of a component have its traces in theirs.
    if record.function() == Some(component_function()) {
        return Ok(None);
    }
    let mut state = State::load(&record, store.fingerprints());
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    for mut held in std::mem::take(&mut state.traces) {
        let is_current = kept.is_empty() && dropped.is_empty();
        let last = held.last_read(store, task)?;
        // An older one may be left of an earlier deadline, at which it was the current one.
        let is_dead = last.is_some_and(|last| deadlines.contains(&last))
            || !is_current && last.map_or(Ok(false), |last| is_target_stored(store, last).map(|is| !is))?;
        let goes = is_dead && !(is_current && is_of_use(store, task, &record)?);
        if goes { &mut dropped } else { &mut kept }.push(held);
    }
    if dropped.is_empty() {
        return Ok(None);
    }
    // One that was an older one has to be verified before it is used.
    state.stale |= !dropped[0].in_traces;
    state.traces = kept;
    state.settle(store, task, usize::MAX, &mut dropped)?;
    ChunkWriter::new(Some(record.current)).write(store, task, (&mut state.traces, &mut dropped), batch)?;
    state.write(task, &dropped, batch);
    if !state.traces.is_empty() {
        return Ok(None);
    }
    batch.delete(Table::Uses, &task.to_bytes());
    let mut reads = known_keys(store, task, &record.current, &[TaskOp::Remove])?;
    reads.dedup();
    Ok(Some(reads.into()))
}

/// Whether a result that has expired is of use: to those that have read it, or in place of one that is not to be kept.
fn is_of_use(store: &Guarded, task: TaskKey, record: &TaskRecord<'_>) -> Result<bool, ReadFailure> {
    if dependents_count(store, task.0)? > 0 {
        return Ok(true);
    }
    let Some(function) = record.function() else { return Ok(true) };
    Ok(store.read(Table::Meta, &good_key(function), &mut Vec::new())?.is_some())
}

impl Held {
    /// The key of the last read. None if there is none, or it cannot be had.
    fn last_read(&mut self, store: &Guarded, task: TaskKey) -> Result<Option<Digest>, ReadFailure> {
        if !self.load(store, task)? {
            return Ok(None);
        }
        let Some(Ok(trace)) = self.body.as_deref().map(Trace::decode) else { return Ok(None) };
        let Some(chunk) = trace.chunks().last() else {
            return Ok(trace.reads().last().map(|read| read.key));
        };
        let encoded = chunk.load(store, task)?;
        Ok(encoded.and_then(|encoded| decode_reads(&encoded).last().map(|read| read.key)))
    }
}
