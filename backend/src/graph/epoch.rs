//! Epochs: the engine's count of the updates that changed something, and the places of a node that hold one.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// An epoch. Later ones are greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
#[repr(transparent)]
pub(crate) struct Epoch(u32);

impl Epoch {
    /// Stands before all epochs: for what has not happened.
    pub(crate) const NEVER: Self = Self(0);
    /// The epoch in which an engine begins.
    pub(crate) const FIRST: Self = Self(1);

    /// Returns the epoch after this one.
    #[inline]
    pub(crate) fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// Returns the bits of its number, to mix them into others.
    pub(crate) fn bits(self) -> u64 {
        u64::from(self.0)
    }
}

/// The place of an epoch. Claims and the gate say which thread may change it, and order it with other memory: so all accesses are
/// relaxed. The default is [`Epoch::NEVER`].
#[derive(Default)]
#[repr(transparent)]
pub(crate) struct AtomicEpoch(AtomicU32);

impl AtomicEpoch {
    pub(crate) const fn new(epoch: Epoch) -> Self {
        Self(AtomicU32::new(epoch.0))
    }

    #[inline]
    pub(crate) fn get(&self) -> Epoch {
        Epoch(self.0.load(Relaxed))
    }

    #[inline]
    pub(crate) fn set(&self, epoch: Epoch) {
        self.0.store(epoch.0, Relaxed);
    }

    /// Goes on to the next epoch, and returns it.
    pub(crate) fn advance(&self) -> Epoch {
        Epoch(self.0.fetch_add(1, Relaxed)).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_in_the_order_in_which_they_begin() {
        let now = AtomicEpoch::new(Epoch::FIRST);
        assert!(Epoch::NEVER < now.get());
        assert_eq!(now.advance(), Epoch::FIRST.next());
        assert!(Epoch::FIRST < now.get());
        assert_eq!(AtomicEpoch::default().get(), Epoch::NEVER);
    }
}
