//! Apart: a task that is run a second time because waiting for its owner would never end, although no task depends on itself.
//!
//! This happens where a thread waits by running unrelated work, as rayon's do: the owner of the task stands below the work
//! that asks for it, on the same stack or on those of threads that wait for each other in this way (`waits.rs` knows), or it may
//! stand there (`stall.rs`). Exactly once is given up there, and only there: the body runs again on the key of the claimed node,
//! and its value is kept in a *twin*, a node that is in no table and no edge.
//!
//! * The reader depends on the real node, which the owner will finish with an equal value. The owner may also be cancelled, and
//!   leave the node without reads. So the reader depends on all that the body read apart, too.
//! * For example, `x` calls `rayon::join`, and while it waits its thread runs a stolen job that asks for `x`. The job cannot wait for a
//!   frame below itself, so `x` runs once more, as a twin, and the job has its value.
//! * The first twin of a node serves all others that cannot wait. Twins are freed when no session is open.

use std::sync::Arc;

use crate::context::local::Local;
use crate::evaluate::execute::run_beside;
use crate::evaluate::observed::Why;
use crate::graph::failure::{CycleError, TaskError};
use crate::graph::node::NodeRef;
use crate::graph::stop::Stop;

/// Runs the body of `node`, which another strand has claimed, and returns a twin that holds the value. The current body has then
/// recorded what led to it.
///
/// # Errors
/// The body's panic; a cycle, if the body is being run apart by this strand already.
#[cold]
pub(crate) fn run_apart(local: &Local, node: NodeRef) -> Result<NodeRef, Stop> {
    let again = local.claimed.borrow().iter().position(|claimed| *claimed == node);
    if let Some(start) = again {
        let tasks = local.claimed.borrow()[start..].to_vec();
        let cycle = Arc::new(CycleError::new(&tasks));
        local.poison_cycle(&cycle);
        return Err(Stop::from(TaskError::Cycle(cycle)));
    }
    let engine = local.engine();
    if let Some((twin, gathered)) = engine.aparts.twin(node) {
        local.record_gathered(gathered);
        return Ok(twin);
    }
    engine.aparts.begin(node);
    let (outcome, gathered) = run_beside(local, node, &[], &Why::Apart);
    local.counters.of(node.function).apart.add(1);
    if let Ok(twin) = outcome {
        engine.keep_twin(twin);
    }
    let twin = outcome.as_ref().ok().map(|twin| (*twin, gathered.reads_alone()));
    engine.aparts.end(node, twin);
    engine.lot.nudge(node.address());
    local.record_gathered(gathered.reads_alone());
    outcome
}
