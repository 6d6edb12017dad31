//! The base directory: where relative paths start, so that a source has one name wherever its tree lies.
//!
//! For example, with the base `/home/ann/repo` the source `src/lib.rs` is the file `/home/ann/repo/src/lib.rs`. Its name, in memory
//! and in a store, is `src/lib.rs`; what is stored of its readers holds in `/build/repo`, too.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use larder_backend::storage::Digest;
use larder_backend::{Outside, from_outside};

/// The base directory of a runtime, if it has one, and by which the contents are told apart that are seen from there.
#[derive(Clone, Copy)]
pub(super) struct Base<'a>(pub(super) Outside<'a>);

/// Calls `look` with the base directory of the session that is open on this thread.
pub(super) fn with_base<R>(look: impl FnOnce(Base<'_>) -> R) -> R {
    from_outside(|outside| look(Base(outside)))
}

impl<'a> Base<'a> {
    /// The time, by which stamps are judged.
    pub(super) fn now(self) -> SystemTime {
        let now = SystemTime::now();
        now.checked_add(self.0.ahead).unwrap_or(now)
    }

    /// Returns the place in the file system that a path means.
    pub(super) fn place<'p>(self, path: &'p Path) -> Cow<'p, Path> {
        match self.of(path) {
            Some(base) => Cow::Owned(base.join(path)),
            None => Cow::Borrowed(path),
        }
    }

    /// Returns the path of an entry of a directory, relative if that of the directory is.
    pub(super) fn entry(self, dir: &Path, name: &OsStr) -> PathBuf {
        match self.of(dir) {
            Some(_) => slashed(dir.join(name)),
            None => dir.join(name),
        }
    }

    /// Returns the path of a place that `asked` leads to: relative if `asked` is, and the place is below the base directory.
    pub(super) fn relative(self, asked: &Path, place: PathBuf) -> PathBuf {
        let below = |base: &Path| {
            let base = std::fs::canonicalize(base).ok()?;
            let path = place.strip_prefix(base).ok()?;
            let is_base = path.as_os_str().is_empty();
            Some(slashed(if is_base { PathBuf::from(".") } else { path.to_owned() }))
        };
        self.of(asked).and_then(below).unwrap_or(place)
    }

    /// The base, if the path starts there.
    fn of(self, path: &Path) -> Option<&'a Path> {
        self.0.base.filter(|_| starts_at_base(path))
    }

    /// Digests a content.
    pub(super) fn digest(self, content: &[u8]) -> Digest {
        self.0.fingerprints.digest(content)
    }
}

/// Whether a path has neither a root nor a prefix (`C:`).
fn starts_at_base(path: &Path) -> bool {
    !matches!(path.components().next(), Some(Component::RootDir | Component::Prefix(_)))
}

/// Returns a path as sources are named by it. With a base directory, separators of relative paths are `/` on all systems.
#[inline(always)]
pub(super) fn spelled(path: &Path) -> Cow<'_, Path> {
    #[cfg(windows)]
    if starts_at_base(path) && from_outside(|outside| outside.base.is_some()) {
        return Cow::Owned(slashed(path.to_owned()));
    }
    Cow::Borrowed(path)
}

/// Returns a path with `/` between its parts. Elsewhere than on Windows, a `\` is a letter of a name.
fn slashed(path: PathBuf) -> PathBuf {
    match path.to_str() {
        Some(text) if cfg!(windows) && text.contains('\\') => text.replace('\\', "/").into(),
        _ => path,
    }
}
