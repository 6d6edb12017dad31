//! Parts: task functions whose one read is their source, and whose value is a selection from the source's value.

use super::{Ran, TaskFn};
use crate::graph::node::NodeRef;

/// Selects the value of a claimed part from the value of its source, and puts it in place as a run does. It runs the user's code, and
/// calls `done` when a value is in place.
///
/// # Safety
/// The claim of `part` is held, or the gate exclusively; it is of this descriptor; `source` is the task that it reads, and has a value that
/// the caller may read.
pub(crate) type SelectPart = unsafe fn(part: NodeRef, source: NodeRef, done: &mut dyn FnMut(Ran));

impl<K, P> TaskFn<K, P> {
    /// Says how a value is selected from that of the one task that the body reads.
    #[must_use]
    pub(crate) const fn selected_by(mut self, select: SelectPart) -> Self {
        self.raw.part = Some(select);
        self
    }
}
