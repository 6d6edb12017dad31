//! The store's file, and its place in the file system.
//!
//! A path may lead anywhere: to nothing, a link, a folder, a device, a pipe, a file of another program. Only a regular file is
//! ever opened; links are followed first, so that what is renamed is the file and never a link to it. The file is locked
//! before anything of it is read, and stays locked until the store is closed.
//!
//! A file that was deleted or replaced takes commits as if nothing had happened, and all of them are lost. So after each commit the
//! path is looked at ([`StoreFile::is_in_place`]).

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use super::SetAside;
use super::contain::Trouble;

/// Files that are set aside are numbered up to this one. A disk that damages every file is not filled with them.
const KEPT_ASIDE: u32 = 8;

/// An open file, locked.
pub(super) struct StoreFile {
    /// The path as it was asked for, from the root.
    asked: PathBuf,
    /// The file's own, behind all links.
    path: PathBuf,
    io: FileBackend,
    file: File,
    writable: bool,
    /// Reads fail, as on a disk that has errors.
    #[cfg(test)]
    pub(super) fails: std::sync::atomic::AtomicBool,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Access {
    /// To read and write; it is created with this mode if there is none.
    Write { mode: u32 },
    /// To read only.
    Read,
}

impl StoreFile {
    /// Opens the file at `path`, or creates an empty one, and locks it.
    pub(super) fn open(path: &Path, access: Access) -> Result<Self, Trouble> {
        let asked = std::path::absolute(path).map_err(Trouble::failed)?;
        // Each round, another process has put something else in its place between two looks.
        for _ in 0..16 {
            let target = behind_links(&asked).map_err(Trouble::failed)?;
            // Another process may have changed this since: there is a file now, or none any more.
            let (opened, race) = match (fs::symlink_metadata(&target), access) {
                (Err(error), Access::Write { mode }) if error.kind() == io::ErrorKind::NotFound => {
                    (create(&target, mode), io::ErrorKind::AlreadyExists)
                }
                (Err(error), _) => return Err(Trouble::failed(error)),
                (Ok(found), access) => {
                    check_kind(&found)?;
                    let writable = matches!(access, Access::Write { .. });
                    let opened = OpenOptions::new().read(true).write(writable).open(&target);
                    (opened, io::ErrorKind::NotFound)
                }
            };
            let file = match opened {
                Ok(file) => file,
                Err(error) if error.kind() == race => continue,
                Err(error) => return Err(Trouble::failed(error)),
            };
            check_kind(&file.metadata().map_err(Trouble::failed)?)?;
            let locked = Self::of(asked.clone(), target, file, access)?.locked()?;
            if locked.is_in_place() {
                return Ok(locked);
            }
        }
        Err(Trouble::failed(io::Error::other("the file is replaced again and again")))
    }

    /// A file without a name, which no other process has.
    pub(super) fn unnamed(path: &Path, file: File) -> Result<Self, Trouble> {
        Self::of(path.to_owned(), path.to_owned(), file, Access::Write { mode: 0 })
    }

    fn of(asked: PathBuf, path: PathBuf, file: File, access: Access) -> Result<Self, Trouble> {
        let io = FileBackend::new(file.try_clone().map_err(Trouble::failed)?)?;
        Ok(Self {
            asked,
            path,
            io,
            file,
            writable: matches!(access, Access::Write { .. }),
            #[cfg(test)]
            fails: std::sync::atomic::AtomicBool::new(false),
        })
    }

    fn locked(self) -> Result<Self, Trouble> {
        match lock(&self.io, self.writable) {
            Ok(true) => Ok(self),
            Ok(false) => Err(Trouble::Held),
            // Each page is checked, so that a writer that cannot be kept away is noticed.
            Err(_) if !self.writable => Ok(self),
            Err(error) => Err(Trouble::Unlockable(error.into())),
        }
    }

    /// The file's path, behind all links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_writable(&self) -> bool {
        self.writable
    }

