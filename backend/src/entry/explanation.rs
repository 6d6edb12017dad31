//! Explanations: why a task has run last, as data, as text and as JSON.

mod earlier;
pub(crate) mod json;
pub(crate) mod text;

use std::time::SystemTime;

use crate::graph::cause::{Happening, Outcome};
use crate::graph::reason::Reason;
use crate::graph::task_name::{Fingerprint, TaskId};
pub use crate::persist::elsewhere::SharedOrigin;
use larder_storage::inspect::LastRun;

/// Why a task has run last, down to the input or the source that had changed; and why it is not stored, if it is not.
///
/// Printed, it is some lines for people; [`Explanation::to_json`] and `Serialize` give the same as data.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The task.
    pub task: TaskId,
    /// How things are with its value.
    pub state: State,
    /// Whether the runtime records causes. If not, `steps` is empty, and `verified` is none.
    pub records_causes: bool,
    /// The event that has given the task its value, then the change that was the cause of that, and so on, down to an input or a source. Each step
    /// is one of a read of the step before. Behind a run with another cause, as an earlier failure, comes the first read that had changed as well,
    /// if there was one.
    pub steps: Vec<Step>,
    /// How many steps are missing before the last one, of a chain that is very long.
    pub omitted: usize,
    /// When the task turned out to be current after that, if it did.
    pub verified: Option<Confirmation>,
    /// Whether the task is stored.
    pub stored: Storing,
    /// The machine that has computed the value, if it was another one (feature `shared`).
    pub shared: Option<SharedOrigin>,
    /// Why the task ran last as the store tells it, if this process has not run it, or does not record causes.
    pub earlier: Option<EarlierRun>,
    /// Identities of other code of the function whose result of this call is in the store: it is not used.
    pub other_code: Vec<Fingerprint>,
}

/// The last run of a task as the store tells it: most often one of an earlier process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EarlierRun {
    /// The run, and the changes behind it.
    pub run: LastRun,
    /// The name of each of its steps: the path of the function and what can be read of the arguments, or the name of a source or input.
    pub names: Vec<Box<str>>,
}

/// How things are with the value of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It is there, and current.
    Current,
    /// It is to be verified when it is next asked for.
    Stale,
    /// It is being computed or verified.
    Running,
    /// There is none: the task was not asked for, has failed, or was dropped.
    NoValue,
}

/// One thing that has happened to a task, an input or a source.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step {
    /// The task, the input or the source.
    pub task: TaskId,
    /// The kind of event.
    pub happened: Happening,
    /// Its outcome.
    pub outcome: Outcome,
    /// How many updates had changed something until then: that of an input or a source is the number of the update that set it. None if
    /// it is not known.
    pub update: Option<u64>,
    /// When it happened, if that is known.
    pub at: Option<SystemTime>,
    /// The fingerprint of the value before, if it is known.
    pub before: Option<Fingerprint>,
    /// The fingerprint of the value after it, if it is known.
    pub after: Option<Fingerprint>,
    /// Earlier reads of the task that had run as well, and come to an equal value; the first few of them.
    pub cut_off: Vec<TaskId>,
}

/// A task has turned out to be current, without a run of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Confirmation {
    /// How many updates had changed something until then.
    pub update: u64,
    /// When.
    pub at: SystemTime,
    /// Reads of the task that had run, and come to an equal value; the first few of them.
    pub cut_off: Vec<TaskId>,
}

/// Whether a task is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Storing {
    /// The runtime has no store.
    NoStore,
    /// It is stored, or waits to be.
    Stored,
    /// It is not current, so that is not known.
    Unknown,
    /// It is not stored.
    NotStored {
        /// Why the last of `through`, or else the task itself, is not stored. None if it is declared `transient`, or a transient input.
        reason: Option<Reason>,
        /// A read of the task that is not stored, a read of that one that is not stored, and so on.
        through: Vec<TaskId>,
    },
}
