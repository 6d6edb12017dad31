//! A trace with its reads and its output at hand, or to be had from the store.
//!
//! A wide trace (`storage/src/record/chunks.rs`) names chunks. The chunks of a run that is not committed are kept here, as far as they are
//! new; all others stand in the store. A chunk is loaded when a check comes to it, and not before: most checks end early.

use std::ops::Range;
use std::sync::Arc;

use larder_storage::record::{
    Chunk, INLINE_OUTPUT, OutputPlace, Read, Trace, decode_reads, nth_read, output,
};
use larder_storage::{Digest, Fingerprints, Guarded, TaskKey};

/// A trace of a task.
#[derive(Clone)]
pub(crate) struct StoredTrace {
    bytes: Arc<[u8]>,
    reads: Reads,
    digest: Digest,
    /// The output of a trace that is not committed, if it does not stand in the trace.
    output: Option<Arc<[u8]>>,
    /// Not known to be committed: nor are its edges.
    pub(crate) is_pending: bool,
}

#[derive(Clone)]
enum Reads {
    /// Their place among the bytes of the trace.
    Here(Range<usize>),
    Chunks(Arc<[PlacedChunk]>),
    /// Reads of a component, in the order in which one of its members comes to them.
    InOrder(Arc<[Read]>),
}

/// A chunk of a wide trace, and where in the list of reads it begins.
#[derive(Clone)]
pub(crate) struct PlacedChunk {
    pub(crate) start: usize,
    pub(crate) chunk: Chunk,
    /// Its encoded reads, if they may not be committed yet.
    pub(crate) encoded: Option<Arc<[u8]>>,
}

impl PlacedChunk {
    pub(crate) fn end(&self) -> usize {
        self.start + self.chunk.len as usize
    }
}

/// The chunk that a reader of a wide trace has loaded last.
#[derive(Default)]
pub(crate) struct LoadedChunk {
    place: usize,
    encoded: Option<Arc<[u8]>>,
}

/// A chunk of a trace is in the store no more.
pub(crate) struct Lost;

impl StoredTrace {
    /// Returns a trace that is about to be handed over, given its bytes and where among them its reads stand; `chunks` are those of
    /// a wide one.
    pub(crate) fn new(
        fingerprints: Fingerprints,
        (bytes, reads): (&[u8], Range<usize>),
        encoded_output: &[u8],
        chunks: Option<Arc<[PlacedChunk]>>,
    ) -> Self {
        Self {
            bytes: bytes.into(),
            digest: fingerprints.digest(&bytes[reads.clone()]),
            reads: chunks.map_or(Reads::Here(reads), Reads::Chunks),
            output: (encoded_output.len() > INLINE_OUTPUT).then(|| encoded_output.into()),
            is_pending: true,
        }
    }

    /// A trace as the store holds it.
    pub(crate) fn committed(fingerprints: Fingerprints, bytes: &[u8]) -> Option<Self> {
        let trace = Trace::decode(bytes).ok()?;
        let reads =
            if trace.is_wide() { Reads::Chunks(place(&trace)) } else { Reads::Here(trace.place_of_reads()) };
        let digest = trace.digest(fingerprints);
        Some(Self { bytes: bytes.into(), reads, digest, output: None, is_pending: false })
    }

