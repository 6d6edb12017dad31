//! The size cap: least recently used first. [`evict`] is for the end of a program, [`StoreCap`] for as long as it runs.

mod live;

use std::collections::HashMap;

pub use self::live::{StoreCap, StoreCapStats};

use super::record::{Merged, OutputPlace, TaskOp, TaskRecord, merge_task};
use super::sweep::Sweeper;
use super::{
    Batch, Digest, ENVELOPE_BYTES, Guarded, Operation, ReadFailure, StorageError, Table, TaskKey, Visit,
    envelope,
};

/// The records that were dropped to get under a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Tasks whose older traces were dropped.
    pub trimmed: u64,
    /// Tasks dropped altogether.
    pub tasks: u64,
    /// Bytes of keys and records before.
    pub bytes_before: u64,
    /// About as many are left.
    pub bytes_after: u64,
}

#[derive(Default)]
struct Weight {
    /// Of the task with its current trace and output.
    task: u64,
    /// Of its current output, if that stands elsewhere: it is met among the older ones.
    output: u64,
    older: u64,
    used: u64,
}

/// Drops traces until all keys and records take at most `cap` bytes: first the older traces of the least recently used
/// tasks, then those tasks. Dependents stay known as long as they are stored, so whatever read a dropped task is still marked stale when it must be.
///
/// Run it while nothing else is committed ([`WriteBehind::quiesced`](super::WriteBehind::quiesced)), and
/// [`compact`](super::BackingStorage::compact) after it.
pub fn evict(store: &Guarded, cap: u64) -> Result<Evicted, StorageError> {
    let (bytes_before, order) = weigh_tasks(store)?;
    let mut evicted = Evicted { bytes_before, bytes_after: bytes_before, ..Evicted::default() };
    let mut batch = Batch::new();
    let mut sweeper = Sweeper::default();
    for (task, weight) in &order {
        if evicted.bytes_after <= cap {
            break;
        }
        if weight.older > 0 {
            merge(store, *task, &[], &mut batch)?;
            evicted.trimmed += 1;
            evicted.bytes_after = evicted.bytes_after.saturating_sub(weight.older);
        }
    }
    for (task, weight) in &order {
        if evicted.bytes_after <= cap {
            break;
        }
        sweeper.note(Digest::from_bytes(*task), merge(store, *task, &[TaskOp::Remove], &mut batch)?);
        batch.delete(Table::Uses, task);
        evicted.tasks += 1;
        evicted.bytes_after = evicted.bytes_after.saturating_sub(weight.task);
    }
    sweep(store, &mut sweeper, &mut batch)?;
    Ok(evicted)
}

/// A task by its key, and what it takes.
type Weighed = ([u8; 16], Weight);

/// Reads the whole store. Returns the bytes of its keys and records, and what each task takes, the least recently used first.
fn weigh_tasks(store: &Guarded) -> Result<(u64, Vec<Weighed>), StorageError> {
    let mut total = 0;
    let mut weights: HashMap<[u8; 16], Weight> = HashMap::new();
    for table in Table::ALL {
        store.storage().scan(table, &[], &mut |key, record| {
            let bytes = (key.len() + record.len()) as u64;
            total += bytes;
            if let Some(task) = key.first_chunk::<16>() {
                let weight = match table {
                    Table::Tasks | Table::Traces | Table::Values | Table::Reads => {
                        weights.entry(*task).or_default()
                    }
                    _ => return Visit::Continue,
                };
                if table == Table::Tasks {
                    (weight.output, weight.used) = weigh(key, record);
                    weight.task = bytes + weight.output;
                } else {
                    weight.older += bytes;
                }
            }
            Visit::Continue
        })?;
    }
    store.scan(Table::Uses, &[], |key, payload| {
        if let (Some(task), Ok(used)) = (key.first_chunk::<16>(), payload.try_into())
            && let Some(weight) = weights.get_mut(task)
        {
            weight.used = weight.used.max(u64::from_le_bytes(used));
        }
        Visit::Continue
    })?;
    for weight in weights.values_mut() {
        weight.older = weight.older.saturating_sub(weight.output);
    }
    let mut order: Vec<Weighed> = weights.into_iter().collect();
    order.sort_by_key(|(task, weight)| (weight.used, *task));
    Ok((total, order))
}

/// Removes tasks, and the lists of dependents that are of no use without them.
#[cfg(feature = "redb")]
pub(crate) fn remove_tasks(
    store: &Guarded,
    tasks: impl Iterator<Item = TaskKey>,
) -> Result<(), StorageError> {
    let mut batch = Batch::new();
    let mut sweeper = Sweeper::default();
    for task in tasks {
        let key = task.to_bytes();
        sweeper.note(task.0, merge(store, key, &[TaskOp::Remove], &mut batch)?);
        batch.delete(Table::Uses, &key);
    }
    sweep(store, &mut sweeper, &mut batch)
}

/// Commits the batch, then sweeps the lists of dependents of what went.
fn sweep(store: &Guarded, sweeper: &mut Sweeper, batch: &mut Batch) -> Result<(), StorageError> {
    commit(store, batch)?;
    while sweeper.has_work() {
        sweeper.slice(store, batch);
        commit(store, batch)?;
    }
    Ok(())
}

/// The bytes that a task's current output takes in table `Values`, and the run that stored the task.
fn weigh(key: &[u8], record: &[u8]) -> (u64, u64) {
    let payload = envelope::open(Table::Tasks, key, record).ok();
    let Some(task) = payload.and_then(|payload| TaskRecord::decode(payload).ok()) else { return (0, 0) };
    let output = match task.current.output.place {
        OutputPlace::Stored { len } => u64::from(len) + 32 + ENVELOPE_BYTES as u64,
        OutputPlace::Inline(_) => 0,
    };
    (output, task.generation.0)
}

/// Returns what the task had read, if it is removed.
fn merge(
    store: &Guarded,
    task: [u8; 16],
    ops: &[TaskOp<'_>],
    batch: &mut Batch,
) -> Result<Box<[Digest]>, StorageError> {
    /// Only the current trace is kept.
    const TRACES: usize = 1;
    const AT_ONCE: usize = 8 << 20;
    let task = TaskKey(Digest::from_bytes(task));
    let merged = merge_task(store, task, ops, TRACES, batch, |_| {}).map_err(|failure| match failure {
        ReadFailure::Storage(error) => error,
        rejected => StorageError::failed(Operation::Commit, rejected),
    })?;
    // Two steps of one task may stand in different batches: each leaves the store whole.
    if batch.bytes() >= AT_ONCE {
        commit(store, batch)?;
    }
    Ok(match merged {
        Merged::Removed { reads, .. } => reads,
        Merged::New | Merged::Known => Box::default(),
    })
}

fn commit(store: &Guarded, batch: &mut Batch) -> Result<(), StorageError> {
    store.commit(batch.writes())?;
    batch.clear();
    Ok(())
}
