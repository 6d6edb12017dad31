//! Errors, and the exit codes that they mean.

use std::fmt;
use std::io;
use std::process::ExitCode;

use larder_inspect::ServeError;
use larder_inspect::stored::LookError;
use larder_storage::inspect::InspectError;

/// The outcome of a command that ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Done, and nothing is wrong.
    Fine,
    /// Problems or differences were found.
    Found,
}

/// A command could not do its work.
#[derive(Debug)]
pub(crate) enum CliError {
    /// The store cannot be opened, read or written.
    Store(InspectError),
    /// The store cannot be written, as a program has it open.
    InUse(String),
    /// Results could not be shared.
    Shared(larder_shared::ShareError),
    /// The page cannot be served.
    Serve(ServeError),
    /// Options that do not fit together.
    Usage(String),
    /// No task or function has this name, or several have.
    Name(String),
    /// The output cannot be written.
    Output(io::Error),
}

impl CliError {
    /// Returns the exit code. A reader that has gone, as `head` does, is no error.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Usage(_) | Self::Serve(ServeError::Address(_) | ServeError::Token) => ExitCode::from(2),
            Self::Store(_) | Self::InUse(_) | Self::Serve(_) | Self::Shared(_) | Self::Output(_) => {
                ExitCode::from(3)
            }
            Self::Name(_) => ExitCode::from(4),
        }
    }

    /// Returns whether there is something to say.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Shared(error) => error.fmt(f),
            Self::Serve(error) => error.fmt(f),
            Self::InUse(message) | Self::Usage(message) | Self::Name(message) => f.write_str(message),
            Self::Output(error) => write!(f, "the output could not be written: {error}"),
        }
    }
}

impl std::error::Error for CliError {}

impl From<InspectError> for CliError {
    fn from(error: InspectError) -> Self {
        Self::Store(error)
    }
}

impl From<ServeError> for CliError {
    fn from(error: ServeError) -> Self {
        Self::Serve(error)
    }
}

impl From<LookError> for CliError {
    fn from(error: LookError) -> Self {
        match error {
            LookError::Store(error) => Self::Store(error),
            error => Self::Name(error.to_string()),
        }
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
