//! The message for a use of the runtime where no session is open.

use std::cell::Cell;
use std::fmt;

use crate::context::local::OutOfSight;

thread_local! {
    static SELECTS: Cell<bool> = const { Cell::new(false) };
}

/// While this lives, this thread selects a part of a value, and sees no session.
pub(crate) struct Selecting {
    _session: OutOfSight,
    before: bool,
}

impl Selecting {
    pub(crate) fn begin() -> Self {
        Self { _session: OutOfSight::begin(), before: SELECTS.replace(true) }
    }
}

impl Drop for Selecting {
    fn drop(&mut self) {
        SELECTS.set(self.before);
    }
}

/// Panics because of `mistake`: something was used where the thread has no session. `instead` is one more way out; empty if there is none.
///
/// Calls that a task makes on threads and in futures of its own are the usual mistake, so that advice stands first: in a session of
/// its own the call would work, and the task would not depend on it.
#[cold]
#[track_caller]
pub(crate) fn outside_of_session(mistake: fmt::Arguments<'_>, instead: fmt::Arguments<'_>) -> ! {
    assert!(
        !SELECTS.get(),
        "{mistake}, by a function that selects a part: its result depends on the value and the key alone. Pass what it needs in the key"
    );
    panic!(
        "{mistake}. If a task or a session started this thread or future, take it along by `larder::current()`, or use \
         `par_map` or `scope`; else call it inside `runtime.run(..)` or `runtime.run_async(..)`{instead}"
    )
}
