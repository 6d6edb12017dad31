//! Reverse edges: the readers of a task, source or input.
//!
//! ```text
//! at (target), the head:
//! 1       flags: 1 incomplete; all others 0
//! 4       number of segments
//! 8       number of dependents, head and segments together
//! 8       their sum: of xxh3-64 of each dependent's key, wrapping
//! 4       number of dependents that stand here
//! 16 each dependent: its task key
//!
//! at (target, number of the segment, big-endian, 4 bytes):
//! 16 each dependent
//! ```
//! Runs only ever add dependents, so the list may name tasks that no longer read the target: they are marked
//! stale for nothing, verified, and found fresh. None may be missing. So a head exists from the
//! moment its target is stored, and count and sum tell whether all segments are there. A head that is lost and has to
//! be made again is marked incomplete for good.

mod swept;

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

pub(crate) use self::swept::{Swept, dependents_count, is_target_stored, sweep_dependents};
use super::super::wire::{Put, Reader, count};
use super::super::{Batch, Digest, Guarded, ReadFailure, Table, TaskKey};
use super::NotARecord;

/// A head with more dependents than this is emptied into a segment: adding one to a popular target then rewrites 2 KiB
/// and not all of them.
const IN_HEAD: usize = 128;
const INCOMPLETE: u8 = 1;

/// The dependents of a target are not all known: nothing stored that may depend on it is valid unverified.
#[derive(Debug)]
#[non_exhaustive]
pub enum Incomplete {
    /// The target's head is missing, though every stored target has one.
    NoHead,
    /// ListHead or segments do not add up.
    Lost,
    /// A record could not be read.
    Unread(ReadFailure),
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHead => f.write_str("the record of dependents is missing"),
            Self::Lost => f.write_str("some dependents are lost"),
            Self::Unread(failure) => write!(f, "the dependents could not be read: {failure}"),
        }
    }
}

impl std::error::Error for Incomplete {}

#[derive(Default)]
struct ListHead {
    incomplete: bool,
    segments: u32,
    count: u64,
    sum: u64,
    here: Vec<[u8; 16]>,
}

impl ListHead {
    fn decode(payload: &[u8]) -> Result<Self, NotARecord> {
        let mut reader = Reader::new(payload);
        let flags = reader.u8()?;
        if flags & !INCOMPLETE != 0 {
            return Err(NotARecord);
        }
        let (segments, count, sum) = (reader.u32()?, reader.u64()?, reader.u64()?);
        let here = reader.items(16)?.as_chunks::<16>().0.to_vec();
        reader.end()?;
        Ok(Self { incomplete: flags != 0, segments, count, sum, here })
    }

    fn write(&self, target: Digest, batch: &mut Batch) {
        batch.seal(Table::Dependents, &target.to_bytes(), |out| {
            out.u8(if self.incomplete { INCOMPLETE } else { 0 });
            out.u32(self.segments);
            out.u64(self.count);
            out.u64(self.sum);
            out.u32(count(self.here.len()));
            out.extend_from_slice(self.here.as_flattened());
        });
    }
}

fn segment_key(target: Digest, number: u32) -> [u8; 20] {
    let mut key = [0; 20];
    key[..16].copy_from_slice(&target.to_bytes());
    key[16..].copy_from_slice(&number.to_be_bytes());
    key
}

/// Appends all stored dependents of `target` to `dependents`; one may be there twice.
///
/// On `Err`, what was appended is some of them.
pub fn read_dependents(
    store: &Guarded,
    target: Digest,
    dependents: &mut Vec<TaskKey>,
) -> Result<(), Incomplete> {
    let mut buffer = Vec::new();
    let head = store.read(Table::Dependents, &target.to_bytes(), &mut buffer).map_err(Incomplete::Unread)?;
    let head = ListHead::decode(head.ok_or(Incomplete::NoHead)?).map_err(|_| Incomplete::Lost)?;
    let (mut count, mut sum) = (0, 0_u64);
    let mut add = |keys: &[[u8; 16]]| {
        count += keys.len() as u64;
        sum = keys.iter().fold(sum, |sum, key| sum.wrapping_add(xxh3_64(key)));
        dependents.extend(keys.iter().map(|key| TaskKey(Digest::from_bytes(*key))));
    };
    add(&head.here);
    for number in 0..head.segments {
        let segment = store
            .read(Table::Dependents, &segment_key(target, number), &mut buffer)
            .map_err(Incomplete::Unread)?;
        add(segment.ok_or(Incomplete::Lost)?.as_chunks::<16>().0);
    }
    if head.incomplete || count != head.count || sum != head.sum { Err(Incomplete::Lost) } else { Ok(()) }
}

/// Gathers the edges of one batch and adds them to what is stored.
#[derive(Default)]
pub(crate) struct EdgeWriter {
    edges: Vec<Edge>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    target: Digest,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// The target is stored for the first time, so it may have no head yet. Sorts first.
    NewTarget,
    Dependent(TaskKey),
}

impl EdgeWriter {
    /// `target` is stored for the first time.
    pub(crate) fn new_target(&mut self, target: Digest) {
        self.edges.push(Edge { target, what: What::NewTarget });
    }

    /// `dependent` read `target`.
    pub(crate) fn add(&mut self, target: Digest, dependent: TaskKey) {
        self.edges.push(Edge { target, what: What::Dependent(dependent) });
    }

    /// Forgets all that was gathered.
    pub(crate) fn clear(&mut self) {
        self.edges.clear();
    }

    /// Writes all that was gathered, and forgets it.
    pub(crate) fn write(&mut self, store: &Guarded, batch: &mut Batch) -> Result<(), ReadFailure> {
        self.edges.sort_unstable();
        self.edges.dedup();
        let mut buffer = Vec::new();
        for edges in self.edges.chunk_by(|a, b| a.target == b.target) {
            let target = edges[0].target;
            let mut head = match store.read(Table::Dependents, &target.to_bytes(), &mut buffer) {
                Ok(Some(payload)) => ListHead::decode(payload).unwrap_or_else(|NotARecord| ListHead::lost()),
                Ok(None) if edges[0].what == What::NewTarget => ListHead::default(),
                Ok(None) | Err(ReadFailure::Rejected(_)) => ListHead::lost(),
                Err(failure) => return Err(failure),
            };
            for edge in edges {
                let What::Dependent(dependent) = edge.what else { continue };
                let key = dependent.to_bytes();
                if head.here.len() <= IN_HEAD && head.here.contains(&key) {
                    continue;
                }
                head.here.push(key);
                head.count = head.count.wrapping_add(1);
                head.sum = head.sum.wrapping_add(xxh3_64(&key));
            }
            if head.here.len() > IN_HEAD {
                let key = segment_key(target, head.segments);
                batch.seal(Table::Dependents, &key, |out| out.extend_from_slice(head.here.as_flattened()));
                head.segments = head.segments.wrapping_add(1);
                head.here.clear();
            }
            head.write(target, batch);
        }
        self.edges.clear();
        Ok(())
    }
}

impl ListHead {
    fn lost() -> Self {
        Self { incomplete: true, ..Self::default() }
    }
}
