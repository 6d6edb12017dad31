//! Chunks: the reads of a task that has read very much, cut into pieces that stand in a table of their own.
//!
//! A run of a task with 300,000 reads of which one has changed must not write ten megabytes. So from [`WIDE`] reads on a trace
//! names *chunks* instead of reads, and two traces of one task share all chunks in which they agree.
//!
//! ```text
//! in the trace, each chunk:                      digest of the chunk (16), number of reads in it (4)
//! in table `reads`, at (task, digest of the chunk):  32 bytes each read, as in a trace
//! ```
//! Where a chunk ends depends on the keys in it alone (`ends`), not on its place. For example a read that is new in the middle
//! of 300,000 lengthens one chunk, and those behind it stay what they are.

use super::super::wire::Put;
use super::super::{Batch, Digest, Fingerprints, Guarded, ReadFailure, Rejected, Table, TaskKey, TraceKey};
use super::trace::{READ_BYTES, Read};

/// A trace of at least so many reads names chunks.
pub const WIDE: usize = 1024;

/// The bytes of a chunk in a trace.
pub(super) const CHUNK_BYTES: usize = 20;

const SHORTEST: usize = 64;
const LONGEST: usize = 1024;

/// A chunk of a wide trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The digest of its reads as they stand in the table: its key there, after the task's.
    pub digest: Digest,
    /// The number of its reads.
    pub len: u32,
}

impl Chunk {
    /// Names the chunk that these encoded reads are, in a store of these fingerprints.
    pub fn of(fingerprints: Fingerprints, encoded: &[u8]) -> Self {
        let len = super::super::wire::count(encoded.len() / READ_BYTES);
        Self { digest: fingerprints.digest(encoded), len }
    }

    pub(super) fn from_bytes(bytes: &[u8; CHUNK_BYTES]) -> Self {
        let (digest, len) = bytes.split_at(16);
        Self {
            digest: Digest::from_bytes(digest.try_into().unwrap_or_default()),
            len: u32::from_le_bytes(len.try_into().unwrap_or_default()),
        }
    }

    /// Appends the chunk as it stands in a trace.
    pub(crate) fn encode_into(self, out: &mut Vec<u8>) {
        out.digest(self.digest);
        out.u32(self.len);
    }

    fn bytes(self) -> usize {
        self.len as usize * READ_BYTES
    }

    /// The chunk's key in table `reads`.
    pub(super) fn key(self, task: TaskKey) -> [u8; 32] {
        TraceKey { task, part: self.digest }.to_bytes()
    }

    /// Writes the chunk's encoded reads.
    pub(super) fn write(self, task: TaskKey, encoded: &[u8], batch: &mut Batch) {
        batch.seal(Table::Reads, &self.key(task), |out| out.extend_from_slice(encoded));
    }

    /// Reads the chunk's encoded reads from the store. `None` if they are not there or not what the trace says.
    pub fn load(self, store: &Guarded, task: TaskKey) -> Result<Option<Vec<u8>>, ReadFailure> {
        let mut buffer = Vec::new();
        match store.read(Table::Reads, &self.key(task), &mut buffer) {
            Ok(Some(payload)) if payload.len() == self.bytes() => Ok(Some(payload.to_vec())),
            Ok(Some(_)) => {
                store.reject(Rejected::Decode);
                Ok(None)
            }
            Ok(None) | Err(ReadFailure::Rejected(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// Whether a chunk that has `len` reads ends with a read of `key`.
pub fn ends(len: usize, key: Digest) -> bool {
    len >= LONGEST || (len >= SHORTEST && key.0.trailing_zeros() >= 8)
}

/// Chunks that are handed over with a run: those that the store may not have yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewChunks<'a>(&'a [u8]);

impl<'a> NewChunks<'a> {
    /// Takes what [`NewChunks::append`] has written.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Appends a chunk with its encoded reads.
    pub fn append(chunk: Chunk, encoded: &[u8], out: &mut Vec<u8>) {
        debug_assert_eq!(encoded.len(), chunk.bytes());
        chunk.encode_into(out);
        out.extend_from_slice(encoded);
    }

    /// The reads of all chunks.
    pub(crate) fn reads(self) -> impl Iterator<Item = Read> {
        self.iter().flat_map(|(_, encoded)| decode(encoded))
    }

    /// All chunks, with their encoded reads.
    pub(super) fn iter(self) -> impl Iterator<Item = (Chunk, &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (chunk, behind) = rest.split_first_chunk::<CHUNK_BYTES>()?;
            let chunk = Chunk::from_bytes(chunk);
            let (encoded, behind) = behind.split_at_checked(chunk.bytes())?;
            rest = behind;
            Some((chunk, encoded))
        })
    }
}

/// Decodes reads.
pub fn decode(encoded: &[u8]) -> impl ExactSizeIterator<Item = Read> + Clone {
    encoded.as_chunks::<READ_BYTES>().0.iter().map(Read::from_bytes)
}

/// Returns the read at a place of encoded reads. Takes the same time for every place, which the iterator's `nth` does not.
pub fn nth(encoded: &[u8], at: usize) -> Option<Read> {
    encoded.as_chunks::<READ_BYTES>().0.get(at).map(Read::from_bytes)
}
