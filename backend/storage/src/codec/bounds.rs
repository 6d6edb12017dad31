//! Limits that one encoding or decoding may still use: depth and elements.

use std::cell::Cell;

use super::MAX_DEPTH;

/// A level runs on the present stack while this much of it is left.
const RED_ZONE: usize = 256 << 10;
/// The stack is looked at every so many levels, which so may take 16 KiB each: looking costs 4 ns, as much as encoding
/// ten numbers.
const LEVELS: u32 = 16;
/// The size of each further piece of stack.
const STACK_PIECE: usize = 2 << 20;
/// Elements that may take no bytes (`Vec<()>`), beyond one for each byte of input.
const FREE_ELEMENTS: u64 = 1 << 16;

/// Runs `run` with at least the stack that code of the user's may rely on: the 256 KiB, and the frames of the codec in between.
#[inline]
pub(super) fn on_enough_stack<R>(run: impl FnOnce() -> R) -> R {
    if cfg!(miri) { run() } else { stacker::maybe_grow(RED_ZONE + (16 << 10), STACK_PIECE, run) }
}

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

/// How deep a value is nested. Each level hands its own to those below it.
#[derive(Clone, Copy)]
pub(super) struct Depth(u32);

/// Shared by all levels of one encoding or decoding.
pub(super) struct Bounds {
    most: u32,
    elements: Cell<u64>,
    broken: Cell<Option<Broken>>,
}

impl Bounds {
    pub(super) const TOP: Depth = Depth(0);

    pub(super) fn for_encoding() -> Self {
        Self { most: MAX_DEPTH, elements: Cell::new(u64::MAX), broken: Cell::new(None) }
    }

    pub(super) fn for_decoding(bytes: usize) -> Self {
        let elements = bytes as u64 + FREE_ELEMENTS;
        // Encoding does not count the outermost value, decoding does: what was encoded must decode.
        Self { most: MAX_DEPTH + 1, elements: Cell::new(elements), broken: Cell::new(None) }
    }

    /// The first bound that was broken, if one was.
    pub(super) fn broken(&self) -> Option<Broken> {
        self.broken.get()
    }

    /// Runs one level below `depth`, on a new piece of stack if the present one is nearly used up.
    #[inline]
    pub(super) fn deeper<R, E>(
        &self,
        depth: Depth,
        error: impl FnOnce(&'static str) -> E,
        level: impl FnOnce(Depth) -> Result<R, E>,
    ) -> Result<R, E> {
        let below = depth.0 + 1;
        if below > self.most {
            Err(error(self.fail(Broken::Depth)))
        } else if below.is_multiple_of(LEVELS) {
            stacker::maybe_grow(RED_ZONE, STACK_PIECE, || level(Depth(below)))
        } else {
            level(Depth(below))
        }
    }

    /// Counts the elements of a sequence or map that announces so many.
    #[inline]
    pub(super) fn elements<E>(
        &self,
        announced: usize,
        error: impl FnOnce(&'static str) -> E,
    ) -> Result<(), E> {
        match self.elements.get().checked_sub(announced as u64) {
            Some(left) => {
                self.elements.set(left);
                Ok(())
            }
            None => Err(error(self.fail(Broken::Elements))),
        }
    }

    #[cold]
    fn fail(&self, broken: Broken) -> &'static str {
        if self.broken.get().is_none() {
            self.broken.set(Some(broken));
        }
        broken.message()
    }
}
