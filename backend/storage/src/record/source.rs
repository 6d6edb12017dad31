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

use super::super::wire::{Malformed, Put, Reader};
use super::super::{Digest, Fingerprints};
use super::{NotARecord, Stamp};

/// The kind of leaf that a name stands for.
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
    /// A moment at which a result expires: whether it has passed. Its name is the key of the task (16 bytes) and the milliseconds from 1970 on (8).
    Deadline = 5,
}

impl SourceKind {
    /// Returns the kind of a number, if there is one.
    pub fn of(number: u8) -> Option<Self> {
        let kinds =
            [Self::Input, Self::File, Self::Directory, Self::Environment, Self::Other, Self::Deadline];
        kinds.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// Returns the key of a source or input, in their tables and among the reads of a task, in a store of these fingerprints.
pub fn source_key(fingerprints: Fingerprints, kind: SourceKind, name: &[u8]) -> Digest {
    let mut bytes = Vec::with_capacity(name.len() + 16);
    // No encoded task key starts like this: those start with 16 bytes of digest. Here a constant stands in its place.
    bytes.extend_from_slice(b"larder source \0");
    bytes.push(kind as u8);
    bytes.extend_from_slice(name);
    fingerprints.digest(&bytes)
}

/// A source as it was last seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceRecord<'a> {
    /// The kind.
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
    /// Returns the source's key in a store of these fingerprints.
    pub fn key(&self, fingerprints: Fingerprints) -> Digest {
        source_key(fingerprints, self.kind, self.name)
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
        let kind =
            SourceKind::of(reader.u8()?).filter(|kind| *kind != SourceKind::Input).ok_or(NotARecord)?;
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
    /// Returns the input's key in a store of these fingerprints.
    pub fn key(&self, fingerprints: Fingerprints) -> Digest {
        source_key(fingerprints, SourceKind::Input, self.name)
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
