//! Why a task that is stored has run again.
//!
//! ```text
//! 1       the cause: see `Because`
//! 8       generation of the run of the program
//! 8       when, in milliseconds from 1970 on
//! 8       beginning of the digest of the trace that was the most recent one before; 0 if there was none any more
//! 8       beginning of the digest of the run's own trace
//! ```
//! A task that has run once has no such record, and no task has more than one. The record names no read: the two traces tell which one
//! differs. It goes with the task.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::wire::{Put, Reader};
use super::super::{Digest, Guarded, ReadFailure, Rejected, RunNumber, Table, TaskKey};
use super::NotARecord;

/// Why a body has run again, as a store tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Because {
    /// The program recorded no causes. The traces tell whether a read differs.
    #[default]
    Unknown = 0,
    /// A value that it had read has changed.
    Read = 1,
    /// The store had no value that the program could use.
    First = 2,
    /// The function is volatile.
    Volatile = 3,
    /// The value had expired.
    Expired = 4,
    /// The value was kept for its session alone.
    NotKept = 5,
    /// The value was forgotten.
    Forgotten = 6,
    /// The program said that it was to run again.
    Invalidated = 7,
    /// The value was dropped to save memory.
    Evicted = 8,
    /// The run before had failed.
    Failed = 9,
    /// The run before was cancelled, or its cycle has changed.
    Unfinished = 10,
    /// It lies on a cycle.
    Cycle = 11,
    /// The store had lost what it knew of the task.
    Lost = 12,
    /// It did not run: it was found to be current, and stored anew.
    Verified = 13,
}

impl Because {
    const ALL: [Self; 14] = [
        Self::Unknown,
        Self::Read,
        Self::First,
        Self::Volatile,
        Self::Expired,
        Self::NotKept,
        Self::Forgotten,
        Self::Invalidated,
        Self::Evicted,
        Self::Failed,
        Self::Unfinished,
        Self::Cycle,
        Self::Lost,
        Self::Verified,
    ];

    /// Whether the task is known to have run before, though the store may have nothing of it.
    pub(super) fn is_of_a_rerun(self) -> bool {
        !matches!(self, Self::Unknown | Self::First | Self::Verified | Self::Cycle)
    }

    /// Returns the cause as a word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Read => "read",
            Self::First => "first",
            Self::Volatile => "volatile",
            Self::Expired => "expired",
            Self::NotKept => "not_kept",
            Self::Forgotten => "forgotten",
            Self::Invalidated => "invalidated",
            Self::Evicted => "evicted",
            Self::Failed => "failed",
            Self::Unfinished => "unfinished",
            Self::Cycle => "cycle",
            Self::Lost => "lost",
            Self::Verified => "verified",
        }
    }
}

/// The cause of the last run of a task that had run before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CauseRecord {
    /// Why it ran.
    pub because: Because,
    /// The generation of the run of the program in which it ran.
    pub generation: RunNumber,
    /// When it was stored, in milliseconds from 1970 on.
    pub at: u64,
    /// The trace that was the most recent one before, by [`CauseRecord::sign_of`]; 0 if the store had dropped it by then.
    pub before: u64,
    /// The run's own trace, likewise. An older one may have become current again since.
    pub trace: u64,
}

impl CauseRecord {
    /// The record of a run that is being stored, given the digests of the trace before it, if there is one, and of its own. None of a run that
    /// is the first one as far as the store and the program know.
    pub(super) fn of(
        because: Because,
        generation: RunNumber,
        (before, trace): (Option<Digest>, Digest),
    ) -> Option<Self> {
        if before.is_none() && !because.is_of_a_rerun() {
            return None;
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let (before, trace) = (before.map_or(0, Self::sign_of), Self::sign_of(trace));
        Some(Self { because, generation, at, before, trace })
    }

    pub(super) fn encode_into(&self, out: &mut Vec<u8>) {
        out.u8(self.because as u8);
        out.u64(self.generation.0);
        out.u64(self.at);
        out.u64(self.before);
        out.u64(self.trace);
    }

    /// Reads the record that `payload` is. A cause that is not known is [`Because::Unknown`].
    ///
    /// # Errors
    /// If it is none.
    pub fn decode(payload: &[u8]) -> Result<Self, NotARecord> {
        let mut reader = Reader::new(payload);
        let because = Because::ALL.get(usize::from(reader.u8()?)).copied().unwrap_or_default();
        let (generation, at) = (RunNumber(reader.u64()?), reader.u64()?);
        let (before, trace) = (reader.u64()?, reader.u64()?);
        reader.end()?;
        Ok(Self { because, generation, at, before, trace })
    }

    /// Returns the beginning of a trace's digest, by which the few traces of a task are told apart.
    #[must_use]
    pub fn sign_of(trace: Digest) -> u64 {
        (trace.0 >> 64) as u64
    }

    /// Returns when the run was stored.
    #[must_use]
    pub fn time(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.at))
    }
}

/// Returns why a task has run again, if it has and the store knows. A damaged record is counted, and none.
///
/// # Errors
/// If the store fails.
pub fn read_cause(store: &Guarded, task: TaskKey) -> Result<Option<CauseRecord>, ReadFailure> {
    let mut buffer = Vec::new();
    let payload = match store.read(Table::Causes, &task.to_bytes(), &mut buffer) {
        Ok(Some(payload)) => payload,
        Ok(None) | Err(ReadFailure::Rejected(_)) => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let record = CauseRecord::decode(payload);
    if record.is_err() {
        store.reject(Rejected::Decode);
    }
    Ok(record.ok())
}
