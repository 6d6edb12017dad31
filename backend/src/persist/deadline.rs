//! Deadlines as the store knows them: a source whose name is a task and a moment, and whose content is whether the moment has passed.
//! `evaluate/stored/deadline.rs` has what they are for.

use std::time::{Duration, SystemTime};

use super::leaves::Leaves;
use crate::graph::task_fn::{Look, Observer, Seen};
use larder_storage::record::{SourceKind, source_key};
use larder_storage::{Digest, Fingerprints, TaskKey};

/// How deadlines are looked at of which only the store knows.
pub const OBSERVER: Observer = Observer {
    kind: SourceKind::Deadline,
    look: |from, name, last| match moment(name) {
        Some(at) if *last != seen(true) && has_passed(at, from.ahead) => Look::Seen(seen(true)),
        Some(_) => Look::Same,
        None => Look::Seen(seen(true)),
    },
};

/// The name of a deadline: 16 bytes of the task's key, then the moment.
pub(crate) fn name(task: TaskKey, at: u64) -> Vec<u8> {
    [&task.0.to_bytes()[..], &at.to_le_bytes()].concat()
}

/// The key of a deadline in the store.
pub(crate) fn key(fingerprints: Fingerprints, task: TaskKey, at: u64) -> Digest {
    source_key(fingerprints, SourceKind::Deadline, &name(task, at))
}

/// The moment that a name tells, in milliseconds from 1970 on. None if it is no name of a deadline.
pub(crate) fn moment(name: &[u8]) -> Option<u64> {
    let (_, at) = name.split_at_checked(16)?;
    Some(u64::from_le_bytes(at.try_into().ok()?))
}

/// The moment that lies `lifetime` behind `now`.
pub(crate) fn after(now: SystemTime, lifetime: Duration) -> u64 {
    millis(now).saturating_add(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX))
}

/// Whether a moment has passed by a clock that is so far ahead of the system's.
pub(crate) fn has_passed(at: u64, ahead: Duration) -> bool {
    after(SystemTime::now(), ahead) >= at
}

/// The time from `now` to a moment.
pub(crate) fn left(at: u64, now: SystemTime) -> Duration {
    Duration::from_millis(at.saturating_sub(millis(now)))
}

/// A deadline as it is seen before or after its moment.
pub(crate) fn seen(passed: bool) -> Seen {
    let content = Digest::xxh3(if passed { b"larder: passed" } else { b"larder: ahead" });
    Seen { content, stamp: None, racy: false }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Leaves {
    /// The moment of a leaf, if that is a deadline.
    pub(crate) fn deadline(&self, key: Digest) -> Option<u64> {
        self.lock()
            .get(&key)
            .filter(|leaf| leaf.kind == SourceKind::Deadline)
            .and_then(|leaf| moment(&leaf.name))
    }

    /// Whether a leaf is a deadline that lies ahead.
    pub(crate) fn is_ahead(&self, key: Digest) -> bool {
        self.lock().get(&key).is_some_and(|leaf| leaf.seen == seen(false))
    }

    /// All deadlines that have not passed, with their keys.
    pub(crate) fn deadlines(&self) -> Vec<(Digest, u64)> {
        let leaves = self.lock();
        let ahead =
            leaves.iter().filter(|(_, leaf)| leaf.kind == SourceKind::Deadline && leaf.seen != seen(true));
        ahead.filter_map(|(key, leaf)| Some((*key, moment(&leaf.name)?))).collect()
    }
}
