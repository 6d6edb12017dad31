//! Parallel: work of one task on several threads.
//!
//! - Reads and emitted values of an item belong to the task that called, in the order of the items and not in that of time.
//! - A scope ends when all its items have: they may borrow from its stack.
//! - A thread that waits for its scope works on items of this scope, and on no other work.

pub(crate) mod scope;
pub(crate) mod columns;
pub(crate) mod share;
pub(crate) mod lanes;
pub(crate) mod lane;
pub(crate) mod outcomes;
pub(crate) mod jobs;
pub(crate) mod carry;

use std::time::Duration;

use crate::base::crew::Crew;
use crate::context::engine::Engine;
use crate::graph::failure::TaskError;

/// Returns whether crew threads may help with a scope that the current thread opens.
///
/// The thread waits for its helpers at the end. For example, a pool has one thread; a job on it is carried work that calls `par_map`, and an
/// item asks for a task that puts jobs into the pool. A crew thread that took this item would wait for the pool's thread, which waits
/// for the crew. Neither wait can be given up, so that thread works on its items alone.
pub(crate) fn is_helped(engine: &Engine) -> bool {
    !carry::is_on_a_pool() || engine.apart_after == Duration::MAX
}

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
