//! Tasks, by id and by scan.

use super::{InspectError, StoreReader};
use crate::record::{Output, OutputPlace, Read, TaskRecord, Trace, decode_reads};
use crate::{Digest, ReadFailure, Rejected, Table, TaskKey, TraceKey, Visit};

/// A stored task: its record, whole.
#[derive(Clone, Debug)]
pub struct StoredTask {
    key: TaskKey,
    payload: Vec<u8>,
}

impl StoredTask {
    /// Returns the key.
    pub fn key(&self) -> TaskKey {
        self.key
    }

    /// Returns the record: encoded key, flags, most recent trace. Nothing is copied.
    pub fn record(&self) -> TaskRecord<'_> {
        TaskRecord::decode(&self.payload).expect("the record was decoded when it was read")
    }
}

/// The beginning of a key, in hexadecimal digits: what people type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPrefix {
    bytes: Vec<u8>,
    /// A digit that no other one follows.
    half: Option<u8>,
}

impl KeyPrefix {
    /// Reads 1 to 32 hexadecimal digits; none if `text` is something else.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > 32 {
            return None;
        }
        let digits: Option<Vec<u8>> =
            text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
        let digits = digits?;
        let (pairs, rest) = digits.as_chunks::<2>();
        let bytes = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        Some(Self { bytes, half: rest.first().copied() })
    }

    fn fits(&self, key: &[u8]) -> bool {
        key.starts_with(&self.bytes)
            && self.half.is_none_or(|half| key.get(self.bytes.len()).is_some_and(|byte| byte >> 4 == half))
    }
}

impl StoreReader {
    /// Returns a task, if it is stored.
    ///
    /// # Errors
    /// If the store fails.
    pub fn task(&self, key: TaskKey) -> Result<Option<StoredTask>, InspectError> {
        let Some(payload) = self.get(Table::Tasks, &key.to_bytes())? else { return Ok(None) };
        if TaskRecord::decode(&payload).is_err() {
            self.store.reject(Rejected::Decode);
            return Ok(None);
        }
        Ok(Some(StoredTask { key, payload }))
    }

    /// Visits the tasks behind `after` (all, if that is none), in the order of their keys. A page of a list begins where the one
    /// before it ended, at the cost of 1/256 of a scan.
    ///
    /// # Errors
    /// If the store fails.
    pub fn tasks(
        &self,
        after: Option<TaskKey>,
        mut visit: impl FnMut(TaskKey, &TaskRecord<'_>) -> Visit,
    ) -> Result<(), InspectError> {
        let Some(after) = after else { return self.tasks_below(&[], |_| true, &mut visit).map(|_| ()) };
        let after = after.to_bytes();
        for first in after[0]..=u8::MAX {
            if self.tasks_below(&[first], |key| key > &after[..], &mut visit)? == Visit::Stop {
                break;
            }
        }
        Ok(())
    }

    /// Visits the tasks whose keys begin with `prefix`.
    ///
    /// # Errors
    /// If the store fails.
    pub fn tasks_with_prefix(
        &self,
        prefix: &KeyPrefix,
        mut visit: impl FnMut(TaskKey, &TaskRecord<'_>) -> Visit,
    ) -> Result<(), InspectError> {
        self.tasks_below(&prefix.bytes, |key| prefix.fits(key), &mut visit).map(|_| ())
    }

    fn tasks_below(
        &self,
        prefix: &[u8],
        fits: impl Fn(&[u8]) -> bool,
        visit: &mut impl FnMut(TaskKey, &TaskRecord<'_>) -> Visit,
    ) -> Result<Visit, InspectError> {
        let mut last = Visit::Continue;
        self.scan(Table::Tasks, prefix, |key, payload| {
            if !fits(key) {
                return Visit::Continue;
            }
            let Some((key, record)) = key.try_into().ok().zip(TaskRecord::decode(payload).ok()) else {
                self.store.reject(Rejected::Decode);
                return Visit::Continue;
            };
            last = visit(TaskKey(Digest::from_bytes(key)), &record);
            last
        })?;
        Ok(last)
    }

    /// Visits all reads of a trace, in order, a chunk of them in memory at a time. Returns whether those were all: a chunk can be
    /// damaged.
    ///
    /// # Errors
    /// If the store fails.
    pub fn reads(
        &self,
        task: TaskKey,
        trace: &Trace<'_>,
        mut visit: impl FnMut(Read),
    ) -> Result<bool, InspectError> {
        trace.reads().for_each(&mut visit);
        let mut is_complete = true;
        for chunk in trace.chunks() {
            match chunk.load(&self.store, task) {
                Ok(Some(encoded)) => decode_reads(&encoded).for_each(&mut visit),
                Ok(None) | Err(ReadFailure::Rejected(_)) => is_complete = false,
                Err(ReadFailure::Storage(source)) => return Err(self.failed(source)),
            }
        }
        Ok(is_complete)
    }

    /// Returns the number of reads of a trace, without reading chunks.
    pub fn read_count(trace: &Trace<'_>) -> u64 {
        trace.reads().len() as u64 + trace.chunks().map(|chunk| u64::from(chunk.len)).sum::<u64>()
    }

    /// Returns the bytes of an encoded output.
    pub fn output_bytes(output: &Output<'_>) -> u64 {
        match output.place {
            OutputPlace::Inline(bytes) => bytes.len() as u64,
            OutputPlace::Stored { len } => u64::from(len),
        }
    }

    /// Returns the older traces of a task that can be read, most recent first, as their payloads ([`Trace::decode`]).
    ///
    /// # Errors
    /// If the store fails.
    pub fn older_traces(&self, task: &StoredTask) -> Result<Vec<Vec<u8>>, InspectError> {
        let mut traces = Vec::new();
        for older in task.record().older() {
            let key = TraceKey { task: task.key, part: older.digest }.to_bytes();
            if let Some(payload) = self.get(Table::Traces, &key)?
                && Trace::decode(&payload).is_ok()
            {
                traces.push(payload);
            }
        }
        Ok(traces)
    }

    /// Returns the encoded output of a trace, if it is there as the trace says.
    ///
    /// # Errors
    /// If the store fails.
    pub fn output(&self, task: TaskKey, output: &Output<'_>) -> Result<Option<Vec<u8>>, InspectError> {
        match output.place {
            OutputPlace::Inline(bytes) => Ok(Some(bytes.to_vec())),
            OutputPlace::Stored { len } => {
                let key = TraceKey { task, part: output.fingerprint }.to_bytes();
                Ok(self.get(Table::Values, &key)?.filter(|bytes| bytes.len() == len as usize))
            }
        }
    }

    /// Returns whether the output of a trace is there: in its record, or in the table of values.
    ///
    /// # Errors
    /// If the store fails.
    pub fn has_output(&self, task: TaskKey, output: &Output<'_>) -> Result<bool, InspectError> {
        let OutputPlace::Stored { len } = output.place else { return Ok(true) };
        let key = TraceKey { task, part: output.fingerprint }.to_bytes();
        Ok(self.get(Table::Values, &key)?.is_some_and(|bytes| bytes.len() == len as usize))
    }
}
