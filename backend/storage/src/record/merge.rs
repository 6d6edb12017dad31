//! The effect of runs, marks and reverts on a stored task.
//!
//! Runs on the writer's thread only, and on what is committed: what is still in the queue comes in order as `ops`.

mod expired;

pub(crate) use self::expired::drop_expired;
use super::super::{
    Batch, Digest, Fingerprints, Guarded, ReadFailure, Rejected, RunNumber, Table, TaskKey, TraceKey,
};
use super::chunks::decode as decode_reads;
use super::wide::{ChunkWriter, known_keys};
use super::{Because, CauseRecord, NewChunks, NotARecord, OlderTrace, OutputPlace, TaskRecord, Trace, task};

/// One change to one task, in the order of handing over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TaskOp<'a> {
    /// It ran: in which run of the program, why, its encoded key, its encoded trace, and chunks that go with the trace.
    Ran {
        generation: RunNumber,
        because: Because,
        encoded_key: &'a [u8],
        trace: &'a [u8],
        chunks: NewChunks<'a>,
    },
    /// Something that it depends on has changed.
    Stale,
    /// Verified: it is current after all.
    Fresh,
    /// An older trace is current again.
    Revert(Digest),
    /// To be forgotten.
    Remove,
    /// Another machine ran it: its encoded key, its encoded trace, chunks that go with the trace, and an output that does not stand in it.
    Found { encoded_key: &'a [u8], trace: &'a [u8], chunks: NewChunks<'a>, output: &'a [u8] },
}

/// A task in the making.
#[derive(Default)]
struct State {
    stale: bool,
    generation: RunNumber,
    encoded_key: Vec<u8>,
    /// Most recent first; the first one is the current one.
    traces: Vec<Held>,
    /// Of its last run in this batch, if it had run before.
    cause: Option<CauseRecord>,
}

pub(super) struct Held {
    pub(super) trace: OlderTrace,
    /// Its payload, unless it is to be read from table `Traces`.
    pub(super) body: Option<Vec<u8>>,
    /// Whether it stands in table `Traces`.
    in_traces: bool,
    /// The output of another machine's run, to be put in table `Values`.
    output: Option<Vec<u8>>,
}

impl Held {
    fn new(trace: &Trace<'_>, fingerprints: Fingerprints) -> Self {
        let stored = matches!(trace.output.place, OutputPlace::Stored { .. });
        Self {
            trace: OlderTrace {
                digest: trace.digest(fingerprints),
                fingerprint: trace.output.fingerprint,
                output_stored: stored,
                is_wide: trace.is_wide(),
            },
            body: Some(trace.bytes().to_vec()),
            in_traces: false,
            output: None,
        }
    }
}

/// The effect on a task.
pub(crate) enum Merged {
    /// It is stored, and was not before.
    New,
    /// It was stored before, and is.
    Known,
    /// It is not stored any more; it may have come and gone in this batch. It had read these.
    Removed { was_new: bool, reads: Box<[Digest]> },
}

