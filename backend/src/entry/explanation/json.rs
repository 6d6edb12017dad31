//! Explanations as JSON, and for any other format of serde.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::{Confirmation, EarlierRun, Explanation, Happening, State, Step, Storing};
use crate::graph::cause::{Cause, Outcome};
use crate::graph::task_name::{Fingerprint, TaskId};
use larder_storage::Digest;
use larder_storage::inspect::RanBecause;

/// A value of a format like JSON.
enum Value {
    Null,
    Flag(bool),
    Number(u64),
    Text(String),
    List(Vec<Value>),
    Map(Vec<(&'static str, Value)>),
}

impl Explanation {
    /// Returns the explanation as a JSON object, in one line. Times are milliseconds since 1970; fingerprints are of 32 digits.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.value().to_string()
    }

    fn value(&self) -> Value {
        let state = match self.state {
            State::Current => "current",
            State::Stale => "stale",
            State::Running => "running",
            State::NoValue => "no_value",
        };
        Value::Map(vec![
            ("task", name(&self.task)),
            ("function", text(self.task.path())),
            ("state", text(state)),
            ("records_causes", Value::Flag(self.records_causes)),
            ("steps", Value::List(self.steps.iter().map(Step::value).collect())),
            ("omitted", Value::Number(self.omitted as u64)),
            ("verified", self.verified.as_ref().map_or(Value::Null, Confirmation::value)),
            ("stored", self.stored.value()),
            ("shared", self.shared.as_ref().map_or(Value::Null, shared)),
            ("earlier", self.earlier.as_ref().map_or(Value::Null, EarlierRun::value)),
            (
                "other_code",
                Value::List(self.other_code.iter().map(|code| fingerprint(Some(*code))).collect()),
            ),
        ])
    }
}

impl Serialize for Explanation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

fn shared(origin: &super::SharedOrigin) -> Value {
    let at = origin.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    Value::Map(vec![("by", text(&origin.by)), ("at", Value::Number(u64::try_from(at).unwrap_or(u64::MAX)))])
}

impl EarlierRun {
    fn value(&self) -> Value {
        let steps = self.run.steps.iter().zip(&self.names).map(|(step, name)| {
            let (position, before, after) = match &step.why {
                RanBecause::Read { position, before, after, .. } => {
                    (Value::Number(*position), digest(*before), digest(*after))
                }
                _ => (Value::Null, Value::Null, Value::Null),
            };
            let cause = step.cause.as_ref();
            Value::Map(vec![
                ("name", text(name)),
                ("key", digest(step.key)),
                ("why", text(step.why.name())),
                ("position", position),
                ("before", before),
                ("after", after),
                ("run", cause.map_or(Value::Null, |cause| Value::Number(cause.generation.0))),
                ("at", cause.map_or(Value::Null, |cause| Value::Number(cause.at))),
                ("cause", cause.map_or(Value::Null, |cause| text(cause.because.name()))),
            ])
        });
        Value::Map(vec![
            ("steps", Value::List(steps.collect())),
            ("complete", Value::Flag(self.run.is_complete)),
        ])
    }
}

fn digest(digest: Digest) -> Value {
    Value::Text(digest.to_string())
}

impl Step {
    fn value(&self) -> Value {
        let (happened, cause) = match &self.happened {
            Happening::Ran(cause) => ("ran", Some(cause)),
            Happening::Settled => ("settled", None),
            Happening::Set => ("set", None),
            Happening::Removed => ("removed", None),
            Happening::Restored => ("restored", None),
            Happening::Differs => ("differs", None),
        };
        let outcome = match self.outcome {
            Outcome::New => "new",
            Outcome::Changed => "changed",
            Outcome::CutOff => "cut_off",
            Outcome::Held => "held",
            Outcome::Failed => "failed",
            Outcome::Cancelled => "cancelled",
            Outcome::Provisional => "provisional",
        };
        Value::Map(vec![
            ("task", name(&self.task)),
            ("function", text(self.task.path())),
            ("happened", text(happened)),
            ("cause", cause.map_or(Value::Null, |cause| text(cause_name(cause)))),
            ("position", cause.and_then(position).map_or(Value::Null, |at| Value::Number(at as u64))),
            ("outcome", text(outcome)),
            ("update", self.update.map_or(Value::Null, Value::Number)),
            ("at", self.at.map_or(Value::Null, time)),
            ("before", fingerprint(self.before)),
            ("after", fingerprint(self.after)),
            ("cut_off", names(&self.cut_off)),
        ])
    }
}

impl Confirmation {
    fn value(&self) -> Value {
        let Self { update, at, cut_off } = self;
        Value::Map(vec![("update", Value::Number(*update)), ("at", time(*at)), ("cut_off", names(cut_off))])
    }
}

impl Storing {
    fn value(&self) -> Value {
        let (state, reason, through) = match self {
            Self::NoStore => ("no_store", None, &[][..]),
            Self::Stored => ("stored", None, &[][..]),
            Self::Unknown => ("unknown", None, &[][..]),
            Self::NotStored { reason, through } => {
                let reason = reason.map_or("transient", |reason| reason.describe());
                ("not_stored", Some(reason), &through[..])
            }
        };
        let reason = reason.map_or(Value::Null, text);
        Value::Map(vec![("state", text(state)), ("reason", reason), ("through", names(through))])
    }
}

fn cause_name(cause: &Cause<()>) -> &'static str {
    match cause {
        Cause::First => "first",
        Cause::Read { .. } => "read",
        Cause::StoredRead { .. } => "stored_read",
        Cause::Volatile => "volatile",
        Cause::Expired => "expired",
        Cause::NotKept => "not_kept",
        Cause::Forgotten => "forgotten",
        Cause::Invalidated => "invalidated",
        Cause::Evicted => "evicted",
        Cause::Failed => "failed",
        Cause::Unfinished => "unfinished",
        Cause::Cycle => "cycle",
        Cause::Apart => "apart",
        Cause::Check => "check",
        Cause::Lost => "lost",
    }
}

fn position(cause: &Cause<()>) -> Option<usize> {
    match cause {
        Cause::Read { position, .. } => Some(*position),
        _ => None,
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn name(task: &TaskId) -> Value {
    text(task.as_str())
}

fn names(tasks: &[TaskId]) -> Value {
    Value::List(tasks.iter().map(name).collect())
}

fn fingerprint(fingerprint: Option<Fingerprint>) -> Value {
    fingerprint.map_or(Value::Null, |fingerprint| Value::Text(fingerprint.to_string()))
}

fn time(at: SystemTime) -> Value {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Value::Number(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(values) => serializer.collect_seq(values),
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{}", Quoted(text)),
            Self::List(values) => {
                for (number, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if number == 0 { "[" } else { "," })?;
                }
                f.write_str(if values.is_empty() { "[]" } else { "]" })
            }
            Self::Map(entries) => {
                for (number, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}\"{key}\":{value}", if number == 0 { "{" } else { "," })?;
                }
                f.write_str(if entries.is_empty() { "{}" } else { "}" })
            }
        }
    }
}

/// A string of JSON.
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for character in self.0.chars() {
            match character {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                '\u{8}' => f.write_str("\\b")?,
                '\u{c}' => f.write_str("\\f")?,
                control if control < ' ' => write!(f, "\\u{:04x}", u32::from(control))?,
                other => write!(f, "{other}")?,
            }
        }
        f.write_str("\"")
    }
}
