//! The last run of a task in words.

use super::{RanBecause, RunStep};
use crate::Digest;
use crate::record::Because;

impl RunStep {
    /// Returns why the step happened, as what follows the name of its task: `: its read 1 differed, 0f3c2e7a before and 91b6d04d then`.
    #[must_use]
    pub fn describe(&self) -> String {
        let because = self.cause.map_or(Because::Unknown, |cause| cause.because);
        match &self.why {
            RanBecause::First { other_code } if other_code.is_empty() => {
                ": for the first time, as far as the store knows".to_owned()
            }
            RanBecause::First { other_code } => {
                let codes: Vec<_> = other_code.iter().map(|code| short(*code)).collect();
                let codes = codes.join(", ");
                format!(": its code is new: the store has a result of this call by other code ({codes})")
            }
            RanBecause::Read { position, before, after, .. } => {
                let also = because.besides().map_or_else(String::new, |cause| format!("; also, {cause}"));
                let (before, after) = (short(*before), short(*after));
                format!(": its read {position} differed, {before} before and {after} then{also}")
            }
            RanBecause::SameReads => match because.besides() {
                Some(cause) => format!(": {cause}"),
                None => {
                    ": it has read the same as before; the value was forgotten, expired or dropped, or the run had failed (`record_causes` tells which)".to_owned()
                }
            },
            RanBecause::Dropped => match because.besides() {
                Some(cause) => format!(": {cause}"),
                None => ": the store does not tell, as it has no run before that any more".to_owned(),
            },
            RanBecause::Leaf => " had changed".to_owned(),
            RanBecause::NotStored => " differed, and is not stored any more".to_owned(),
        }
    }
}

impl RanBecause {
    /// Returns the kind of the cause as a word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::First { other_code } if other_code.is_empty() => "first",
            Self::First { .. } => "code",
            Self::Read { .. } => "read",
            Self::SameReads => "same_reads",
            Self::Dropped => "dropped",
            Self::Leaf => "leaf",
            Self::NotStored => "not_stored",
        }
    }
}

impl Because {
    /// The cause in words, if it is another one than a value that differs.
    fn besides(self) -> Option<&'static str> {
        Some(match self {
            Self::Unknown | Self::Read | Self::First | Self::Verified => return None,
            Self::Volatile => "its function is volatile",
            Self::Expired => "its value had expired",
            Self::NotKept => "its value was kept for its session alone",
            Self::Forgotten => "its value was forgotten",
            Self::Invalidated => "it was invalidated",
            Self::Evicted => "its value was dropped to save memory",
            Self::Failed => "the run before had failed",
            Self::Unfinished => "the run before was cancelled, or its cycle has changed",
            Self::Cycle => "it lies on a cycle",
            Self::Lost => "the store had lost what it had read",
        })
    }
}

fn short(digest: Digest) -> String {
    let mut text = digest.to_string();
    text.truncate(8);
    text
}
