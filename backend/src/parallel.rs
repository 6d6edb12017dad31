//! Parallel: work of one task on several threads.
//!
//! - Reads and emitted values of an item belong to the task that called, in the order of the items and not in that of time.
//! - A scope ends when all its items have: they may borrow from its stack.
//! - A thread that waits for its scope works on items of this scope, and on no other work.

pub(crate) mod scope;
pub(crate) mod share;
pub(crate) mod outcomes;
pub(crate) mod jobs;
pub(crate) mod carry;

use crate::base::crew::Crew;
use crate::context::engine::Engine;
use crate::graph::failure::TaskError;

/// The crew of an engine, to make an offer to.
///
/// # Panics
/// With [`TaskError::Forked`] in a process that was forked off the one that has the threads.
pub(crate) fn crew_of(engine: &Engine) -> &Crew {
    if engine.crew.is_lost() {
        TaskError::Forked.throw();
    }
    &engine.crew
}
