//! Digests and the keys made of them.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

use super::Fingerprints;

/// A 128-bit digest: of a key, of a value (a fingerprint), of a file's content. [`Fingerprints`] says by which function.
///
/// In keys and records it takes 16 bytes, big-endian (the canonical form of xxh3-128).
// Aligned as its halves are: to 16 bytes, a map by digests is a third larger, and every node's `Persisted` too.
#[repr(Rust, packed(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub u128);

impl Digest {
    /// Digests what the program itself names: functions, code, constants. Others can choose bytes of one digest, so contents are digested by
    /// [`Fingerprints::digest`].
    #[inline]
    pub fn xxh3(bytes: &[u8]) -> Self {
        Self(xxh3_128(bytes))
    }

    /// Returns the bytes that keys and records hold.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Reads a digest as keys and records hold it.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", { self.0 })
    }
}

/// A task function across processes: the digest of its stable path and its code identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionId(pub Digest);

impl FunctionId {
    /// Makes an id. `path` is stable (`crate::module::function`); `code` stands for what the body does: the build, by default, or
    /// the version that the function declares.
    pub fn new(path: &str, code: Digest) -> Self {
        let mut bytes = Vec::with_capacity(path.len() + 17);
        bytes.extend_from_slice(path.as_bytes());
        // No path holds this byte, so path and code cannot run into one another.
        bytes.push(0xff);
        bytes.extend_from_slice(&code.to_bytes());
        Self(Digest::xxh3(&bytes))
    }
}

/// A task across processes: the digest of its *encoded key*, which is the function's id and the encoded arguments.
///
/// The encoded key is stored beside the task and compared when read, so a collision of digests is a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey(pub Digest);

impl TaskKey {
    /// The bytes of the function's id at the front of an encoded key.
    pub const FUNCTION_BYTES: usize = 16;

    /// Starts an encoded key in `buffer`, which it clears: encode the arguments after it, then [`TaskKey::of`] it.
    pub fn start(function: FunctionId, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.extend_from_slice(&function.0.to_bytes());
    }

    /// Returns the key of an encoded key, in a store of these fingerprints.
    #[inline]
    pub fn of(fingerprints: Fingerprints, encoded: &[u8]) -> Self {
        Self(fingerprints.digest(encoded))
    }

    /// Returns the key in the tables by task.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_bytes()
    }

    /// Returns the function that an encoded key starts with.
    pub fn function(encoded: &[u8]) -> Option<FunctionId> {
        let (id, _) = encoded.split_first_chunk::<16>()?;
        Some(FunctionId(Digest::from_bytes(*id)))
    }
}

/// One trace of one task; also one output of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceKey {
    /// The task.
    pub task: TaskKey,
    /// The digest of the trace's reads, or the fingerprint of the output.
    pub part: Digest,
}

impl TraceKey {
    /// Returns the key in the tables by task and trace: the task first, so that one prefix scan finds all of a task.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&self.task.to_bytes());
        bytes[16..].copy_from_slice(&self.part.to_bytes());
        bytes
    }
}

/// The number of a run of a program with a store, which counts those that have written to it; records name the run that wrote them. 0 is
/// before all of them: of a new store, and of what other machines have run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunNumber(pub u64);

impl RunNumber {
    /// Before all runs of a store.
    pub const BEFORE_ALL: Self = Self(0);

    /// Returns the number of the run after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}
