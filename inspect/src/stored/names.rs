//! How people name tasks, functions and leaves.
//!
//! ```text
//! 3f9a             a task: the beginning of its id, in hexadecimal, as `larder ls` prints it
//! census::parse    a function: its path, or the end of it after a `::`
//! parse lib.rs     a task: a function, and text that its arguments contain
//! ```
//! A name that fits several tasks is an error that lists some of them.

use std::collections::BTreeMap;

use larder_storage::inspect::{KeyPrefix, StoreReader, StoredFunction, StoredLeaf, preview};
use larder_storage::record::{SourceKind, TaskRecord, members_of};
use larder_storage::{FunctionId, TaskKey, Visit};
use serde_json::{Value, json};

use super::LookError;
use super::text::{count, escaped};

/// Candidates that an error lists.
const LISTED: usize = 8;
/// Characters of arguments that are shown in a line.
const SHOWN: usize = 160;

/// The task functions of a store, by id.
pub struct Functions(BTreeMap<FunctionId, StoredFunction>);

impl Functions {
    pub fn of(reader: &StoreReader) -> Result<Self, LookError> {
        Ok(Self(reader.functions()?))
    }

    /// Visits all functions.
    pub fn all(&self) -> impl Iterator<Item = &StoredFunction> {
        self.0.values()
    }

    pub fn get(&self, id: FunctionId) -> Option<&StoredFunction> {
        self.0.get(&id)
    }

    /// Returns the path of a record's function, escaped; its id if the store does not name it.
    pub fn path(&self, record: &TaskRecord<'_>) -> String {
        let id = record.function();
        match id.and_then(|id| self.get(id)) {
            Some(function) => escaped(function.path.as_bytes()),
            None => id.map_or_else(|| "?".to_owned(), |id| format!("?{}", id.0)),
        }
    }

    /// Returns a task as a call: the function's path and its arguments.
    pub fn call(&self, record: &TaskRecord<'_>) -> String {
        match members_of(record.encoded_key) {
            Some(members) => format!("{}({})", self.path(record), count(members.len() as u64, "member")),
            None => format!("{}({})", self.path(record), preview(arguments(record), SHOWN)),
        }
    }

    /// Returns a stored task in a line: its id and its call.
    pub fn line(&self, reader: &StoreReader, key: TaskKey) -> Result<String, LookError> {
        let task = reader.task(key)?;
        let call = task.map_or_else(|| "(not stored)".to_owned(), |task| self.call(&task.record()));
        Ok(format!("{}  {call}", short(key)))
    }

    /// Returns a task for JSON.
    pub fn json(&self, reader: &StoreReader, key: TaskKey) -> Result<Value, LookError> {
        let Some(task) = reader.task(key)? else {
            return Ok(json!({ "id": key.0.to_string(), "stored": false }));
        };
        let record = task.record();
        Ok(
            json!({ "id": key.0.to_string(), "function": self.path(&record), "arguments": preview(arguments(&record), usize::MAX) }),
        )
    }

    /// Returns the functions that a name fits: of this path, or whose path ends in it.
    pub fn named(&self, name: &str) -> Vec<FunctionId> {
        let end = format!("::{name}");
        let fits = |function: &&StoredFunction| &*function.path == name || function.path.ends_with(&end);
        self.0.values().filter(fits).map(|function| function.id).collect()
    }

    /// Returns the functions that a name fits.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(&self, name: &str) -> Result<Vec<FunctionId>, LookError> {
        let found = self.named(name);
        if found.is_empty() {
            let mut known: Vec<_> =
                self.0.values().map(|function| escaped(function.path.as_bytes())).collect();
            known.dedup();
            let listed = listing(&known, LISTED);
            return Err(LookError::Name(format!("no function is named `{name}`; the store has {listed}")));
        }
        Ok(found)
    }
}

fn listing(names: &[String], most: usize) -> String {
    match names {
        [] => "none".to_owned(),
        _ => {
            let more =
                if names.len() > most { format!(", and {} more", names.len() - most) } else { String::new() };
            format!("{}{more}", names[..names.len().min(most)].join(", "))
        }
    }
}

/// Returns the encoded arguments of a record.
pub fn arguments<'a>(record: &TaskRecord<'a>) -> &'a [u8] {
    record.encoded_key.get(16..).unwrap_or_default()
}

/// Returns the beginning of a key that lists show.
pub fn short(key: TaskKey) -> String {
    let mut text = key.0.to_string();
    text.truncate(12);
    text
}

