//! Looks at claimed nodes, whether they are current, and what observers are told of those that are.

use std::thread;
use std::time::Instant;

use super::{is_observed, record_verified};
use crate::context::event::{Event, Verified};
use crate::context::local::Local;
use crate::context::spans::{Begins, Ends, OpenSpans};
use crate::graph::node::NodeRef;
use crate::graph::task_name::TaskRef;

/// An observed look at a claimed node, whether it is current.
pub(crate) struct Looking {
    start: Instant,
    spans: OpenSpans,
}

impl Looking {
    /// A look that begins, if it is observed.
    #[inline]
    pub(crate) fn if_observed(local: &Local) -> Option<Box<Self>> {
        is_observed(local).then(Self::begin)
    }

    #[cold]
    fn begin() -> Box<Self> {
        Box::new(Self { start: Instant::now(), spans: OpenSpans::default() })
    }

    /// Opens spans for it. A node without a value that the store is not asked about is not looked at: its body runs.
    #[cold]
    pub(crate) fn open_spans(&mut self, local: &Local, node: NodeRef) {
        self.spans =
            local.engine().observers.openers.open(|| Begins::Verification { task: TaskRef::to(node) });
    }

    /// Goes on with the look on this thread.
    #[cold]
    pub(crate) fn enter(&mut self) {
        self.spans.enter();
    }

    /// Leaves the look on this thread.
    #[cold]
    pub(crate) fn exit(&mut self) {
        self.spans.exit();
    }

    /// Ends the look, which is no event of its own.
    #[cold]
    pub(crate) fn ends(&mut self, how: Ends<'_>) {
        std::mem::take(&mut self.spans).end(how);
    }
}

/// A stale node has turned out to be current, and its claim is still held. `origin` is the node in which all its staleness began, if there
/// is one.
#[cold]
#[inline(never)]
pub(crate) fn verified(local: &Local, node: NodeRef, look: &mut Looking, origin: Option<NodeRef>) {
    let event = tell_verified(local, node, Some(look.start), origin);
    look.ends(Ends::Told(&event));
}

/// A node has turned out to be current without a look at its reads, and its claim is still held: a member of a component with all of it, or a reader
/// of a part that has stayed equal.
#[cold]
#[inline(never)]
pub(crate) fn verified_at_once(local: &Local, node: NodeRef, origin: Option<NodeRef>) {
    tell_verified(local, node, None, origin);
}

fn tell_verified(
    local: &Local,
    node: NodeRef,
    start: Option<Instant>,
    origin: Option<NodeRef>,
) -> Event<TaskRef<'static>> {
    if local.engine().observers.records() {
        record_verified(local.engine(), node, origin);
    }
    let end = Instant::now();
    let (task, thread) = (TaskRef::to(node), thread::current().id());
    let event = Event::Verified(Verified { task, thread, start: start.unwrap_or(end), end });
    local.engine().observers.tell(&event);
    event
}
