//! Questions of the page, and what answers them: a store or a running program.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use crate::stored::LookError;

/// A question of the page, with its parameters cut to what is served at once.
#[derive(Debug)]
pub(crate) enum Question {
    /// The subject of the page: kind, name, identity.
    About,
    /// The functions, with counts, sizes and times.
    Functions,
    /// A page of tasks.
    Tasks(TasksQuestion),
    /// Sources and inputs whose names contain a text.
    Sources { text: String, limit: usize },
    /// A task, with a page of what it has read and what has read it.
    Task { id: String, from: usize, limit: usize },
    /// Why a task ran, or whether it would run.
    Explain { id: String },
    /// The graph around a task.
    Graph { id: String, depth: usize, most: usize },
    /// Sessions, updates and waits.
    Timeline,
    /// Memory by function over time.
    Memory,
    /// Looks at the store anew.
    Reload,
}

/// Which tasks are listed.
#[derive(Debug, Default)]
pub(crate) struct TasksQuestion {
    pub(crate) function: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) stale: bool,
    pub(crate) after: Option<String>,
    pub(crate) limit: usize,
}

/// A store or a running program.
pub(crate) trait Source: Send + Sync + 'static {
    /// Answers a question. Called on threads that may block.
    fn answer(&self, question: &Question) -> Result<Value, LookError>;

    /// Returns what tells that something has happened, for those that follow it; none if nothing does.
    fn live(&self) -> Option<Arc<dyn Live>> {
        None
    }
}

/// The events of a running program, to be followed.
pub(crate) trait Live: Send + Sync + 'static {
    /// Returns what has happened behind `cursor`, and the cursor behind that; none if nothing has.
    fn since(&self, cursor: u64) -> Option<(Value, u64)>;

    /// Returns a signal that is raised when something happens.
    fn signal(&self) -> watch::Receiver<u64>;
}
