//! A task, with what it has read and what has read it.

use std::ops::Range;

use larder_storage::TaskKey;
use larder_storage::inspect::{StoreReader, StoredTask, preview};
use larder_storage::record::{Read, Trace, members_of};
use serde_json::{Value, json};

use super::LookError;
use super::names::{Functions, arguments, leaf_json};

/// A stored task, and a page of its lists.
pub struct Shown<'a> {
    pub reader: &'a StoreReader,
    pub functions: &'a Functions,
    pub task: &'a StoredTask,
    /// The reads of the page.
    pub reads: Vec<Read>,
    /// Whether no chunk of the reads is missing.
    pub is_complete: bool,
    /// The places in each list that are shown.
    pub page: Range<usize>,
    /// The end of the page.
    pub most: usize,
}

impl<'a> Shown<'a> {
    /// Reads a page of a task's lists.
    ///
    /// # Errors
    /// If the store fails.
    pub fn of(
        reader: &'a StoreReader,
        functions: &'a Functions,
        task: &'a StoredTask,
        page: Range<usize>,
    ) -> Result<Self, LookError> {
        let (mut reads, mut place) = (Vec::new(), 0);
        let is_complete = reader.reads(task.key(), &task.record().current, |read| {
            if page.contains(&place) {
                reads.push(read);
            }
            place += 1;
        })?;
        let most = page.end;
        Ok(Self { reader, functions, task, reads, is_complete, page, most })
    }

    /// Returns the task for JSON.
    ///
    /// # Errors
    /// If the store fails.
    pub fn json(&self) -> Result<Value, LookError> {
        let (key, record) = (self.task.key(), self.task.record());
        let function = record.function().and_then(|id| self.functions.get(id));
        let dependents = self.reader.dependents(key.0)?;
        let hex: String = arguments(&record).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(json!({
            "snapshot": self.reader.is_snapshot(),
            "id": key.0.to_string(),
            "function": self.functions.path(&record),
            "code": function.map(|function| function.code.to_string()),
            "lossy": function.is_some_and(|function| function.is_lossy),
            "arguments": preview(arguments(&record), usize::MAX),
            "arguments_hex": hex,
            "stale": record.stale,
            "run": record.generation.0,
            "used_by_run": self.reader.used(key)?,
            "output_bytes": StoreReader::output_bytes(&record.current.output),
            "output_is_there": self.reader.has_output(key, &record.current.output)?,
            "fingerprint": record.current.output.fingerprint.to_string(),
            "emitted": record.current.emitted().count(),
            "members": self.tasks(members_of(record.encoded_key).into_iter().flatten())?,
            "reads_in_all": StoreReader::read_count(&record.current),
            "reads_are_complete": self.is_complete,
            "reads": self.reads()?,
            "older_traces": self.older_traces()?,
            "dependents_in_all": dependents.tasks.len(),
            "dependents_are_complete": dependents.is_complete,
            "dependents": self.tasks(dependents.tasks.iter().copied())?,
        }))
    }

    /// Returns those of `tasks` that stand on the page.
    fn tasks(&self, tasks: impl Iterator<Item = TaskKey>) -> Result<Vec<Value>, LookError> {
        let page = tasks.skip(self.page.start).take(self.page.len());
        page.map(|key| self.functions.json(self.reader, key)).collect()
    }

    /// Returns the reads of the page: each a leaf or a task, with the fingerprint that it had.
    fn reads(&self) -> Result<Vec<Value>, LookError> {
        let mut reads = Vec::new();
        for read in &self.reads {
            let of = match self.reader.leaf(read.key)? {
                Some(leaf) => json!({ "leaf": leaf_json(&leaf) }),
                None => json!({ "task": self.functions.json(self.reader, TaskKey(read.key))? }),
            };
            let mut value = json!({ "fingerprint": read.fingerprint.to_string() });
            merge(&mut value, of);
            reads.push(value);
        }
        Ok(reads)
    }

    /// Returns the earlier runs that are still stored.
    fn older_traces(&self) -> Result<Vec<Value>, LookError> {
        let traces = self.reader.older_traces(self.task)?;
        let traces = traces.iter().filter_map(|payload| Trace::decode(payload).ok());
        let older = traces.map(|trace| {
            json!({
                "reads": StoreReader::read_count(&trace),
                "output_bytes": StoreReader::output_bytes(&trace.output),
                "fingerprint": trace.output.fingerprint.to_string(),
            })
        });
        Ok(older.collect())
    }
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
