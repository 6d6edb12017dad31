//! Places: how collections of hashed keys are divided, digit by digit of the hash.
//!
//! A digit has three bits, so a node has eight parts. With sixteen, lists would be short by a half on average after all of a level have
//! been divided: three rows each, of 200,000.

use serde::Serialize;

/// The bits of a digit.
const BITS: u32 = 3;
/// The parts of a node.
pub(super) const WAYS: usize = 1 << BITS;
/// The digits of a hash: where they are used up, a list is as long as it is.
pub(super) const DIGITS: u32 = u64::BITS / BITS;

/// The digit of a hash by which a node at this depth is divided.
pub(super) fn digit(hash: u64, depth: u32) -> usize {
    (hash >> (u64::BITS - BITS * (depth + 1))) as usize & (WAYS - 1)
}

/// A node of a tree of hashes: the first digits of all hashes below it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub(super) struct Place {
    digits: u64,
    depth: u32,
}

impl Place {
    pub(super) const ROOT: Self = Self { digits: 0, depth: 0 };

    /// The place of a hash at this depth, which is not 0.
    pub(super) fn of(hash: u64, depth: u32) -> Self {
        Self { digits: hash >> (u64::BITS - BITS * depth), depth }
    }

    pub(super) fn below(self, digit: usize) -> Self {
        Self { digits: self.digits << BITS | digit as u64, depth: self.depth + 1 }
    }

    /// The place above, its depth, and the digit that leads here; none for the root.
    pub(super) fn above(self) -> Option<(Self, u32, usize)> {
        let depth = self.depth.checked_sub(1)?;
        let digit = self.digits as usize & (WAYS - 1);
        Some((Self { digits: self.digits >> BITS, depth }, depth, digit))
    }

    /// Whether a hash belongs here.
    pub(super) fn holds(self, hash: u64) -> bool {
        self.depth == 0 || Self::of(hash, self.depth) == self
    }
}
