//! Why a stored task has run last, also in an earlier process: down to the input or the source that had changed.
//!
//! Nothing but a small record of the cause is stored for it: the rest is in the traces. The trace of the last run and the one before it
//! have read the same up to the first value that differs, as bodies are functions of what they read. For example, `page` has read
//! `title` = 3 and then `body` = 5, and before that `title` = 3 and `body` = 4: it ran because `body` had changed from 4 to 5. If `body` is
//! a task, its traces are asked which one has come to 5 and which one to 4, and so on, down to a leaf.

mod text;

use rustc_hash::FxHashSet;

use super::{InspectError, StoreReader, StoredLeaf, StoredTask};
use crate::record::{Because, CauseRecord, Read, Trace, read_cause};
use crate::{Digest, Fingerprints, FunctionId, ReadFailure, TaskKey};

/// Reads that are looked at on the way to those that were cut off.
const LOOKED_AT: usize = 4096;
/// Reads that are named as cut off.
const CUT_OFF: usize = 8;

/// Why a stored task has run last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastRun {
    /// The run, then the change that was the cause of it, and so on. Each step is one of what the step before has read.
    pub steps: Vec<RunStep>,
    /// The leaf that had changed, as it is now, if the last step is one of a leaf that is stored.
    pub leaf: Option<StoredLeaf>,
    /// Whether the last step is where the chain ends. If not, it was cut at the limit.
    pub is_complete: bool,
}

/// One run, as its traces and the record of its cause tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunStep {
    /// The task, or the leaf with which the chain ends.
    pub key: Digest,
    /// Why it ran.
    pub why: RanBecause,
    /// In which run of the program that was, when, and for which cause, if that is known: only of the last run of a task that had run before.
    pub cause: Option<CauseRecord>,
}

/// The cause of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RanBecause {
    /// Nothing is stored of an earlier run.
    First {
        /// Identities of other code of the function whose result of this call an earlier run of the program has stored.
        other_code: Vec<Digest>,
    },
    /// A value that it had read differed.
    Read {
        /// The position of the read. Those before it had their values.
        position: u64,
        /// The task, input or source that was read.
        key: Digest,
        /// The fingerprint of the value that the run before has read.
        before: Digest,
        /// The fingerprint of the value that this run has read.
        after: Digest,
        /// Reads before that one whose own last run was of another state, and has come to an equal value: the first few.
        cut_off: Vec<TaskKey>,
    },
    /// The run before has read just the same values, or other things for another reason than a value: the record of the cause tells which,
    /// if the program recorded causes.
    SameReads,
    /// The trace of the run before is not stored any more. The record of the cause may tell why it ran.
    Dropped,
    /// It is an input or a source: it had changed.
    Leaf,
    /// It is not stored any more, so that more cannot be told.
    NotStored,
}

impl StoreReader {
    /// Returns why a stored task has run last, in at most `most` steps. None if the task is not stored.
    ///
    /// Cost: some point reads for each step, and the reads of two traces.
    ///
    /// # Errors
    /// If the store fails.
    pub fn last_run(&self, task: TaskKey, most: usize) -> Result<Option<LastRun>, InspectError> {
        let Some(stored) = self.task(task)? else { return Ok(None) };
        let mut found = LastRun { steps: Vec::new(), leaf: None, is_complete: true };
        let mut next = Some(self.last_step(&stored)?);
        let mut seen = FxHashSet::default();
        while let Some(step) = next.take() {
            let leads_to = match step.why {
                RanBecause::Read { key, before, after, .. } => Some((key, before, after)),
                _ => None,
            };
            found.steps.push(step);
            let Some((key, before, after)) = leads_to else { break };
            // Records of a store that were put together by hand could lead in a circle.
            found.is_complete = found.steps.len() < most.max(1) && seen.insert((key, before, after));
            if !found.is_complete {
                break;
            }
            if let Some(read) = self.task(TaskKey(key))? {
                next = Some(self.step_between(&read, before, after)?);
                continue;
            }
            found.leaf = self.leaf(key)?;
            let why = if found.leaf.is_some() { RanBecause::Leaf } else { RanBecause::NotStored };
            found.steps.push(RunStep { key, why, cause: None });
        }
        Ok(Some(found))
    }

