//! `larder ls`.

use std::collections::HashSet;

use larder_storage::inspect::{KeyPrefix, StoreReader, preview};
use larder_storage::record::TaskRecord;
use larder_storage::{FunctionId, TaskKey, Visit};
use serde_json::{Value, json};

use crate::args::LsArgs;
use crate::error::{CliError, Outcome};
use crate::names::{self, Functions, arguments, contains, short};
use crate::out::{Out, Side, Table, size};

/// Rows that are aligned with each other. More of them are never in memory.
const BLOCK: usize = 1000;

/// The conditions for a task to be listed.
struct Filter<'a> {
    functions: Option<Vec<FunctionId>>,
    text: Option<&'a str>,
    readers: Option<HashSet<TaskKey>>,
    stale: bool,
}

impl Filter<'_> {
    fn fits(&self, key: TaskKey, record: &TaskRecord<'_>) -> bool {
        (record.stale || !self.stale)
            && self.readers.as_ref().is_none_or(|readers| readers.contains(&key))
            && self
                .functions
                .as_ref()
                .is_none_or(|functions| record.function().is_some_and(|id| functions.contains(&id)))
            && self.text.is_none_or(|text| contains(arguments(record), text))
    }
}

pub(crate) fn run(reader: &StoreReader, args: &LsArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let functions = Functions::of(reader)?;
    let after = args.after.as_deref().map(|id| key(reader, id)).transpose()?;
    let filter = Filter {
        functions: args.function.as_deref().map(|name| functions.find(name)).transpose()?,
        text: args.text.as_deref(),
        readers: args.path.as_deref().map(|name| readers(reader, name)).transpose()?,
        stale: args.stale,
    };
    let mut list = Listing { functions: &functions, out, rows: Vec::new(), listed: 0, last: None };
    let (mut result, mut is_more) = (Ok(()), false);
    reader.tasks(after, |key, record| {
        if !filter.fits(key, record) {
            return Visit::Continue;
        }
        if args.limit > 0 && list.listed == args.limit {
            is_more = true;
            return Visit::Stop;
        }
        result = list.add(key, record);
        if result.is_err() { Visit::Stop } else { Visit::Continue }
    })?;
    result?;
    list.end(reader, is_more)?;
    Ok(Outcome::Fine)
}

/// Returns the key that is written out, or that one stored task has.
fn key(reader: &StoreReader, id: &str) -> Result<TaskKey, CliError> {
    let wrong =
        || CliError::Usage(format!("`{id}` is no id, nor the beginning of one, as `larder ls` prints them"));
    let prefix = KeyPrefix::parse(id).ok_or_else(wrong)?;
    if let Some(digest) = u128::from_str_radix(id, 16).ok().filter(|_| id.len() == 32) {
        return Ok(TaskKey(larder_storage::Digest(digest)));
    }
    let mut last = None;
    reader.tasks_with_prefix(&prefix, |key, _| {
        last = Some(key);
        Visit::Continue
    })?;
    last.ok_or_else(wrong)
}

/// Returns the tasks that have read a leaf.
fn readers(reader: &StoreReader, name: &str) -> Result<HashSet<TaskKey>, CliError> {
    let mut readers = HashSet::new();
    for leaf in names::leaves(reader, name)? {
        readers.extend(reader.dependents(leaf.key)?.tasks);
    }
    Ok(readers)
}

struct Listing<'a> {
    functions: &'a Functions,
    out: &'a mut Out,
    rows: Vec<Vec<String>>,
    listed: u64,
    last: Option<TaskKey>,
}

impl Listing<'_> {
    fn add(&mut self, key: TaskKey, record: &TaskRecord<'_>) -> Result<(), CliError> {
        self.last = Some(key);
        let reads = StoreReader::read_count(&record.current);
        let bytes = StoreReader::output_bytes(&record.current.output);
        if self.out.is_json() {
            let before = if self.listed == 0 { "{\"tasks\":[" } else { ",\n" };
            self.out.json_piece(
                before,
                &json!({
                    "id": key.0.to_string(),
                    "function": self.functions.path(record),
                    "arguments": preview(arguments(record), usize::MAX),
                    "argument_bytes": arguments(record).len(),
                    "stale": record.stale,
                    "run": record.generation.0,
                    "reads": reads,
                    "output_bytes": bytes,
                    "traces": record.older().len() + 1,
                }),
            )?;
        } else {
            let state = if record.stale { "stale" } else { "" };
            self.rows.push(vec![
                short(key),
                state.to_owned(),
                reads.to_string(),
                size(bytes),
                self.functions.call(record),
            ]);
            if self.rows.len() == BLOCK {
                self.print_block()?;
            }
        }
        self.listed += 1;
        Ok(())
    }

    fn print_block(&mut self) -> Result<(), CliError> {
        let columns = [
            ("ID", Side::Left),
            ("STATE", Side::Left),
            ("READS", Side::Right),
            ("OUTPUT", Side::Right),
            ("TASK", Side::Left),
        ];
        let mut table = Table::new(&columns);
        self.rows.drain(..).for_each(|row| table.row(row));
        self.out.table(&table)?;
        Ok(())
    }

    fn end(mut self, reader: &StoreReader, is_more: bool) -> Result<(), CliError> {
        let next = self.last.filter(|_| is_more).map(|key| key.0.to_string());
        if self.out.is_json() {
            let before = if self.listed == 0 { "{\"tasks\":[],\"next\":" } else { "],\"next\":" };
            self.out.json_piece(before, &next.map_or(Value::Null, Value::from))?;
            self.out.json_piece(",\"snapshot\":", &reader.is_snapshot().into())?;
            self.out.raw("}")?;
            return Ok(());
        }
        if self.listed == 0 {
            self.out.line("no task fits")?;
            return Ok(());
        }
        if !self.rows.is_empty() {
            self.print_block()?;
        }
        if let Some(next) = next {
            self.out.line(&format!("there are more: --after {next}"))?;
        }
        Ok(())
    }
}
