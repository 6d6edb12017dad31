//! Parts: task functions whose one read is their source, and whose value is a selection from the source's value.

use super::{Ran, TaskFn};
use crate::graph::node::NodeRef;

/// The operations of a part.
#[derive(Clone, Copy)]
pub(crate) struct PartOps {
    /// Selects the value of a claimed part from the value of its source, and puts it in place as a run does. It runs the user's code, and
    /// calls `done` when a value is in place.
    ///
    /// # Safety
    /// The claim of `part` is held, or the gate exclusively; it is of this descriptor; `source` is the task that it reads, and has a value that
    /// the caller may read.
    pub(crate) select: unsafe fn(part: NodeRef, source: NodeRef, done: &mut dyn FnMut(Ran)),
    /// Returns the node of its source, by the part's key: what a part out of the store has read is known to the store alone. None if there is no
    /// such node. It runs the user's `Hash` and `Eq`, in a session.
    ///
    /// # Safety
    /// The part is of this descriptor.
    pub(crate) source: unsafe fn(part: NodeRef) -> Option<NodeRef>,
}

impl<K, P> TaskFn<K, P> {
    /// Says how a value is selected from that of the one task that the body reads.
    #[must_use]
    pub(crate) const fn selected_by(mut self, ops: PartOps) -> Self {
        self.raw.part = Some(ops);
        self
    }
}
