//! Files and directories as sources: what a task reads through here, it depends on.
//!
//! Each path is observed once and stands still until [`Runtime::refresh`](crate::Runtime::refresh), which looks at stamps
//! (size, times, inode) first and at contents only where a stamp differs or is too young to be trusted. Dependents see
//! contents: touching a file changes nothing.
//!
//! # Paths
//! Two paths are one source if they are the same bytes, and are two otherwise. `a//b` and `a/b` lead to one file, which is then
//! observed twice; `f` and `f/` do not if `f` is a file. Nothing is resolved by name alone: `..` goes where the system says, which
//! behind a link is not the directory before it. Two cases of a letter are two names, also where the file system takes them for one,
//! and so are two forms of a letter with an accent.
//!
//! # Where relative paths start
//! At the base directory of the runtime, if it has one ([`Builder::base`](crate::Builder::base)); otherwise at the process' current
//! directory at each look. With a base, a source is known by its relative path alone, in a store as well: the results of its readers hold for an equal
//! tree at another place. For that, arguments and results have to be relative, too:
//! - [`read_dir`], [`glob()`] and [`canonicalize`] give relative paths if they were asked with relative ones. (`canonicalize` gives an
//!   absolute path where the link leads out of the base.) `""` and `.` are the base itself; errors name the path as it was asked for.
//! - An absolute path is a source of its own, also where it leads below the base: it is right anywhere, but at another place it is
//!   another source. Strip the base from paths before they become arguments.
//! - A path with `..` is relative like any other, and may lead out of the base. Its content is compared wherever the base is.
//! - On Windows, relative paths are taken and given with `/`.
//!
//! # What is a source
//! Regular files and directories, through links. A FIFO, a socket or a device is an error, which is given without opening it; so is
//! a file above 1 GiB, as all of a file is in memory while it is read.
//!
//! # What is not noticed
//! A change that leaves size, times, and number of a file as they were. No program can put back the time of change of a local file
//! system; but there are file systems that make it up from the time of modification (FAT, sshfs), whose servers' clocks are more
//! than two seconds behind (NFS), or that do not set it when a mapped file is written until the system writes it out. Nor is a write
//! noticed that changes no size, takes longer than two seconds in one call, and is read from meanwhile: its time is when it began.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ffi::OsStr;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

mod base;
mod facts;
mod pattern;
mod regular;

use larder_backend::args::ByRef;
use larder_backend::storage::record::{SourceKind, Stamp};
use larder_backend::storage::{Digest, Fingerprints};
use larder_backend::task_fn::{Describe, Site, TaskFn, type_id};
use larder_backend::{Leaf, Look, Observer, Seen, call, lose_source, with};

use crate::source_error::SourceError;

use base::{Base, spelled, with_base};
pub use facts::{Metadata, canonicalize, exists, is_dir, is_file, metadata};
use regular::Regular;

/// Returns the content of a file. The task that runs now depends on it.
///
/// The runtime keeps the content's digest, and the bytes themselves only until they are first read. A later reader gets them
/// from the file system again, and an error if they are not the same.
///
/// # Errors
/// If the file cannot be read, or changed since it was observed; if the path leads to a directory, to a FIFO, a socket or a device,
/// or to a file above 1 GiB; if there is no memory for the content. An error is a value like any other: it is cached until
/// a refresh sees that the file can be read.
///
/// # Panics
/// Outside of a session.
pub fn read(path: impl AsRef<Path>) -> Result<Arc<[u8]>, SourceError> {
    let path = &*spelled(path.as_ref());
    let file = with::<_, FileResult, _>(FILE, (ByRef(path),), Clone::clone)?;
    file.content(path).inspect_err(|_| lose_source::<_, FileResult>(FILE, (ByRef(path),)))
}

/// Returns the content of a file, as text. The task that runs now depends on it.
///
/// Shared, so that a task that returns it is cheap to hit.
///
/// # Errors
/// Fails as [`read`] does, and if the content is not UTF-8.
///
/// # Panics
/// Outside of a session.
pub fn read_to_string(path: impl AsRef<Path>) -> Result<Arc<str>, SourceError> {
    let path = path.as_ref();
    let bytes = read(path)?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => match regular::has_room(text.len()) {
            Ok(()) => Ok(text.into()),
            Err(error) => Err(SourceError::io(path, error)),
        },
        Err(error) => Err(SourceError::not_utf8(path, &bytes, error)),
    }
}

