//! Activity: what a runtime holds and does at the moment.

use crate::context::engine::Engine;
use crate::context::watch::{GateHolder, GateWait};
use crate::graph::claim::Phase;
use crate::session::opener::Opener;

/// The contents and the work of a runtime at the moment: made by `Runtime::activity`.
///
/// With no session, handle or future of it left, all but `tasks` are 0 or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Activity {
    /// Tasks in memory, with a value or without.
    pub tasks: usize,
    /// Tasks that are being computed or verified.
    pub running: usize,
    /// Async executions that have begun and not ended.
    pub async_runs: usize,
    /// Threads and futures that wait for a task.
    pub waiting: usize,
    /// The sessions and updates that are under way, the oldest first.
    pub held_by: Vec<GateHolder>,
    /// The sessions that wait for an update, and the updates that wait for sessions.
    pub at_gate: Vec<GateWait>,
}

impl Engine {
    /// Counts what this engine holds and does at the moment, without waiting at the gate. While no update works it keeps the gate open,
    /// so that no task goes meanwhile, and looks at each.
    pub fn activity(&self) -> Activity {
        let held_by = self.gate_holders();
        let at_gate = self.gate_waits(&held_by);
        let waiting = self.waits.len();
        let Some(_visit) = Survey::begin(self) else {
            // Beside an update, nothing runs.
            return Activity { tasks: self.len(), waiting, held_by, at_gate, ..Activity::default() };
        };
        let nodes = self.table.nodes();
        let running = nodes.iter().filter(|node| node.state.phase() == Phase::Running).count();
        Activity { tasks: nodes.len(), running, async_runs: self.async_runs.len(), waiting, held_by, at_gate }
    }
}

/// A look at what is there, past all that wait at the gate.
pub(crate) struct Survey<'a>(&'a Engine);

impl<'a> Survey<'a> {
    /// None while an update works.
    pub(crate) fn begin(engine: &'a Engine) -> Option<Self> {
        let mut slices = 0;
        loop {
            let mut opener = Opener::of(engine);
            if !engine.gate.visit(&mut opener) {
                return None;
            }
            let visit = Self(engine);
            if !opener.comes_again(&mut slices) {
                return Some(visit);
            }
        }
    }
}

impl Drop for Survey<'_> {
    fn drop(&mut self) {
        self.0.gate.close();
    }
}
