//! Emitted values: what tasks say beside their results (diagnostics), kept with their nodes and collected on request.

use std::any::Any;
use std::panic::resume_unwind;
use std::sync::Arc;

use crate::demand::{demand, is_cancelled};
use crate::edges::Edge;
use crate::local::Local;
use crate::node::{NodeRef, TWIN};

/// A type whose values tasks may emit.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be emitted by a task",
    label = "not `Clone + PartialEq + Send + Sync + 'static`",
    note = "derive `Clone` and `PartialEq`: emitted values are replayed on a hit and compared after a re-run"
)]
pub trait Emitted: Clone + PartialEq + Send + Sync + 'static {}
#[diagnostic::do_not_recommend]
impl<T: Clone + PartialEq + Send + Sync + 'static> Emitted for T {}

/// An emitted value of some type.
pub(crate) type EmittedValue = Arc<dyn AnyEmitted>;

/// The type-erased side of [`Emitted`].
pub(crate) trait AnyEmitted: Any + Send + Sync {
    fn equals(&self, other: &dyn AnyEmitted) -> bool;
}

impl<T: Emitted> AnyEmitted for T {
    fn equals(&self, other: &dyn AnyEmitted) -> bool {
        let other: &dyn Any = other;
        other.downcast_ref::<T>() == Some(self)
    }
}

/// Emits a value from the task that runs now. Outside of a task (directly in a session) it goes nowhere.
///
/// A hit replays what the task emitted when it ran; see [`collect`](crate::collect).
///
/// # Panics
/// Outside of a session.
#[track_caller]
pub fn emit<D: Emitted>(value: D) {
    let Some(local) = Local::current() else {
        panic!(
            "`emit` was called outside of a session; call it in a task function that runs inside `runtime.run(..)`"
        )
    };
    if local.is_recording() {
        local.emit(Arc::new(value));
    }
}

/// All values of type `D` that `root` and what it depends on emitted, each task's once, dependencies first, in the order
/// of the reads. Recorded: the body that runs now depends on all of them.
pub(crate) fn collect<D: Emitted>(local: &Local, root: NodeRef) -> Vec<D> {
    refuse_twin(root);
    let mut found = Vec::new();
    let mut seen = std::collections::HashSet::from([root]);
    let mut path = vec![(root, 0)];
    local.record(Edge::effects_of(root), true);
    while let Some((node, next)) = path.last_mut() {
        let node = *node;
        // SAFETY: the node was made fresh before it came on the path.
        let reads = unsafe { node.deps() }.as_slice();
        if let Some(read) = reads.get(*next) {
            *next += 1;
            let read = read.node();
            // A leaf emits nothing, so that nobody depends on it by collecting.
            if read.task_fn.is_leaf() || !seen.insert(read) {
                continue;
            }
            // Readers are recorded before what they read: what stands later is verified only if it is still read. A read
            // that fails is recorded, too: it may succeed, and emit, without a change to its reader.
            local.record(Edge::effects_of(read), true);
            match demand(local, read) {
                Ok(holder) => {
                    refuse_twin(holder);
                    path.push((read, 0));
                }
                Err(payload) if is_cancelled(&payload) => resume_unwind(payload),
                // It has emitted nothing that could be kept; its reader coped with that.
                Err(_) => {}
            }
            continue;
        }
        path.pop();
        if let Some(extra) = node.extra() {
            let emitted = extra.emitted.lock().clone();
            found.extend(emitted.iter().filter_map(|value| {
                let value: &dyn Any = &**value;
                value.downcast_ref::<D>().cloned()
            }));
        }
    }
    found
}

/// What a task emitted is known when its owner has finished it, and a twin is made where that cannot be waited for.
fn refuse_twin(node: NodeRef) {
    assert!(
        !node.flag(TWIN),
        "values emitted by a call of `{}` cannot be collected here: this thread computes it further down on its stack, and works on a \
         stolen job meanwhile; collect them outside of the job",
        node.task_fn.site().name
    );
}
