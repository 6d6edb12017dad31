//! Facts about a path: whether it leads anywhere, to what, and where to. Each is a source of its own, so that a task that asks
//! whether a file exists does not depend on what is in it, nor on its neighbours.
//!
//! For example, a resolver tries ten names one after the other. By a listing of the folder it would run again for every new file there;
//! by [`is_file`] it runs again when one of its ten names appears or goes.

use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use larder_backend::args::ByRef;
use larder_backend::storage::record::SourceKind;
use larder_backend::storage::{Digest, Fingerprints};
use larder_backend::task_fn::{Describe, Site, TaskFn, type_id};
use larder_backend::{Leaf, Seen, call};

use super::base::{Base, spelled, with_base};
use super::{EntryKind, name_of, path_of, seen_failing};
use crate::source_error::SourceError;

/// Whether a path leads to something, as [`Path::exists`] says. The task that runs now depends on what it leads to (a file, a directory, nothing),
/// and not on contents. A refresh looks again, at the cost of a `stat`.
///
/// # Panics
/// Outside of a session.
#[must_use]
pub fn exists(path: impl AsRef<Path>) -> bool {
    matches!(kind(path.as_ref()), Ok(Some(_)))
}

/// Whether a path leads to a regular file. See [`exists`].
///
/// # Panics
/// Outside of a session.
#[must_use]
pub fn is_file(path: impl AsRef<Path>) -> bool {
    matches!(kind(path.as_ref()), Ok(Some(EntryKind::File)))
}

/// Whether a path leads to a directory. See [`exists`].
///
/// # Panics
/// Outside of a session.
#[must_use]
pub fn is_dir(path: impl AsRef<Path>) -> bool {
    matches!(kind(path.as_ref()), Ok(Some(EntryKind::Dir)))
}

/// Returns length, kind and time of change of the file that a path leads to. The task that runs now depends on all of them: on the time as well, so that
/// touching a file is a change. To depend on contents, read them.
///
/// # Errors
/// If the path leads nowhere, or cannot be followed.
///
/// # Panics
/// Outside of a session.
pub fn metadata(path: impl AsRef<Path>) -> Result<Metadata, SourceError> {
    call::<_, Result<Metadata, SourceError>>(METADATA, (ByRef(&*spelled(path.as_ref())),))
}

/// Returns the absolute path that a path leads to, with all links resolved. Relative to the base directory, if the runtime has one
/// ([`Builder::base`](crate::Builder::base)), `path` is relative, and it leads below it. The task that runs now depends on that path, and not on what is there.
///
/// # Errors
/// If the path leads nowhere, or cannot be followed.
///
/// # Panics
/// Outside of a session.
pub fn canonicalize(path: impl AsRef<Path>) -> Result<Arc<Path>, SourceError> {
    call::<_, Result<Arc<Path>, SourceError>>(REAL, (ByRef(&*spelled(path.as_ref())),))
}

fn kind(path: &Path) -> Result<Option<EntryKind>, SourceError> {
    call::<_, Result<Option<EntryKind>, SourceError>>(KIND, (ByRef(&*spelled(path)),))
}

/// The facts that [`metadata`] tells of a file or a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// The kind of thing that the path leads to. Never a link.
    pub kind: EntryKind,
    /// The length in bytes; of a directory, whatever the system says.
    pub len: u64,
    /// The time of the last change of the content, where the file system keeps it.
    pub modified: Option<SystemTime>,
}

/// A fact about a path.
trait Fact: Sized + Clone + PartialEq + Send + Sync + 'static {
    /// The beginning of the names of such sources.
    const PREFIX: &'static [u8];
    fn look(base: Base<'_>, path: &Path) -> io::Result<Self>;
    fn encode(&self, out: &mut Vec<u8>);
}

