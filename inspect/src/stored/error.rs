//! Errors.

use std::fmt;

use larder_storage::inspect::InspectError;

/// A question about a store has no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum LookError {
    /// The store cannot be opened or read.
    Store(InspectError),
    /// No task, function or source has this name, or several have.
    Name(String),
}

impl fmt::Display for LookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Name(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for LookError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            Self::Name(_) => None,
        }
    }
}

impl From<InspectError> for LookError {
    fn from(error: InspectError) -> Self {
        Self::Store(error)
    }
}
