//! Sources and inputs: the leaves.
//!
//! ```text
//! a source, at its key:              an input, at its key:
//! 1       kind                       16      fingerprint of the value
//! 1       flags: 1 has a stamp,      4       length of the name
//!         2 racy; all others 0       length  the name
//! 4       length of the name         4       length of the encoded value
//! length  the name                   length  the encoded value
//! 16      content digest
//! 48      the stamp, if there is one: size (8), mtime seconds (8) and nanoseconds (4), ctime seconds (8) and
//!         nanoseconds (4), inode (8), device (8)
//! ```

use std::fs::Metadata;
use std::time::{Duration, SystemTime};

use super::super::Digest;
use super::super::wire::{Malformed, Put, Reader};
use super::NotARecord;

/// What kind of leaf a name is a name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum SourceKind {
    /// An input: set by the user, kept in table `Inputs`.
    Input = 0,
    /// The content of a file.
    File = 1,
    /// The listing of a directory.
    Directory = 2,
    /// An environment variable.
    Environment = 3,
    /// Anything else that the engine learns to observe.
    Other = 4,
}

/// The key of a source or input, in their tables and among the reads of a task.
pub fn source_key(kind: SourceKind, name: &[u8]) -> Digest {
    let mut bytes = Vec::with_capacity(name.len() + 16);
    // No encoded task key starts like this: those start with 16 bytes of digest. Here a constant stands in its place.
    bytes.extend_from_slice(b"larder source \0");
    bytes.push(kind as u8);
    bytes.extend_from_slice(name);
    Digest::of(&bytes)
}

/// What a file system tells of a file without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Last change of the content, in seconds since 1970 and nanoseconds.
    pub modified: (i64, u32),
    /// Last change of anything, where known.
    pub changed: (i64, u32),
    /// The file's number, where known: another one after a rename onto the name.
    pub inode: u64,
    /// The device the number counts on.
    pub device: u64,
}

/// File systems tell times in steps of up to two seconds (FAT).
const TIME_STEP: Duration = Duration::from_secs(2);

impl Stamp {
    /// The stamp of a file.
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

    /// The stamp of a file.
    #[cfg(not(unix))]
    pub fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().map(since_1970).unwrap_or_default();
        Self { size: metadata.len(), modified, ..Self::default() }
    }

    /// Whether the file could change after `observed` without its stamp changing: it was modified so shortly before
    /// that another write may get the same time. Such a stamp proves nothing; the content has to be read again. A
    /// clock that runs behind the file system's makes files look modified in the future: racy as well.
    pub fn is_racy(&self, observed: SystemTime) -> bool {
        let settled = observed.checked_sub(TIME_STEP).map(since_1970).unwrap_or((i64::MIN, 0));
        self.modified >= settled
    }
}

fn since_1970(time: SystemTime) -> (i64, u32) {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => (i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_nanos()),
        Err(before) => (-i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX) - 1, 0),
    }
}

/// A source as it was last seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceRecord<'a> {
    /// What it is.
    pub kind: SourceKind,
    /// Its path or name.
    pub name: &'a [u8],
    /// Its stamp; none if it has none or did not exist.
    pub stamp: Option<Stamp>,
    /// Whether the stamp proves nothing: see [`Stamp::is_racy`].
    pub racy: bool,
    /// The digest of its content: the fingerprint that its readers recorded.
    pub content: Digest,
}

const STAMPED: u8 = 1;
const RACY: u8 = 2;

impl<'a> SourceRecord<'a> {
    /// The source's key.
    pub fn key(&self) -> Digest {
        source_key(self.kind, self.name)
    }

    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) {
        out.u8(self.kind as u8);
        out.u8(self.stamp.map_or(0, |_| STAMPED) | if self.racy { RACY } else { 0 });
        out.counted(self.name);
        out.digest(self.content);
        if let Some(stamp) = &self.stamp {
            out.u64(stamp.size);
            for (seconds, nanos) in [stamp.modified, stamp.changed] {
                out.u64(seconds.cast_unsigned());
                out.u32(nanos);
            }
            out.u64(stamp.inode);
            out.u64(stamp.device);
        }
    }

    /// Reads the source that `payload` is.
    pub fn decode(payload: &'a [u8]) -> Result<Self, NotARecord> {
        let mut reader = Reader::new(payload);
        let kind = match reader.u8()? {
            1 => SourceKind::File,
            2 => SourceKind::Directory,
            3 => SourceKind::Environment,
            4 => SourceKind::Other,
            _ => return Err(NotARecord),
        };
        let flags = reader.u8()?;
        if flags & !(STAMPED | RACY) != 0 {
            return Err(NotARecord);
        }
        let name = reader.bytes()?;
        let content = reader.digest()?;
        let stamp = if flags & STAMPED != 0 { Some(read_stamp(&mut reader)?) } else { None };
        reader.end()?;
        Ok(Self { kind, name, stamp, racy: flags & RACY != 0, content })
    }
}

fn read_stamp(reader: &mut Reader<'_>) -> Result<Stamp, Malformed> {
    let size = reader.u64()?;
    let mut time = || Ok((reader.u64()?.cast_signed(), reader.u32()?));
    let (modified, changed) = (time()?, time()?);
    Ok(Stamp { size, modified, changed, inode: reader.u64()?, device: reader.u64()? })
}

/// An input as it was last set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputRecord<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// The fingerprint of its value.
    pub fingerprint: Digest,
    /// Its value, encoded.
    pub value: &'a [u8],
}

impl<'a> InputRecord<'a> {
    /// The input's key.
    pub fn key(&self) -> Digest {
        source_key(SourceKind::Input, self.name)
    }

    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) {
        out.digest(self.fingerprint);
        out.counted(self.name);
        out.counted(self.value);
    }

    /// Reads the input that `payload` is.
    pub fn decode(payload: &'a [u8]) -> Result<Self, NotARecord> {
        let mut reader = Reader::new(payload);
        let record = Self { fingerprint: reader.digest()?, name: reader.bytes()?, value: reader.bytes()? };
        reader.end()?;
        Ok(record)
    }
}
