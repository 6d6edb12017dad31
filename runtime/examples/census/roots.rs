//! From what the user named to what is counted: absolute paths, each thing once.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::model::{Diagnostic, Problem};

/// A directory with a file of this name holds what can be made again; Cargo tags `target` so.
pub const CACHE_TAG: &str = "CACHEDIR.TAG";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    pub dirs: Vec<PathBuf>,
    /// Files outside of `dirs`.
    pub files: Vec<PathBuf>,
    /// The path does not exist, or is neither a file nor a directory.
    pub missing: Vec<Diagnostic>,
}

impl Roots {
    pub fn resolve(paths: &[PathBuf]) -> Roots {
        let mut roots = Roots::default();
        let (mut dirs, mut files) = (BTreeSet::new(), BTreeSet::new());
        for path in paths {
            // Results are kept under absolute paths, so that they hold wherever the next run is started.
            match path.canonicalize().and_then(|path| Ok((path.metadata()?, path))) {
                Ok((metadata, path)) if metadata.is_dir() => drop(dirs.insert(path)),
                Ok((metadata, path)) if metadata.is_file() => drop(files.insert(path)),
                other => {
                    let error =
                        other.err().unwrap_or_else(|| io::Error::other("neither a file nor a directory"));
                    let message = error.to_string().to_lowercase();
                    let (file, problem) = (path.as_path().into(), Problem::Unreadable);
                    roots.missing.push(Diagnostic { file, line: None, problem, message });
                }
            }
        }
        roots.dirs =
            dirs.iter().filter(|dir| !dirs.iter().any(|root| walk_reaches(root, dir))).cloned().collect();
        files.retain(|file| !dirs.iter().any(|dir| Some(dir.as_path()) == file.parent()));
        files.retain(|file| {
            !dirs.iter().any(|dir| file.parent().is_some_and(|parent| walk_reaches(dir, parent)))
        });
        roots.files = files.into_iter().collect();
        roots
    }

    /// Returns the roots by paths relative to a directory that holds all of it.
    pub fn relative_to(&self, base: &Path) -> Result<Roots, String> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", base.display());
        let base = base.canonicalize().map_err(|error| failed(&error))?;
        let relative = |path: &PathBuf| match path.strip_prefix(&base) {
            Ok(path) => Ok(path.to_owned()),
            Err(_) => Err(failed(&format_args!("{} is not in it", path.display()))),
        };
        Ok(Roots {
            dirs: self.dirs.iter().map(relative).collect::<Result<_, _>>()?,
            files: self.files.iter().map(relative).collect::<Result<_, _>>()?,
            missing: self.missing.clone(),
        })
    }

    /// The deepest directory that holds all of it.
    pub fn base(&self) -> PathBuf {
        let parents = self.files.iter().filter_map(|file| file.parent());
        common_ancestor(self.dirs.iter().map(PathBuf::as_path).chain(parents))
    }
}

/// The deepest directory at or above all of `dirs`.
pub fn common_ancestor<'a>(mut dirs: impl Iterator<Item = &'a Path>) -> PathBuf {
    let Some(first) = dirs.next() else { return PathBuf::new() };
    dirs.fold(first.to_owned(), |base, dir| {
        base.components().zip(dir.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
    })
}

/// Whether a walk from `root` comes to the directory `dir` below it.
fn walk_reaches(root: &Path, dir: &Path) -> bool {
    let Ok(way) = dir.strip_prefix(root) else { return false };
    let mut at = root.to_owned();
    let passes = |name: &std::ffi::OsStr| {
        at.push(name);
        !name.as_encoded_bytes().starts_with(b".") && !at.join(CACHE_TAG).is_file()
    };
    root != dir && way.iter().all(passes)
}

/// The list on standard input. Of files only sources are kept, so that `git ls-files` can be piped in as it is.
pub fn from_standard_input() -> io::Result<Vec<PathBuf>> {
    let mut list = Vec::new();
    io::stdin().lock().read_to_end(&mut list)?;
    let end = if list.contains(&0) { 0 } else { b'\n' };
    let lines = list.split(|&byte| byte == end).map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let paths = lines.filter(|line| !line.is_empty()).map(path_of);
    Ok(paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs") || path.is_dir())
        .collect())
}

#[cfg(unix)]
fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(bytes).into()
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> PathBuf {
    String::from_utf8_lossy(bytes).into_owned().into()
}
