//! Leases: so that of several machines one runs what takes long, and the others wait for its result.

use crate::KeyError;

/// A holder of leases: a process, by a number that no other one has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Holder([u8; 16]);

impl Holder {
    /// Makes a holder by random bytes of the system.
    ///
    /// # Errors
    /// If there are none.
    pub fn new() -> Result<Self, KeyError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|_| KeyError::NoRandom)?;
        Ok(Self(bytes))
    }

    /// Returns its number.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

/// The answer to a holder that asked for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lease {
    /// It has it now.
    Taken,
    /// Another one has it.
    Held,
    /// The engine has no leases.
    NotSupported,
}
