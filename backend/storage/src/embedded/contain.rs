//! Failures and panics of redb, sorted by the reaction to them.

use std::any::Any;
use std::error::Error;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why a call into redb did not work.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The file is not what it should be; nothing in it is to be used.
    Damaged(Box<str>),
    /// Another process has it.
    Held,
    /// Something around the file: no space, no permission, no such folder.
    Failed(Box<dyn Error + Send + Sync>),
    /// The file is not ours, and not to be touched.
    NotAStore(Box<str>),
    /// The file system has no locks.
    Unlockable(io::Error),
}

impl Trouble {
    pub(super) fn failed(error: io::Error) -> Self {
        if means_damage(error.kind()) {
            Self::Damaged(error.to_string().into())
        } else {
            Self::Failed(error.into())
        }
    }

    pub(super) fn damaged(reason: &str) -> Self {
        Self::Damaged(reason.into())
    }
}

/// Calls into redb, and turns a panic there into damage.
///
/// `AssertUnwindSafe` holds because after damage nothing of the database is used again: it is dropped, contained too.
pub(super) fn contain<R>(call: impl FnOnce() -> R) -> Result<R, Trouble> {
    catch_unwind(AssertUnwindSafe(call))
        .map_err(|panic| Trouble::Damaged(format!("redb panicked: {}", message(&*panic)).into()))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let string = panic.downcast_ref::<String>().map(String::as_str);
    string.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

impl From<redb::Error> for Trouble {
    fn from(error: redb::Error) -> Self {
        use redb::Error as E;
        match error {
            E::DatabaseAlreadyOpen => Self::Held,
            E::Io(error) if means_damage(error.kind()) => Self::Damaged(error.to_string().into()),
            E::Corrupted(_)
            | E::UpgradeRequired(_)
            | E::TableTypeMismatch { .. }
            | E::TypeDefinitionChanged { .. }
            | E::TableIsMultimap(_)
            | E::TableIsNotMultimap(_)
            | E::UnorderedKey => Self::Damaged(error.to_string().into()),
            error => Self::Failed(error.into()),
        }
    }
}

/// Reading past the end of a truncated file, or at an offset that a damaged page made up.
fn means_damage(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as K;
    matches!(kind, K::UnexpectedEof | K::InvalidData | K::InvalidInput)
}

macro_rules! from_redb {
    ($($error:ident)*) => {$(
        impl From<redb::$error> for Trouble {
            fn from(error: redb::$error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}

from_redb! {
    DatabaseError TransactionError TableError StorageError CommitError CompactionError CursorError
}
