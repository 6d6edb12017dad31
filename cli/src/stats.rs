//! `larder stats`.

use larder_inspect::stored::stats_json;
use larder_storage::Table as StoreTable;
use larder_storage::inspect::{FunctionMeasure, StoreMeasure, StoreReader};

use crate::error::{CliError, Outcome};
use crate::out::{Out, Side, Table, count, escaped, size};

pub(crate) fn run(reader: &StoreReader, out: &mut Out) -> Result<Outcome, CliError> {
    let measure = reader.measure()?;
    if out.is_json() {
        out.json(&stats_json(reader, &measure))?
    } else {
        print(reader, &measure, out)?
    }
    Ok(Outcome::Fine)
}

fn print(reader: &StoreReader, measure: &StoreMeasure, out: &mut Out) -> Result<(), CliError> {
    print_head(reader, measure, out)?;
    out.line("")?;
    out.table(&functions(reader, measure))?;
    out.line("")?;
    Ok(out.table(&records(measure))?)
}

/// Prints what the store is, and how large.
fn print_head(reader: &StoreReader, measure: &StoreMeasure, out: &mut Out) -> Result<(), CliError> {
    let head = reader.head();
    let created = escaped(head.created_with.as_bytes());
    out.line(&format!(
        "format {}, codec {}, {} fingerprints, created with {created}",
        head.format, head.codec, head.fingerprints
    ))?;
    out.line(&format!("run {}, build {}", head.generation.0, head.build))?;
    let total = measure.bytes.iter().sum();
    let file = measure.file_bytes.map_or_else(String::new, |bytes| format!(" in a file of {}", size(bytes)));
    out.line(&format!("{} of records{file}", size(total)))?;
    if measure.rejected > 0 {
        out.line(&format!(
            "{}, not counted here; see `larder verify`",
            count(measure.rejected, "damaged record")
        ))?;
    }
    Ok(())
}

/// Returns a row for each function, and their sum.
fn functions(reader: &StoreReader, measure: &StoreMeasure) -> Table {
    let columns = [
        ("TASKS", Side::Right),
        ("STALE", Side::Right),
        ("TRACES", Side::Right),
        ("BYTES", Side::Right),
        ("AGE", Side::Right),
        ("USED", Side::Right),
        ("CODE", Side::Left),
        ("FUNCTION", Side::Left),
    ];
    let mut table = Table::new(&columns);
    for of in &measure.functions {
        let ago = |run| if of.tasks == 0 { String::new() } else { runs_ago(reader, run).to_string() };
        table.row(vec![
            of.tasks.to_string(),
            of.stale.to_string(),
            of.traces.to_string(),
            size(of.bytes),
            ago(of.oldest),
            ago(of.last_used),
            of.code.map_or_else(String::new, |code| code.to_string()[..8].to_owned()),
            name(of),
        ]);
    }
    let sum = |each: fn(&FunctionMeasure) -> u64| measure.functions.iter().map(each).sum::<u64>();
    table.row(vec![
        sum(|of| of.tasks).to_string(),
        sum(|of| of.stale).to_string(),
        sum(|of| of.traces).to_string(),
        size(sum(|of| of.bytes)),
        String::new(),
        String::new(),
        String::new(),
        "in all".to_owned(),
    ]);
    table
}

/// Returns a row for each table of the store that has records.
fn records(measure: &StoreMeasure) -> Table {
    let mut table = Table::new(&[("RECORDS", Side::Right), ("BYTES", Side::Right), ("TABLE", Side::Left)]);
    for each in StoreTable::ALL {
        let (records, bytes) = (measure.records[each.index()], measure.bytes[each.index()]);
        if records > 0 {
            table.row(vec![records.to_string(), size(bytes), each.name().to_owned()]);
        }
    }
    table
}

fn name(of: &FunctionMeasure) -> String {
    if of.path.is_empty() { format!("?{}", of.id.0) } else { escaped(of.path.as_bytes()) }
}

fn runs_ago(reader: &StoreReader, run: u64) -> u64 {
    reader.head().generation.0.saturating_sub(run)
}
