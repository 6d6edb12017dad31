//! Stamps: what a file system tells of a file without its content being read.
//!
//! A file whose stamp is the one of the last look is taken for unchanged. That holds because a write sets the *time of change*,
//! which no program can put back, and because a stamp that is too young is not trusted:
//!
//! ```text
//! 10.000  a clock that moves every 4 ms says 9.996; a file is written, and gets 9.996 as its time of change
//! 10.001  the file is read, with its stamp
//! 10.002  another content of the same size is written, and the older time of modification is put back:
//!         the time of change is 9.996 again, so the stamp is equal and the content is not
//! ```
//!
//! At 10.001 the time of change is less than a step of that clock old. Such a stamp is *racy*: it proves nothing, and the next
//! look reads the content again. So does a young time of modification, for file systems whose time of change is only
//! a copy of it.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

#[cfg(windows)]
mod windows;

/// The metadata that a file system tells of a file without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Last change of the content, in seconds since 1970 and nanoseconds. Programs can set it to what they like.
    pub modified: (i64, u32),
    /// Last change of anything, the times included; zeros where it is not known.
    pub changed: (i64, u32),
    /// The file's number, where known: another one after a rename onto the name.
    pub inode: u64,
    /// The device the number counts on.
    pub device: u64,
}

/// The coarsest step in which a file system is known to keep times: FAT's.
const COARSEST: Duration = Duration::from_secs(2);

/// How far the clock that makes a file's times may be behind ours: it moves at ticks of the kernel (up to 16 ms), and may be the
/// clock of another machine.
const BEHIND: Duration = Duration::from_secs(2);

impl Stamp {
    /// Returns the stamp of what a path leads to, links followed.
    ///
    /// # Errors
    /// If the file system cannot tell.
    pub fn of_path(path: &Path) -> io::Result<Self> {
        #[cfg(windows)]
        return windows::stamp_of_path(path);
        #[cfg(not(windows))]
        std::fs::metadata(path).map(|metadata| Self::of(&metadata))
    }

    /// Returns the stamp of an open file: of this one, whatever its path leads to by now.
    ///
    /// # Errors
    /// If the file system cannot tell.
    pub fn of_file(file: &File) -> io::Result<Self> {
        #[cfg(windows)]
        return windows::stamp_of_file(file);
        #[cfg(not(windows))]
        file.metadata().map(|metadata| Self::of(&metadata))
    }

    /// Returns what metadata tells of a stamp: all of it on Unix.
    #[cfg(unix)]
    pub fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let nanos = |nanos: i64| u32::try_from(nanos).unwrap_or(0);
        Self {
            size: metadata.len(),
            modified: (metadata.mtime(), nanos(metadata.mtime_nsec())),
            changed: (metadata.ctime(), nanos(metadata.ctime_nsec())),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }

    /// Returns what metadata tells of a stamp: the size and the time of modification, without which it is always racy.
    #[cfg(not(unix))]
    pub fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().map(since_1970).unwrap_or_default();
        Self { size: metadata.len(), modified, ..Self::default() }
    }

    /// Returns whether the file could change after `observed` without its stamp changing, so that the stamp proves nothing and
    /// the content has to be read again.
    ///
    /// This is so where the file changed so shortly before that another change may get the same time, or after it by the file
    /// system's clock; where the time of change is not known; and of empty files, as the kernel's tables (`/proc`) say of
    /// themselves that they are empty, and reading one that is takes no time.
    pub fn is_racy(&self, observed: SystemTime) -> bool {
        let young = observed.checked_sub(self.step() + BEHIND).map_or((i64::MIN, 0), since_1970);
        self.size == 0 || self.changed == (0, 0) || self.changed >= young || self.modified >= young
    }

    /// Returns the longest step in which this file system can be keeping times, by the evidence of the time of change, which is
    /// always its own: 07.120000000 is kept in steps of 10 ms or less, a whole second perhaps in steps of two.
    fn step(&self) -> Duration {
        match self.changed.1 {
            0 => COARSEST,
            nanos => {
                let zeros = std::iter::successors(Some(nanos), |left| Some(left / 10))
                    .take_while(|left| left % 10 == 0)
                    .count();
                Duration::from_nanos((0..zeros).fold(1, |step, _| step * 10))
            }
        }
    }
}

fn since_1970(time: SystemTime) -> (i64, u32) {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => (i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_nanos()),
        Err(before) => (-i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX) - 1, 0),
    }
}
