//! A trace: what one run of a task read, and what it returned.
//!
//! ```text
//! 16      output fingerprint
//! 1       place of the output: 0 here, 1 in table `values` at (task, output fingerprint)
//! 4       length of the encoded output
//! length  the encoded output, if it is here
//! 4       number of reads
//! 32 each read, in order: key digest, fingerprint of the value read
//!         or, of at least 1,024 reads (`chunks.rs`):
//! 4       number of chunks, with the highest bit set
//! 20 each chunk, in order: its digest, number of its reads (4)
//!         or, of a member of a component (`component.rs`):
//! 4       1, with bit 30 set
//! 32      the component's key, fingerprint of its output
//! 4       length of what was emitted
//! length  emitted values, in order: channel digest (16), length (4), encoded value
//! ```

use std::ops::Range;

use super::super::wire::{Malformed, Put, Reader, count};
use super::super::{Digest, Fingerprints, Guarded, Rejected, Table, TaskKey, TraceKey};
use super::NotARecord;
use super::chunks::{CHUNK_BYTES, Chunk, NewChunks};

/// Outputs of at most so many bytes stand in the trace itself: one point read finds task and output. Larger ones
/// stand in a table of their own, so that records of tasks stay small to rewrite.
pub const INLINE_OUTPUT: usize = 1024;

/// One read of a task: what was read, and the fingerprint of the value it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Read {
    /// The task, source or input that was read.
    pub key: Digest,
    /// The fingerprint of the value.
    pub fingerprint: Digest,
}

pub(super) const READ_BYTES: usize = 32;

/// Set in the number of reads of a trace that names chunks.
const IN_CHUNKS: u32 = 1 << 31;
/// Set in the number of reads of a member of a component.
const OF_MEMBER: u32 = 1 << 30;

impl Read {
    /// Appends the read as it stands in a trace and in a chunk.
    pub fn encode_into(self, out: &mut Vec<u8>) {
        out.digest(self.key);
        out.digest(self.fingerprint);
    }

    pub(crate) fn from_bytes(bytes: &[u8; READ_BYTES]) -> Self {
        let (key, fingerprint) = bytes.split_at(16);
        let digest = |bytes: &[u8]| Digest::from_bytes(bytes.try_into().unwrap_or_default());
        Self { key: digest(key), fingerprint: digest(fingerprint) }
    }
}

/// One value that a task emitted beside its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emitted<'a> {
    /// Where to.
    pub channel: Digest,
    /// The encoded value.
    pub value: &'a [u8],
}

/// A trace to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewTrace<'a> {
    /// The fingerprint of the output.
    pub fingerprint: Digest,
    /// The encoded output.
    pub output: &'a [u8],
    /// All reads, in order.
    pub reads: NewReads<'a>,
    /// All emitted values, in order.
    pub emitted: &'a [Emitted<'a>],
}

/// The reads of a trace to be stored.
#[derive(Clone, Copy, Debug)]
pub enum NewReads<'a> {
    /// Fewer than [`WIDE`](super::WIDE), which stand in the trace.
    Here(&'a [Read]),
    /// More than that.
    Chunks {
        /// All chunks, in order.
        all: &'a [Chunk],
        /// Those that the store may not have yet.
        new: NewChunks<'a>,
    },
    /// One, of a member of a component: the component's output.
    Component(Read),
}

impl<'a> NewReads<'a> {
    /// Returns the chunks that go with the trace.
    pub(crate) fn new_chunks(&self) -> NewChunks<'a> {
        match self {
            Self::Here(_) | Self::Component(_) => NewChunks::default(),
            Self::Chunks { new, .. } => *new,
        }
    }

    /// Returns what stands before them in the trace.
    fn count(&self) -> u32 {
        match self {
            Self::Here(reads) => count(reads.len()),
            Self::Chunks { all, .. } => count(all.len()) | IN_CHUNKS,
            Self::Component(_) => 1 | OF_MEMBER,
        }
    }
}

impl NewTrace<'_> {
    pub(crate) fn is_inline(&self) -> bool {
        self.output.len() <= INLINE_OUTPUT
    }

    /// Appends the trace as it stands in a record. Returns the place of the reads in what was appended.
    pub fn encode_into(&self, out: &mut Vec<u8>) -> Range<usize> {
        let start = out.len();
        out.digest(self.fingerprint);
        out.u8(u8::from(!self.is_inline()));
        if self.is_inline() {
            out.counted(self.output);
        } else {
            out.u32(count(self.output.len()));
        }
        out.u32(self.reads.count());
        let reads = out.len() - start;
        match self.reads {
            NewReads::Here(reads) => reads.iter().for_each(|read| read.encode_into(out)),
            NewReads::Chunks { all, .. } => all.iter().for_each(|chunk| chunk.encode_into(out)),
            NewReads::Component(read) => read.encode_into(out),
        }
        let reads = reads..out.len() - start;
        out.u32(count(self.emitted.iter().map(|emitted| 20 + emitted.value.len()).sum()));
        for emitted in self.emitted {
            out.digest(emitted.channel);
            out.counted(emitted.value);
        }
        reads
    }
}

/// Where an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputPlace<'a> {
    /// Here: the encoded output.
    Inline(&'a [u8]),
    /// In table `Values`, so long.
    Stored {
        /// The length of the encoded output.
        len: u32,
    },
}

/// The output of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output<'a> {
    /// Its fingerprint.
    pub fingerprint: Digest,
    /// Where it is.
    pub place: OutputPlace<'a>,
}

