//! The message for a use of the runtime where no session is open.

use std::fmt;

/// Panics because of `mistake`: something was used where the thread has no session. `instead` is one more way out; empty if there is none.
///
/// Calls that a task makes on threads and in futures of its own are the usual mistake, so that advice stands first: in a session of
/// its own the call would work, and the task would not depend on it.
#[cold]
#[track_caller]
pub(crate) fn outside_of_session(mistake: fmt::Arguments<'_>, instead: fmt::Arguments<'_>) -> ! {
    panic!(
        "{mistake}. If a task or a session started this thread or future, take it along by `larder::current()`, or use \
         `par_map` or `scope`; else call it inside `runtime.run(..)` or `runtime.run_async(..)`{instead}"
    )
}
