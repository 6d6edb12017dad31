//! `larder gc` and `larder compact`: the two commands that write.

use std::path::Path;

use larder_storage::inspect::{Collect, Collected, StoreReader, collect};
use serde_json::json;

use crate::args::GcArgs;
use crate::error::{CliError, Outcome};
use crate::names::Functions;
use crate::open;
use crate::out::{Out, count, escaped, size};

pub(crate) fn gc(args: &GcArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let reader = if args.dry_run { open(&args.store)? } else { open_alone(&args.store)? };
    let functions = Functions::of(&reader)?;
    let mut what = Collect::default();
    for name in &args.keep {
        what.keep.extend(functions.find(name)?);
    }
    (what.unused_for, what.old_code, what.max_bytes) = (args.unused_for, args.old_code, args.max_bytes);
    let plan = reader.plan_collection(&what)?;
    let stays = plan.of - plan.tasks.len() as u64;
    if args.dry_run {
        if out.is_json() {
            out.json(&json!({ "dry_run": true, "tasks": plan.tasks.len(), "of": plan.of }))?;
        } else {
            out.line(&format!("{} would go, {stays} would stay", count(plan.tasks.len() as u64, "task")))?;
        }
        return Ok(Outcome::Fine);
    }
    // A damaged store is refused before anything is written.
    reader.expect_sound()?;
    drop(reader);
    let done = collect(&args.store, &plan, &what)?;
    report(&done, plan.of, out)
}

pub(crate) fn compact(store: &Path, out: &mut Out) -> Result<Outcome, CliError> {
    let reader = open_alone(store)?;
    // A damaged store is refused before anything is written.
    reader.expect_sound()?;
    drop(reader);
    let done = larder_storage::inspect::compact(store)?;
    report(&done, 0, out)
}

/// Opens a store that is to be written, and which no program has open therefore.
fn open_alone(path: &Path) -> Result<StoreReader, CliError> {
    let reader = StoreReader::open(path)?;
    if reader.is_snapshot() {
        let path = escaped(path.as_os_str().as_encoded_bytes());
        return Err(CliError::InUse(format!(
            "`{path}` is open in another process, and was not touched: a store is shrunk when the program that owns it has ended"
        )));
    }
    Ok(reader)
}

fn report(done: &Collected, of: u64, out: &mut Out) -> Result<Outcome, CliError> {
    let (before, after) = done.file_bytes.unwrap_or_default();
    if out.is_json() {
        out.json(&json!({
            "dry_run": false,
            "tasks": done.tasks,
            "of": of,
            "evicted": done.evicted,
            "trimmed": done.trimmed,
            "sources": done.sources,
            "file_bytes_before": before,
            "file_bytes_after": after,
        }))?;
    } else {
        if of > 0 {
            let gone = done.tasks + done.evicted;
            out.line(&format!("{} of {of} dropped, {}", count(gone, "task"), count(done.sources, "source")))?;
        }
        out.line(&format!("{} before, {} now", size(before), size(after)))?;
    }
    Ok(Outcome::Fine)
}
