//! Reports: what is told about waits at the gate.

use crate::graph::failure::FORKED;
use std::fmt;
use std::time::Duration;

/// The holders of a runtime's gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Held {
    /// A session of a thread.
    Session,
    /// A session of a future.
    AsyncSession,
    /// An update.
    Update,
}

/// A session or update that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GateHolder {
    /// Whether it is a session or an update.
    pub held: Held,
    /// The name of its thread, or its number if it has no name; of a future's session, of the thread on which it was opened.
    pub thread: String,
    /// How long it has been under way.
    pub age: Duration,
}

impl fmt::Display for GateHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { held, thread, age } = self;
        match held {
            Held::Session => write!(f, "the session of thread `{thread}`, open for {age:.1?}"),
            Held::AsyncSession => {
                write!(f, "the session of a future, opened on thread `{thread}` {age:.1?} ago")
            }
            Held::Update => write!(f, "the update of thread `{thread}`, begun {age:.1?} ago"),
        }
    }
}

/// A session or an update that waits to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GateWaiter {
    /// A session.
    Session,
    /// An update.
    Update,
}

/// A wait of a session for an update, or of an update for sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GateWait {
    /// Whether it is a session or an update that waits.
    pub waiter: GateWaiter,
    /// The name of its thread, or its number if it has no name; of a future, of the thread that polled it first.
    pub thread: String,
    /// How long it has waited.
    pub waited: Duration,
    /// The sessions and updates that were under way then.
    pub held_by: Vec<GateHolder>,
    /// How many pieces of carried work and async tasks belonged to sessions beside these. They keep a session open, even if it has
    /// returned.
    pub parts: usize,
}

impl fmt::Display for GateWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiter = match self.waiter {
            GateWaiter::Session => "a session",
            GateWaiter::Update => "an update",
        };
        write!(f, "{waiter} of thread `{}` waited {:.1?}", self.thread, self.waited)?;
        let mut before = " for ";
        for holder in &self.held_by {
            write!(f, "{before}{holder}")?;
            before = "; ";
        }
        if self.parts > 0 {
            let pieces = if self.parts == 1 { "piece" } else { "pieces" };
            write!(f, "{before}{} {pieces} of carried work, or async tasks", self.parts)?;
        }
        Ok(())
    }
}

/// Waits at the gate that lasted for more than a second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GateStats {
    /// How many there were.
    pub long_waits: u64,
    /// The last of them, at most 16, with what held the gate when the second was over.
    pub last: Vec<GateWait>,
}

/// An update was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpdateError {
    /// The thread that asked has a session of the same runtime open: waiting for it would never end.
    InSession,
    /// The thread that asked is inside of an update of the same runtime already.
    InUpdate,
    /// Its token was cancelled, or its deadline passed, while it waited: for those that are named. Nothing was changed.
    Cancelled(Box<GateWait>),
    /// The runtime was made by the process that this one was forked from.
    Forked,
}

impl std::fmt::Display for UpdateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InSession => f.write_str(
                "an update was asked for inside a session of the same runtime, on the same thread; inputs may change \
                 only between sessions: return from `run` first",
            ),
            Self::InUpdate => f.write_str(
                "an update was asked for inside an update of the same runtime; set all inputs by the one that is open",
            ),
            Self::Cancelled(wait) => write!(
                f,
                "the update was given up, by its token or at its deadline, and has changed nothing: {wait}"
            ),
            Self::Forked => f.write_str(FORKED),
        }
    }
}

impl std::error::Error for UpdateError {}
