//! Stands in for the parts of `larder` that the tasks use, with the same names and no memory at all.

use std::io;
use std::sync::{Mutex, PoisonError};

use crate::model::Diagnostic;

pub use ::larder::Keys;

/// Gives a function back as it is.
pub use larder_macros::plain_fn as task_fn;

static EMITTED: Mutex<Vec<Diagnostic>> = Mutex::new(Vec::new());

/// A value beside the result of the running function.
pub fn emit(diagnostic: Diagnostic) {
    EMITTED.lock().unwrap_or_else(PoisonError::into_inner).push(diagnostic);
}

/// All that was emitted since the last time.
pub fn collect() -> Vec<Diagnostic> {
    std::mem::take(&mut *EMITTED.lock().unwrap_or_else(PoisonError::into_inner))
}

/// One after the other.
pub fn par_map<T, R>(items: impl IntoIterator<Item = T>, f: impl Fn(T) -> R) -> Vec<R> {
    items.into_iter().map(f).collect()
}

/// One after the other.
pub fn par_fold<K, R>(keys: Keys<K>, empty: R, map: impl Fn(&K) -> R, combine: impl Fn(R, R) -> R) -> R {
    keys.iter().map(map).reduce(combine).unwrap_or(empty)
}

/// Why a file or a directory could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceError {
    NotUtf8 { line: usize },
    Io(io::ErrorKind),
    Special,
    TooLarge,
}

impl SourceError {
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            SourceError::Io(kind) => Some(*kind),
            _ => None,
        }
    }

    pub fn line(&self) -> Option<usize> {
        match self {
            SourceError::NotUtf8 { line } => Some(*line),
            _ => None,
        }
    }

    pub fn is_special(&self) -> bool {
        *self == SourceError::Special
    }

    pub fn is_too_large(&self) -> bool {
        *self == SourceError::TooLarge
    }
}

impl From<io::Error> for SourceError {
    fn from(error: io::Error) -> Self {
        SourceError::Io(error.kind())
    }
}

/// Reads of the file system, looked at anew by every call.
pub mod fs {
    use std::io;
    use std::path::Path;
    use std::sync::Arc;

    pub use ::larder::fs::{Entry, EntryKind};

    use super::SourceError;

    const LARGEST: u64 = 1 << 30;

    pub fn read_to_string(path: &Path) -> Result<Arc<str>, SourceError> {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(SourceError::Special);
        }
        if metadata.len() > LARGEST {
            return Err(SourceError::TooLarge);
        }
        String::from_utf8(std::fs::read(path)?).map(Arc::from).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            SourceError::NotUtf8 { line: 1 + before.iter().filter(|&&byte| byte == b'\n').count() }
        })
    }

    /// The entries of a directory, sorted.
    pub fn read_dir(path: &Path) -> Result<Arc<[Entry]>, SourceError> {
        let mut entries =
            std::fs::read_dir(path)?.map(|entry| entry_of(&entry?)).collect::<io::Result<Vec<_>>>()?;
        entries.sort();
        Ok(entries.into())
    }

    fn entry_of(entry: &std::fs::DirEntry) -> io::Result<Entry> {
        let kind = entry.file_type()?;
        let kind = match () {
            () if kind.is_file() => EntryKind::File,
            () if kind.is_dir() => EntryKind::Dir,
            () if kind.is_symlink() => EntryKind::Symlink,
            () => EntryKind::Other,
        };
        Ok(Entry { path: entry.path(), kind })
    }
}
