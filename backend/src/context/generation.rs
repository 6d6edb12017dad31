//! Generations: numbers by which a cache knows that nodes have gone since it was filled.
//!
//! For example, a call box keeps a node of generation 7. When it looks again in generation 8, the node may have been freed, and the box
//! looks it up anew.

use std::sync::atomic::{AtomicU64, Ordering};

/// A generation of some engine. No two engines have had the same one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct Generation(u64);

impl Generation {
    /// Returns a generation that no engine has had.
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The current generation of an engine, in which it begins a new one at times.
pub(crate) struct AtomicGeneration(AtomicU64);

impl AtomicGeneration {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(Generation::new().0))
    }

    #[inline]
    pub(crate) fn get(&self, order: Ordering) -> Generation {
        Generation(self.0.load(order))
    }

    /// Begins a generation that no engine has had.
    pub(crate) fn renew(&self, order: Ordering) {
        self.0.store(Generation::new().0, order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_generation_comes_again_in_whatever_engine() {
        let (one, other) = (AtomicGeneration::new(), AtomicGeneration::new());
        let before = one.get(Ordering::Relaxed);
        assert_ne!(before, other.get(Ordering::Relaxed));
        one.renew(Ordering::Relaxed);
        assert!(![before, other.get(Ordering::Relaxed)].contains(&one.get(Ordering::Relaxed)));
    }
}
