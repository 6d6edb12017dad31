//! Failures: why a task has no value. They travel as panic payloads, and are kept only as long as there is a waiter.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::graph::depth::Depth;
use crate::graph::node::NodeRef;
use crate::graph::stop::Stop;

/// The message in a forked process.
pub(crate) const FORKED: &str = "the runtime was made by the process that this one was forked from, whose threads are \
                                 missing here; make a runtime in each process";

/// A cycle: the path of tasks, each waiting for the next, the last for the first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CycleError {
    /// The tasks on the cycle, as calls with their arguments. A long argument is cut short.
    pub path: Vec<String>,
    /// The addresses of their nodes in order, by which other threads see whether tasks of theirs lie on the cycle.
    members: Vec<usize>,
}

impl CycleError {
    pub(crate) fn new(path: &[NodeRef]) -> Self {
        let mut members: Vec<_> = path.iter().map(|node| node.address()).collect();
        members.sort_unstable();
        Self { path: path.iter().map(|node| format!("{node:?}")).collect(), members }
    }

    /// Whether the task of a node lies on the cycle.
    pub(crate) fn contains(&self, node: NodeRef) -> bool {
        self.members.binary_search(&node.address()).is_ok()
    }
}

impl fmt::Display for CycleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a task depends on itself: ")?;
        for task in &self.path {
            write!(f, "{task} -> ")?;
        }
        f.write_str(self.path.first().map_or("?", String::as_str))
    }
}
impl std::error::Error for CycleError {}

/// A cycle whose tasks do not come to a fixpoint within the bound on rounds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FixpointError {
    /// The tasks on a cycle through the one whose value does not settle, which comes first, as calls with their arguments.
    pub path: Vec<String>,
    /// In how many rounds the value of that task may change (`cycle_rounds`).
    pub rounds: u32,
    /// Its value has come back to what it was at first: values go round on the cycle. They do where tasks hand on what they
    /// read, and begin with different values (`cycle_initial`).
    pub goes_round: bool,
    /// The last change of that task's value: it does not come to rest between these two, or beyond.
    pub change: ValueChange,
    /// The first of the values that the task read in the last round and had not read before, and how that had changed; none if the
    /// task did not settle by its own step (`cycle_step`) alone.
    pub because: Option<(String, ValueChange)>,
}

/// Two values that a task on a cycle had one after the other.
///
/// Each is as `Debug` prints it, up to 200 bytes; as a fingerprint, if it has no `Debug` but is stored; or else none. Values of a function with
/// `secret_args` are not printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValueChange {
    /// The earlier one.
    pub before: Option<String>,
    /// The later one.
    pub after: Option<String>,
}

impl ValueChange {
    /// Whether neither value can be printed.
    fn is_unknown(&self) -> bool {
        self.before.is_none() && self.after.is_none()
    }
}

impl fmt::Display for ValueChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = [&self.before, &self.after].map(|value| value.as_deref().unwrap_or("?"));
        write!(f, "from {before} to {after}")
    }
}

impl FixpointError {
    pub(crate) fn new(path: &[NodeRef], rounds: u32, goes_round: bool) -> Self {
        let path = path.iter().map(|node| format!("{node:?}")).collect();
        Self { path, rounds, goes_round, change: ValueChange::default(), because: None }
    }

    /// Adds how the value changed last, and what led to that.
    pub(crate) fn explained(mut self, change: ValueChange, because: Option<(NodeRef, ValueChange)>) -> Self {
        self.change = change;
        self.because = because.map(|(node, change)| (short_name(node), change));
        self
    }
}

impl fmt::Display for FixpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.path.first().map_or("?", String::as_str);
        write!(
            f,
            "a cycle comes to no fixpoint: {first} has changed in {} rounds, and changes again",
            self.rounds
        )?;
        if !self.change.is_unknown() {
            write!(f, ", {}", self.change)?;
        }
        if let Some((read, change)) = &self.because {
            write!(f, ", since it reads {read}, which has changed")?;
            if !change.is_unknown() {
                write!(f, " {change}")?;
            }
        }
        f.write_str(": ")?;
        for task in &self.path {
            write!(f, "{task} -> ")?;
        }
        f.write_str(first)?;
        if self.goes_round {
            f.write_str(
                " (values go round: this one has been back at what it was at first; begin with the same `cycle_initial` \
                 on the whole cycle, and let no body return less when it reads more)",
            )?;
        }
        Ok(())
    }
}
impl std::error::Error for FixpointError {}

