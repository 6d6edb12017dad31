//! Apart: a task that is run a second time because waiting for its owner would never end, although no task depends on itself.
//!
//! This happens where a thread waits by running unrelated work, as rayon's do: the owner of the task stands below the work
//! that asks for it, on the same stack or on those of threads that wait for each other in this way. Exactly once is given
//! up there, and only there: the body runs again on the key of the claimed node, and its value is kept in a *twin*, a node
//! that is in no table and no edge. The reader depends on the real node, which the owner will finish with an equal value.
//! Twins are freed when no session is open.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::execute::Payload;
use crate::failure::{CycleError, TaskError};
use crate::local::Local;
use crate::node::NodeRef;
use crate::stack::on_enough_stack;

/// Runs the body of `node`, which another strand has claimed, and returns a twin that holds the value.
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
    // Not a claim, but on the path of a cycle all the same.
    local.claimed.borrow_mut().push(node);
    let frame = local.begin_frame(&[], false);
    let outcome = on_enough_stack(|| {
        // SAFETY: 1. the node lives as long as the session; 2. only its key is touched, which never changes.
        catch_unwind(AssertUnwindSafe(|| unsafe { node.task_fn.run_apart(node) }))
    });
    let poison = local.poison_of_innermost();
    local.end_frame(frame);
    local.pop_claim(node);
    let twin = outcome?;
    local.engine().keep_twin(twin);
    match poison {
        Some(error) => Err(Box::new(error)),
        None => Ok(twin),
    }
}
