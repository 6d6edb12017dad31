//! `larder verify`.

use larder_storage::inspect::StoreReader;
use larder_storage::record::TaskRecord;
use larder_storage::{Damage, StoreReport, Table as StoreTable, TaskKey, Visit};
use serde_json::{Value, json};

use crate::error::{CliError, Outcome};
use crate::out::{Out, count, escaped, size};

/// Problems that are listed one by one.
const LISTED: usize = 20;

/// References of records to others.
#[derive(Default)]
struct References {
    /// Reads of something that has no record: it was evicted or forgotten, and its reader stays right.
    dangling: u64,
    /// Current outputs that are not there: their tasks run again.
    no_output: Vec<TaskKey>,
    /// Traces of which some reads are not there.
    no_reads: Vec<TaskKey>,
}

pub(crate) fn run(reader: &StoreReader, out: &mut Out) -> Result<Outcome, CliError> {
    let report = reader.verify()?;
    let references = references(reader)?;
    let is_sound = report.is_sound() && references.no_output.is_empty() && references.no_reads.is_empty();
    if out.is_json() {
        print_json(reader, &report, &references, is_sound, out)?;
    } else {
        print(&report, &references, is_sound, out)?;
    }
    Ok(if is_sound { Outcome::Fine } else { Outcome::Found })
}

/// Looks up what tasks name. The keys of all tasks and leaves are in memory, 16 bytes each, and in order.
fn references(reader: &StoreReader) -> Result<References, CliError> {
    let mut known: Vec<larder_storage::Digest> = Vec::new();
    reader.tasks(None, |key, _| {
        known.push(key.0);
        Visit::Continue
    })?;
    let tasks = known.len();
    reader.leaves(|leaf| {
        known.push(leaf.key);
        Visit::Continue
    })?;
    known.sort_unstable();
    known.dedup();
    let mut found = References::default();
    let mut failure = None;
    let mut look = |key: TaskKey, record: &TaskRecord<'_>| -> Result<(), CliError> {
        let complete = reader.reads(key, &record.current, |read| {
            found.dangling += u64::from(known.binary_search(&read.key).is_err());
        })?;
        if !complete {
            found.no_reads.push(key);
        }
        if !reader.has_output(key, &record.current.output)? {
            found.no_output.push(key);
        }
        Ok(())
    };
    if tasks > 0 {
        reader.tasks(None, |key, record| match look(key, record) {
            Ok(()) => Visit::Continue,
            Err(error) => {
                failure = Some(error);
                Visit::Stop
            }
        })?;
    }
    failure.map_or(Ok(found), Err)
}

fn print(
    report: &StoreReport,
    references: &References,
    is_sound: bool,
    out: &mut Out,
) -> Result<(), CliError> {
    let tasks = report.records[StoreTable::Tasks.index()];
    let records = report.records.iter().sum();
    out.line(&format!(
        "{} of {}, {} of them tasks",
        count(records, "record"),
        size(report.total_bytes()),
        tasks
    ))?;
    out.line(&format!(
        "{} of what is not stored any more, which is no fault",
        count(references.dangling, "read")
    ))?;
    for damage in report.damage.iter().take(LISTED) {
        out.line(&format!("problem: {}", damage_line(damage)))?;
    }
    if report.damage.len() > LISTED {
        out.line(&format!("problem: {} more", report.damage.len() - LISTED))?;
    }
    for key in references.no_output.iter().take(LISTED) {
        out.line(&format!("problem: the output of task {} is missing", key.0))?;
    }
    for key in references.no_reads.iter().take(LISTED) {
        out.line(&format!("problem: reads of task {} are missing", key.0))?;
    }
    let problems = report.damage.len() + references.no_output.len() + references.no_reads.len();
    out.heading(&if is_sound { "sound".to_owned() } else { count(problems as u64, "problem") })?;
    Ok(())
}

fn damage_line(damage: &Damage) -> String {
    match damage {
        Damage::Record { table, key, reason } => {
            let text = if *table == StoreTable::Meta {
                escaped(key)
            } else {
                key.iter().map(|byte| format!("{byte:02x}")).collect()
            };
            format!("record {text} of table `{}`: {reason}", table.name())
        }
        Damage::Dependents { task } => format!("the dependents of task {} are not all known", task.0),
        Damage::Leaves => "not all sources and inputs are known".to_owned(),
        _ => "damage of another kind".to_owned(),
    }
}

fn print_json(
    reader: &StoreReader,
    report: &StoreReport,
    references: &References,
    is_sound: bool,
    out: &mut Out,
) -> Result<(), CliError> {
    let ids = |keys: &[TaskKey]| keys.iter().map(|key| key.0.to_string().into()).collect::<Vec<Value>>();
    let records: serde_json::Map<String, Value> = StoreTable::ALL
        .into_iter()
        .map(|table| (table.name().to_owned(), report.records[table.index()].into()))
        .collect();
    out.json(&json!({
        "snapshot": reader.is_snapshot(),
        "sound": is_sound,
        "records": records,
        "bytes": report.total_bytes(),
        "replaced_bytes": report.replaced,
        "unreachable_bytes": report.unreachable,
        "dangling_reads": references.dangling,
        "problems": report.damage.iter().map(damage_line).collect::<Vec<_>>(),
        "outputs_missing": ids(&references.no_output),
        "reads_missing": ids(&references.no_reads),
    }))?;
    Ok(())
}
