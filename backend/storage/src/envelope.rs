//! The envelope around every record of every store, and why one is rejected.
//!
//! ```text
//! offset  bytes  what
//! 0       1      version of the envelope and of all record layouts
//! 1       8      xxh3-64(payload) xor xxh3-64(key, seed = version * 256 + table), little-endian
//! 9       n      payload
//! ```
//! Table and key are part of the checksum, so that a record found in the wrong place (a store that mixes up its
//! pages) is rejected as surely as a damaged one. Two independent hashes combined by `xor` need no copy of key and
//! payload into one buffer, and use the fast path of short inputs.

use std::fmt;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::{Batch, Table};

/// The version of the envelope and of all record layouts. Any change to either gets a new number.
pub const ENVELOPE_VERSION: u8 = 3;
/// How much longer a sealed record is than its payload.
pub const ENVELOPE_BYTES: usize = 9;

/// Why a record was not used. It is a miss then, never an error and never a wrong value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rejected {
    /// Shorter than an envelope.
    Truncated,
    /// Another version of the envelope.
    Version,
    /// The checksum does not hold: damaged, or a record of another key or table.
    Checksum,
    /// The checksum holds and the payload is not what its table holds.
    Decode,
    /// The record is sound, of another task: a collision of digests.
    OtherKey,
    /// The store as a whole is of another format, codec or endianness.
    Foreign,
    /// The store as a whole has digests of another kind than the program asks for, or than it has: see [`Fingerprints`](super::Fingerprints).
    Fingerprints,
}

impl Rejected {
    /// All reasons; `reason as usize` is an index into it.
    pub const ALL: [Self; 7] = [
        Self::Truncated,
        Self::Version,
        Self::Checksum,
        Self::Decode,
        Self::OtherKey,
        Self::Foreign,
        Self::Fingerprints,
    ];
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "truncated",
            Self::Version => "of another version",
            Self::Checksum => "checksum does not hold",
            Self::Decode => "does not decode",
            Self::OtherKey => "of another key with the same digest",
            Self::Foreign => "of another format, codec or endianness",
            Self::Fingerprints => "of other fingerprints",
        })
    }
}

impl Batch {
    /// Puts a sealed record at `key`, whose payload `fill` appends. All records that [`Guarded`] is to read are
    /// written like this.
    ///
    /// [`Guarded`]: super::Guarded
    pub fn seal(&mut self, table: Table, key: &[u8], fill: impl FnOnce(&mut Vec<u8>)) {
        self.put_with(table, key, |key, out| {
            let start = out.len();
            out.extend_from_slice(&[0; ENVELOPE_BYTES]);
            fill(out);
            let sum = checksum(table, key, &out[start + ENVELOPE_BYTES..]).to_le_bytes();
            out[start] = ENVELOPE_VERSION;
            out[start + 1..start + ENVELOPE_BYTES].copy_from_slice(&sum);
        });
    }
}

/// The payload of a sealed record, after every check that needs no decoding.
#[inline]
pub(super) fn open<'a>(table: Table, key: &[u8], record: &'a [u8]) -> Result<&'a [u8], Rejected> {
    let Some((&[version, ref sum @ ..], payload)) = record.split_first_chunk::<ENVELOPE_BYTES>() else {
        return Err(Rejected::Truncated);
    };
    if version != ENVELOPE_VERSION {
        return Err(Rejected::Version);
    }
    if u64::from_le_bytes(*sum) != checksum(table, key, payload) {
        return Err(Rejected::Checksum);
    }
    Ok(payload)
}

#[inline]
fn checksum(table: Table, key: &[u8], payload: &[u8]) -> u64 {
    let seed = u64::from(ENVELOPE_VERSION) << 8 | table as u64;
    xxh3_64(payload) ^ xxh3_64_with_seed(key, seed)
}