/// The kind of an entry of a directory. Symbolic links are not followed.
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

impl EntryKind {
    fn of(file_type: std::fs::FileType) -> Self {
        match () {
            () if file_type.is_file() => Self::File,
            () if file_type.is_dir() => Self::Dir,
            () if file_type.is_symlink() => Self::Symlink,
            () => Self::Other,
        }
    }
}

/// An entry of a directory. Two are equal if their paths are the same bytes, and are ordered as their paths are.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The full path: the directory's and the name.
    pub path: PathBuf,
    /// The kind.
    pub kind: EntryKind,
}

impl Entry {
    /// Returns the name that it has in its directory.
    #[must_use]
    pub fn file_name(&self) -> &OsStr {
        self.path.file_name().unwrap_or(self.path.as_os_str())
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.path.as_os_str() == other.path.as_os_str() && self.kind == other.kind
    }
}
impl Eq for Entry {}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.path.as_os_str().hash(state);
        self.kind.hash(state);
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_bytes = || self.path.as_os_str().cmp(other.path.as_os_str());
        self.path.cmp(&other.path).then_with(by_bytes).then_with(|| self.kind.cmp(&other.kind))
    }
}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Returns the entries of a directory, ordered by path. The task that runs now depends on their names and kinds, not on contents.
///
/// # Errors
/// If the directory cannot be read.
///
/// # Panics
/// Outside of a session.
pub fn read_dir(path: impl AsRef<Path>) -> Result<Arc<[Entry]>, SourceError> {
    call::<_, DirResult>(DIR, (ByRef(&*spelled(path.as_ref())),)).map(|listing| listing.entries)
}

/// Returns the paths that a pattern (`src/**/*.rs`) matches, in order. The task that runs now depends on the list.
///
/// `*`, `?`, `[a-z]` and `[!a-z]` stand for characters of a name, `**` for any number of directories. `**` does not go into
/// symbolic links, so that links to a parent lead nowhere; a part that names a link, or matches its name, follows it. A name that is
/// not Unicode is matched with U+FFFD in place of what is not. `.` and `..` are matched by themselves only.
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
        with_base(|base| observe_file(base, path))
    })
    .describe(Describe::<(PathBuf,)>::DEBUG)
    .cutoff(Some(same_file))
    .source(|(path,), value| value.as_ref().is_ok_and(|file| is_unchanged(path, &file.seen)))
    .stored_leaf::<FileId>();

const DIR: &TaskFn<(PathBuf,), DirResult> =
    &TaskFn::new(type_id::<DirId>(), site("dir", "larder::fs::read_dir"), |(path,): &(PathBuf,)| {
        with_base(|base| observe_dir(base, path))
    })
    .describe(Describe::<(PathBuf,)>::DEBUG)
    .cutoff(Some(|left, right| match (left, right) {
        (Ok(left), Ok(right)) => left.entries == right.entries,
        (Err(left), Err(right)) => left == right,
        _ => false,
    }))
    .source(|(path,), value| value.as_ref().is_ok_and(|listing| is_unchanged(path, &listing.seen)))
    .stored_leaf::<DirId>();

const GLOB: &TaskFn<(String,), GlobResult> =
    &TaskFn::new(type_id::<GlobId>(), site("glob", "larder::fs::glob"), |(pattern,): &(String,)| {
        with_base(|base| observe_glob(base, pattern))
    })
    .describe(Describe::<(String,)>::DEBUG)
    .cutoff(Some(|left, right| left == right))
    .source(|_, _| false)
    .stored_leaf::<GlobId>();

fn is_unchanged(path: &Path, seen: &Seen) -> bool {
    with_base(|base| is_still(base, path, seen))
}

/// Whether nothing can have changed since a path was seen so.
fn is_still(base: Base<'_>, path: &Path, seen: &Seen) -> bool {
    !seen.racy && seen.stamp.is_some() && Stamp::of_path(&base.place(path)).ok() == seen.stamp
}