    /// Whether the path still leads to this file. One that cannot be looked at may.
    pub(super) fn is_in_place(&self) -> bool {
        match (fs::metadata(&self.asked), self.file.metadata()) {
            (Ok(there), Ok(own)) => is_same(&there, &own),
            (Err(error), _) => error.kind() != io::ErrorKind::NotFound,
            _ => true,
        }
    }

    /// Renames the file to the first free `*.damaged-N`. Nothing is ever replaced.
    pub(super) fn set_aside(&self, reason: &str) -> io::Result<SetAside> {
        if !self.is_in_place() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "another file is in its place"));
        }
        for number in 1..=KEPT_ASIDE {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".damaged-{number}"));
            let question = PathBuf::from(name);
            // Ours from here on, so that the renaming replaces an empty file of our own.
            match File::create_new(&question) {
                Ok(_) => {
                    fs::rename(&self.path, &question).inspect_err(|_| drop(fs::remove_file(&question)))?;
                    sync_folder(&self.path);
                    return Ok(SetAside { path: question, reason: reason.into() });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        let text =
            format!("{reason}; and there are {KEPT_ASIDE} damaged files beside it already: remove some");
        Err(io::Error::new(io::ErrorKind::AlreadyExists, text))
    }

    pub(super) fn length(&self) -> io::Result<u64> {
        self.io.len()
    }

    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        #[cfg(test)]
        if self.fails.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(io::Error::other("the disk has an error"));
        }
        self.io.read(offset, out)
    }

    pub(super) fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.io.write(offset, data)
    }

    pub(super) fn set_length(&self, length: u64) -> io::Result<()> {
        self.io.set_len(length)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.io.sync_data()
    }

    /// Makes the file's name durable.
    pub(super) fn sync_name(&self) {
        sync_folder(&self.path);
    }
}

impl Drop for StoreFile {
    fn drop(&mut self) {
        // A child of this process may hold the file open as well, and with it the locks.
        let _ = self.io.close();
    }
}

/// Locks the ranges that redb's writers and readers lock, so that any program that uses redb sees it.
fn lock(io: &impl StorageBackend, exclusive: bool) -> Result<bool, BackendError> {
    const BASE: u64 = 1 << 62;
    let shared_writers = BASE + 1;
    let end = if exclusive { Included(shared_writers) } else { Excluded(shared_writers) };
    let ranges = [
        (Included(BASE + 1024), Unbounded),
        (Excluded(shared_writers), Excluded(BASE + 896)),
        (Unbounded, end),
    ];
    let try_lock = |(start, end): (Bound<u64>, Bound<u64>)| {
        if exclusive { io.try_lock_range(start, end) } else { io.try_lock_shared_range(start, end) }
    };
    for (taken, range) in ranges.into_iter().enumerate() {
        match try_lock(range) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(BackendError::Unsupported) => {
                for (start, end) in &ranges[..taken] {
                    io.unlock_range(*start, *end)?;
                }
                return try_lock((Unbounded, Unbounded));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Where a path leads to: the first name on the way that is no link, whether or not there is something.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..40 {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.file_type().is_symlink() => {
                let target = fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("/")).join(target);
            }
            _ => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

fn check_kind(found: &Metadata) -> Result<(), Trouble> {
    match found.file_type() {
        kind if kind.is_file() => Ok(()),
        kind if kind.is_dir() => Err(Trouble::NotAStore("it is a folder".into())),
        _ => Err(Trouble::NotAStore("it is no regular file".into())),
    }
}

#[cfg_attr(not(unix), expect(unused_variables, reason = "files have no mode there"))]
fn create(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    options.open(path)
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Files have no number there that the standard library knows of; and one that is open is not replaced.
#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}

/// Makes a new name durable, where folders can be synced. Without it a power cut may lose the file, which is a cold
/// start and nothing worse, so failing to is no error.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    /// Files without locks were opened as if they had some: two writers on a network file system.
    #[test]
    fn what_cannot_be_locked_is_told() {
        let memory = InMemoryBackend::new();
        assert!(matches!(lock(&memory, true), Err(BackendError::Unsupported)));
        assert!(matches!(lock(&memory, false), Err(BackendError::Unsupported)));
    }
}
