//! How a session failed: as an error for the program, and as the reason that goes on through code of the user's.

use crate::context::local::Local;
use crate::graph::failure::TaskError;
use crate::graph::stop::Stop;

/// A session that has failed.
pub struct Failed {
    /// The failure as a value.
    pub error: TaskError,
    stop: Stop,
}

impl Failed {
    /// Takes the failure that `stop` stands for out of the thread's record.
    #[cold]
    pub(crate) fn of(local: &Local, stop: Stop) -> Self {
        Self { error: local.take_failure(&stop), stop }
    }

    /// Goes on with the failure. A panic of the user's goes on as it is. So does an error inside of another session, to that session's
    /// border; elsewhere it is the message of a panic.
    ///
    /// # Panics
    /// Always.
    #[cold]
    #[track_caller]
    pub fn go_on(self, is_inside: bool) -> ! {
        match self.stop {
            Stop::Failed(_) | Stop::Cancelled if !is_inside => panic!("{}", self.error),
            stop => stop.throw(),
        }
    }

    /// Goes on with the failure as it is.
    ///
    /// # Panics
    /// Always.
    #[cold]
    pub fn throw(self) -> ! {
        self.stop.throw()
    }
}

impl From<TaskError> for Failed {
    fn from(error: TaskError) -> Self {
        Self { stop: error.clone().into(), error }
    }
}
