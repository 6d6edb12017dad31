//! Whether a stored task would run now, and why.

use std::path::Path;

use larder_storage::TaskKey;
use larder_storage::inspect::{Difference, Explanation, LastRun, StoreReader, StoredLeaf};
use serde_json::{Value, json};

use super::LookError;
use super::last_run::Past;
use super::names::{Functions, leaf_json};

/// An explanation, and how much of it is shown.
pub struct Explained<'a> {
    pub reader: &'a StoreReader,
    pub functions: &'a Functions,
    pub key: TaskKey,
    pub found: Explanation,
    /// Why it ran last.
    pub last: Option<LastRun>,
    /// At most so many of each list are shown.
    pub most: usize,
}

impl<'a> Explained<'a> {
    /// Looks at the sources below a task as the program would, starting relative paths at `base`; visits at most `visited` tasks. Returns none if
    /// the task cannot be read.
    ///
    /// # Errors
    /// If the store fails.
    pub fn of(
        reader: &'a StoreReader,
        functions: &'a Functions,
        key: TaskKey,
        (base, visited, most): (Option<&Path>, usize, usize),
    ) -> Result<Option<Self>, LookError> {
        let look = |leaf: &StoredLeaf| {
            let (source, last) = ((leaf.kind, &*leaf.name), (leaf.fingerprint, leaf.stamp, leaf.is_racy));
            larder::__tools::fingerprint_now((base, reader.head().fingerprints), source, last)
        };
        let (found, last) = (reader.explain(key, visited, look)?, reader.last_run(key, visited)?);
        Ok(found.map(|found| Self { reader, functions, key, found, last, most }))
    }

    /// Returns the outcome in a word.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        let is_origin = self.found.would_run.contains(&self.key);
        if self.found.differences.is_empty() {
            "valid"
        } else if is_origin {
            "runs"
        } else {
            "may run"
        }
    }

    /// Returns whether the store says that the task is to be verified.
    ///
    /// # Errors
    /// If the store fails.
    pub fn is_stale(&self) -> Result<bool, LookError> {
        Ok(self.reader.task(self.key)?.is_some_and(|task| task.record().stale))
    }

    /// Returns the explanation for JSON.
    ///
    /// # Errors
    /// If the store fails.
    pub fn json(&self) -> Result<Value, LookError> {
        let tasks = |keys: &[TaskKey]| -> Result<Vec<Value>, LookError> {
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
        let last = self.last.as_ref().map(|run| Past { reader: self.reader, functions: self.functions, run });
        Ok(json!({
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
            "last_run": last.map(|last| last.json()).transpose()?,
        }))
    }
}
