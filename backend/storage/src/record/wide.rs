//! The chunks of a stored task when its runs are written: new ones are put, those that no trace of the task names
//! any more are deleted.

use rustc_hash::{FxHashMap, FxHashSet};

use super::super::{Batch, Digest, Guarded, ReadFailure, Table, TaskKey};
use super::chunks::{Chunk, NewChunks, decode};
use super::merge::{Held, TaskOp};
use super::trace::Trace;

/// Returns the keys, sorted, that a stored task is known to have read, as far as `ops` may name them as new: whatever it reads
/// beside them needs an edge. Chunks that all runs share with the stored trace are left out.
pub(super) fn known_keys(
    store: &Guarded,
    task: TaskKey,
    stored: &Trace<'_>,
    ops: &[TaskOp<'_>],
) -> Result<Vec<Digest>, ReadFailure> {
    let mut known: Vec<Digest> = stored.reads().map(|read| read.key).collect();
    let mut replaced: FxHashMap<Digest, Chunk> = FxHashMap::default();
    if stored.is_wide() {
        for op in ops {
            if matches!(op, TaskOp::Remove) {
                replaced.extend(stored.chunks().map(|chunk| (chunk.digest, chunk)));
            }
            let (TaskOp::Ran { trace, .. } | TaskOp::Found { trace, .. }) = op else { continue };
            let Ok(trace) = Trace::decode(trace) else { continue };
            let named: FxHashSet<Digest> = trace.chunks().map(|chunk| chunk.digest).collect();
            let gone = stored.chunks().filter(|chunk| !named.contains(&chunk.digest));
            replaced.extend(gone.map(|chunk| (chunk.digest, chunk)));
        }
    }
    for chunk in replaced.into_values() {
        if let Some(encoded) = chunk.load(store, task)? {
            known.extend(decode(&encoded).map(|read| read.key));
        }
    }
    known.sort_unstable();
    Ok(known)
}

/// Gathers the chunks of a task's runs.
pub(super) struct ChunkWriter<'a> {
    /// Named by the stored trace, so in the store.
    stored: FxHashSet<Digest>,
    new: FxHashMap<Digest, (Chunk, &'a [u8])>,
}

impl<'a> ChunkWriter<'a> {
    /// Begins with the stored trace, if there is one.
    pub(super) fn new(stored: Option<Trace<'_>>) -> Self {
        let stored = stored.iter().flat_map(Trace::chunks).map(|chunk| chunk.digest).collect();
        Self { stored, new: FxHashMap::default() }
    }

    /// Adds the chunks of a run, and calls `read` for the keys of those that the stored trace does not name.
    pub(super) fn add(&mut self, chunks: NewChunks<'a>, mut read: impl FnMut(Digest)) {
        for (chunk, encoded) in chunks.iter() {
            if !self.stored.contains(&chunk.digest) {
                decode(encoded).for_each(|each| read(each.key));
                self.new.insert(chunk.digest, (chunk, encoded));
            }
        }
    }

    /// Puts the new chunks that `kept` traces name, and deletes those that only `dropped` ones do.
    pub(super) fn write(
        &self,
        store: &Guarded,
        task: TaskKey,
        (kept, dropped): (&mut [Held], &mut [Held]),
        batch: &mut Batch,
    ) -> Result<(), ReadFailure> {
        let drops = dropped.iter().any(|held| held.trace.is_wide);
        if self.new.is_empty() && !drops {
            return Ok(());
        }
        let mut named = FxHashSet::default();
        for held in kept {
            // Those that are not at hand have been stored before; only deleting asks what they name.
            let known = held.trace.is_wide && (held.body.is_some() || drops && held.load(store, task)?);
            if known {
                for_each_chunk(held, |chunk| {
                    named.insert(chunk.digest);
                });
            }
        }
        for held in dropped {
            if held.trace.is_wide && held.load(store, task)? {
                for_each_chunk(held, |chunk| {
                    if !named.contains(&chunk.digest) {
                        batch.delete(Table::Reads, &chunk.key(task));
                    }
                });
            }
        }
        for (chunk, encoded) in self.new.values().filter(|(chunk, _)| named.contains(&chunk.digest)) {
            chunk.write(task, encoded, batch);
        }
        Ok(())
    }
}

fn for_each_chunk(held: &Held, each: impl FnMut(Chunk)) {
    if let Some(Ok(trace)) = held.body.as_deref().map(Trace::decode) {
        trace.chunks().for_each(each);
    }
}
