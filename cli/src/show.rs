//! `larder show`.

use larder_storage::Digest;
use larder_storage::TaskKey;
use larder_storage::inspect::{StoreReader, StoredTask, preview};
use larder_storage::record::{Read, Trace, members_of};
use serde_json::{Value, json};

use crate::args::ShowArgs;
use crate::error::{CliError, Outcome};
use crate::names::{self, Functions, arguments, leaf_json, leaf_line};
use crate::out::{Out, count, size};

pub(crate) fn run(reader: &StoreReader, args: &ShowArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let functions = Functions::of(reader)?;
    let key = names::task(reader, &functions, &args.task.task, args.task.text.as_deref())?;
    let Some(task) = reader.task(key)? else {
        return Err(CliError::Name(format!("task `{}` is damaged", key.0)));
    };
    let most = if args.limit == 0 { usize::MAX } else { args.limit };
    let mut reads = Vec::new();
    let is_complete = reader.reads(key, &task.record().current, |read| {
        if reads.len() < most {
            reads.push(read);
        }
    })?;
    let shown = Shown { reader, functions: &functions, task: &task, reads, is_complete, most };
    if out.is_json() {
        shown.print_json(out)?
    } else {
        shown.print(out)?
    }
    Ok(Outcome::Fine)
}

struct Shown<'a> {
    reader: &'a StoreReader,
    functions: &'a Functions,
    task: &'a StoredTask,
    /// The first ones.
    reads: Vec<Read>,
    /// Whether no chunk of them is missing.
    is_complete: bool,
    most: usize,
}

