//! Foreign tasks: runs that another machine has stored, on their way from one store into another.
//!
//! A foreign trace says that a run with these reads returned this output. It is right whatever this machine's files are, and worth something
//! here only if the reads have their fingerprints here. So it is merged as an *older* trace of its task (`merge.rs`), which is used
//! only after each of its reads was compared.
//!
//! For example, machine A has `words("a.txt")` with the read `a.txt = 7c..` and the output 12. Machine B, where `a.txt` was edited, keeps its own
//! trace as the current one, marked stale, and A's behind it. The check of the task finds that A's reads hold, and no body runs.
//!
//! Leaves are named by kind and name, never by content: what they are is for this machine to see.

use std::collections::BTreeSet;

use super::super::{Digest, Fingerprints, Guarded, Table, TaskKey, TraceKey};
use super::chunks::{Chunk, NewChunks, WIDE, decode, ends};
use super::component::members_of;
use super::source::{SourceKind, SourceRecord};
use super::task::TaskRecord;
use super::trace::{Emitted, NewReads, NewTrace, Read, Trace, output};

/// Runs of one task that another machine has stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignTask {
    /// The encoded key.
    pub encoded_key: Vec<u8>,
    /// The runs, the most recent one first.
    pub traces: Vec<ForeignTrace>,
    /// The sources among their reads.
    pub leaves: Vec<ForeignLeaf>,
}

/// A run that another machine has stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignTrace {
    /// The fingerprint of the output.
    pub fingerprint: Digest,
    /// The encoded output.
    pub output: Vec<u8>,
    /// All reads, in order.
    pub reads: Vec<Read>,
    /// Channel and encoded value of all that was emitted, in order.
    pub emitted: Vec<(Digest, Vec<u8>)>,
}

/// A source that another machine has read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForeignLeaf {
    /// The kind.
    pub kind: SourceKind,
    /// The name.
    pub name: Vec<u8>,
}

impl ForeignLeaf {
    /// Whether the source may be looked at on another machine than the one that named it: a file or directory with a relative path
    /// without `..`, in UTF-8, that no system takes for an absolute one.
    #[must_use]
    pub fn is_portable(&self) -> bool {
        let is_path = matches!(self.kind, SourceKind::File | SourceKind::Directory);
        is_path
            && !self.name.is_empty()
            && is_below_base(&self.name)
            && !self.name.iter().any(|byte| b"\\:".contains(byte))
    }
}

/// Whether a path is relative and lies below where relative paths start: in UTF-8, without `..`, by the rules of every system.
#[must_use]
pub fn is_below_base(path: &[u8]) -> bool {
    let Ok(path) = std::str::from_utf8(path) else { return false };
    let has_drive = path.as_bytes().get(1) == Some(&b':');
    let is_outside = path.starts_with(['/', '\\']) || has_drive || path.contains('\0');
    !is_outside && path.split(['/', '\\']).all(|part| part != "..")
}

impl ForeignTask {
    /// Reads what a store has of a task, as another machine may have it. `None` if there is nothing. A run of which a part is lost is
    /// left out.
    pub fn read(store: &Guarded, task: TaskKey) -> Option<Self> {
        let mut buffer = Vec::new();
        let payload = store.get(Table::Tasks, &task.to_bytes(), &mut buffer)?;
        let is_own = |record: &TaskRecord<'_>| TaskKey::of(store.fingerprints(), record.encoded_key) == task;
        let record = TaskRecord::decode(payload).ok().filter(is_own)?;
        // Members come back together, so a component stays where it is, and so do runs of its members.
        if members_of(record.encoded_key).is_some() {
            return None;
        }
        let mut traces: Vec<_> = ForeignTrace::read(store, task, &record.current).into_iter().collect();
        let mut body = Vec::new();
        for older in record.older() {
            let key = TraceKey { task, part: older.digest }.to_bytes();
            let trace = store.get(Table::Traces, &key, &mut body).and_then(|body| Trace::decode(body).ok());
            traces.extend(trace.and_then(|trace| ForeignTrace::read(store, task, &trace)));
        }
        let reads: BTreeSet<Digest> =
            traces.iter().flat_map(|trace| &trace.reads).map(|read| read.key).collect();
        let mut leaves = Vec::new();
        for key in reads {
            let source = store.get(Table::Sources, &key.to_bytes(), &mut body);
            if let Some(source) = source.and_then(|source| SourceRecord::decode(source).ok()) {
                leaves.push(ForeignLeaf { kind: source.kind, name: source.name.to_vec() });
            }
        }
        let encoded_key = record.encoded_key.to_vec();
        (!traces.is_empty()).then_some(Self { encoded_key, traces, leaves })
    }

    /// Returns the task's key in a store of these fingerprints.
    #[must_use]
    pub fn key(&self, fingerprints: Fingerprints) -> TaskKey {
        TaskKey::of(fingerprints, &self.encoded_key)
    }
}

impl ForeignTrace {
    fn read(store: &Guarded, task: TaskKey, trace: &Trace<'_>) -> Option<Self> {
        if trace.component().is_some() {
            return None;
        }
        let mut reads: Vec<Read> = trace.reads().collect();
        for chunk in trace.chunks() {
            reads.extend(decode(&chunk.load(store, task).ok()??));
        }
        let mut buffer = Vec::new();
        let output = output(store, task, trace.output, &mut buffer)?.to_vec();
        let emitted = trace.emitted().map(|emitted| (emitted.channel, emitted.value.to_vec())).collect();
        Some(Self { fingerprint: trace.output.fingerprint, output, reads, emitted })
    }

    /// Runs `with` with the run as it is stored by these fingerprints.
    pub fn as_new<R>(&self, fingerprints: Fingerprints, with: impl FnOnce(&NewTrace<'_>) -> R) -> R {
        let emitted: Vec<Emitted<'_>> =
            self.emitted.iter().map(|(channel, value)| Emitted { channel: *channel, value }).collect();
        let new = |reads| NewTrace {
            fingerprint: self.fingerprint,
            output: &self.output,
            reads,
            emitted: &emitted,
        };
        if self.reads.len() < WIDE {
            return with(&new(NewReads::Here(&self.reads)));
        }
        let (mut all, mut encoded) = (Vec::new(), Vec::new());
        for chunk in self.chunks() {
            let mut bytes = Vec::new();
            chunk.iter().for_each(|read| read.encode_into(&mut bytes));
            let chunk = Chunk::of(fingerprints, &bytes);
            NewChunks::append(chunk, &bytes, &mut encoded);
            all.push(chunk);
        }
        with(&new(NewReads::Chunks { all: &all, new: NewChunks::new(&encoded) }))
    }

    /// Returns the digest by which the traces of a task are told apart.
    #[must_use]
    pub fn digest(&self, fingerprints: Fingerprints) -> Option<Digest> {
        let mut encoded = Vec::new();
        self.as_new(fingerprints, |new| new.encode_into(&mut encoded));
        Trace::decode(&encoded).ok().map(|trace| trace.digest(fingerprints))
    }

    /// Returns the reads, cut where those of a wide trace are.
    pub fn chunks(&self) -> impl Iterator<Item = &[Read]> {
        let mut rest = &self.reads[..];
        std::iter::from_fn(move || {
            let end = (1..=rest.len()).find(|len| *len == rest.len() || ends(*len, rest[len - 1].key))?;
            let (chunk, behind) = rest.split_at(end);
            rest = behind;
            Some(chunk)
        })
    }
}
