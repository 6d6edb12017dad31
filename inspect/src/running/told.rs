//! The last event of each task.

use larder::events::{Cause, Outcome, TaskId};
use serde_json::{Value, json};

/// The last event of a task, an input or a source.
#[derive(Debug)]
pub(super) struct Told {
    /// The number by which the page names it.
    pub(super) id: u64,
    pub(super) name: TaskId,
    /// The place of the event among all events.
    pub(super) place: u64,
    /// A word for what has happened: `new`, `changed`, `cut off`, `verified`.
    pub(super) state: &'static str,
    /// Why, if there is a reason.
    pub(super) because: String,
    /// The task, input or source whose change was the reason, by its number.
    pub(super) read: Option<u64>,
    pub(super) nanos: Option<u64>,
    /// Events of it so far.
    pub(super) events: u64,
}

/// An event of a task, before it is noted.
pub(super) struct News {
    pub(super) state: &'static str,
    pub(super) because: String,
    pub(super) read: Option<TaskId>,
    pub(super) nanos: Option<u64>,
}

impl Told {
    /// Returns a row of a list.
    pub(super) fn json(&self) -> Value {
        let mut row = Self::untold(self.id, &self.name);
        row["state"] = self.state.into();
        row["because"] = self.because.as_str().into();
        row["time_ns"] = self.nanos.into();
        row["told"] = self.events.into();
        row
    }

    /// Returns the row of a task that nothing was told of.
    pub(super) fn untold(id: u64, name: &TaskId) -> Value {
        let text = name.as_str();
        let within = text.strip_prefix(name.function()).and_then(|rest| rest.strip_prefix('('));
        let arguments = within.and_then(|rest| rest.strip_suffix(')')).unwrap_or(text);
        json!({
            "id": id.to_string(), "kind": if name.is_leaf() { "leaf" } else { "task" }, "function": name.path(),
            "arguments": arguments, "state": "not told", "because": "", "time_ns": null, "told": 0,
        })
    }
}

pub(super) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::New => "new",
        Outcome::Changed => "changed",
        Outcome::CutOff => "cut off",
        Outcome::Held => "held",
        Outcome::Failed => "failed",
        Outcome::Cancelled => "cancelled",
        _ => "provisional",
    }
}

/// Returns a cause as text, and the read that it names.
pub(super) fn cause(cause: &Cause<TaskId>) -> (String, Option<TaskId>) {
    let text = match cause {
        Cause::First => "first run",
        Cause::Read { position, read } => {
            return (format!("read {position} changed: {read}"), Some(read.clone()));
        }
        Cause::StoredRead { read: Some(read), .. } => {
            return (format!("differs from what an earlier process has read: {read}"), Some(read.clone()));
        }
        Cause::StoredRead { .. } => "a read differs from what an earlier process has read",
        Cause::Volatile => "volatile: runs again in each session",
        Cause::Expired => "the value has expired",
        Cause::NotKept => "such a value is kept for its session alone",
        Cause::Forgotten => "the value was forgotten",
        Cause::Invalidated => "the program has said so",
        Cause::Evicted => "the value was dropped to save memory",
        Cause::Failed => "the last run has failed",
        Cause::Unfinished => "the last run was cancelled, or is part of a cycle that changed",
        Cause::Cycle => "lies on a cycle that is being resolved",
        Cause::Apart => "another thread computes it, and waiting might never end",
        Cause::Check => "run once more, to see whether it comes to the same",
        Cause::Lost => "the store has lost what it knew of it",
        _ => "another reason",
    };
    (text.to_owned(), None)
}
