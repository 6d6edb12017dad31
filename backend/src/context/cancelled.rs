//! Checks at task boundaries: whether a session is to end, and whether it can wait at all.

use crate::context::engine::Engine;
use crate::context::local::Local;
use crate::context::token::CancelToken;
use crate::graph::failure::TaskError;
use crate::graph::stop::Stop;

/// Whether the session of the current strand is to end.
#[inline(always)]
pub(crate) fn is_to_end(local: &Local) -> bool {
    local.engine().gate.is_cancelling()
        || local.token.borrow().as_ref().is_some_and(CancelToken::is_cancelled)
}

/// The check at a task boundary.
///
/// # Errors
/// `Cancelled`, if an update wants the open sessions to end, or a token this one.
#[inline]
pub(crate) fn check_cancelled(local: &Local) -> Result<(), Stop> {
    if is_to_end(local) { Err(cancelled(local)) } else { Ok(()) }
}

#[cold]
fn cancelled(local: &Local) -> Stop {
    // Nothing that runs on this thread now may be kept: it has seen an error that is not of its making.
    local.poison_all();
    Stop::Cancelled
}

/// The check before a wait: in a forked process, the thread that computes the node may be missing.
///
/// # Errors
/// `Forked`.
pub(crate) fn check_process(engine: &Engine) -> Result<(), Stop> {
    if engine.is_of_this_process() { Ok(()) } else { Err(Stop::from(TaskError::Forked)) }
}