    /// The last run of a task.
    fn last_step(&self, task: &StoredTask) -> Result<RunStep, InspectError> {
        let record = task.record();
        let key = task.key().0;
        let Some(cause) = self.cause(task)? else {
            let why = if record.older().len() == 0 {
                RanBecause::First { other_code: self.other_code(task)? }
            } else {
                RanBecause::Dropped
            };
            return Ok(RunStep { key, why, cause: None });
        };
        let older = self.older_traces(task)?;
        let traces = all_traces(&record.current, &older);
        let find = |sign| {
            traces.iter().find(|trace| CauseRecord::sign_of(trace.digest(self.store.fingerprints())) == sign)
        };
        let why = match (find(cause.before), find(cause.trace)) {
            _ if cause.before == cause.trace => RanBecause::SameReads,
            (Some(before), Some(own)) => self.between(task.key(), before, own)?,
            _ => RanBecause::Dropped,
        };
        Ok(RunStep { key, why, cause: Some(cause) })
    }

    /// The run of a task that has come to a value, after one that had come to another: the last such runs that are stored.
    fn step_between(
        &self,
        task: &StoredTask,
        before: Digest,
        after: Digest,
    ) -> Result<RunStep, InspectError> {
        let last = self.last_step(task)?;
        let older = self.older_traces(task)?;
        let record = task.record();
        let traces = all_traces(&record.current, &older);
        let came_to = |trace: &&Trace<'_>, value| trace.output.fingerprint == value;
        if let Some(cause) = &last.cause {
            let find = |sign| {
                traces
                    .iter()
                    .find(|trace| CauseRecord::sign_of(trace.digest(self.store.fingerprints())) == sign)
            };
            let own = find(cause.trace).filter(|own| came_to(own, after));
            if own.and(find(cause.before)).is_some_and(|old| came_to(&old, before)) {
                return Ok(last);
            }
        }
        let new = traces.iter().find(|trace| came_to(trace, after));
        let old = traces.iter().find(|trace| came_to(trace, before));
        let why = match (old, new) {
            (Some(old), Some(new)) => self.between(task.key(), old, new)?,
            _ => RanBecause::Dropped,
        };
        Ok(RunStep { key: task.key().0, why, cause: None })
    }

    /// The first read in which two traces of a task differ.
    fn between(
        &self,
        task: TaskKey,
        before: &Trace<'_>,
        after: &Trace<'_>,
    ) -> Result<RanBecause, InspectError> {
        let (mut old, mut new) = (Vec::<Read>::new(), Vec::<Read>::new());
        let is_whole = self.reads(task, before, |read| old.push(read))?
            & self.reads(task, after, |read| new.push(read))?;
        if !is_whole {
            return Ok(RanBecause::Dropped);
        }
        let Some(position) = old.iter().zip(&new).position(|(old, new)| old != new) else {
            return Ok(RanBecause::SameReads);
        };
        if old[position].key != new[position].key {
            // Equal values have led to another read: reads on several threads have no order, and impure bodies have none either.
            return self.between_unordered(task, &old, &new);
        }
        self.because_of(task, &new, position, old[position].fingerprint)
    }

    /// The first read of the run before whose value is another one in the run after it.
    fn between_unordered(
        &self,
        task: TaskKey,
        old: &[Read],
        new: &[Read],
    ) -> Result<RanBecause, InspectError> {
        let now: rustc_hash::FxHashMap<Digest, usize> =
            new.iter().enumerate().rev().map(|(position, read)| (read.key, position)).collect();
        let differs = old.iter().find_map(|read| {
            let position = *now.get(&read.key)?;
            (new[position].fingerprint != read.fingerprint).then_some((position, read.fingerprint))
        });
        match differs {
            Some((position, before)) => self.because_of(task, new, position, before),
            None => Ok(RanBecause::SameReads),
        }
    }