/// The tasks that a failure came through on its way from the task that failed to where it was asked for: those that had asked for it, or
/// for a task that had, and so on. A task that caught the failure ends the way.
///
/// For example, `page` asks for `title`, which asks for `parse`, which panics: the failure of `page` came through `title`, then `page`. At most 16
/// names of at most 200 bytes are kept, of those next to the task that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Through {
    tasks: Arc<Vec<String>>,
    omitted: usize,
}

impl Through {
    const MOST: usize = 16;

    /// Returns the tasks as calls with their arguments, the one next to the task that failed first.
    #[must_use]
    pub fn tasks(&self) -> &[String] {
        &self.tasks
    }

    /// Returns how many tasks behind these are not named.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    fn add(&mut self, node: NodeRef) {
        if self.tasks.len() >= Self::MOST {
            self.omitted += 1;
            return;
        }
        let name = short_name(node);
        // A member of a cycle is met twice.
        if self.tasks.last() != Some(&name) {
            Arc::make_mut(&mut self.tasks).push(name);
        }
    }
}

impl fmt::Display for Through {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for task in self.tasks() {
            write!(f, "\n  asked for by {task}")?;
        }
        if self.omitted > 0 {
            write!(f, "\n  and so on, by {} more", self.omitted)?;
        }
        Ok(())
    }
}

/// The most bytes of a short name.
const LONGEST_NAME: usize = 200;

/// Returns the call of a node, cut to 200 bytes.
pub(crate) fn short_name(node: NodeRef) -> String {
    let mut name = format!("{node:?}");
    if name.len() > LONGEST_NAME {
        name.truncate(name.floor_char_boundary(LONGEST_NAME - 3));
        name.push_str("...");
    }
    name
}

/// Why a session, or a call in it, ended without a value.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TaskError {
    /// The task depends on itself.
    Cycle(Arc<CycleError>),
    /// The task lies on a cycle that is resolved by iteration, and comes to no fixpoint.
    NoFixpoint(Arc<FixpointError>),
    /// The session was cancelled, by an update or by its token.
    Cancelled,
    /// A body panicked.
    #[non_exhaustive]
    Panicked {
        /// The task, as a call with its arguments. A long argument is cut short.
        task: String,
        /// The panic's message.
        message: String,
        /// The tasks that the failure came through: those that had asked, and did not catch it.
        through: Through,
    },
    /// The runtime was made by the process that this one was forked from: threads that it waits for are missing here.
    Forked,
}

/// Prints one line; `{:#}` adds a line for each task that the failure came through.
impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cycle(cycle) => cycle.fmt(f),
            Self::NoFixpoint(error) => error.fmt(f),
            Self::Cancelled => f.write_str("the session was cancelled"),
            Self::Forked => f.write_str(FORKED),
            Self::Panicked { task, message, through } => {
                write!(f, "task {task} panicked: {message}")?;
                if f.alternate() { through.fmt(f) } else { Ok(()) }
            }
        }
    }
}

impl std::error::Error for TaskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Cycle(cycle) => Some(&**cycle),
            Self::NoFixpoint(error) => Some(&**error),
            _ => None,
        }
    }
}

impl TaskError {
    /// Unwinds with this error as the payload, without running the panic hook: the caller is told.
    pub(crate) fn throw(self) -> ! {
        Stop::from(self).throw()
    }

    /// Returns the error that a panic of `task` with this payload is.
    pub(crate) fn of_panic(payload: &(dyn Any + Send), task: impl fmt::Debug) -> Self {
        Self::panicked(format!("{task:?}"), message_of(payload).to_owned())
    }

    pub(crate) fn panicked(task: String, message: String) -> Self {
        Self::Panicked { task, message, through: Through::default() }
    }

    /// Returns the error with which `node` fails, which has read a task that failed with this one.
    pub(crate) fn passed(mut self, node: NodeRef) -> Self {
        if let Self::Panicked { through, .. } = &mut self {
            through.add(node);
        }
        self
    }

    /// Whether this is a panic with the message of `payload`.
    pub(crate) fn says(&self, payload: &(dyn Any + Send)) -> bool {
        matches!(self, Self::Panicked { message, .. } if message == message_of(payload))
    }
}

/// Returns the message of a panic.
pub(crate) fn message_of(payload: &(dyn Any + Send)) -> &str {
    if let Some(message) = payload.downcast_ref::<&'static str>() {
        return message;
    }
    payload.downcast_ref::<String>().map_or("(a payload that is not text)", String::as_str)
}

/// Where a failed task's cycle closes: at this depth, as long as this task stands there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CycleHead {
    pub(crate) depth: Depth,
    pub(crate) node: NodeRef,
}
