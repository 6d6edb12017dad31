//! Wide: recording a run with very many reads in time that goes with what has changed.
//!
//! Memory keeps the chunks of the trace that such a node was last stored with ([`WideTrace`]: 32 bytes for some 300 reads). When
//! the node runs again and reads the same tasks in the same order, one pass over its reads finds the chunks in which a value has
//! changed, by `changed_at` alone; those are encoded anew, and all others are named as they are.
//!
//! ```text
//! deps      r0 .. r299 | r300 .. r611 | r612 .. r900 | ..
//! before      c0       |   c1         |   c2         |        chunks of the last trace, of epoch 7
//! changed                  r450 has changed_at 9
//! now         c0       |   c1'        |   c2         |        c1' is encoded and handed over; c0 and c2 are in the store
//! ```
//! *Why the epoch is enough.* A read that was fresh when the trace was stored keeps its value until the session ends, and changes
//! afterwards have a later epoch. A read that is not stored any more, or has failed, is seen by the same pass.
//!
//! The part in memory is dropped whenever a run of the node is not stored, and when the node is forgotten. A node whose reads
//! have become others (`relink`) compares its chunks by their digests instead.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::stored_trace::PlacedChunk;
use crate::graph::edges::Edge;
use crate::graph::epoch::Epoch;
use crate::graph::node::NodeRef;
use crate::graph::persisted::{KeptChunk, Persisted, WideTrace};
use crate::graph::reason::Reason;
use larder_storage::record::{Chunk, NewChunks, NewReads, Read, WIDE, ends_chunk};
use larder_storage::{Digest, Fingerprints};

/// The chunks of a node in which nothing has changed since it was stored, by where they begin.
pub(crate) struct CleanChunks(Vec<(usize, Chunk)>);

/// The reads of a wide run.
pub(crate) struct WideReads {
    fingerprints: Fingerprints,
    all: Vec<Chunk>,
    new: Vec<u8>,
    placed: Vec<PlacedChunk>,
}

/// Whether so many reads are stored in chunks.
pub(crate) fn is_wide(reads: usize) -> bool {
    reads >= WIDE
}

/// Notes that a node with `before` reads has come to read something else.
pub(crate) fn reads_changed(node: NodeRef, before: usize) {
    if is_wide(before)
        && let Some(extra) = node.extra()
        && let Some(wide) = extra.wide.lock().as_mut()
    {
        wide.reads_changed = true;
    }
}

/// Drops what memory keeps of a node's chunks: the store may not have them.
pub(crate) fn forget(node: NodeRef) {
    if let Some(extra) = node.extra() {
        extra.wide.lock().take();
    }
}

/// Keeps the chunks of a trace that the store has, or will have, of a node.
pub(crate) fn keep(node: NodeRef, chunks: &[PlacedChunk], epoch: Epoch) {
    let kept = chunks.iter().map(|placed| KeptChunk {
        start: placed.start,
        chunk: placed.chunk,
        encoded: placed.encoded.as_ref().map(Arc::downgrade),
    });
    let wide = WideTrace { epoch, reads_changed: false, chunks: kept.collect() };
    *node.extra_or_insert().wide.lock() = Some(Box::new(wide));
}

/// The chunks in which nothing has changed since a claimed node was stored with `reads`, its reads.
pub(crate) fn clean(node: NodeRef, reads: &[Edge]) -> Option<CleanChunks> {
    if !is_wide(reads.len()) {
        return None;
    }
    let wide = node.extra()?.wide.lock();
    let wide = wide.as_deref().filter(|wide| !wide.reads_changed)?;
    let clean = wide.chunks.iter().filter(|kept| {
        let reads = reads.get(kept.range()).unwrap_or_default();
        has_changed(reads, wide.epoch).is_ok_and(|changed| !changed)
    });
    Some(CleanChunks(clean.map(|kept| (kept.start, kept.chunk)).collect()))
}

/// The reads of a stored trace as edges, where memory has them at hand: those of the chunks that the node was last stored with.
pub(crate) fn edges_of<'a>(node: NodeRef, reads: &'a [Edge], placed: &PlacedChunk) -> Option<&'a [Edge]> {
    let wide = node.extra()?.wide.lock();
    let wide = wide.as_deref().filter(|wide| !wide.reads_changed)?;
    let at = wide.chunks.binary_search_by_key(&placed.start, |kept| kept.start).ok()?;
    (wide.chunks[at].chunk == placed.chunk).then(|| reads.get(placed.start..placed.end())).flatten()
}

impl KeptChunk {
    fn range(&self) -> std::ops::Range<usize> {
        self.start..self.start + self.chunk.len as usize
    }

    /// Its encoded reads, if they are not committed.
    fn pending(&self) -> Option<Arc<[u8]>> {
        self.encoded.as_ref()?.upgrade()
    }
}

