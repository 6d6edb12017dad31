//! By which function contents are digested: fast, or safe from those that choose the contents.
//!
//! A store and all that is shared of it are of one kind, which stands in the store's head (`MetaRecord`). Each digest of what others may choose goes
//! through [`Fingerprints::digest`]: contents and names of sources, encoded keys, values, reads. [`Digest::xxh3`] is for what the program itself
//! names: functions, code, channels, constants.
//!
//! For example, a colleague's pull request holds a file that was made to have the xxh3-128 of another one. With xxh3 the result of the one is then
//! served for the other; with BLAKE3 such a pair cannot be made.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use super::Digest;

/// The function by which the contents that a store knows are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fingerprints {
    /// xxh3-128. The default: fast, and safe as long as no file, name or value was made to deceive. It is known how two contents of one
    /// fingerprint are made.
    #[default]
    Xxh3,
    /// The first 128 bits of BLAKE3. For stores whose contents others choose, and the default where results are shared. To find two contents of one
    /// fingerprint takes some 2^64 attempts.
    #[cfg(feature = "blake3")]
    Blake3,
}

impl Fingerprints {
    /// Digests bytes.
    #[inline]
    #[must_use]
    pub fn digest(self, bytes: &[u8]) -> Digest {
        match self {
            Self::Xxh3 => Digest::xxh3(bytes),
            #[cfg(feature = "blake3")]
            Self::Blake3 => blake3_of(bytes),
        }
    }

    /// Returns the kind that contents have where others can write: BLAKE3, if this program has it.
    #[must_use]
    pub const fn strongest() -> Self {
        #[cfg(feature = "blake3")]
        return Self::Blake3;
        #[cfg(not(feature = "blake3"))]
        Self::Xxh3
    }

    /// Returns the name by which people know it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xxh3 => "xxh3-128",
            #[cfg(feature = "blake3")]
            Self::Blake3 => "blake3-128",
        }
    }

    /// Returns its number in the heads of stores.
    #[doc(hidden)]
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Xxh3 => 0,
            #[cfg(feature = "blake3")]
            Self::Blake3 => 1,
        }
    }

    /// Returns the kind of a number, if this program has it.
    #[doc(hidden)]
    #[must_use]
    pub const fn of_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Xxh3),
            #[cfg(feature = "blake3")]
            1 => Some(Self::Blake3),
            _ => None,
        }
    }
}

impl fmt::Display for Fingerprints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Out of line, so that the default does not carry the code of the other at each call.
#[cfg(feature = "blake3")]
#[inline(never)]
fn blake3_of(bytes: &[u8]) -> Digest {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = *blake3::hash(bytes).as_bytes();
    Digest::from_bytes([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
}

/// The kind of a store, which is known when it has been opened.
#[derive(Debug, Default)]
pub(crate) struct KindOfStore(AtomicU8);

impl KindOfStore {
    pub(crate) fn set(&self, fingerprints: Fingerprints) {
        self.0.store(fingerprints.number(), Relaxed);
    }

    #[inline]
    pub(crate) fn get(&self) -> Fingerprints {
        // It is set before other threads have the store.
        #[cfg(feature = "blake3")]
        if self.0.load(Relaxed) == Fingerprints::Blake3.number() {
            return Fingerprints::Blake3;
        }
        Fingerprints::Xxh3
    }
}