/// The observation where something failed. It has no stamp, so that it is always looked at again.
fn seen_failing(error: &SourceError, fingerprints: Fingerprints) -> Seen {
    Seen { content: error.fingerprint(fingerprints), stamp: None, racy: false }
}

/// A file as it was observed: dependents are compared by the digest.
struct FileValue {
    seen: Seen,
    /// Holds the bytes from the observation to the first read. After that not even a `Weak`: it would keep the whole
    /// allocation, and there is one of these for every file that was ever read.
    first: Mutex<Option<Arc<[u8]>>>,
}

impl FileValue {
    fn content(&self, path: &Path) -> Result<Arc<[u8]>, SourceError> {
        if let Some(first) = self.first.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Ok(first);
        }
        with_base(|base| {
            let again = Regular::open(path, &base.place(path), base.now()).and_then(|mut file| file.read());
            again.ok().filter(|again| base.digest(again) == self.seen.content)
        })
        .ok_or_else(|| SourceError::changed(path))
    }
}

fn same_file(left: &FileResult, right: &FileResult) -> bool {
    match (left, right) {
        (Ok(left), Ok(right)) if left.seen.content == right.seen.content => {
            // No task is about to read a content that it has seen: it must not stay until one does.
            right.first.lock().unwrap_or_else(PoisonError::into_inner).take();
            true
        }
        (Err(left), Err(right)) => left == right,
        _ => false,
    }
}

fn observe_file(base: Base<'_>, path: &Path) -> FileResult {
    let mut file = Regular::open(path, &base.place(path), base.now())?;
    let bytes = file.read()?;
    let seen = Seen { content: base.digest(&bytes), stamp: Some(file.stamp), racy: file.racy };
    Ok(Arc::new(FileValue { seen, first: Mutex::new(Some(bytes)) }))
}

/// A directory as it was observed.
#[derive(Clone)]
struct Listing {
    seen: Seen,
    entries: Arc<[Entry]>,
}

fn observe_dir(base: Base<'_>, path: &Path) -> DirResult {
    let place = base.place(path);
    let observe = || -> io::Result<Listing> {
        // The stamp is taken before the content: a change that comes between makes the stamp old, and the next look lists again.
        let observed = base.now();
        let stamp = Stamp::of_path(&place)?;
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(&place)? {
            let entry = entry?;
            match entry.file_type() {
                Ok(file_type) => {
                    let path = base.entry(path, &entry.file_name());
                    entries.push(Entry { path, kind: EntryKind::of(file_type) });
                }
                // Some file systems have to be asked for it, and meanwhile the entry has gone.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        entries.sort_unstable();
        let content = digest_of(
            base.0.fingerprints,
            entries.iter().map(|entry| (entry.path.as_path(), entry.kind as u8)),
        );
        let seen = Seen { content, stamp: Some(stamp), racy: stamp.is_racy(observed) };
        Ok(Listing { seen, entries: entries.into() })
    };
    observe().map_err(|error| SourceError::io(path, error))
}

fn observe_glob(base: Base<'_>, pattern: &str) -> GlobResult {
    let paths = pattern::matches(base, pattern).map_err(|error| SourceError::pattern(pattern, error))?;
    Ok(paths.into())
}

fn seen_by_glob(found: &GlobResult, fingerprints: Fingerprints) -> Seen {
    match found {
        Ok(paths) => Seen {
            content: digest_of(fingerprints, paths.iter().map(|path| (path.as_path(), 0))),
            stamp: None,
            racy: false,
        },
        Err(error) => seen_failing(error, fingerprints),
    }
}

/// The digest of a list of paths, each with a mark.
fn digest_of<'a>(fingerprints: Fingerprints, paths: impl Iterator<Item = (&'a Path, u8)>) -> Digest {
    let mut bytes = Vec::new();
    for (path, mark) in paths {
        let path = path.as_os_str().as_encoded_bytes();
        bytes.extend_from_slice(&(path.len() as u64).to_le_bytes());
        bytes.extend_from_slice(path);
        bytes.push(mark);
    }
    fingerprints.digest(&bytes)
}

