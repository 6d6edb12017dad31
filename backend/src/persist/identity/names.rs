//! Names: what is known of each task function, by its index.

use std::sync::OnceLock;

use super::Named;

/// Names by index, in layers that double, so that what is there never moves: each probe reads one, and takes no lock.
#[derive(Default)]
pub(super) struct Names {
    layers: [OnceLock<Box<[OnceLock<Named>]>>; 26],
}

impl Names {
    const FIRST_LAYER: usize = 64;

    /// The layer of an index, the layer's length, and the place in it.
    #[inline]
    fn place(index: u32) -> (usize, usize, usize) {
        let index = index as usize;
        let layer = (index / Self::FIRST_LAYER + 1).ilog2() as usize;
        let length = Self::FIRST_LAYER << layer;
        (layer, length, index - (length - Self::FIRST_LAYER))
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&Named> {
        let (layer, _, at) = Self::place(index);
        self.layers.get(layer)?.get()?.get(at)?.get()
    }

    /// Keeps the first name that an index is given.
    pub(super) fn insert(&self, index: u32, named: Named) -> Option<&Named> {
        let (layer, length, at) = Self::place(index);
        let layer = self.layers.get(layer)?.get_or_init(|| (0..length).map(|_| OnceLock::new()).collect());
        layer.get(at).map(|place| place.get_or_init(|| named))
    }
}