    fn because_of(
        &self,
        task: TaskKey,
        reads: &[Read],
        position: usize,
        before: Digest,
    ) -> Result<RanBecause, InspectError> {
        let Read { key, fingerprint: after } = reads[position];
        let cut_off = self.cut_off_among(task, &reads[..position])?;
        Ok(RanBecause::Read { position: position as u64, key, before, after, cut_off })
    }

    /// The tasks among some reads of `reader` that have run in the same run of the program, from other values, and come to an equal one.
    fn cut_off_among(&self, reader: TaskKey, reads: &[Read]) -> Result<Vec<TaskKey>, InspectError> {
        let generation = self.task(reader)?.map(|reader| reader.record().generation);
        let mut cut_off = Vec::new();
        for read in reads.iter().take(LOOKED_AT) {
            if cut_off.len() == CUT_OFF {
                break;
            }
            let Some(task) = self.task(TaskKey(read.key))? else { continue };
            let record = task.record();
            let Some(cause) = self.cause(&task)?.filter(|cause| Some(cause.generation) == generation) else {
                continue;
            };
            let mut older = record.older();
            let was_equal =
                |value: Digest| value == read.fingerprint && value == record.current.output.fingerprint;
            let before = older.find(|older| CauseRecord::sign_of(older.digest) == cause.before);
            if before.is_some_and(|before| was_equal(before.fingerprint)) && !cut_off.contains(&task.key()) {
                cut_off.push(task.key());
            }
        }
        Ok(cut_off)
    }

    /// Returns the record of why a task has run last, if it had run before.
    ///
    /// # Errors
    /// If the store fails.
    pub fn cause(&self, task: &StoredTask) -> Result<Option<CauseRecord>, InspectError> {
        match read_cause(&self.store, task.key()) {
            Ok(cause) => Ok(cause.filter(|cause| cause.because != Because::Verified)),
            Err(ReadFailure::Rejected(_)) => Ok(None),
            Err(ReadFailure::Storage(source)) => Err(self.failed(source)),
        }
    }

    /// Returns the identities of other code of a task's function whose result of the same call was stored in an earlier run of the program.
    ///
    /// # Errors
    /// If the store fails.
    pub fn other_code(&self, task: &StoredTask) -> Result<Vec<Digest>, InspectError> {
        let record = task.record();
        let Some(id) = record.function() else { return Ok(Vec::new()) };
        let functions = self.functions()?;
        let Some(own) = functions.get(&id) else { return Ok(Vec::new()) };
        let mut codes = Vec::new();
        for other in functions.values().filter(|other| other.path == own.path && other.id != id) {
            let earlier = self.task(key_under(self.store.fingerprints(), other.id, record.encoded_key))?;
            if earlier.is_some_and(|earlier| earlier.record().generation < record.generation) {
                codes.push(other.code);
            }
        }
        Ok(codes)
    }
}

/// The traces of a task, most recent first.
fn all_traces<'a>(current: &Trace<'a>, older: &'a [Vec<u8>]) -> Vec<Trace<'a>> {
    std::iter::once(*current).chain(older.iter().filter_map(|older| Trace::decode(older).ok())).collect()
}

/// The key of a call of another function with the same arguments.
fn key_under(fingerprints: Fingerprints, function: FunctionId, encoded_key: &[u8]) -> TaskKey {
    let mut key = Vec::with_capacity(encoded_key.len());
    TaskKey::start(function, &mut key);
    let own = key.len();
    key.extend_from_slice(encoded_key.get(own..).unwrap_or_default());
    TaskKey::of(fingerprints, &key)
}