impl CleanChunks {
    /// Whether this chunk begins at this place, with nothing changed in it.
    pub(crate) fn contains(&self, start: usize, chunk: Chunk) -> bool {
        self.0.binary_search_by_key(&start, |clean| clean.0).is_ok_and(|at| self.0[at].1 == chunk)
    }
}

/// Whether a value among these reads has changed since `epoch`, or why their reader cannot be stored.
fn has_changed(reads: &[Edge], epoch: Epoch) -> Result<bool, Reason> {
    let mut changed = false;
    for edge in reads {
        let node = edge.node();
        if edge.reads_effects() {
            return Err(Reason::Collects);
        }
        if !node.state.is_fresh() {
            return Err(Reason::ReadsFailed);
        }
        if !node.is_stored() {
            return Err(Reason::ReadsUnstored);
        }
        changed |= node.changed_at.get() > epoch;
    }
    Ok(changed)
}

impl WideReads {
    /// Gathers the reads of a claimed node that has run.
    pub(crate) fn gather(
        fingerprints: Fingerprints,
        node: NodeRef,
        reads: &[Edge],
        buffer: &mut Vec<Read>,
    ) -> Result<Self, Reason> {
        let before = node.extra_or_insert().wide.lock().take();
        let mut gathered = Self { fingerprints, all: Vec::new(), new: Vec::new(), placed: Vec::new() };
        match before {
            Some(before) if !before.reads_changed => gathered.compare(&before, reads, buffer)?,
            before => gathered.cut(before.as_deref(), reads, buffer)?,
        }
        Ok(gathered)
    }

    pub(crate) fn as_new(&self) -> NewReads<'_> {
        NewReads::Chunks { all: &self.all, new: NewChunks::new(&self.new) }
    }

    pub(crate) fn into_placed(self) -> Arc<[PlacedChunk]> {
        self.placed.into()
    }

    /// The node has read what it read before: encodes the chunks in which a value has changed.
    fn compare(&mut self, before: &WideTrace, reads: &[Edge], buffer: &mut Vec<Read>) -> Result<(), Reason> {
        for kept in &before.chunks {
            let reads = reads.get(kept.range()).unwrap_or_default();
            if has_changed(reads, before.epoch)? {
                read_all(reads, buffer)?;
                self.encode(buffer, |_| None);
            } else {
                self.push(kept.chunk, kept.pending());
            }
        }
        Ok(())
    }

    /// The node has read something else than before: cuts its reads into chunks, and encodes those that are not among the ones of
    /// before.
    fn cut(
        &mut self,
        before: Option<&WideTrace>,
        reads: &[Edge],
        buffer: &mut Vec<Read>,
    ) -> Result<(), Reason> {
        let known: FxHashMap<Digest, &KeptChunk> =
            before.iter().flat_map(|before| &before.chunks).map(|kept| (kept.chunk.digest, kept)).collect();
        read_all(reads, buffer)?;
        let mut start = 0;
        for end in 1..=buffer.len() {
            if end == buffer.len() || ends_chunk(end - start, buffer[end - 1].key) {
                self.encode(&buffer[start..end], |chunk| known.get(&chunk.digest).map(|kept| kept.pending()));
                start = end;
            }
        }
        Ok(())
    }

    /// Adds a chunk; `known` are those that the store has or will have, with their encoded reads if it has not yet.
    fn encode(&mut self, reads: &[Read], known: impl FnOnce(Chunk) -> Option<Option<Arc<[u8]>>>) {
        let mut encoded = Vec::with_capacity(size_of_val(reads));
        reads.iter().for_each(|read| read.encode_into(&mut encoded));
        let chunk = Chunk::of(self.fingerprints, &encoded);
        match known(chunk) {
            Some(pending) => self.push(chunk, pending),
            None => {
                NewChunks::append(chunk, &encoded, &mut self.new);
                self.push(chunk, Some(encoded.into()));
            }
        }
    }

    fn push(&mut self, chunk: Chunk, encoded: Option<Arc<[u8]>>) {
        let start = self.placed.last().map_or(0, PlacedChunk::end);
        self.all.push(chunk);
        self.placed.push(PlacedChunk { start, chunk, encoded });
    }
}

/// All reads with their fingerprints, or why the reader cannot be stored.
pub(crate) fn read_all(edges: &[Edge], reads: &mut Vec<Read>) -> Result<(), Reason> {
    reads.clear();
    for edge in edges {
        if edge.reads_effects() {
            return Err(Reason::Collects);
        }
        let node = edge.node();
        if !node.state.is_fresh() {
            return Err(Reason::ReadsFailed);
        }
        let persisted = Persisted::of(node);
        match persisted {
            Some(Persisted { key: Some(key), fingerprint, is_stored: true, .. }) => {
                reads.push(Read { key, fingerprint })
            }
            _ => return Err(Reason::ReadsUnstored),
        }
    }
    Ok(())
}
