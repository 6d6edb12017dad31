//! Untracked: reads on which the task that runs does not depend.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::context::local::Local;

/// Runs `read` without making its reads dependencies of the task that runs now: it is not run again when they change.
///
/// For reads that cannot change the result, such as a switch for logging, or a value that only decides in which order to work. It is a promise:
/// where the result does depend on them, it is out of date after a change, and nothing says so. Values emitted in it belong to no task.
/// It is no way out of a cycle. Outside of a session it runs `read` as it is. Cost: as a call of a closure, and some twenty instructions.
///
/// # Panics
/// If `read` does.
pub fn untracked<R>(read: impl FnOnce() -> R) -> R {
    let Some(local) = Local::current() else { return read() };
    let frame = local.begin_frame(&[], false);
    let outcome = catch_unwind(AssertUnwindSafe(read));
    local.end_frame(frame);
    outcome.unwrap_or_else(|payload| resume_unwind(payload))
}
