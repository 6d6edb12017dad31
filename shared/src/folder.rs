//! An engine over a folder: on a network drive, say, or what a CI system saves and restores.

use std::fs;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::{Holder, Lease, Limits, MOST_PACK_BYTES, Put, SharedEngine, SharedError, SharedKey};

/// Keeps bytes in files below a folder. Each file is written beside its place and moved there, so readers see all of it or none.
#[derive(Debug)]
pub struct FolderEngine {
    folder: PathBuf,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

impl FolderEngine {
    /// Names the folder. It is made by the first [`SharedEngine::put`].
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    fn path(&self, key: &SharedKey) -> PathBuf {
        // The parts of a key hold no separator and are not all dots.
        key.to_string().split('/').fold(self.folder.clone(), |path, part| path.join(part))
    }
}

impl SharedEngine for FolderEngine {
    fn get(&self, keys: &[SharedKey], until: Instant) -> Result<Vec<Option<Vec<u8>>>, SharedError> {
        let read = |key| {
            if Instant::now() >= until {
                return Err(SharedError::Slow);
            }
            read(&self.path(key)).map_err(broken)
        };
        keys.iter().map(read).collect()
    }

    fn put(&self, items: &[(SharedKey, &[u8])], how: Put, until: Instant) -> Result<(), SharedError> {
        for (key, bytes) in items {
            if Instant::now() >= until {
                return Err(SharedError::Slow);
            }
            let path = self.path(key);
            if how == Put::IfAbsent && path.is_file() {
                continue;
            }
            write(&path, bytes).map_err(broken)?;
        }
        Ok(())
    }

    fn lease(
        &self,
        key: &SharedKey,
        holder: &Holder,
        lasts: Duration,
        until: Instant,
    ) -> Result<Lease, SharedError> {
        if Instant::now() >= until {
            return Err(SharedError::Slow);
        }
        let path = self.path(key);
        if take(&path, holder).map_err(broken)? {
            return Ok(Lease::Taken);
        }
        let is_own = read(&path).map_err(broken)?.is_some_and(|bytes| bytes == holder.to_bytes());
        if !is_own && !is_over(&path, lasts) {
            return Ok(Lease::Held);
        }
        write(&path, &holder.to_bytes()).map_err(broken)?;
        Ok(Lease::Taken)
    }

    fn end_lease(&self, key: &SharedKey, holder: &Holder, _: Instant) -> Result<(), SharedError> {
        let path = self.path(key);
        if read(&path).map_err(broken)?.is_some_and(|bytes| bytes == holder.to_bytes()) {
            fs::remove_file(path).map_err(broken)?;
        }
        Ok(())
    }

    fn limits(&self) -> Limits {
        Limits::default().keys(16)
    }
}

/// Makes the file of a lease, if there is none. A reader that sees it before its content takes it for one of another holder.
fn take(path: &Path, holder: &Holder) -> io::Result<bool> {
    let Some(folder) = path.parent() else { return Err(io::ErrorKind::InvalidInput.into()) };
    fs::create_dir_all(folder)?;
    match fs::File::create_new(path) {
        Ok(mut file) => file.write_all(&holder.to_bytes()).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a lease of this length that was written into a file is over: by the clock of the folder's machine and that of this one.
fn is_over(path: &Path, lasts: Duration) -> bool {
    let written = fs::metadata(path).and_then(|found| found.modified());
    written.map_or(true, |written| written.elapsed().is_ok_and(|passed| passed >= lasts))
}

fn broken(error: io::Error) -> SharedError {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            SharedError::Refused { reason: error.to_string().into() }
        }
        _ => SharedError::broken(error),
    }
}

/// Reads a regular file, and no more of it than can be of use.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    if !found.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MOST_PACK_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let Some(folder) = path.parent() else { return Err(io::ErrorKind::InvalidInput.into()) };
    fs::create_dir_all(folder)?;
    let beside = folder.join(format!(".new-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed)));
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}
