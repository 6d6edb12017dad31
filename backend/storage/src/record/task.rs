//! The record of a task: whose it is, whether it is valid, its most recent trace, and which older ones there are.
//!
//! ```text
//! 1       flags: 1 stale; all others 0
//! 8       generation of the run that stored it
//! 4       length of the encoded key
//! length  the encoded key: function id (16), encoded arguments
//! ...     the most recent trace
//! 4       number of older traces, most recent first
//! 33 each older trace: its digest (16), its output's fingerprint (16), flags: 1 its output is in table `values`, 2 it names chunks
//! ```
//! Older traces stand in table `traces` at (task, digest of the trace).

use super::super::wire::{Put, Reader, count};
use super::super::{Digest, FunctionId, Guarded, ReadFailure, Rejected, RunNumber, Table, TaskKey};
use super::{NewTrace, NotARecord, Trace};

const STALE: u8 = 1;
const OLDER_BYTES: usize = 33;

/// A run of a task to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewTask<'a> {
    /// The encoded key; see [`TaskKey::start`].
    pub encoded_key: &'a [u8],
    /// The generation of this run of the program: it counts as a use.
    pub generation: RunNumber,
    /// The reads and the output of the task's run.
    pub trace: NewTrace<'a>,
}

/// An older trace of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OlderTrace {
    /// The digest of its reads: its key in table `Traces`, after the task's.
    pub digest: Digest,
    /// The fingerprint of its output.
    pub fingerprint: Digest,
    /// Whether its output is in table `Values`.
    pub output_stored: bool,
    /// Whether it names chunks of reads in table `Reads`.
    pub is_wide: bool,
}

/// Flags of an older trace.
const OUTPUT_STORED: u8 = 1;
const WIDE: u8 = 2;

/// A stored task.
#[derive(Clone, Copy, Debug)]
pub struct TaskRecord<'a> {
    /// Whether something that it depends on has changed since.
    pub stale: bool,
    /// The generation of the run that stored it. Later uses are in table `Uses`.
    pub generation: RunNumber,
    /// The encoded key.
    pub encoded_key: &'a [u8],
    /// The most recent trace.
    pub current: Trace<'a>,
    older: &'a [u8],
}

impl<'a> TaskRecord<'a> {
    /// Reads the task that `payload` is.
    pub fn decode(payload: &'a [u8]) -> Result<Self, NotARecord> {
        let mut reader = Reader::new(payload);
        let flags = reader.u8()?;
        if flags & !STALE != 0 {
            return Err(NotARecord);
        }
        let generation = RunNumber(reader.u64()?);
        let encoded_key = reader.bytes()?;
        let current = Trace::read_from(&mut reader)?;
        let older = reader.items(OLDER_BYTES)?;
        reader.end()?;
        Ok(Self { stale: flags & STALE != 0, generation, encoded_key, current, older })
    }

    /// Returns the older traces, most recent first.
    pub fn older(&self) -> impl ExactSizeIterator<Item = OlderTrace> + Clone + use<'a> {
        self.older.as_chunks::<OLDER_BYTES>().0.iter().map(|bytes| {
            let digest = |bytes: &[u8]| Digest::from_bytes(bytes.try_into().unwrap_or_default());
            OlderTrace {
                digest: digest(&bytes[..16]),
                fingerprint: digest(&bytes[16..32]),
                output_stored: bytes[32] & OUTPUT_STORED != 0,
                is_wide: bytes[32] & WIDE != 0,
            }
        })
    }

    /// Returns the task function.
    pub fn function(&self) -> Option<FunctionId> {
        TaskKey::function(self.encoded_key)
    }
}

/// Appends a task's payload.
pub(super) fn encode(
    (stale, generation): (bool, RunNumber),
    encoded_key: &[u8],
    current: &[u8],
    older: impl ExactSizeIterator<Item = OlderTrace>,
    out: &mut Vec<u8>,
) {
    out.u8(if stale { STALE } else { 0 });
    out.u64(generation.0);
    out.counted(encoded_key);
    out.extend_from_slice(current);
    out.u32(count(older.len()));
    for trace in older {
        out.digest(trace.digest);
        out.digest(trace.fingerprint);
        let output_stored = if trace.output_stored { OUTPUT_STORED } else { 0 };
        out.u8(output_stored | if trace.is_wide { WIDE } else { 0 });
    }
}

/// Looks a task up: one point read, nothing decoded but what is needed to trust it.
///
/// A record of another encoded key with the same digest, like one that does not decode, is counted and a failure.
pub fn probe<'b>(
    store: &Guarded,
    encoded_key: &[u8],
    buffer: &'b mut Vec<u8>,
) -> Result<Option<TaskRecord<'b>>, ReadFailure> {
    let task = TaskKey::of(store.fingerprints(), encoded_key);
    let Some(payload) = store.read(Table::Tasks, &task.to_bytes(), buffer)? else { return Ok(None) };
    claim(store, encoded_key, payload).map(Some).map_err(ReadFailure::Rejected)
}

/// Returns the record that `payload` is, if it is that of `encoded_key`; whatever else it is, is counted.
pub fn claim<'b>(store: &Guarded, encoded_key: &[u8], payload: &'b [u8]) -> Result<TaskRecord<'b>, Rejected> {
    match TaskRecord::decode(payload) {
        Ok(record) if record.encoded_key == encoded_key => Ok(record),
        Ok(_) => Err(store.reject(Rejected::OtherKey)),
        Err(NotARecord) => Err(store.reject(Rejected::Decode)),
    }
}
