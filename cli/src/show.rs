//! `larder show`.

use larder_inspect::stored::Shown;
use larder_storage::Digest;
use larder_storage::TaskKey;
use larder_storage::inspect::StoreReader;
use larder_storage::record::{Trace, members_of};

use crate::args::ShowArgs;
use crate::error::{CliError, Outcome};
use crate::names::{self, Functions, leaf_line};
use crate::out::{Out, count, size};

pub(crate) fn run(reader: &StoreReader, args: &ShowArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let functions = Functions::of(reader)?;
    let key = names::task(reader, &functions, &args.task.task, args.task.text.as_deref())?;
    let Some(task) = reader.task(key)? else {
        return Err(CliError::Name(format!("task `{}` is damaged", key.0)));
    };
    let most = if args.limit == 0 { usize::MAX } else { args.limit };
    let shown = Shown::of(reader, &functions, &task, 0..most)?;
    if out.is_json() {
        out.json(&shown.json()?)?;
    } else {
        Text(shown).print(out)?;
    }
    Ok(Outcome::Fine)
}

struct Text<'a>(Shown<'a>);

impl Text<'_> {
    fn print(&self, out: &mut Out) -> Result<(), CliError> {
        let (key, record) = (self.0.task.key(), self.0.task.record());
        let output = &record.current.output;
        out.heading(&format!("{}  {}", key.0, self.0.functions.call(&record)))?;
        let function = record.function().and_then(|id| self.0.functions.get(id));
        if let Some(function) = function {
            out.line(&format!("  code       {}", function.code))?;
            if function.is_lossy {
                out.line("  lossy      its values do not come back as they were, so nothing of it is used")?;
            }
        }
        let state = if record.stale { "stale: to be verified before it is used" } else { "valid" };
        out.line(&format!("  state      {state}"))?;
        out.line(&format!(
            "  stored by  run {} of {}",
            record.generation.0,
            self.0.reader.head().generation.0
        ))?;
        if let Some(used) = self.0.reader.used(key)? {
            out.line(&format!("  used by    run {used}"))?;
        }
        let bytes = size(StoreReader::output_bytes(output));
        let is_there = if self.0.reader.has_output(key, output)? { "" } else { ", which is missing" };
        out.line(&format!("  output     {bytes}, fingerprint {}{is_there}", output.fingerprint))?;
        for emitted in record.current.emitted() {
            let bytes = size(emitted.value.len() as u64);
            out.line(&format!("  emitted    {bytes} to channel {}", emitted.channel))?;
        }
        self.print_members(out)?;
        self.print_reads(out)?;
        self.print_traces(out)?;
        let dependents = self.0.reader.dependents(key.0)?;
        let incomplete = if dependents.is_complete { "" } else { ", and some that are lost" };
        out.line(&format!("read by {}{incomplete}", count(dependents.tasks.len() as u64, "task")))?;
        for dependent in dependents.tasks.iter().take(self.0.most) {
            out.line(&format!("  {}", self.0.functions.line(self.0.reader, *dependent)?))?;
        }
        rest(dependents.tasks.len(), self.0.most, out)
    }

    fn print_reads(&self, out: &mut Out) -> Result<(), CliError> {
        let record = self.0.task.record();
        let all = StoreReader::read_count(&record.current);
        let damaged = if self.0.is_complete { "" } else { ", of which some are damaged" };
        out.line(&format!("{}{damaged}", count(all, "read")))?;
        for read in &self.0.reads {
            let fingerprint = &read.fingerprint.to_string()[..12];
            out.line(&format!("  {fingerprint}  {}", self.read(read.key)?))?;
        }
        rest(usize::try_from(all).unwrap_or(usize::MAX), self.0.most, out)
    }

    /// Prints all members of a component; of a member, its component stands among the reads.
    fn print_members(&self, out: &mut Out) -> Result<(), CliError> {
        let record = self.0.task.record();
        let Some(members) = members_of(record.encoded_key) else { return Ok(()) };
        out.line(&count(members.len() as u64, "member"))?;
        for member in members.clone().take(self.0.most) {
            out.line(&format!("  {}", self.0.functions.line(self.0.reader, member)?))?;
        }
        rest(members.len(), self.0.most, out)
    }

    fn print_traces(&self, out: &mut Out) -> Result<(), CliError> {
        let traces = self.0.reader.older_traces(self.0.task)?;
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
        if let Some(leaf) = self.0.reader.leaf(key)? {
            return Ok(leaf_line(&leaf));
        }
        Ok(self.0.functions.line(self.0.reader, TaskKey(key))?)
    }
}

fn rest(all: usize, most: usize, out: &mut Out) -> Result<(), CliError> {
    if all > most {
        out.line(&format!("  and {} more", all - most))?;
    }
    Ok(())
}
