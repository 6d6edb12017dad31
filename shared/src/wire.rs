//! Bytes to numbers and back. Little-endian; a length is compared with what is left before it is used.

pub(crate) use larder_storage::wire::{Malformed, Reader};

/// Appends a length and so many bytes.
///
/// # Panics
/// If there are 4 GiB of them, which no bound lets through.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends a number of items or bytes.
///
/// # Panics
/// If there are 4 billion of them, which no bound lets through.
pub(crate) fn put_count(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("what is counted is within bounds far below 4 billion");
    out.extend_from_slice(&count.to_le_bytes());
}
