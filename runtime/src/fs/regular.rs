//! Regular files: opened without waiting for anything, and read within bounds.
//!
//! A path that leads to a FIFO, a socket or a device is an error before it is opened: opening alone may wait for another process
//! without end, or act (a tape rewinds). Something else may come into its place between the look and the opening, so the file is
//! opened in a way that does not wait, and looked at again by its handle. From then on only the handle is asked: the stamp is of
//! the file that is read, wherever the path leads by now.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use larder_backend::storage::record::Stamp;

use crate::source_error::SourceError;

/// The largest file that is read: all of it is in memory while a task reads it.
const LARGEST: u64 = 1 << 30;

/// How much more than its stamp says a file may have: files grow while they are read, tables of the kernel say nothing of their size,
/// and some of these have no end (`/proc/self/pagemap`).
const MOST_UNTOLD: u64 = 64 << 20;

/// A regular file, open, with the stamp that it had before it was read.
pub(super) struct Regular<'a> {
    path: &'a Path,
    file: File,
    pub(super) stamp: Stamp,
    pub(super) racy: bool,
}

impl<'a> Regular<'a> {
    /// Opens the file at `place`, which errors call `path`.
    ///
    /// `observed` is the time before that: a change that comes after the stamp must not look older.
    pub(super) fn open(path: &'a Path, place: &Path, observed: SystemTime) -> Result<Self, SourceError> {
        let failed = |error| SourceError::io(path, error);
        check(path, &std::fs::metadata(place).map_err(failed)?)?;
        let file = open_without_waiting(place).map_err(failed)?;
        check(path, &file.metadata().map_err(failed)?)?;
        let stamp = Stamp::of_file(&file).map_err(failed)?;
        if stamp.size > LARGEST {
            return Err(SourceError::too_large(path, LARGEST));
        }
        Ok(Self { path, file, stamp, racy: stamp.is_racy(observed) })
    }

    /// Reads all of it. A file that turns out longer or shorter than its stamp says is being written, or is a table of the kernel
    /// that has no size: its stamp proves nothing, and is racy from here on.
    pub(super) fn read(&mut self) -> Result<Arc<[u8]>, SourceError> {
        let bytes = self.read_bounded().map_err(|error| SourceError::io(self.path, error))?;
        let bytes = bytes.ok_or_else(|| SourceError::too_large(self.path, self.stamp.size + MOST_UNTOLD))?;
        self.racy |= bytes.len() as u64 != self.stamp.size;
        Ok(bytes)
    }

    /// `None` if there is more than may be untold.
    fn read_bounded(&mut self) -> io::Result<Option<Arc<[u8]>>> {
        let size = usize::try_from(self.stamp.size).map_err(|_| ErrorKind::OutOfMemory)?;
        // A vector that is read into would be copied when it becomes shared.
        let mut bytes: Arc<[u8]> = room(size)?;
        let place = Arc::get_mut(&mut bytes).unwrap_or_default();
        let filled = fill(&mut self.file, place)?;
        if filled < size {
            return Ok(Some(bytes[..filled].into()));
        }
        let mut more = Vec::new();
        (&mut self.file).take(MOST_UNTOLD + 1).read_to_end(&mut more)?;
        if more.is_empty() {
            return Ok(Some(bytes));
        }
        if more.len() as u64 > MOST_UNTOLD {
            return Ok(None);
        }
        has_room(size + more.len())?;
        Ok(Some(bytes.iter().copied().chain(more).collect()))
    }
}

/// Room for so many bytes, or an error if there is none: what asks for the memory of an `Arc` aborts the process then.
fn room(size: usize) -> io::Result<Arc<[u8]>> {
    has_room(2 * size)?;
    // The zeros of the vector are never written, so the system gives no memory for them.
    Ok(vec![0; size].into())
}

/// Returns an error if so many bytes cannot be had.
pub(super) fn has_room(size: usize) -> io::Result<()> {
    let mut tried = Vec::<u8>::new();
    tried.try_reserve_exact(size).map_err(|_| ErrorKind::OutOfMemory.into())
}

fn fill(file: &mut File, place: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < place.len() {
        match file.read(&mut place[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Returns an error for anything but a regular file.
fn check(path: &Path, metadata: &Metadata) -> Result<(), SourceError> {
    if metadata.is_file() {
        Ok(())
    } else if metadata.is_dir() {
        Err(SourceError::io(path, ErrorKind::IsADirectory.into()))
    } else {
        Err(SourceError::not_a_file(path, special(metadata)))
    }
}

#[cfg(unix)]
fn special(metadata: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let file_type = metadata.file_type();
    match () {
        () if file_type.is_fifo() => "a FIFO",
        () if file_type.is_socket() => "a socket",
        () if file_type.is_char_device() || file_type.is_block_device() => "a device",
        () => "something else",
    }
}

#[cfg(not(unix))]
fn special(_: &Metadata) -> &'static str {
    "something else"
}

/// Opens a file for reading. A FIFO without a writer would be waited for; so would a terminal's line. A lease on the file (as file
/// servers take) makes such an opening fail until its holder has let go, which takes a moment.
#[cfg(unix)]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    use std::time::Duration;
    const ATTEMPTS: usize = 50;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    for _ in 1..ATTEMPTS {
        match options.open(path) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(20))
            }
            opened => return opened,
        }
    }
    options.open(path)
}

#[cfg(not(unix))]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}
