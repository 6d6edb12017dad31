//! Reasons why a run is not stored.

use larder_storage::codec::EncodeError;

/// Why a run is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It read a task, an input or a source that is not stored: a transient one, say.
    ReadsUnstored,
    /// It read a task that failed.
    ReadsFailed,
    /// It collects what other tasks emit.
    Collects,
    /// It saw a source change.
    SourceChanged,
    /// The function is volatile, or its result expires at once or is not to be kept.
    DoesNotLast,
    /// It lies on a cycle with a task that is not stored.
    OnCycle,
    /// Arguments, output or emitted values could not be encoded.
    NotEncoded,
    /// Arguments, output or an emitted value nest deeper than [`MAX_DEPTH`](larder_storage::codec::MAX_DEPTH) levels.
    TooDeep,
    /// Its encoding does not decode to an equal value.
    NoRoundTrip,
    /// Another task, or another function, has the same persistent key.
    AmbiguousKey,
    /// The function stands in a library whose file is gone or was replaced.
    UnknownCode,
    /// It read a function of a library that was loaded beside the program; the library may be built anew without it.
    ReadsLibrary,
    /// The store takes nothing more: too much is waiting, or it has failed.
    Refused,
}

impl From<EncodeError> for Reason {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::TooDeep => Self::TooDeep,
            _ => Self::NotEncoded,
        }
    }
}

impl Reason {
    /// Describes it for people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::ReadsUnstored => "it read something that is not stored",
            Self::ReadsFailed => "it read a task that failed",
            Self::Collects => "it collects emitted values",
            Self::SourceChanged => "a source changed while it was read",
            Self::DoesNotLast => "it is volatile, expires at once, or is not to be kept",
            Self::OnCycle => "it lies on a cycle with a task that is not stored",
            Self::NotEncoded => "arguments, output or emitted values cannot be encoded",
            Self::TooDeep => "arguments, output or emitted values nest deeper than 10,000 levels",
            Self::NoRoundTrip => "what it encodes to does not decode to the same value",
            Self::AmbiguousKey => "another task has the same persistent key",
            Self::UnknownCode => "it stands in a library whose file cannot be read any more",
            Self::ReadsLibrary => "it read a function of a library that is not part of its own code",
            Self::Refused => "the store takes no more",
        }
    }
}
