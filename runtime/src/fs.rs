//! Files and directories as sources: what a task reads through here, it depends on.
//!
//! Each path is observed once and stands still until [`Runtime::refresh`](crate::Runtime::refresh), which looks at stamps
//! (size, times, inode) first and at contents only where a stamp differs or is too young to be trusted. Dependents see
//! contents: touching a file changes nothing.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use larder_backend::args::ByRef;
use larder_backend::digest;
use larder_backend::task_fn::{Describe, Site, TaskFn, type_id};
use larder_backend::{call, with};

use crate::source_error::SourceError;

/// The content of a file. The task that runs now depends on it.
///
/// The runtime keeps their digest, and the bytes themselves only until they are first read. Who reads them later gets them
/// from the file system again, and an error if they are not the same.
///
/// # Errors
/// If the file cannot be read, or changed since it was observed. An error is a value like any other: it is cached until
/// a refresh sees that the file can be read.
///
/// # Panics
/// Outside of a session.
pub fn read(path: impl AsRef<Path>) -> Result<Arc<[u8]>, SourceError> {
    let path = path.as_ref();
    let file = with::<_, FileResult, _>(FILE, (ByRef(path),), Clone::clone)?;
    file.content(path)
}

/// The content of a file, as text. The task that runs now depends on it.
///
/// Shared, so that a task that returns it is cheap to hit.
///
/// # Errors
/// As [`read`], and if the content is not UTF-8.
///
/// # Panics
/// Outside of a session.
pub fn read_to_string(path: impl AsRef<Path>) -> Result<Arc<str>, SourceError> {
    let path = path.as_ref();
    let bytes = read(path)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(text.into()),
        Err(error) => Err(SourceError::not_utf8(path, &bytes, error)),
    }
}

/// What an entry of a directory is. Symbolic links are not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// Something else (a socket, a device).
    Other,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The full path: the directory's and the name.
    pub path: PathBuf,
    /// What it is.
    pub kind: EntryKind,
}

impl Entry {
    /// The name that it has in its directory.
    #[must_use]
    pub fn file_name(&self) -> &OsStr {
        self.path.file_name().unwrap_or(self.path.as_os_str())
    }
}

/// The entries of a directory, ordered by path. The task that runs now depends on their names and kinds, not on contents.
///
/// # Errors
/// If the directory cannot be read.
///
/// # Panics
/// Outside of a session.
pub fn read_dir(path: impl AsRef<Path>) -> Result<Arc<[Entry]>, SourceError> {
    call::<_, DirResult>(DIR, (ByRef(path.as_ref()),)).map(|listing| listing.entries)
}

/// The paths that a pattern (`src/**/*.rs`) matches, in order. The task that runs now depends on the list.
///
/// Every refresh walks the directories of the pattern again.
///
/// # Errors
/// If the pattern is not one. Directories that cannot be read are left out.
///
/// # Panics
/// Outside of a session.
pub fn glob(pattern: &str) -> Result<Arc<[PathBuf]>, SourceError> {
    call::<_, GlobResult>(GLOB, (ByRef(pattern),))
}

type FileResult = Result<Arc<FileValue>, SourceError>;
type DirResult = Result<Listing, SourceError>;
type GlobResult = Result<Arc<[PathBuf]>, SourceError>;

struct FileId;
struct DirId;
struct GlobId;

const fn site(name: &'static str, path: &'static str) -> Site {
    Site { name, path, file: file!(), line: line!() }
}

const FILE: &TaskFn<(PathBuf,), FileResult> =
    &TaskFn::new(type_id::<FileId>(), site("file", "larder::fs::read"), |(path,): &(PathBuf,)| {
        observe_file(path)
    })
    .describe(Describe::<(PathBuf,)>::DEBUG)
    .cutoff(Some(same_file))
    .source(|(path,), value| match value {
        Ok(file) => file.stamp.is_still(path),
        Err(_) => false,
    });

const DIR: &TaskFn<(PathBuf,), DirResult> =
    &TaskFn::new(type_id::<DirId>(), site("dir", "larder::fs::read_dir"), |(path,): &(PathBuf,)| {
        observe_dir(path)
    })
    .describe(Describe::<(PathBuf,)>::DEBUG)
    .cutoff(Some(|left, right| match (left, right) {
        (Ok(left), Ok(right)) => left.entries == right.entries,
        (Err(left), Err(right)) => left == right,
        _ => false,
    }))
    .source(|(path,), value| match value {
        Ok(listing) => listing.stamp.is_still(path),
        Err(_) => false,
    });

