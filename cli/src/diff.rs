//! `larder diff`.

use std::collections::BTreeMap;

use larder_storage::inspect::StoreReader;
use larder_storage::{Digest, Fingerprints, TaskKey, Visit};
use serde_json::{Value, json};

use crate::args::DiffArgs;
use crate::error::{CliError, Outcome};
use crate::names::{Functions, arguments};
use crate::out::{Out, count, escaped};

/// A task, compared by the path of its function and its arguments: another build's have other ids.
struct Compared {
    call: Digest,
    key: TaskKey,
    output: Digest,
}

/// The difference of two stores.
#[derive(Default)]
struct Differences {
    added: Vec<TaskKey>,
    removed: Vec<TaskKey>,
    /// In the first store and in the second.
    changed: Vec<(TaskKey, TaskKey)>,
    same: u64,
}

pub(crate) fn run(
    before: &StoreReader,
    after: &StoreReader,
    args: &DiffArgs,
    out: &mut Out,
) -> Result<Outcome, CliError> {
    let names = (Functions::of(before)?, Functions::of(after)?);
    let found = compare(&tasks(before, &names.0)?, &tasks(after, &names.1)?);
    let functions = functions(before, after)?;
    let is_same = found.added.is_empty() && found.removed.is_empty() && found.changed.is_empty();
    let most = if args.limit == 0 { usize::MAX } else { args.limit };
    if out.is_json() {
        let list =
            |reader: &StoreReader, names: &Functions, keys: &[TaskKey]| -> Result<Vec<Value>, CliError> {
                keys.iter().take(most).map(|key| Ok(names.json(reader, *key)?)).collect()
            };
        let changed: Vec<TaskKey> = found.changed.iter().map(|(_, key)| *key).collect();
        out.json(&json!({
            "same": is_same,
            "snapshot": before.is_snapshot() || after.is_snapshot(),
            "tasks_same": found.same,
            "added_in_all": found.added.len(),
            "added": list(after, &names.1, &found.added)?,
            "removed_in_all": found.removed.len(),
            "removed": list(before, &names.0, &found.removed)?,
            "changed_in_all": found.changed.len(),
            "changed": list(after, &names.1, &changed)?,
            "functions": functions.iter().map(|(path, what)| json!({ "path": path, "is": what })).collect::<Vec<_>>(),
        }))?;
    } else {
        for (path, what) in &functions {
            out.line(&format!("function {}: {what}", escaped(path.as_bytes())))?;
        }
        let changed: Vec<TaskKey> = found.changed.iter().map(|(_, key)| *key).collect();
        let lists = [
            ("-", before, &names.0, &found.removed),
            ("+", after, &names.1, &found.added),
            ("~", after, &names.1, &changed),
        ];
        for (mark, reader, names, keys) in lists {
            for key in keys.iter().take(most) {
                out.line(&format!("{mark} {}", names.line(reader, *key)?))?;
            }
            if keys.len() > most {
                out.line(&format!("{mark} and {} more", keys.len() - most))?;
            }
        }
        let (added, removed) = (found.added.len(), found.removed.len());
        let changed = found.changed.len();
        out.line(&format!(
            "{} with equal outputs, {added} added, {removed} removed, {changed} with other outputs",
            count(found.same, "task")
        ))?;
    }
    Ok(if is_same { Outcome::Fine } else { Outcome::Found })
}

/// Returns all tasks, sorted by their calls. Memory: 48 bytes a task.
fn tasks(reader: &StoreReader, names: &Functions) -> Result<Vec<Compared>, CliError> {
    let mut tasks = Vec::new();
    let mut call = Vec::new();
    reader.tasks(None, |key, record| {
        call.clear();
        match record.function().and_then(|id| names.get(id)) {
            Some(function) => call.extend_from_slice(function.path.as_bytes()),
            None => call.extend_from_slice(record.encoded_key),
        }
        call.push(0xff);
        call.extend_from_slice(arguments(record));
        tasks.push(Compared {
            call: Fingerprints::strongest().digest(&call),
            key,
            output: record.current.output.fingerprint,
        });
        Visit::Continue
    })?;
    tasks.sort_unstable_by_key(|task| (task.call, task.key));
    Ok(tasks)
}

/// Compares sorted tasks. A store may hold a call several times, for several builds: it is as it was if one of its outputs is.
fn compare(before: &[Compared], after: &[Compared]) -> Differences {
    let mut found = Differences::default();
    let mut before = before.chunk_by(|a, b| a.call == b.call).peekable();
    let mut after = after.chunk_by(|a, b| a.call == b.call).peekable();
    loop {
        match (before.peek(), after.peek()) {
            (None, None) => return found,
            (Some(old), new) if new.is_none_or(|new| old[0].call < new[0].call) => {
                found.removed.push(old[0].key);
                before.next();
            }
            (old, Some(new)) if old.is_none_or(|old| new[0].call < old[0].call) => {
                found.added.push(new[0].key);
                after.next();
            }
            (Some(old), Some(new)) => {
                if old.iter().any(|old| new.iter().any(|new| new.output == old.output)) {
                    found.same += 1;
                } else {
                    found.changed.push((old[0].key, new[0].key));
                }
                before.next();
                after.next();
            }
            // One of the guards above holds for a store that has come to its end.
            (Some(_), None) | (None, Some(_)) => return found,
        }
    }
}

/// Returns the functions that differ, by path, and how.
fn functions(before: &StoreReader, after: &StoreReader) -> Result<Vec<(String, &'static str)>, CliError> {
    type Codes = (Vec<Digest>, Vec<Digest>);
    let mut paths: BTreeMap<String, Codes> = BTreeMap::new();
    for function in before.functions()?.into_values() {
        paths.entry(function.path.into()).or_default().0.push(function.code);
    }
    for function in after.functions()?.into_values() {
        paths.entry(function.path.into()).or_default().1.push(function.code);
    }
    let mut differing = Vec::new();
    for (path, (mut old, mut new)) in paths {
        old.sort_unstable();
        new.sort_unstable();
        let what = match (&old[..], &new[..]) {
            (old, new) if old == new => continue,
            ([], _) => "only in the second store",
            (_, []) => "only in the first store",
            _ => "other code",
        };
        differing.push((path, what));
    }
    Ok(differing)
}
