//! Why work ends without a value: one type for all reasons, inside of the engine.
//!
//! Bodies are code of the user's, so a reason passes through them as a panic. There, and only there, it is a payload: [`Stop::throw`]
//! makes one, and [`Stop::caught`] reads one.
//!
//! ```text
//!   demand(b) = Err(Stop::Failed(cycle)) ── throw ──► payload: a `TaskError` ──► body of `a` unwinds ── caught ──► Stop::Failed(cycle)
//! ```
//!
//! For example, `a` reads `b`, and a round of their cycle has to begin again: reading `b` gives `Restart`, which is thrown through the
//! body of `a`, and arrives as `Restart` where `a` was run. If that body catches the panic and goes on, the run is void all the same:
//! the record of the strand knows which of its claims have been given up.

use std::any::Any;
use std::fmt;
use std::panic::resume_unwind;

use crate::graph::failure::TaskError;

/// The payload of a panic.
pub(crate) type Payload = Box<dyn Any + Send>;

/// Why a task, or the work of a strand, ends without a value. Two words, so that results that hold it fit in registers.
pub(crate) enum Stop {
    /// Code of the user's panicked.
    Panicked(Box<Payload>),
    /// The task fails with this error, or has read one that did. Never [`TaskError::Cancelled`].
    Failed(Box<TaskError>),
    /// The session was cancelled.
    Cancelled,
    /// The body has run. Its task lies on a cycle that is being resolved, so its value is provisional.
    Parked,
    /// The round of a cycle begins again.
    Restart,
    /// The strand gives up claims, so that another strand, or this one in another order, resolves a cycle as a whole.
    MakesWay,
}

/// A reason that means nothing to code of the user's, on its way through it.
struct Unwinding(Stop);

impl Stop {
    /// Reads the reason out of the payload of a panic.
    #[cold]
    pub(crate) fn caught(payload: Payload) -> Self {
        let payload = match payload.downcast::<TaskError>() {
            Ok(error) if matches!(*error, TaskError::Cancelled) => return Self::Cancelled,
            Ok(error) => return Self::Failed(error),
            Err(payload) => payload,
        };
        match payload.downcast::<Unwinding>() {
            Ok(unwinding) => unwinding.0,
            Err(payload) => Self::Panicked(Box::new(payload)),
        }
    }

    /// Returns the payload that a panic for this reason carries.
    #[cold]
    pub(crate) fn into_payload(self) -> Payload {
        match self {
            Self::Panicked(payload) => *payload,
            Self::Failed(error) => error,
            Self::Cancelled => Box::new(TaskError::Cancelled),
            Self::Parked | Self::Restart | Self::MakesWay => Box::new(Unwinding(self)),
        }
    }

    /// Unwinds for this reason, without running the panic hook: the caller is told.
    #[cold]
    pub(crate) fn throw(self) -> ! {
        resume_unwind(self.into_payload())
    }

    /// Returns whether the claims of the strand are being given up: its session was cancelled, or it makes way.
    pub(crate) fn is_given_up(&self) -> bool {
        matches!(self, Self::Cancelled | Self::MakesWay)
    }

    /// Returns the error that `task` fails with for this reason.
    pub(crate) fn error(&self, task: impl fmt::Debug) -> TaskError {
        match self {
            Self::Panicked(payload) => TaskError::of_panic(&***payload, task),
            Self::Failed(error) => (**error).clone(),
            Self::Cancelled | Self::Parked | Self::Restart | Self::MakesWay => TaskError::Cancelled,
        }
    }

    /// Returns a copy, unless it holds the payload of a panic.
    pub(crate) fn copied(&self) -> Option<Self> {
        Some(match self {
            Self::Panicked(_) => return None,
            Self::Failed(error) => Self::Failed(error.clone()),
            Self::Cancelled => Self::Cancelled,
            Self::Parked => Self::Parked,
            Self::Restart => Self::Restart,
            Self::MakesWay => Self::MakesWay,
        })
    }
}

impl From<TaskError> for Stop {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Cancelled => Self::Cancelled,
            error => Self::Failed(Box::new(error)),
        }
    }
}

/// A panic that ended an async run: the payload, and how it was named, with where its payload lies.
pub(crate) type Thrown = (Stop, Option<(usize, TaskError)>);