impl Leaf for FileId {
    type Key = (PathBuf,);
    type Output = FileResult;
    const KIND: SourceKind = SourceKind::File;
    fn name((path,): &Self::Key) -> Option<Vec<u8>> {
        name_of(path)
    }
    fn seen(output: &FileResult, fingerprints: Fingerprints) -> Seen {
        output.as_ref().map_or_else(|error| seen_failing(error, fingerprints), |file| file.seen)
    }
    /// A file whose content cannot be had: a task that reads it is told that it has changed.
    fn changed(_: &Self::Key, known: Digest) -> Option<FileResult> {
        let seen = Seen { content: known, stamp: None, racy: true };
        Some(Ok(Arc::new(FileValue { seen, first: Mutex::default() })))
    }
}

impl Leaf for DirId {
    type Key = (PathBuf,);
    type Output = DirResult;
    const KIND: SourceKind = SourceKind::Directory;
    fn name((path,): &Self::Key) -> Option<Vec<u8>> {
        name_of(path)
    }
    fn seen(output: &DirResult, fingerprints: Fingerprints) -> Seen {
        output.as_ref().map_or_else(|error| seen_failing(error, fingerprints), |listing| listing.seen)
    }
    fn changed((path,): &Self::Key, _: Digest) -> Option<DirResult> {
        Some(Err(SourceError::changed(path)))
    }
}

impl Leaf for GlobId {
    type Key = (String,);
    type Output = GlobResult;
    const KIND: SourceKind = SourceKind::Other;
    fn name((pattern,): &Self::Key) -> Option<Vec<u8>> {
        Some([GLOBS, pattern.as_bytes()].concat())
    }
    fn seen(output: &GlobResult, fingerprints: Fingerprints) -> Seen {
        seen_by_glob(output, fingerprints)
    }
    fn changed((pattern,): &Self::Key, _: Digest) -> Option<GlobResult> {
        Some(Err(SourceError::changed(pattern.as_ref())))
    }
}

/// The beginning of the names of patterns, among the sources of other kinds.
const GLOBS: &[u8] = b"glob ";

/// How files, directories and patterns are looked at that a store knows.
pub(crate) const OBSERVERS: [Observer; 3] = [
    Observer {
        kind: SourceKind::File,
        look: |from, name, last| match path_of(name) {
            Some(path) if is_still(Base(from), &path, last) => Look::Same,
            Some(path) => Look::Seen(FileId::seen(&observe_file(Base(from), &path), from.fingerprints)),
            None => Look::Seen(unnamed()),
        },
    },
    Observer {
        kind: SourceKind::Directory,
        look: |from, name, last| match path_of(name) {
            Some(path) if is_still(Base(from), &path, last) => Look::Same,
            Some(path) => Look::Seen(DirId::seen(&observe_dir(Base(from), &path), from.fingerprints)),
            None => Look::Seen(unnamed()),
        },
    },
    Observer {
        kind: SourceKind::Other,
        look: |from, name, _| {
            let base = Base(from);
            let pattern = name.strip_prefix(GLOBS).and_then(|pattern| std::str::from_utf8(pattern).ok());
            let seen = pattern
                .map(|pattern| seen_by_glob(&observe_glob(base, pattern), from.fingerprints))
                .or_else(|| facts::look(base, name));
            Look::Seen(seen.unwrap_or_else(unnamed))
        },
    },
];

/// The observation under a name that is none here: a store of another system, say.
fn unnamed() -> Seen {
    Seen { content: Digest::xxh3(b"larder: not a name"), stamp: None, racy: false }
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "on other systems some paths have no name")]
fn name_of(path: &Path) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    Some(path.as_os_str().as_bytes().to_owned())
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "on other systems some names are no paths")]
fn path_of(name: &[u8]) -> Option<Cow<'_, Path>> {
    use std::os::unix::ffi::OsStrExt;
    Some(Cow::Borrowed(Path::new(std::ffi::OsStr::from_bytes(name))))
}

#[cfg(not(unix))]
fn name_of(path: &Path) -> Option<Vec<u8>> {
    path.to_str().map(|path| path.as_bytes().to_owned())
}

#[cfg(not(unix))]
fn path_of(name: &[u8]) -> Option<Cow<'_, Path>> {
    std::str::from_utf8(name).ok().map(|name| Cow::Borrowed(Path::new(name)))
}
