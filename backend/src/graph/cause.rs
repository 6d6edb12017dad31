//! Causes: why a body has run, and what came of it.

use crate::graph::task_name::Fingerprint;

/// Why a body has run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause<T> {
    /// Neither memory nor the store has had a value of the task.
    First,
    /// A value that the last run has read has changed.
    Read {
        /// Its position among the reads of that run, from 0. Those before it have not changed.
        position: usize,
        /// The task, input or source that has changed.
        read: T,
    },
    /// A value that the stored run of an earlier process has read is another one now.
    StoredRead {
        /// The task, input or source that differs, if it is in memory.
        read: Option<T>,
        /// The fingerprint of the value that was read then.
        before: Fingerprint,
        /// The fingerprint of the value that it has now, if there is one.
        after: Option<Fingerprint>,
    },
    /// The function is volatile: its bodies run again in each session.
    Volatile,
    /// The value has expired.
    Expired,
    /// The function keeps such a value for its session alone (`keep_if`).
    NotKept,
    /// The value was forgotten.
    Forgotten,
    /// The program said that it is to run again (`invalidate`).
    Invalidated,
    /// The value was dropped to save memory, and the store does not have it.
    Evicted,
    /// The last run has failed.
    Failed,
    /// The last run was cancelled, or is part of a cycle that changed.
    Unfinished,
    /// The task lies on a cycle that is being resolved.
    Cycle,
    /// Another thread computes the task, and waiting for it would never end.
    Apart,
    /// The body was run once more, to see whether it comes to the same (`check_determinism`).
    Check,
    /// The store has lost what it knew of the task.
    Lost,
}

impl<T> Cause<T> {
    /// Whether the body ran in any case, whatever its reads were: one of them may have changed as well.
    #[must_use]
    pub fn needs_no_read(&self) -> bool {
        match self {
            Self::Volatile
            | Self::Expired
            | Self::NotKept
            | Self::Forgotten
            | Self::Invalidated
            | Self::Evicted
            | Self::Failed => true,
            Self::First
            | Self::Read { .. }
            | Self::StoredRead { .. }
            | Self::Unfinished
            | Self::Cycle
            | Self::Apart
            | Self::Check
            | Self::Lost => false,
        }
    }
}

/// A kind of event in the life of a task, an input or a source.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happening {
    /// The body has run. The task that has changed is that of the next step, so it is not named here.
    Ran(Cause<()>),
    /// The task is a part, and was selected anew by its source.
    Settled,
    /// The input was set, or the source observed again.
    Set,
    /// The input was removed.
    Removed,
    /// The value came out of the store.
    Restored,
    /// Its value differs from the one that a stored run has read.
    Differs,
}

/// The outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// There was no value to compare with.
    New,
    /// Another value than before.
    Changed,
    /// An equal value: readers are current, as far as this task is concerned.
    CutOff,
    /// A value that is not to be kept, in place of which the last one that was is handed out (`last_good`): readers are current.
    Held,
    /// A panic or another failure.
    Failed,
    /// The session was cancelled.
    Cancelled,
    /// A value for one round of a cycle, or for one reader.
    Provisional,
}

impl<T> Cause<T> {
    /// Names tasks in another way.
    pub(crate) fn map<U>(&self, name: impl Fn(&T) -> U) -> Cause<U> {
        match self {
            Self::First => Cause::First,
            Self::Read { position, read } => Cause::Read { position: *position, read: name(read) },
            Self::StoredRead { read, before, after } => {
                Cause::StoredRead { read: read.as_ref().map(name), before: *before, after: *after }
            }
            Self::Volatile => Cause::Volatile,
            Self::Expired => Cause::Expired,
            Self::NotKept => Cause::NotKept,
            Self::Forgotten => Cause::Forgotten,
            Self::Invalidated => Cause::Invalidated,
            Self::Evicted => Cause::Evicted,
            Self::Failed => Cause::Failed,
            Self::Unfinished => Cause::Unfinished,
            Self::Cycle => Cause::Cycle,
            Self::Apart => Cause::Apart,
            Self::Check => Cause::Check,
            Self::Lost => Cause::Lost,
        }
    }
}
