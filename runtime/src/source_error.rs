//! `SourceError`: why a source could not be observed. It is a value: cached, compared, and looked at again by a refresh.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use larder_backend::storage::{Digest, Fingerprints};

/// Why a file, a directory or a pattern could not be read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SourceError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Clone, Debug)]
enum Problem {
    Io(io::ErrorKind, Arc<io::Error>),
    NotUtf8 { valid_up_to: usize, line: usize },
    Changed,
    NotAFile(&'static str),
    TooLarge { most: u64 },
    Pattern(String),
}

impl SourceError {
    pub(crate) fn io(path: &Path, error: io::Error) -> Self {
        Self { path: path.to_owned(), problem: Problem::Io(error.kind(), Arc::new(error)) }
    }
    pub(crate) fn not_utf8(path: &Path, bytes: &[u8], error: std::str::Utf8Error) -> Self {
        let valid_up_to = error.valid_up_to();
        let line = 1 + bytes[..valid_up_to].iter().filter(|&&byte| byte == b'\n').count();
        Self { path: path.to_owned(), problem: Problem::NotUtf8 { valid_up_to, line } }
    }
    pub(crate) fn changed(path: &Path) -> Self {
        Self { path: path.to_owned(), problem: Problem::Changed }
    }
    /// `what` is there instead of a regular file: "a FIFO".
    pub(crate) fn not_a_file(path: &Path, what: &'static str) -> Self {
        Self { path: path.to_owned(), problem: Problem::NotAFile(what) }
    }
    pub(crate) fn too_large(path: &Path, most: u64) -> Self {
        Self { path: path.to_owned(), problem: Problem::TooLarge { most } }
    }
    pub(crate) fn pattern(pattern: &str, message: impl fmt::Display) -> Self {
        Self { path: pattern.into(), problem: Problem::Pattern(message.to_string()) }
    }

    /// The digest that dependents compare across processes: equal errors have equal ones.
    pub(crate) fn fingerprint(&self, fingerprints: Fingerprints) -> Digest {
        let problem = match &self.problem {
            Problem::Io(kind, error) => match error.raw_os_error() {
                Some(code) => format!("io {kind:?} {code}"),
                None => format!("io {kind:?}"),
            },
            Problem::NotAFile(what) => format!("not a file but {what}"),
            Problem::TooLarge { .. } => "too large".to_owned(),
            Problem::NotUtf8 { valid_up_to, .. } => format!("not utf-8 {valid_up_to}"),
            Problem::Changed => "changed".to_owned(),
            Problem::Pattern(message) => format!("pattern {message}"),
        };
        fingerprints.digest(format!("larder error: {problem}").as_bytes())
    }

    /// Returns the path (or pattern) that was to be read.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the kind of the I/O error, if it was one.
    #[must_use]
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match &self.problem {
            Problem::Io(kind, _) => Some(*kind),
            _ => None,
        }
    }

    /// Returns how many bytes of the text are UTF-8, if not all of them are.
    #[must_use]
    pub fn valid_up_to(&self) -> Option<usize> {
        match self.problem {
            Problem::NotUtf8 { valid_up_to, .. } => Some(valid_up_to),
            _ => None,
        }
    }

    /// Returns the line of the first byte that is not UTF-8, counted from 1, if the text is not all UTF-8.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        match self.problem {
            Problem::NotUtf8 { line, .. } => Some(line),
            _ => None,
        }
    }

    /// Whether nothing is there under this path.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.io_kind() == Some(io::ErrorKind::NotFound)
    }

    /// Whether the path leads to something that is neither a regular file nor a directory: a FIFO, a socket, a device.
    #[must_use]
    pub fn is_special(&self) -> bool {
        matches!(self.problem, Problem::NotAFile(_))
    }

    /// Whether the file is larger than what is read.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self.problem, Problem::TooLarge { .. })
    }

    /// Whether the file changed between being observed and being read: the next refresh sees it as it is then.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        matches!(self.problem, Problem::Changed)
    }
}

impl PartialEq for SourceError {
    fn eq(&self, other: &Self) -> bool {
        let same = match (&self.problem, &other.problem) {
            (Problem::Io(left, left_error), Problem::Io(right, right_error)) => {
                left == right && left_error.raw_os_error() == right_error.raw_os_error()
            }
            (Problem::NotAFile(left), Problem::NotAFile(right)) => left == right,
            (Problem::TooLarge { .. }, Problem::TooLarge { .. }) => true,
            (
                Problem::NotUtf8 { valid_up_to: left, line: left_line },
                Problem::NotUtf8 { valid_up_to: right, line: right_line },
            ) => left == right && left_line == right_line,
            (Problem::Changed, Problem::Changed) => true,
            (Problem::Pattern(left), Problem::Pattern(right)) => left == right,
            _ => false,
        };
        // By its bytes, as it is shown.
        same && self.path.as_os_str() == other.path.as_os_str()
    }
}
impl Eq for SourceError {}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.problem {
            Problem::Io(_, error) => write!(f, "cannot read {path}: {error}"),
            Problem::NotUtf8 { valid_up_to, line } => {
                write!(f, "{path} is not UTF-8 from byte {valid_up_to} on, in line {line}")
            }
            Problem::Changed => write!(f, "{path} changed while it was read; refresh the runtime"),
            Problem::NotAFile(what) => write!(f, "{path} is not a file but {what}"),
            Problem::TooLarge { most } => write!(f, "{path} is larger than {most} bytes"),
            Problem::Pattern(message) => write!(f, "{path} is not a pattern: {message}"),
        }
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Io(_, error) => Some(&**error),
            _ => None,
        }
    }
}