/// A trace as it stands in a record.
#[derive(Clone, Copy, Debug)]
pub struct Trace<'a> {
    /// The output of the run.
    pub output: Output<'a>,
    /// Reads, or the chunks that hold them.
    reads: &'a [u8],
    is_wide: bool,
    is_member: bool,
    emitted: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Trace<'a> {
    /// Reads the trace that `payload` is.
    pub fn decode(payload: &'a [u8]) -> Result<Self, NotARecord> {
        let mut reader = Reader::new(payload);
        let trace = Self::read_from(&mut reader)?;
        reader.end()?;
        Ok(trace)
    }

    pub(in super::super) fn read_from(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let start = reader.rest();
        let fingerprint = reader.digest()?;
        let place = match reader.u8()? {
            0 => OutputPlace::Inline(reader.bytes()?),
            1 => OutputPlace::Stored { len: reader.u32()? },
            _ => return Err(Malformed),
        };
        let count = reader.u32()?;
        let is_wide = count & IN_CHUNKS != 0;
        let size = if is_wide { CHUNK_BYTES } else { READ_BYTES };
        let is_member = count & OF_MEMBER != 0;
        let items = (count & !(IN_CHUNKS | OF_MEMBER)) as usize;
        if is_member && (is_wide || items != 1) {
            return Err(Malformed);
        }
        let reads = reader.take(items.checked_mul(size).ok_or(Malformed)?)?;
        let emitted = reader.bytes()?;
        let mut each = Reader::new(emitted);
        while !each.rest().is_empty() {
            each.digest()?;
            each.bytes()?;
        }
        let whole = &start[..start.len() - reader.rest().len()];
        Ok(Self { output: Output { fingerprint, place }, reads, is_wide, is_member, emitted, whole })
    }

    /// Returns what a member of a component has read: the component's output.
    pub fn component(&self) -> Option<Read> {
        self.reads().next().filter(|_| self.is_member)
    }

    /// Whether the trace names chunks instead of reads.
    pub fn is_wide(&self) -> bool {
        self.is_wide
    }

    /// Returns the chunks of a wide trace, in order; none of another one.
    pub fn chunks(&self) -> impl ExactSizeIterator<Item = Chunk> + Clone + use<'a> {
        let chunks = if self.is_wide { self.reads } else { &[] };
        chunks.as_chunks::<CHUNK_BYTES>().0.iter().map(Chunk::from_bytes)
    }

    /// Returns the place of the reads among the bytes of the trace, if they stand there.
    pub fn place_of_reads(&self) -> Range<usize> {
        let start = self.reads.as_ptr().addr() - self.whole.as_ptr().addr();
        start..start + self.reads.len()
    }

    /// Returns all reads that stand in the trace, in order: all of them, or none of a wide trace.
    pub fn reads(&self) -> impl ExactSizeIterator<Item = Read> + Clone + use<'a> {
        let reads = if self.is_wide { &[] } else { self.reads };
        reads.as_chunks::<READ_BYTES>().0.iter().map(Read::from_bytes)
    }

    /// Returns all emitted values, in order.
    pub fn emitted(&self) -> impl Iterator<Item = Emitted<'a>> + Clone + use<'a> {
        let mut rest = self.emitted;
        std::iter::from_fn(move || {
            let mut reader = Reader::new(rest);
            let emitted = Emitted { channel: reader.digest().ok()?, value: reader.bytes().ok()? };
            rest = reader.rest();
            Some(emitted)
        })
    }

    /// Returns the digest of all reads with their fingerprints: what tells the traces of one task apart, in a store of these fingerprints.
    pub fn digest(&self, fingerprints: Fingerprints) -> Digest {
        fingerprints.digest(self.reads)
    }

    /// Returns the payload this was read from.
    pub fn bytes(&self) -> &'a [u8] {
        self.whole
    }
}

/// Returns the encoded output of a trace, wherever it is; `None` is a miss. `buffer` is for outputs that are elsewhere.
pub fn output<'b>(
    store: &Guarded,
    task: TaskKey,
    output: Output<'b>,
    buffer: &'b mut Vec<u8>,
) -> Option<&'b [u8]> {
    match output.place {
        OutputPlace::Inline(bytes) => Some(bytes),
        OutputPlace::Stored { len } => {
            let key = TraceKey { task, part: output.fingerprint }.to_bytes();
            let bytes = store.get(Table::Values, &key, buffer)?;
            if bytes.len() == len as usize {
                Some(bytes)
            } else {
                store.reject(Rejected::Decode);
                None
            }
        }
    }
}

/// The outcome of a search among the traces of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceSearch {
    /// The trace at this place of the list: all its reads are current. No body needs to run.
    Found(usize),
    /// None: the body has to run.
    None,
}

/// Finds the trace whose reads are all current, asking for the current fingerprint of each thing read at most once, in
/// the order in which the body read them: what the body would not have read any more is never asked for.
///
/// It walks the traces as a tree: those that agree on all reads so far, and on what comes next, stay in the race;
/// `current` decides which of them goes on. `current` returns `None` for what has no current value (it failed).
pub fn find_trace(traces: &[Trace<'_>], mut current: impl FnMut(Digest) -> Option<Digest>) -> TraceSearch {
    let mut racing: Vec<_> = traces.iter().map(Trace::reads).enumerate().collect();
    loop {
        // The most recent one leads. A deterministic body makes all that agree so far read the same thing next; if
        // they do not, those that differ from the leader are out.
        let Some((leader, reads)) = racing.first_mut() else { return TraceSearch::None };
        let Some(next) = reads.clone().next() else { return TraceSearch::Found(*leader) };
        let now = current(next.key);
        racing.retain_mut(|(_, reads)| {
            reads.next().is_some_and(|read| read.key == next.key && Some(read.fingerprint) == now)
        });
    }
}