const GLOB: &TaskFn<(String,), GlobResult> =
    &TaskFn::new(type_id::<GlobId>(), site("glob", "larder::fs::glob"), |(pattern,): &(String,)| {
        observe_glob(pattern)
    })
    .describe(Describe::<(String,)>::DEBUG)
    .cutoff(Some(|left, right| left == right))
    .source(|_, _| false);

/// What the file system says of a path without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: Option<SystemTime>,
    /// Device, inode, and the time of the last status change, where there are such.
    identity: (u64, u64, i64, i64),
    /// Whether the path was modified so shortly before it was observed that a later write may leave the same times.
    young: bool,
}

/// File systems keep times at a granularity of up to two seconds.
const GRANULARITY: Duration = Duration::from_secs(2);

impl Stamp {
    /// `observed` is the time before the content was read.
    fn of(metadata: &Metadata, observed: SystemTime) -> Self {
        let modified = metadata.modified().ok();
        // A modification time in the future (an unsafe clock) or none at all counts as young, too.
        let age = modified.and_then(|modified| observed.duration_since(modified).ok());
        let young = age.is_none_or(|age| age < GRANULARITY);
        Self { size: metadata.len(), modified, identity: identity(metadata), young }
    }

    fn is_still(&self, path: &Path) -> bool {
        let now = std::fs::metadata(path).map(|metadata| Self::of(&metadata, SystemTime::now()));
        !self.young && now.is_ok_and(|now| now == Self { young: now.young, ..*self })
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, u64, i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64, i64, i64) {
    (0, 0, 0, 0)
}

/// A file as it was observed: dependents are compared by the digest.
struct FileValue {
    stamp: Stamp,
    digest: u128,
    /// Holds the bytes from the observation to the first read. After that not even a `Weak`: it would keep the whole
    /// allocation, and there is one of these for every file that was ever read.
    first: Mutex<Option<Arc<[u8]>>>,
}

impl FileValue {
    fn content(&self, path: &Path) -> Result<Arc<[u8]>, SourceError> {
        if let Some(first) = self.first.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Ok(first);
        }
        let again: Arc<[u8]> = std::fs::read(path).map_err(|_| SourceError::changed(path))?.into();
        if digest(&again) != self.digest {
            return Err(SourceError::changed(path));
        }
        Ok(again)
    }
}

fn same_file(left: &FileResult, right: &FileResult) -> bool {
    match (left, right) {
        (Ok(left), Ok(right)) if left.digest == right.digest => {
            // Nobody is about to read a content that they have seen: it must not stay until somebody does.
            right.first.lock().unwrap_or_else(PoisonError::into_inner).take();
            true
        }
        (Err(left), Err(right)) => left == right,
        _ => false,
    }
}

fn observe_file(path: &Path) -> FileResult {
    let observe = || -> io::Result<FileValue> {
        let observed = SystemTime::now();
        // The stamp is taken first: a write that comes between makes the stamp old, and a refresh looks again.
        let stamp = Stamp::of(&std::fs::metadata(path)?, observed);
        let bytes: Arc<[u8]> = std::fs::read(path)?.into();
        Ok(FileValue { stamp, digest: digest(&bytes), first: Mutex::new(Some(bytes)) })
    };
    observe().map(Arc::new).map_err(|error| SourceError::io(path, error))
}

/// A directory as it was observed.
#[derive(Clone)]
struct Listing {
    stamp: Stamp,
    entries: Arc<[Entry]>,
}

fn observe_dir(path: &Path) -> DirResult {
    let observe = || -> io::Result<Listing> {
        let stamp = Stamp::of(&std::fs::metadata(path)?, SystemTime::now());
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let file_type = entry.file_type()?;
            let kind = if file_type.is_file() {
                EntryKind::File
            } else if file_type.is_dir() {
                EntryKind::Dir
            } else if file_type.is_symlink() {
                EntryKind::Symlink
            } else {
                EntryKind::Other
            };
            entries.push(Entry { path: entry.path(), kind });
        }
        entries.sort_unstable();
        Ok(Listing { stamp, entries: entries.into() })
    };
    observe().map_err(|error| SourceError::io(path, error))
}

fn observe_glob(pattern: &str) -> GlobResult {
    let paths = ::glob::glob(pattern).map_err(|error| SourceError::pattern(pattern, error))?;
    let mut paths: Vec<PathBuf> = paths.filter_map(Result::ok).collect();
    paths.sort_unstable();
    Ok(paths.into())
}