/// Applies `ops` to the stored task, writes the result to `batch`, and calls `edge` for everything it newly reads.
pub(crate) fn merge_task(
    store: &Guarded,
    task: TaskKey,
    ops: &[TaskOp<'_>],
    max_traces: usize,
    batch: &mut Batch,
    mut edge: impl FnMut(Digest),
) -> Result<Merged, ReadFailure> {
    let mut buffer = Vec::new();
    let stored = read_task(store, task, &mut buffer)?;
    let new = stored.is_none();
    if let ([TaskOp::Ran { generation, because, encoded_key, trace, chunks }], true) = (ops, new) {
        // By far the most common case: a task's first run, written as it came.
        let run =
            FirstRun { generation: *generation, because: *because, encoded_key, trace, chunks: *chunks };
        run.write(store.fingerprints(), task, batch, edge);
        return Ok(Merged::New);
    }

    let mut state =
        stored.as_ref().map(|record| State::load(record, store.fingerprints())).unwrap_or_default();
    let known = match &stored {
        Some(record) => known_keys(store, task, &record.current, ops)?,
        None => Vec::new(),
    };
    let mut reads = Vec::new();
    let removes = ops.iter().any(|op| matches!(op, TaskOp::Remove));
    let mut new_read = |key: Digest| {
        if known.binary_search(&key).is_err() {
            edge(key);
            if removes {
                reads.push(key);
            }
        }
    };
    let mut chunks = ChunkWriter::new(stored.as_ref().map(|record| record.current));
    let mut dropped = Vec::new();
    for op in ops {
        state.apply(op, store, task, &mut dropped)?;
        if let TaskOp::Ran { trace, chunks: new, .. } | TaskOp::Found { trace, chunks: new, .. } = op
            && let Ok(trace) = Trace::decode(trace)
        {
            trace.reads().for_each(|read| new_read(read.key));
            chunks.add(*new, &mut new_read);
        }
    }
    state.settle(store, task, max_traces, &mut dropped)?;
    chunks.write(store, task, (&mut state.traces, &mut dropped), batch)?;
    state.write(task, &dropped, batch);
    Ok(match (state.traces.is_empty(), new) {
        (false, true) => Merged::New,
        (false, false) => Merged::Known,
        (true, _) => Merged::removed(new, reads, known),
    })
}

impl Merged {
    /// A task that is not stored any more, of which these reads were known last. Lists of earlier reads name it in vain.
    fn removed(is_new: bool, mut reads: Vec<Digest>, known: Vec<Digest>) -> Self {
        reads.extend(known);
        reads.sort_unstable();
        reads.dedup();
        Self::Removed { was_new: is_new && !reads.is_empty(), reads: reads.into() }
    }
}

/// Reads the record of a task. A damaged one is none.
fn read_task<'b>(
    store: &Guarded,
    task: TaskKey,
    buffer: &'b mut Vec<u8>,
) -> Result<Option<TaskRecord<'b>>, ReadFailure> {
    match store.read(Table::Tasks, &task.to_bytes(), buffer) {
        Ok(None) => Ok(None),
        Ok(Some(payload)) => match TaskRecord::decode(payload) {
            Ok(record) => Ok(Some(record)),
            Err(NotARecord) => {
                store.reject(Rejected::Decode);
                Ok(None)
            }
        },
        // Damaged: whatever it was, it is replaced. Its older traces stay behind until the store is swept.
        Err(ReadFailure::Rejected(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// A run of a task that is not stored.
struct FirstRun<'a> {
    generation: RunNumber,
    because: Because,
    encoded_key: &'a [u8],
    trace: &'a [u8],
    chunks: NewChunks<'a>,
}

impl FirstRun<'_> {
    fn write(
        self,
        fingerprints: Fingerprints,
        task: TaskKey,
        batch: &mut Batch,
        mut edge: impl FnMut(Digest),
    ) {
        let Self { generation, because, encoded_key, trace, chunks } = self;
        if let Ok(decoded) = Trace::decode(trace) {
            decoded.reads().for_each(|read| edge(read.key));
            if because.is_of_a_rerun()
                && let Some(cause) =
                    CauseRecord::of(because, generation, (None, decoded.digest(fingerprints)))
            {
                batch.seal(Table::Causes, &task.to_bytes(), |out| cause.encode_into(out));
            }
        }
        for (chunk, encoded) in chunks.iter() {
            chunk.write(task, encoded, batch);
            decode_reads(encoded).for_each(|read| edge(read.key));
        }
        batch.seal(Table::Tasks, &task.to_bytes(), |out| {
            task::encode((false, generation), encoded_key, trace, std::iter::empty(), out);
        });
    }
}

impl State {
    fn load(record: &TaskRecord<'_>, fingerprints: Fingerprints) -> Self {
        let older = record.older().map(|trace| Held { trace, body: None, in_traces: true, output: None });
        Self {
            stale: record.stale,
            generation: record.generation,
            encoded_key: record.encoded_key.to_vec(),
            traces: std::iter::once(Held::new(&record.current, fingerprints)).chain(older).collect(),
            cause: None,
        }
    }

    fn apply(
        &mut self,
        op: &TaskOp<'_>,
        store: &Guarded,
        task: TaskKey,
        dropped: &mut Vec<Held>,
    ) -> Result<(), ReadFailure> {
        match *op {
            TaskOp::Ran { generation, because, encoded_key, trace, .. } => {
                let Ok(trace) = Trace::decode(trace) else { return Ok(()) };
                if self.encoded_key != encoded_key {
                    // A collision of digests, or a first run: nothing that was there belongs to this task.
                    dropped.append(&mut self.traces);
                    self.encoded_key = encoded_key.to_vec();
                }
                let mut held = Held::new(&trace, store.fingerprints());
                let before = self.traces.first().map(|before| before.trace.digest);
                self.cause = CauseRecord::of(because, generation, (before, held.trace.digest));
                let fingerprint = held.trace.fingerprint;
                for other in self.traces.iter_mut().filter(|other| other.trace.fingerprint == fingerprint) {
                    // The run's own output stands in the batch already.
                    other.output = None;
                }
                if let Some(same) = self.position(held.trace.digest) {
                    let before = self.traces.remove(same);
                    held.in_traces = before.in_traces;
                    if before.trace.fingerprint != held.trace.fingerprint {
                        // From the same reads, another output: the body depends on something else.
                        store.note_contradiction();
                        dropped.push(Held { in_traces: false, ..before });
                    }
                }
                self.traces.insert(0, held);
                self.stale = false;
                self.generation = generation;
            }
            TaskOp::Stale => self.stale = true,
            TaskOp::Fresh => self.stale = false,
            TaskOp::Revert(digest) => {
                // Without that trace the current one is not valid either: the body has to run.
                self.stale = true;
                if let Some(at) = self.position(digest) {
                    let mut held = self.traces.remove(at);
                    if held.load(store, task)? {
                        self.traces.insert(0, held);
                        self.stale = false;
                    } else {
                        dropped.push(held);
                    }
                }
            }
            TaskOp::Remove => dropped.append(&mut self.traces),
            TaskOp::Found { encoded_key, trace, output, .. } => {
                self.found(encoded_key, trace, output, store.fingerprints());
            }
        }
        Ok(())
    }

    /// Puts a run of another machine behind the current one. Stored runs stay: the new one is not to be believed more
    /// than that.
    fn found(&mut self, encoded_key: &[u8], trace: &[u8], output: &[u8], fingerprints: Fingerprints) {
        let Ok(trace) = Trace::decode(trace) else { return };
        if self.traces.is_empty() {
            self.encoded_key = encoded_key.to_vec();
            // Before all generations of this store: it is not known to be of this program's code.
            (self.stale, self.generation) = (true, RunNumber::BEFORE_ALL);
        }
        let mut held = Held::new(&trace, fingerprints);
        if self.encoded_key != encoded_key || self.position(held.trace.digest).is_some() {
            return;
        }
        let has_output =
            |other: &Held| other.trace.output_stored && other.trace.fingerprint == held.trace.fingerprint;
        if held.trace.output_stored && !self.traces.iter().any(has_output) {
            held.output = Some(output.to_vec());
        }
        self.traces.insert(self.traces.len().min(1), held);
    }

    /// Brings the list to its allowed length, and the current trace to hand.
    fn settle(
        &mut self,
        store: &Guarded,
        task: TaskKey,
        max_traces: usize,
        dropped: &mut Vec<Held>,
    ) -> Result<(), ReadFailure> {
        while let Some(first) = self.traces.first_mut() {
            if first.load(store, task)? {
                break;
            }
            self.stale = true;
            dropped.push(self.traces.remove(0));
        }
        dropped.extend(self.traces.drain(max_traces.max(1).min(self.traces.len())..));
        Ok(())
    }

    fn write(&self, task: TaskKey, dropped: &[Held], batch: &mut Batch) {
        let key = |part| TraceKey { task, part }.to_bytes();
        for held in dropped {
            if held.in_traces {
                batch.delete(Table::Traces, &key(held.trace.digest));
            }
            let output = held.trace.fingerprint;
            if held.trace.output_stored && !self.traces.iter().any(|kept| kept.trace.fingerprint == output) {
                batch.delete(Table::Values, &key(output));
            }
        }
        for held in &self.traces {
            if let Some(output) = &held.output {
                batch.seal(Table::Values, &key(held.trace.fingerprint), |out| out.extend_from_slice(output));
            }
        }
        let Some((current, older)) = self.traces.split_first() else {
            batch.delete(Table::Tasks, &task.to_bytes());
            batch.delete(Table::Causes, &task.to_bytes());
            return;
        };
        if let Some(cause) = &self.cause {
            batch.seal(Table::Causes, &task.to_bytes(), |out| cause.encode_into(out));
        }
        if current.in_traces {
            batch.delete(Table::Traces, &key(current.trace.digest));
        }
        for held in older {
            if let (Some(body), false) = (&held.body, held.in_traces) {
                batch.seal(Table::Traces, &key(held.trace.digest), |out| out.extend_from_slice(body));
            }
        }
        batch.seal(Table::Tasks, &task.to_bytes(), |out| {
            let body = current.body.as_deref().unwrap_or_default();
            let older = older.iter().map(|held| held.trace);
            task::encode((self.stale, self.generation), &self.encoded_key, body, older, out);
        });
    }

    fn position(&self, digest: Digest) -> Option<usize> {
        self.traces.iter().position(|held| held.trace.digest == digest)
    }
}

impl Held {
    /// Whether its payload is at hand, read from table `Traces` if need be.
    pub(super) fn load(&mut self, store: &Guarded, task: TaskKey) -> Result<bool, ReadFailure> {
        if self.body.is_some() {
            return Ok(true);
        }
        let key = TraceKey { task, part: self.trace.digest }.to_bytes();
        let mut body = Vec::new();
        let found = match store.read(Table::Traces, &key, &mut body) {
            Ok(payload) => payload.map(<[u8]>::to_vec),
            Err(ReadFailure::Rejected(_)) => None,
            Err(failure) => return Err(failure),
        };
        self.body = found.filter(|body| Trace::decode(body).is_ok());
        Ok(self.body.is_some())
    }
}
