//! Errors of engines, and of pushing and pulling.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use larder_storage::inspect::InspectError;
use larder_storage::{FlushError, StorageError};

/// Why an engine did not do what it was asked for. No text in it holds a secret.
#[derive(Debug)]
#[non_exhaustive]
pub enum SharedError {
    /// It does not let this user do that (401, 403, `NOPERM`).
    Refused {
        /// The answer of the engine.
        reason: Box<str>,
    },
    /// It has too much to do (429, 503).
    Busy {
        /// When to ask again, if it said so.
        retry_after: Option<Duration>,
    },
    /// It did not answer in time.
    Slow,
    /// It cannot be reached, or its answer makes no sense.
    Broken {
        /// The fault.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl SharedError {
    /// Makes an error of what went wrong.
    pub fn broken(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Broken { source: source.into() }
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { reason } => write!(f, "the shared cache does not allow it: {reason}"),
            Self::Busy { retry_after: Some(pause) } => {
                write!(f, "the shared cache is busy, and asks for a pause of {} s", pause.as_secs())
            }
            Self::Busy { retry_after: None } => f.write_str("the shared cache is busy"),
            Self::Slow => f.write_str("the shared cache did not answer in time"),
            Self::Broken { source } => write!(f, "the shared cache does not work: {source}"),
        }
    }
}

impl Error for SharedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Broken { source } => Some(&**source),
            _ => None,
        }
    }
}

/// Why nothing was pushed or pulled.
#[derive(Debug)]
#[non_exhaustive]
pub enum ShareError {
    /// The engine failed.
    Engine(SharedError),
    /// The store could not be read.
    Read(InspectError),
    /// The store could not be opened or written.
    Store(StorageError),
    /// Results that were pulled could not be made durable.
    Flush(FlushError),
    /// Nothing has been pushed under this ref, or it does not hold.
    NoRef {
        /// The kind of fingerprints of the namespace that was looked at.
        fingerprints: larder_storage::Fingerprints,
        /// The ref's name.
        name: Box<str>,
        /// Why the one that is there is not used, if there is one.
        rejected: Option<crate::Rejection>,
    },
    /// There is more to push than a pack, a manifest or the engine can take.
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// The most.
        most: usize,
    },
}

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(error) => error.fmt(f),
            Self::Read(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Flush(error) => error.fmt(f),
            Self::NoRef { name, fingerprints, rejected: None } => {
                write!(
                    f,
                    "nothing has been pushed as `{name}` for this platform and namespace, with {fingerprints} fingerprints"
                )
            }
            Self::NoRef { name, rejected: Some(why), .. } => {
                write!(f, "`{name}` is there, and is not used: {why}")
            }
            Self::TooLarge { bytes, most } => {
                write!(f, "what is to be pushed takes {bytes} bytes at once; {most} may be")
            }
        }
    }
}

impl Error for ShareError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Engine(error) => Some(error),
            Self::Read(error) => Some(error),
            Self::Store(error) => Some(error),
            Self::Flush(error) => Some(error),
            Self::NoRef { .. } | Self::TooLarge { .. } => None,
        }
    }
}

impl From<SharedError> for ShareError {
    fn from(error: SharedError) -> Self {
        Self::Engine(error)
    }
}

impl From<InspectError> for ShareError {
    fn from(error: InspectError) -> Self {
        Self::Read(error)
    }
}

impl From<StorageError> for ShareError {
    fn from(error: StorageError) -> Self {
        Self::Store(error)
    }
}

impl From<FlushError> for ShareError {
    fn from(error: FlushError) -> Self {
        Self::Flush(error)
    }
}