impl Shown<'_> {
    fn print(&self, out: &mut Out) -> Result<(), CliError> {
        let (key, record) = (self.task.key(), self.task.record());
        let output = &record.current.output;
        out.heading(&format!("{}  {}", key.0, self.functions.call(&record)))?;
        let function = record.function().and_then(|id| self.functions.get(id));
        if let Some(function) = function {
            out.line(&format!("  code       {}", function.code))?;
            if function.is_lossy {
                out.line("  lossy      its values do not come back as they were, so nothing of it is used")?;
            }
        }
        let state = if record.stale { "stale: to be verified before it is used" } else { "valid" };
        out.line(&format!("  state      {state}"))?;
        out.line(&format!("  stored by  run {} of {}", record.generation, self.reader.head().generation))?;
        if let Some(used) = self.reader.used(key)? {
            out.line(&format!("  used by    run {used}"))?;
        }
        let bytes = size(StoreReader::output_bytes(output));
        let is_there = if self.reader.has_output(key, output)? { "" } else { ", which is missing" };
        out.line(&format!("  output     {bytes}, fingerprint {}{is_there}", output.fingerprint))?;
        for emitted in record.current.emitted() {
            let bytes = size(emitted.value.len() as u64);
            out.line(&format!("  emitted    {bytes} to channel {}", emitted.channel))?;
        }
        self.print_members(out)?;
        self.print_reads(out)?;
        self.print_traces(out)?;
        let dependents = self.reader.dependents(key.0)?;
        let incomplete = if dependents.is_complete { "" } else { ", and some that are lost" };
        out.line(&format!("read by {}{incomplete}", count(dependents.tasks.len() as u64, "task")))?;
        for dependent in dependents.tasks.iter().take(self.most) {
            out.line(&format!("  {}", self.functions.line(self.reader, *dependent)?))?;
        }
        rest(dependents.tasks.len(), self.most, out)
    }

    fn print_reads(&self, out: &mut Out) -> Result<(), CliError> {
        let record = self.task.record();
        let all = StoreReader::read_count(&record.current);
        let damaged = if self.is_complete { "" } else { ", of which some are damaged" };
        out.line(&format!("{}{damaged}", count(all, "read")))?;
        for read in &self.reads {
            let fingerprint = &read.fingerprint.to_string()[..12];
            out.line(&format!("  {fingerprint}  {}", self.read(read.key)?))?;
        }
        rest(usize::try_from(all).unwrap_or(usize::MAX), self.most, out)
    }

    /// Of a component, all members; of a member, its component stands among the reads.
    fn print_members(&self, out: &mut Out) -> Result<(), CliError> {
        let record = self.task.record();
        let Some(members) = members_of(record.encoded_key) else { return Ok(()) };
        out.line(&count(members.len() as u64, "member"))?;
        for member in members.clone().take(self.most) {
            out.line(&format!("  {}", self.functions.line(self.reader, member)?))?;
        }
        rest(members.len(), self.most, out)
    }

    fn print_traces(&self, out: &mut Out) -> Result<(), CliError> {
        let traces = self.reader.older_traces(self.task)?;
        if traces.is_empty() {
            return Ok(());
        }
        out.line(&count(traces.len() as u64, "older trace"))?;
        for trace in traces.iter().filter_map(|payload| Trace::decode(payload).ok()) {
            let reads = count(StoreReader::read_count(&trace), "read");
            let bytes = size(StoreReader::output_bytes(&trace.output));
            out.line(&format!("  {reads}, output of {bytes}, fingerprint {}", trace.output.fingerprint))?;
        }
        Ok(())
    }

    /// Returns a read as text: a leaf, or a task.
    fn read(&self, key: Digest) -> Result<String, CliError> {
        if let Some(leaf) = self.reader.leaf(key)? {
            return Ok(leaf_line(&leaf));
        }
        self.functions.line(self.reader, TaskKey(key))
    }

    fn print_json(&self, out: &mut Out) -> Result<(), CliError> {
        let (key, record) = (self.task.key(), self.task.record());
        let function = record.function().and_then(|id| self.functions.get(id));
        let dependents = self.reader.dependents(key.0)?;
        let readers: Result<Vec<Value>, CliError> = dependents
            .tasks
            .iter()
            .take(self.most)
            .map(|key| self.functions.json(self.reader, *key))
            .collect();
        let members = members_of(record.encoded_key).into_iter().flatten().take(self.most);
        let members: Result<Vec<Value>, CliError> =
            members.map(|key| self.functions.json(self.reader, key)).collect();
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
        let traces = self.reader.older_traces(self.task)?;
        let older: Vec<Value> = traces
            .iter()
            .filter_map(|payload| Trace::decode(payload).ok())
            .map(|trace| {
                json!({
                    "reads": StoreReader::read_count(&trace),
                    "output_bytes": StoreReader::output_bytes(&trace.output),
                    "fingerprint": trace.output.fingerprint.to_string(),
                })
            })
            .collect();
        let hex: String = arguments(&record).iter().map(|byte| format!("{byte:02x}")).collect();
        out.json(&json!({
            "snapshot": self.reader.is_snapshot(),
            "id": key.0.to_string(),
            "function": self.functions.path(&record),
            "code": function.map(|function| function.code.to_string()),
            "lossy": function.is_some_and(|function| function.is_lossy),
            "arguments": preview(arguments(&record), usize::MAX),
            "arguments_hex": hex,
            "stale": record.stale,
            "run": record.generation,
            "used_by_run": self.reader.used(key)?,
            "output_bytes": StoreReader::output_bytes(&record.current.output),
            "output_is_there": self.reader.has_output(key, &record.current.output)?,
            "fingerprint": record.current.output.fingerprint.to_string(),
            "emitted": record.current.emitted().count(),
            "members": members?,
            "reads_in_all": StoreReader::read_count(&record.current),
            "reads_are_complete": self.is_complete,
            "reads": reads,
            "older_traces": older,
            "dependents_in_all": dependents.tasks.len(),
            "dependents_are_complete": dependents.is_complete,
            "dependents": readers?,
        }))?;
        Ok(())
    }
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

fn rest(all: usize, most: usize, out: &mut Out) -> Result<(), CliError> {
    if all > most {
        out.line(&format!("  and {} more", all - most))?;
    }
    Ok(())
}