impl Fact for Option<EntryKind> {
    const PREFIX: &'static [u8] = b"kind ";
    fn look(base: Base<'_>, path: &Path) -> io::Result<Self> {
        match std::fs::metadata(base.place(path)) {
            Ok(found) => Ok(Some(EntryKind::of(found.file_type()))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.map_or(u8::MAX, |kind| kind as u8));
    }
}

impl Fact for Metadata {
    const PREFIX: &'static [u8] = b"meta ";
    fn look(base: Base<'_>, path: &Path) -> io::Result<Self> {
        let found = std::fs::metadata(base.place(path))?;
        Ok(Self { kind: EntryKind::of(found.file_type()), len: found.len(), modified: found.modified().ok() })
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.kind as u8);
        out.extend_from_slice(&self.len.to_le_bytes());
        // Times before 1970 are told apart, too.
        let since = self
            .modified
            .map(|time| time.duration_since(SystemTime::UNIX_EPOCH).map_err(|before| before.duration()));
        let (sign, since) = match since {
            None => (0, std::time::Duration::ZERO),
            Some(Ok(after)) => (1, after),
            Some(Err(before)) => (2, before),
        };
        out.push(sign);
        out.extend_from_slice(&since.as_nanos().to_le_bytes());
    }
}

impl Fact for Arc<Path> {
    const PREFIX: &'static [u8] = b"real ";
    fn look(base: Base<'_>, path: &Path) -> io::Result<Self> {
        let real = std::fs::canonicalize(base.place(path))?;
        Ok(base.relative(path, real).into())
    }
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_os_str().as_encoded_bytes());
    }
}

fn observe<F: Fact>(base: Base<'_>, path: &Path) -> Result<F, SourceError> {
    F::look(base, path).map_err(|error| SourceError::io(path, error))
}

fn seen<F: Fact>(found: &Result<F, SourceError>, fingerprints: Fingerprints) -> Seen {
    match found {
        Ok(fact) => {
            let mut bytes = Vec::new();
            fact.encode(&mut bytes);
            Seen { content: fingerprints.digest(&bytes), stamp: None, racy: false }
        }
        Err(error) => seen_failing(error, fingerprints),
    }
}

struct FactId<F>(PhantomData<F>);

impl<F: Fact> Leaf for FactId<F> {
    type Key = (PathBuf,);
    type Output = Result<F, SourceError>;
    const KIND: SourceKind = SourceKind::Other;
    fn name((path,): &Self::Key) -> Option<Vec<u8>> {
        Some([F::PREFIX, &name_of(path)?].concat())
    }
    fn seen(output: &Self::Output, fingerprints: Fingerprints) -> Seen {
        seen(output, fingerprints)
    }
    fn changed((path,): &Self::Key, _: Digest) -> Option<Self::Output> {
        Some(Err(SourceError::changed(path)))
    }
}

const fn source<F: Fact>(
    name: &'static str,
    path: &'static str,
) -> TaskFn<(PathBuf,), Result<F, SourceError>> {
    let site = Site { name, path, file: file!(), line: line!() };
    TaskFn::new(type_id::<FactId<F>>(), site, |(path,): &(PathBuf,)| {
        with_base(|base| observe::<F>(base, path))
    })
    .describe(Describe::<(PathBuf,)>::DEBUG)
    .cutoff(Some(|left, right| left == right))
    .source(|_, _| false)
    .stored_leaf::<FactId<F>>()
}

const KIND: &TaskFn<(PathBuf,), Result<Option<EntryKind>, SourceError>> =
    &source("kind", "larder::fs::exists");
const METADATA: &TaskFn<(PathBuf,), Result<Metadata, SourceError>> =
    &source("metadata", "larder::fs::metadata");
const REAL: &TaskFn<(PathBuf,), Result<Arc<Path>, SourceError>> =
    &source("canonicalize", "larder::fs::canonicalize");

/// Looks at the fact of a name, if it is the name of one.
pub(super) fn look(base: Base<'_>, name: &[u8]) -> Option<Seen> {
    fn of<F: Fact>(base: Base<'_>, name: &[u8]) -> Option<Seen> {
        let path = path_of(name.strip_prefix(F::PREFIX)?)?;
        Some(seen(&observe::<F>(base, &path), base.0.fingerprints))
    }
    of::<Option<EntryKind>>(base, name)
        .or_else(|| of::<Metadata>(base, name))
        .or_else(|| of::<Arc<Path>>(base, name))
}