    pub(crate) fn trace(&self) -> Trace<'_> {
        Trace::decode(&self.bytes).expect("both constructors have decoded these bytes")
    }

    /// The digest of its reads, which tells the traces of one task apart.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// The trace with these reads instead, which are the same in another order.
    pub(crate) fn in_order(self, reads: Arc<[Read]>) -> Self {
        Self { reads: Reads::InOrder(reads), ..self }
    }

    /// Keeps the output at hand. None if the store has lost it.
    pub(crate) fn hold_output(&mut self, store: &Guarded, task: TaskKey) -> Option<()> {
        if self.output.is_none() && matches!(self.trace().output.place, OutputPlace::Stored { .. }) {
            self.output = Some(self.with_output(store, task, |output| Arc::from(output))?);
        }
        Some(())
    }

    /// The chunks of a wide trace.
    pub(crate) fn chunks(&self) -> Option<&Arc<[PlacedChunk]>> {
        match &self.reads {
            Reads::Here(_) | Reads::InOrder(_) => None,
            Reads::Chunks(chunks) => Some(chunks),
        }
    }

    /// The chunk that begins at a place of the list of reads.
    pub(crate) fn chunk_at(&self, at: usize) -> Option<&PlacedChunk> {
        let chunks = self.chunks()?;
        chunks.binary_search_by_key(&at, |chunk| chunk.start).ok().map(|index| &chunks[index])
    }

    /// Returns the read at a place of the list, or `None` behind the last one.
    ///
    /// # Errors
    /// [`Lost`], if its chunk cannot be had.
    pub(crate) fn read(
        &self,
        at: usize,
        store: &Guarded,
        task: TaskKey,
        loaded: &mut LoadedChunk,
    ) -> Result<Option<Read>, Lost> {
        let chunks = match &self.reads {
            Reads::Here(place) => return Ok(nth_read(&self.bytes[place.clone()], at)),
            Reads::InOrder(reads) => return Ok(reads.get(at).copied()),
            Reads::Chunks(chunks) => chunks,
        };
        let place = chunks.partition_point(|chunk| chunk.end() <= at);
        let Some(placed) = chunks.get(place) else { return Ok(None) };
        if loaded.place != place {
            *loaded = LoadedChunk { place, encoded: None };
        }
        let encoded = match &mut loaded.encoded {
            Some(encoded) => encoded,
            empty => empty.insert(placed.load(store, task).ok_or(Lost)?),
        };
        Ok(nth_read(encoded, at - placed.start))
    }

    /// Returns the last read, if there is one and it can be had.
    pub(crate) fn last_read(&self, store: &Guarded, task: TaskKey) -> Option<Read> {
        let len = match &self.reads {
            Reads::Here(_) => self.trace().reads().len(),
            Reads::Chunks(chunks) => chunks.last()?.end(),
            Reads::InOrder(reads) => reads.len(),
        };
        self.read(len.checked_sub(1)?, store, task, &mut LoadedChunk::default()).ok()?
    }

    /// Runs `each` for all reads in order.
    ///
    /// # Errors
    /// [`Lost`], if a chunk cannot be had.
    pub(crate) fn for_each_read(
        &self,
        store: &Guarded,
        task: TaskKey,
        mut each: impl FnMut(Read),
    ) -> Result<(), Lost> {
        match &self.reads {
            Reads::Here(place) => decode_reads(&self.bytes[place.clone()]).for_each(each),
            Reads::InOrder(reads) => reads.iter().copied().for_each(each),
            Reads::Chunks(chunks) => {
                for placed in chunks.iter() {
                    decode_reads(&placed.load(store, task).ok_or(Lost)?).for_each(&mut each);
                }
            }
        }
        Ok(())
    }

    /// Runs `use_output` with the encoded output, if it is still to be had.
    pub(crate) fn with_output<R>(
        &self,
        store: &Guarded,
        task: TaskKey,
        use_output: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        if let Some(output) = &self.output {
            return Some(use_output(output));
        }
        let mut buffer = Vec::new();
        output(store, task, self.trace().output, &mut buffer).map(use_output)
    }
}

impl PlacedChunk {
    /// Returns its encoded reads, wherever they are.
    pub(crate) fn load(&self, store: &Guarded, task: TaskKey) -> Option<Arc<[u8]>> {
        match &self.encoded {
            Some(encoded) => Some(encoded.clone()),
            None => self.chunk.load(store, task).ok().flatten().map(Arc::from),
        }
    }
}

/// Places the chunks of a committed trace.
fn place(trace: &Trace<'_>) -> Arc<[PlacedChunk]> {
    let mut start = 0;
    let placed = trace.chunks().map(|chunk| {
        let placed = PlacedChunk { start, chunk, encoded: None };
        start = placed.end();
        placed
    });
    placed.collect()
}
