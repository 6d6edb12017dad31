//! Apart: a task that is run a second time because waiting for its owner would never end, although no task depends on itself.
//!
//! This happens where a thread waits by running unrelated work, as rayon's do: the owner of the task stands below the work
//! that asks for it, on the same stack or on those of threads that wait for each other in this way (`waits.rs` knows), or it may
//! stand there (`stall.rs`). Exactly once is given up there, and only there: the body runs again on the key of the claimed node,
//! and its value is kept in a *twin*, a node that is in no table and no edge.
//!
//! * The reader depends on the real node, which the owner will finish with an equal value. The owner may also be cancelled, and
//!   leave the node without reads. So the reader depends on all that the body read apart, too.
//! * The first twin of a node serves all others that cannot wait. Twins are freed when no session is open.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::base::stack::on_enough_stack;
use crate::context::local::Local;
use crate::context::strand::Gathered;
use crate::evaluate::execute::unfinished;
use crate::graph::failure::{CycleError, Payload, TaskError};
use crate::graph::node::NodeRef;

/// Runs the body of `node`, which another strand has claimed, and returns a twin that holds the value. The current body has then
/// recorded what led to it.
///
/// # Errors
/// The payload of the body's panic; a cycle, if the body is being run apart by this strand already.
#[cold]
pub(crate) fn run_apart(local: &Local, node: NodeRef) -> Result<NodeRef, Payload> {
    let again = local.claimed.borrow().iter().position(|claimed| *claimed == node);
    if let Some(start) = again {
        let tasks = local.claimed.borrow()[start..].to_vec();
        let cycle = Arc::new(CycleError::new(&tasks));
        local.poison_cycle(&cycle);
        return Err(Box::new(TaskError::Cycle(cycle)));
    }
    let engine = local.engine();
    if let Some((twin, gathered)) = engine.aparts.twin(node) {
        local.record_gathered(gathered);
        return Ok(twin);
    }
    engine.aparts.begin(node);
    let (outcome, gathered) = run(local, node);
    let twin = outcome.as_ref().ok().map(|twin| (*twin, gathered.reads_alone()));
    engine.aparts.end(node, twin);
    engine.lot.nudge(node.address());
    local.record_gathered(gathered.reads_alone());
    outcome
}

fn run(local: &Local, node: NodeRef) -> (Result<NodeRef, Payload>, Gathered) {
    // Not a claim, but on the path of a cycle all the same.
    local.claimed.borrow_mut().push(node);
    let frame = local.begin_frame(&[], true);
    let outcome = on_enough_stack(|| {
        // SAFETY: 1. the node lives as long as the session; 2. only its key is touched, which never changes.
        catch_unwind(AssertUnwindSafe(|| unsafe { node.task_fn.run_apart(node) }))
    });
    let has_ended = local.settle_carried();
    let error = local.poison_of_innermost().or_else(|| (!has_ended).then(|| unfinished(node)));
    let gathered = local.take_gathered();
    local.end_frame(frame);
    local.pop_claim(node);
    local.counters.of(node.function).apart.add(1);
    if let Ok(twin) = outcome {
        local.engine().keep_twin(twin);
    }
    let outcome = match error {
        Some(error) => Err(Box::new(error) as Payload),
        None => outcome,
    };
    (outcome, gathered)
}
