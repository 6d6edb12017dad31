//! What one encoding or decoding may still use: depth and elements.

use std::cell::Cell;

use super::MAX_DEPTH;

/// A level runs on the present stack while this much of it is left: more than one level of any sane type needs.
const RED_ZONE: usize = 128 << 10;
/// The size of each further piece of stack.
const STACK_PIECE: usize = 2 << 20;
/// Elements that may take no bytes (`Vec<()>`), beyond one for each byte of input.
const FREE_ELEMENTS: u64 = 1 << 16;

/// Which bound was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Depth,
    Elements,
}

impl Broken {
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Depth => "nested too deep",
            Self::Elements => "too many elements",
        }
    }
}

/// Shared by all levels of one encoding or decoding.
pub(super) struct Bounds {
    depth: Cell<u32>,
    elements: Cell<u64>,
    broken: Cell<Option<Broken>>,
}

impl Bounds {
    pub(super) fn for_encoding() -> Self {
        Self { depth: Cell::new(MAX_DEPTH), elements: Cell::new(u64::MAX), broken: Cell::new(None) }
    }

    pub(super) fn for_decoding(bytes: usize) -> Self {
        let elements = bytes as u64 + FREE_ELEMENTS;
        // Encoding does not count the outermost value, decoding does: what was encoded must decode.
        Self { depth: Cell::new(MAX_DEPTH + 1), elements: Cell::new(elements), broken: Cell::new(None) }
    }

    /// The first bound that was broken, if one was.
    pub(super) fn broken(&self) -> Option<Broken> {
        self.broken.get()
    }

    /// Runs one level deeper, on a new piece of stack if the present one is nearly used up.
    #[inline]
    pub(super) fn deeper<R, E>(
        &self,
        error: impl FnOnce(&'static str) -> E,
        level: impl FnOnce() -> Result<R, E>,
    ) -> Result<R, E> {
        let left = self.depth.get();
        if left == 0 {
            return Err(error(self.fail(Broken::Depth)));
        }
        self.depth.set(left - 1);
        let result = stacker::maybe_grow(RED_ZONE, STACK_PIECE, level);
        self.depth.set(left);
        result
    }

    /// Counts one element of a sequence or map.
    #[inline]
    pub(super) fn element<E>(&self, error: impl FnOnce(&'static str) -> E) -> Result<(), E> {
        match self.elements.get().checked_sub(1) {
            Some(left) => {
                self.elements.set(left);
                Ok(())
            }
            None => Err(error(self.fail(Broken::Elements))),
        }
    }

    /// How many elements can still come: what a size hint may promise.
    pub(super) fn elements_left(&self) -> usize {
        usize::try_from(self.elements.get()).unwrap_or(usize::MAX)
    }

    #[cold]
    fn fail(&self, broken: Broken) -> &'static str {
        if self.broken.get().is_none() {
            self.broken.set(Some(broken));
        }
        broken.message()
    }
}
