//! `larder explain`.

use larder_storage::inspect::{Difference, Explanation, StoreReader, StoredLeaf};
use larder_storage::{Digest, TaskKey};
use serde_json::{Value, json};

use crate::args::ExplainArgs;
use crate::error::{CliError, Outcome};
use crate::names::{self, Functions, leaf_json, leaf_line};
use crate::out::{Out, count};

pub(crate) fn run(reader: &StoreReader, args: &ExplainArgs, out: &mut Out) -> Result<Outcome, CliError> {
    let functions = Functions::of(reader)?;
    let key = names::task(reader, &functions, &args.task.task, args.task.text.as_deref())?;
    let look = |leaf: &StoredLeaf| {
        let (source, last) = ((leaf.kind, &*leaf.name), (leaf.fingerprint, leaf.stamp, leaf.is_racy));
        larder::__tools::fingerprint_now(args.base.as_deref(), source, last)
    };
    let Some(found) = reader.explain(key, args.most.max(1), look)? else {
        return Err(CliError::Name(format!("task `{}` is damaged", key.0)));
    };
    let most = if args.limit == 0 { usize::MAX } else { args.limit };
    let explained = Explained { reader, functions: &functions, key, found, most };
    if out.is_json() {
        explained.print_json(out)?
    } else {
        explained.print(out)?
    }
    Ok(Outcome::Fine)
}

struct Explained<'a> {
    reader: &'a StoreReader,
    functions: &'a Functions,
    key: TaskKey,
    found: Explanation,
    most: usize,
}

impl Explained<'_> {
    /// Returns the outcome in a word.
    fn verdict(&self) -> &'static str {
        let is_origin = self.found.would_run.contains(&self.key);
        if self.found.differences.is_empty() {
            "valid"
        } else if is_origin {
            "runs"
        } else {
            "may run"
        }
    }

    fn is_stale(&self) -> Result<bool, CliError> {
        Ok(self.reader.task(self.key)?.is_some_and(|task| task.record().stale))
    }

    fn print(&self, out: &mut Out) -> Result<(), CliError> {
        let found = &self.found;
        out.heading(&self.functions.line(self.reader, self.key)?)?;
        if let Some(task) = self.reader.task(self.key)?
            && let Some(function) = task.record().function().and_then(|id| self.functions.get(id))
        {
            out.line(&format!(
                "  code {}: a program with other code does not use this result",
                function.code
            ))?;
        }
        out.line(match (self.verdict(), self.is_stale()?) {
            ("valid", false) => "  Nothing below it differs: it is used as it is stored.",
            ("valid", true) => {
                "  It is marked stale, and nothing below it differs: it is verified, and no body runs."
            }
            ("runs", _) => "  Its body runs: it has read what differs now.",
            _ => "  Its body runs if a task that it has read runs and returns another value.",
        })?;
        let unseen = if found.unseen > 0 {
            format!(", {} of them taken as stored", found.unseen)
        } else {
            String::new()
        };
        let cut = if found.is_complete { "" } else { "; not all was visited (--most)" };
        let (tasks, leaves) =
            (count(found.visited, "task"), count(found.leaves, "leaf").replace("leafs", "leaves"));
        out.line(&format!("  {tasks} and {leaves} looked at{unseen}{cut}"))?;
        for difference in found.differences.iter().take(self.most) {
            self.print_difference(difference, out)?;
        }
        if found.differences.len() > self.most {
            out.line(&format!("and {} more (--limit)", found.differences.len() - self.most))?;
        }
        if !found.differences.is_empty() {
            let (run, may) = (found.would_run.len() as u64, found.may_run.len() as u64);
            out.line(&format!("{} would run; {} above may run", count(run, "task"), count(may, "task")))?;
        }
        Ok(())
    }

    fn print_difference(&self, difference: &Difference, out: &mut Out) -> Result<(), CliError> {
        let short = |digest: Digest| digest.to_string()[..12].to_owned();
        match difference {
            Difference::Leaf { leaf, recorded, now, .. } => {
                out.heading(&format!(
                    "{} differs: {} was read, it is {}",
                    leaf_line(leaf),
                    short(*recorded),
                    short(*now)
                ))?;
            }
            Difference::Output { task, recorded, now, .. } => {
                let line = self.functions.line(self.reader, *task)?;
                out.heading(&format!(
                    "{line} returned another value: {} was read, it is {}",
                    short(*recorded),
                    short(*now)
                ))?;
            }
            Difference::Missing { key, .. } => {
                out.heading(&format!("{key} was read and is not stored any more"))?;
            }
            _ => {}
        }
        for (task, by) in
            difference.chain().iter().rev().zip(["read by"].into_iter().chain(std::iter::repeat("    for")))
        {
            out.line(&format!("  {by} {}", self.functions.line(self.reader, *task)?))?;
        }
        Ok(())
    }

    fn print_json(&self, out: &mut Out) -> Result<(), CliError> {
        let tasks = |keys: &[TaskKey]| -> Result<Vec<Value>, CliError> {
            keys.iter().take(self.most).map(|key| self.functions.json(self.reader, *key)).collect()
        };
        let mut differences = Vec::new();
        for difference in self.found.differences.iter().take(self.most) {
            let mut value = match difference {
                Difference::Leaf { leaf, recorded, now, .. } => json!({
                    "kind": "leaf", "leaf": leaf_json(leaf), "recorded": recorded.to_string(), "now": now.to_string(),
                }),
                Difference::Output { task, recorded, now, .. } => json!({
                    "kind": "output", "task": self.functions.json(self.reader, *task)?,
                    "recorded": recorded.to_string(), "now": now.to_string(),
                }),
                Difference::Missing { key, .. } => json!({ "kind": "missing", "key": key.to_string() }),
                _ => json!({ "kind": "other" }),
            };
            value["chain"] = tasks(difference.chain())?.into();
            differences.push(value);
        }
        out.json(&json!({
            "snapshot": self.reader.is_snapshot(),
            "task": self.functions.json(self.reader, self.key)?,
            "verdict": self.verdict(),
            "stale": self.is_stale()?,
            "visited": self.found.visited,
            "leaves": self.found.leaves,
            "leaves_taken_as_stored": self.found.unseen,
            "complete": self.found.is_complete,
            "differences_in_all": self.found.differences.len(),
            "differences": differences,
            "would_run_in_all": self.found.would_run.len(),
            "would_run": tasks(&self.found.would_run)?,
            "may_run_in_all": self.found.may_run.len(),
            "may_run": tasks(&self.found.may_run)?,
        }))?;
        Ok(())
    }
}
