//! Stack: how much of it there is for code that is not the engine's.
//!
//! A body begins with at least 256 KiB, however deep it nests, and so does whatever the engine calls of a value: `Drop`, `Clone` of
//! arguments, `PartialEq`, `Debug`, encoding and decoding, be it for a caller, for an update, in the chores of a session's opener or when
//! a runtime is dropped. Where less is left, it goes on on a new segment.
//!
//! A call handles the caller's own values on the caller's stack, as in a call of a plain function: hashing and comparing its
//! arguments, dropping those that are not kept, and cloning the output for the caller, which drops it there, too.

/// Bytes that are left at least where code of the user's begins: 256 KiB, and what the engine's own frames take in between. A parser that
/// recurses takes more than a hundred kilobytes.
const RED_ZONE: usize = (256 + 16) << 10;
/// The size of a new segment.
const SEGMENT: usize = 4 * 1024 * 1024;

/// Runs `run` with as much stack as code of the user's may rely on.
#[inline]
pub(crate) fn on_enough_stack<R>(run: impl FnOnce() -> R) -> R {
    // The threads of a model have stacks of their own, of which stacker does not know.
    if cfg!(any(miri, larder_model)) || stacker::remaining_stack().is_some_and(|left| left >= RED_ZONE) {
        run()
    } else {
        on_new_segment(run)
    }
}

/// Out of line, so that the code that changes stacks does not enlarge every frame.
#[cold]
#[inline(never)]
fn on_new_segment<R>(run: impl FnOnce() -> R) -> R {
    stacker::grow(SEGMENT, run)
}
