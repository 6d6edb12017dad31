//! Activity: what a runtime holds and does at the moment.

use std::sync::Arc;

use crate::claim::Phase;
use crate::engine::Engine;

/// What a runtime holds and does at the moment: made by `Runtime::activity`.
///
/// With no session, handle or future of it left, all but `tasks` are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Activity {
    /// Tasks in memory, with a value or without.
    pub tasks: usize,
    /// Tasks that are being computed or verified.
    pub running: usize,
    /// Async executions that have begun and not ended.
    pub flights: usize,
    /// Threads and futures that wait for a task.
    pub waiting: usize,
}

impl Engine {
    /// What this engine holds and does at the moment. Opens a session for it, so that no task goes meanwhile, and looks at each.
    ///
    /// # Panics
    /// If an update cancels the session, on a thread that has one open already.
    pub fn activity(self: &Arc<Self>) -> Activity {
        self.run(|| {
            let nodes = self.table.nodes();
            Activity {
                tasks: nodes.len(),
                running: nodes.iter().filter(|node| node.state.phase() == Phase::Running).count(),
                flights: self.flights.len(),
                waiting: self.waits.len(),
            }
        })
    }
}
