//! Stands in for the parts of `larder` that the census uses, with the same names and no memory at all.
//!
//! When the engine arrives, `use crate::stub as larder` goes away, and this file stays as what `--plain` runs on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::model::Diagnostic;

static EMITTED: Mutex<Vec<Diagnostic>> = Mutex::new(Vec::new());
static PARSED: AtomicU64 = AtomicU64::new(0);

/// A value beside the result of the running task.
pub fn emit(diagnostic: Diagnostic) {
    EMITTED.lock().unwrap_or_else(PoisonError::into_inner).push(diagnostic);
}

/// All that was emitted since the last time, sorted.
pub fn collect() -> Vec<Diagnostic> {
    let mut emitted = std::mem::take(&mut *EMITTED.lock().unwrap_or_else(PoisonError::into_inner));
    emitted.sort();
    emitted.dedup();
    emitted
}

/// The body of `parse_file` ran. The runtime counts this by itself.
pub fn count_parsed() {
    PARSED.fetch_add(1, Ordering::Relaxed);
}

/// How many bodies of `parse_file` have run so far.
pub fn parsed() -> u64 {
    PARSED.load(Ordering::Relaxed)
}

/// Sources.
pub mod fs {
    use std::ffi::OsString;
    use std::io;
    use std::path::Path;
    use std::sync::Arc;

    /// Why a source could not be read.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum SourceError {
        NotUtf8 { line: u32 },
        Io(String),
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum EntryKind {
        File,
        Directory,
        /// A symbolic link, a device, a socket.
        Other,
    }

    /// What a directory holds under one name. Links are not followed.
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Entry {
        pub name: OsString,
        pub kind: EntryKind,
    }

    pub fn read_to_string(path: &Path) -> Result<Arc<str>, SourceError> {
        let bytes = std::fs::read(path).map_err(|error| SourceError::Io(reason(&error)))?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(text.into()),
            Err(error) => {
                let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
                Err(SourceError::NotUtf8 { line: u32::try_from(line).unwrap_or(u32::MAX) })
            }
        }
    }

    /// The entries of a directory, sorted by name.
    pub fn read_dir(path: &Path) -> Result<Arc<[Entry]>, SourceError> {
        let read = || -> io::Result<Vec<Entry>> {
            std::fs::read_dir(path)?
                .map(|entry| {
                    let entry = entry?;
                    let kind = entry.file_type()?;
                    let kind = match () {
                        () if kind.is_file() => EntryKind::File,
                        () if kind.is_dir() => EntryKind::Directory,
                        () => EntryKind::Other,
                    };
                    Ok(Entry { name: entry.file_name(), kind })
                })
                .collect()
        };
        let mut entries = read().map_err(|error| SourceError::Io(reason(&error)))?;
        entries.sort();
        Ok(entries.into())
    }

    /// The message without the number that `std` appends, which says nothing to a reader.
    fn reason(error: &io::Error) -> String {
        let message = error.to_string();
        let end = message.find(" (os error").unwrap_or(message.len());
        message[..end].to_lowercase()
    }
}
