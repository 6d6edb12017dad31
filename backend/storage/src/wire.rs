//! Reading and writing record payloads: fixed-size little-endian integers, digests, and counted bytes.
//!
//! Reading borrows and never allocates, so no length in a hostile record can ask for memory.

use super::Digest;

/// The payload ends early, or a number in it is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Reads from the front of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Reads so many bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Reads an array of bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Reads a number.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// Reads a number.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Reads a number.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Reads a number.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Reads a digest.
    pub fn digest(&mut self) -> Result<Digest, Malformed> {
        Ok(Digest::from_bytes(self.array()?))
    }

    /// Reads a `u32` length and so many bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.u32()?;
        self.take(len as usize)
    }

    /// Reads a `u32` count and so many items of `size` bytes, as one slice.
    pub fn items(&mut self, size: usize) -> Result<&'a [u8], Malformed> {
        let count = self.u32()? as usize;
        self.take(count.checked_mul(size).ok_or(Malformed)?)
    }

    /// Reads a `u32` count of items, each of at least `least` bytes. No more than `most`, and no more than can be there.
    pub fn count(&mut self, least: usize, most: usize) -> Result<usize, Malformed> {
        let count = self.u32()? as usize;
        if count > most || count.saturating_mul(least) > self.rest.len() { Err(Malformed) } else { Ok(count) }
    }

    /// Returns what has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Checks that nothing is left over.
    pub fn end(&self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// Appending to a payload.
pub trait Put {
    /// Appends a number.
    fn u8(&mut self, value: u8);
    /// Appends a number.
    fn u16(&mut self, value: u16);
    /// Appends a number.
    fn u32(&mut self, value: u32);
    /// Appends a number.
    fn u64(&mut self, value: u64);
    /// Appends a digest.
    fn digest(&mut self, value: Digest);
    /// Appends a `u32` length and the bytes.
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

/// Returns a length as a record holds it. Encoded values are limited to 256 MiB, so none is ever cut; if one were, the record
/// would not decode, which is a miss.
pub fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
