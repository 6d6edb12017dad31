//! Reading and writing record payloads: fixed-size little-endian integers, digests, and counted bytes.
//!
//! Reading borrows and never allocates, so no length in a hostile record can ask for memory.

use super::Digest;

/// The payload ends early, or a number in it is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn digest(&mut self) -> Result<Digest, Malformed> {
        Ok(Digest::from_bytes(self.array()?))
    }

    /// A `u32` length and so many bytes.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.u32()?;
        self.take(len as usize)
    }

    /// A `u32` count and so many items of `size` bytes, as one slice.
    pub(super) fn items(&mut self, size: usize) -> Result<&'a [u8], Malformed> {
        let count = self.u32()? as usize;
        self.take(count.checked_mul(size).ok_or(Malformed)?)
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Nothing may be left over.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// Appending to a payload.
pub(super) trait Put {
    fn u8(&mut self, value: u8);
    fn u16(&mut self, value: u16);
    fn u32(&mut self, value: u32);
    fn u64(&mut self, value: u64);
    fn digest(&mut self, value: Digest);
    fn counted(&mut self, bytes: &[u8]);
}

impl Put for Vec<u8> {
    fn u8(&mut self, value: u8) {
        self.push(value);
    }

    fn u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn digest(&mut self, value: Digest) {
        self.extend_from_slice(&value.to_bytes());
    }

    fn counted(&mut self, bytes: &[u8]) {
        self.u32(count(bytes.len()));
        self.extend_from_slice(bytes);
    }
}

/// A length as a record holds it. Encoded values are limited to 256 MiB, so none is ever cut; if one were, the record
/// would not decode, which is a miss.
pub(super) fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
