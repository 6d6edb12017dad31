//! Stamps on Windows: the time of change and a file's number, for which the standard library has no stable name.

use std::fs::{File, OpenOptions};
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::AsRawHandle;
use std::path::Path;

use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_BASIC_INFO, FILE_FLAG_BACKUP_SEMANTICS, FILE_READ_ATTRIBUTES,
    FileBasicInfo, GetFileInformationByHandle, GetFileInformationByHandleEx,
};

use super::Stamp;

/// Opens what a path leads to, as `std::fs::metadata` does: for its attributes only, and directories too.
pub(super) fn stamp_of_path(path: &Path) -> io::Result<Stamp> {
    let mut options = OpenOptions::new();
    options.access_mode(FILE_READ_ATTRIBUTES).custom_flags(FILE_FLAG_BACKUP_SEMANTICS);
    stamp_of_file(&options.open(path)?)
}

pub(super) fn stamp_of_file(file: &File) -> io::Result<Stamp> {
    let handle = file.as_raw_handle();
    let mut place = MaybeUninit::<BY_HANDLE_FILE_INFORMATION>::uninit();
    // SAFETY: 1. the handle is open as long as `file` is borrowed; 2. the place is as large as what is written.
    if unsafe { GetFileInformationByHandle(handle, place.as_mut_ptr()) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has succeeded, and fills all of it.
    let known = unsafe { place.assume_init() };
    let mut place = MaybeUninit::<FILE_BASIC_INFO>::uninit();
    let size = size_of::<FILE_BASIC_INFO>() as u32;
    // SAFETY: 1. as above; 2. the class `FileBasicInfo` writes a `FILE_BASIC_INFO`, whose size is told.
    if unsafe { GetFileInformationByHandleEx(handle, FileBasicInfo, place.as_mut_ptr().cast(), size) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above.
    let times = unsafe { place.assume_init() };
    Ok(Stamp {
        size: joined(known.nFileSizeHigh, known.nFileSizeLow),
        modified: since_1970(times.LastWriteTime),
        changed: since_1970(times.ChangeTime),
        inode: joined(known.nFileIndexHigh, known.nFileIndexLow),
        device: known.dwVolumeSerialNumber.into(),
    })
}

fn joined(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// Converts hundreds of nanoseconds since 1601; a zero says that the file system keeps no such time.
fn since_1970(ticks: i64) -> (i64, u32) {
    const PER_SECOND: i64 = 10_000_000;
    const FROM_1601_TO_1970: i64 = 11_644_473_600;
    if ticks == 0 {
        return (0, 0);
    }
    // The remainder is not negative and below a second.
    let nanos = u32::try_from(ticks.rem_euclid(PER_SECOND) * 100).unwrap_or(0);
    (ticks.div_euclid(PER_SECOND) - FROM_1601_TO_1970, nanos)
}
