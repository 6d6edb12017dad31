//! Errors of a store.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use super::Table;

/// An operation of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Opening or creating it.
    Open,
    /// A point read.
    Get,
    /// Reading a range.
    Scan,
    /// Writing a batch.
    Commit,
    /// Asking for its size.
    Size,
    /// Giving space back.
    Compact,
}

impl Operation {
    /// How many there are; `operation as usize` is below it.
    pub const COUNT: usize = 6;
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Get => "get",
            Self::Scan => "scan",
            Self::Commit => "commit",
            Self::Size => "size",
            Self::Compact => "compact",
        })
    }
}

/// An operation on a store failed. It never fails a computation: the engine counts it, reports it once and goes on.
#[derive(Debug)]
#[non_exhaustive]
pub enum StorageError {
    /// The operation failed for the reason that `source` gives; trying again may help.
    Failed {
        /// The operation.
        operation: Operation,
        /// Where, if one table was concerned.
        table: Option<Table>,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Another process has the store open, or this one has it open already.
    Held {
        /// The store.
        path: PathBuf,
    },
    /// The store was opened for reading only.
    ReadOnly,
    /// The file is not a store: a folder, a device, a file of another program. Nothing of it was touched.
    NotAStore {
        /// The file.
        path: PathBuf,
        /// The kind of file that it is instead.
        reason: Box<str>,
    },
    /// The file cannot be locked where it is (by NFS without its lock service, or by some other file system), so two processes could
    /// write to it at once. It can be opened for reading only.
    Unlockable {
        /// The store.
        path: PathBuf,
        /// The message of the system.
        source: std::io::Error,
    },
    /// The store's file was deleted, or another one put in its place, while it was open: what is written to it is lost.
    Replaced {
        /// The store.
        path: PathBuf,
    },
    /// The store was found damaged while in use and holds nothing until it is opened again.
    Damaged {
        /// The operation.
        operation: Operation,
        /// Where, if one table was concerned.
        table: Option<Table>,
        /// The damage that was found.
        reason: Box<str>,
    },
}

impl StorageError {
    /// Makes the error of an operation that failed because of `source`.
    pub fn failed(operation: Operation, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed { operation, table: None, source: source.into() }
    }

    /// Returns the error, told to be about `table`.
    #[must_use]
    pub fn at(mut self, at: Table) -> Self {
        if let Self::Failed { table, .. } | Self::Damaged { table, .. } = &mut self {
            *table = Some(at);
        }
        self
    }

    /// Returns the table concerned, if the error is about one.
    pub fn table(&self) -> Option<Table> {
        match self {
            Self::Failed { table, .. } | Self::Damaged { table, .. } => *table,
            _ => None,
        }
    }

    /// Whether trying the same again can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }

    /// Whether another process has the store.
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held { .. })
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |f: &mut fmt::Formatter<'_>, operation: &Operation, table: &Option<Table>| match table {
            Some(table) => write!(f, "{operation} in table `{}`", table.name()),
            None => write!(f, "{operation}"),
        };
        match self {
            Self::Failed { operation, table, source } => {
                f.write_str("storage could not ")?;
                of(f, operation, table)?;
                write!(f, ": {source}")
            }
            Self::Held { path } => {
                write!(f, "storage `{}` is open in another process, or twice in this one", path.display())
            }
            Self::ReadOnly => f.write_str("storage was opened for reading only"),
            Self::NotAStore { path, reason } => {
                write!(f, "`{}` is not a store, and was not touched: {reason}", path.display())
            }
            Self::Unlockable { path, source } => {
                let path = path.display();
                write!(f, "storage `{path}` cannot be locked there ({source}); open it for reading only")
            }
            Self::Replaced { path } => {
                write!(f, "storage `{}` was deleted or replaced while it was open", path.display())
            }
            Self::Damaged { operation, table, reason } => {
                f.write_str("storage is damaged, found at ")?;
                of(f, operation, table)?;
                write!(f, ": {reason}")
            }
        }
    }
}

impl Error for StorageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed { source, .. } => Some(source.as_ref()),
            Self::Unlockable { source, .. } => Some(source),
            _ => None,
        }
    }
}