/// Whether the arguments contain a text.
pub fn contains(arguments: &[u8], text: &str) -> bool {
    let text = text.as_bytes();
    text.is_empty() || arguments.windows(text.len()).any(|window| window == text)
}

/// Returns the one task that is named by the beginning of its id, or by a function and text.
///
/// # Errors
/// If there is none, or if there are several.
pub fn task(
    reader: &StoreReader,
    functions: &Functions,
    name: &str,
    text: Option<&str>,
) -> Result<TaskKey, LookError> {
    let mut found: Vec<(TaskKey, String)> = Vec::new();
    let mut note = |key, record: &TaskRecord<'_>| {
        found.push((key, functions.call(record)));
        if found.len() > LISTED { Visit::Stop } else { Visit::Continue }
    };
    let prefix = KeyPrefix::parse(name).filter(|_| text.is_none());
    if let Some(prefix) = &prefix {
        reader.tasks_with_prefix(prefix, &mut note)?;
    }
    let named = functions.named(name);
    if !named.is_empty() {
        reader.tasks(None, |key, record| {
            let fits = record.function().is_some_and(|id| named.contains(&id))
                && text.is_none_or(|text| contains(arguments(record), text));
            if fits { note(key, record) } else { Visit::Continue }
        })?;
    }
    match &found[..] {
        [(key, _)] => Ok(*key),
        [] if prefix.is_none() && named.is_empty() => {
            functions.find(name).map(|_| TaskKey(larder_storage::Digest::xxh3(&[])))
        }
        [] => {
            let of = text.map_or_else(String::new, |text| format!(" with `{text}`"));
            Err(LookError::Name(format!("no task is named `{name}`{of}; `larder ls` lists them")))
        }
        several => {
            let lines: Vec<_> =
                several.iter().take(LISTED).map(|(key, call)| format!("{}  {call}", key.0)).collect();
            let more = if several.len() > LISTED { "; and more" } else { "" };
            Err(LookError::Name(format!("`{name}` names several tasks: {}{more}", lines.join("; "))))
        }
    }
}

/// Returns a leaf as text: its kind and its name, escaped.
pub fn leaf_line(leaf: &StoredLeaf) -> String {
    if let Some((task, at)) = leaf.deadline() {
        let seconds = at.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        return format!("{} of {} at {seconds} s", kind(leaf.kind), task.0);
    }
    format!("{} {}", kind(leaf.kind), escaped(&leaf.name))
}

pub fn kind(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Input => "input",
        SourceKind::File => "file",
        SourceKind::Directory => "dir",
        SourceKind::Environment => "env",
        SourceKind::Deadline => "deadline",
        _ => "source",
    }
}

/// Returns a leaf for JSON. The name is lossy if it is no UTF-8; then `name_hex` has its bytes.
pub fn leaf_json(leaf: &StoredLeaf) -> Value {
    let mut value = json!({
        "key": leaf.key.to_string(),
        "kind": kind(leaf.kind),
        "name": String::from_utf8_lossy(&leaf.name),
        "fingerprint": leaf.fingerprint.to_string(),
    });
    if std::str::from_utf8(&leaf.name).is_err() {
        let hex: String = leaf.name.iter().map(|byte| format!("{byte:02x}")).collect();
        value["name_hex"] = hex.into();
    }
    if let Some(stamp) = leaf.stamp {
        value["stamp"] = json!({
            "size": stamp.size,
            "modified": { "seconds": stamp.modified.0, "nanoseconds": stamp.modified.1 },
            "changed": { "seconds": stamp.changed.0, "nanoseconds": stamp.changed.1 },
            "inode": stamp.inode,
            "device": stamp.device,
            "racy": leaf.is_racy,
        });
    }
    if let Some(bytes) = leaf.value_bytes {
        value["value_bytes"] = bytes.into();
    }
    value
}

/// Returns the leaves that a name fits: of this name, or whose name ends in it after a separator.
///
/// # Errors
/// If there is none.
pub fn leaves(reader: &StoreReader, name: &str) -> Result<Vec<StoredLeaf>, LookError> {
    let mut found = Vec::new();
    reader.leaves(|leaf| {
        let before = leaf.name.strip_suffix(name.as_bytes());
        if before.is_some_and(|before| matches!(before.last(), None | Some(b'/' | b'\\' | b' '))) {
            found.push(leaf);
        }
        Visit::Continue
    })?;
    if found.is_empty() {
        return Err(LookError::Name(format!("no source or input is named `{name}`")));
    }
    Ok(found)
}
