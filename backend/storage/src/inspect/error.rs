//! Errors of looking into a store.

use std::error::Error;
use std::fmt;

use crate::{Operation, Rejected, StorageError};

/// A store could not be looked into. Nothing of it was touched.
#[derive(Debug)]
#[non_exhaustive]
pub enum InspectError {
    /// It could not be opened.
    Open {
        /// The store.
        path: Box<str>,
        /// Why.
        source: StorageError,
    },
    /// It holds no record of what it is: nothing was ever stored in it.
    NoHead {
        /// The store.
        path: Box<str>,
    },
    /// The record of what it is cannot be used.
    Head {
        /// The store.
        path: Box<str>,
        /// Why.
        reason: Rejected,
    },
    /// It was written in another format, or on another kind of machine.
    Foreign {
        /// The store.
        path: Box<str>,
        /// The format of the store.
        found: Box<str>,
        /// The format that this program reads.
        known: Box<str>,
    },
    /// It failed while it was read or written.
    Read {
        /// The store.
        path: Box<str>,
        /// Why.
        source: StorageError,
    },
}

impl fmt::Display for InspectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // These name the store themselves.
            Self::Open {
                source: source @ (StorageError::NotAStore { .. } | StorageError::Held { .. }),
                ..
            } => source.fmt(f),
            Self::Open {
                path,
                source: StorageError::Failed { operation: Operation::Open, table: None, source },
            } => write!(f, "`{path}` could not be opened: {source}"),
            Self::Open { path, source } => write!(f, "`{path}` could not be opened: {source}"),
            Self::NoHead { path } => write!(f, "`{path}` is a store in which no program has stored anything"),
            Self::Head { path, reason: Rejected::Version } => {
                write!(f, "`{path}` was written in another format than this program reads")
            }
            Self::Head { path, reason } => write!(f, "`{path}` is damaged: its first record is {reason}"),
            Self::Foreign { path, found, known } => {
                write!(f, "`{path}` has {found}; this program reads {known}")
            }
            Self::Read { path, source } => write!(f, "`{path}`: {source}"),
        }
    }
}

impl Error for InspectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Open { source, .. } | Self::Read { source, .. } => Some(source),
            Self::NoHead { .. } | Self::Head { .. } | Self::Foreign { .. } => None,
        }
    }
}
