//! Task functions by id, so that sizes and reports can name them.
//!
//! ```text
//! 16      code identity
//! 4       length of the path
//! length  the path, UTF-8
//! ```

use super::super::wire::{Put, Reader};
use super::super::{Digest, FunctionId};
use super::NotARecord;

const LOSSY: &str = "lossy ";
const SHARED: &str = "shared ";
const LOCAL: &str = "local ";
const GOOD: &str = "good ";

/// Returns where the table of the store's own records tells that what a function stores does not come back as it was.
pub fn lossy_key(id: FunctionId) -> Vec<u8> {
    format!("{LOSSY}{}", id.0).into_bytes()
}

/// Whether a key is one of these.
pub(crate) fn is_lossy_key(key: &[u8]) -> bool {
    key.starts_with(LOSSY.as_bytes())
}

/// Returns where that table tells that other builds are given the results of a function.
pub fn shared_key(id: FunctionId) -> Vec<u8> {
    format!("{SHARED}{}", id.0).into_bytes()
}

/// Returns where that table tells that results of a function stay on their machine.
pub fn local_key(id: FunctionId) -> Vec<u8> {
    format!("{LOCAL}{}", id.0).into_bytes()
}

/// Returns where that table tells that a function hands its last good result out in place of one that is not to be kept.
pub fn good_key(id: FunctionId) -> Vec<u8> {
    format!("{GOOD}{}", id.0).into_bytes()
}

/// Whether a key is one of these.
pub(crate) fn is_good_key(key: &[u8]) -> bool {
    key.starts_with(GOOD.as_bytes())
}

/// Whether a key is that of a function which is shared between builds, or of one which stays on its machine.
pub(crate) fn is_sharing_key(key: &[u8]) -> (bool, bool) {
    (key.starts_with(SHARED.as_bytes()), key.starts_with(LOCAL.as_bytes()))
}

/// A task function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionRecord<'a> {
    /// Its stable path.
    pub path: &'a str,
    /// Its code identity.
    pub code: Digest,
}

impl<'a> FunctionRecord<'a> {
    /// Returns the function's id.
    pub fn id(&self) -> FunctionId {
        FunctionId::new(self.path, self.code)
    }

    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) {
        out.digest(self.code);
        out.counted(self.path.as_bytes());
    }

    /// Reads the function that `payload` is.
    pub fn decode(payload: &'a [u8]) -> Result<Self, NotARecord> {
        let mut reader = Reader::new(payload);
        let code = reader.digest()?;
        let path = std::str::from_utf8(reader.bytes()?).map_err(|_| NotARecord)?;
        reader.end()?;
        Ok(Self { path, code })
    }
}
