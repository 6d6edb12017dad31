//! Lost: a body whose executor has gone from under it is begun again by another waiter.
//!
//! A body that waits for a timer, a socket or a spawned future of an executor is bound to it, although any waiter drives the body. When
//! that executor shuts down, the body panics at its next piece, in the poll of a waiter that has nothing to do with it. So a panic of a
//! body is the task's failure, told to all waiters, unless
//!
//! | the body was driven by | and | then |
//! |---|---|---|
//! | others than the waiter in whose poll it panics | one of them has left, or the panic says that an executor is missing, shut down or has dropped what it ran | it is begun again, in the same poll |
//! | that waiter alone | the panic says that an executor is missing or shut down, and others wait | that waiter is *unfit*: it waits on and lets the others drive, who begin again |
//!
//! For example, `page` is begun by a waiter on runtime A, and one on runtime B waits for it. A is shut down: its waiter leaves, and the
//! timer that `page` sleeps on wakes the one on B, where polling the timer panics. The first line applies: on B `page` is begun again,
//! with a timer of B.
//!
//! * "Driven" counts from when the body was begun last. So a body that panics by a bug of its own does so again when it was begun again,
//!   in a poll of the waiter that has driven it alone; and that is its failure. An async run begins again at most as often as it has had
//!   waiters.
//! * A waiter becomes unfit once at most. When none but unfit ones are left they drive, and what they throw is the task's failure.
//! * A cycle and a cancellation are no panics of the body.
//!
//! Executors say such things in words only: these are tokio's, the one that has them. A body's reaction to the *error* of a socket
//! whose executor has gone is its output, like any other.

use crate::context::async_runs::SeatId;
use crate::graph::failure::{TaskError, message_of};
use crate::graph::stop::Stop;

/// The message of a panic about the executor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Says {
    Nothing,
    /// The executor has dropped what it ran for the body.
    Dropped,
    /// There is none, or it is shut down.
    Gone,
}

/// The verdict on a panic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It is the task's failure.
    Fails,
    /// The waiter that drives begins again.
    BeginsAgain,
    /// Another waiter begins again.
    LeavesItToOthers,
}

const GONE: [&str; 2] = ["A Tokio 1.x context was found, but ", "the context of a Tokio 1.x runtime"];
const DROPPED: &str = "JoinError::Cancelled(";

impl Says {
    /// Reads what a panic says. Returns `None` if the reason is no panic.
    pub(crate) fn of(stop: &Stop) -> Option<Self> {
        let text = match stop {
            Stop::Panicked(payload) => message_of(&***payload),
            Stop::Failed(error) => match &**error {
                TaskError::Panicked { message, .. } => message.as_str(),
                _ => return None,
            },
            _ => return None,
        };
        Some(Self::in_text(text))
    }

    fn in_text(text: &str) -> Self {
        if GONE.iter().any(|says| text.contains(says)) {
            Self::Gone
        } else if text.contains(DROPPED) {
            Self::Dropped
        } else {
            Self::Nothing
        }
    }
}

/// Which waiters have driven a body since it was begun last, and which cannot.
#[derive(Default)]
pub(super) struct Drivers {
    /// The waiter that has driven it first.
    first: Option<SeatId>,
    others: Vec<SeatId>,
    /// Whether one of them has left.
    has_left: bool,
    unfit: Vec<SeatId>,
    begun_again: u64,
}

impl Drivers {
    pub(super) fn drives(&mut self, seat: SeatId) {
        if self.first.is_none() {
            self.first = Some(seat);
        } else if self.first != Some(seat) && !self.others.contains(&seat) {
            self.others.push(seat);
        }
    }

    pub(super) fn leaves(&mut self, seat: SeatId) {
        self.has_left |= self.first == Some(seat) || self.others.contains(&seat);
        self.unfit.retain(|unfit| *unfit != seat);
    }

    /// Whether the waiter at `seat` has to leave driving to others, of `seats` in all.
    pub(super) fn yields(&self, seat: SeatId, seats: usize) -> bool {
        self.unfit.len() < seats && self.unfit.contains(&seat)
    }

    /// Whether none of so many waiters is fit.
    pub(super) fn is_stranded(&self, seats: usize) -> bool {
        !self.unfit.is_empty() && self.unfit.len() == seats
    }

    /// Judges a panic in the poll of the waiter at `seat`, one of `seats`; there have been `seats_ever`.
    pub(super) fn judge(&mut self, says: Says, seat: SeatId, seats: usize, seats_ever: u64) -> Verdict {
        let is_alone = self.first == Some(seat) && self.others.is_empty();
        if !is_alone && (self.has_left || says != Says::Nothing) && self.begun_again < seats_ever {
            self.begun_again += 1;
            self.begin(Some(seat));
            return Verdict::BeginsAgain;
        }
        let is_fit = |unfit: &[SeatId]| !unfit.contains(&seat);
        if says == Says::Gone && is_alone && is_fit(&self.unfit) && self.unfit.len() + 1 < seats {
            self.unfit.push(seat);
            self.begin(None);
            return Verdict::LeavesItToOthers;
        }
        Verdict::Fails
    }

    /// The body begins again, driven by the waiter at `first`, or by the next one to drive.
    fn begin(&mut self, first: Option<SeatId>) {
        self.first = first;
        self.others.clear();
        self.has_left = false;
    }
}

#[cfg(all(test, not(larder_model)))]
mod tests {
    use super::*;

    const ONE: SeatId = SeatId::FIRST;

    fn two() -> SeatId {
        ONE.next()
    }

    #[test]
    fn a_bug_is_told_at_once_or_after_a_second_run() {
        let mut drivers = Drivers::default();
        drivers.drives(ONE);
        assert_eq!(drivers.judge(Says::Nothing, ONE, 2, 2), Verdict::Fails);
        drivers.drives(two());
        assert_eq!(drivers.judge(Says::Nothing, two(), 2, 2), Verdict::Fails);
        drivers.leaves(ONE);
        assert_eq!(drivers.judge(Says::Nothing, two(), 1, 2), Verdict::BeginsAgain);
        drivers.drives(two());
        assert_eq!(drivers.judge(Says::Nothing, two(), 1, 2), Verdict::Fails);
    }

    #[test]
    fn the_unfit_drive_when_nobody_else_is_left() {
        let mut drivers = Drivers::default();
        drivers.drives(ONE);
        assert_eq!(drivers.judge(Says::Gone, ONE, 2, 2), Verdict::LeavesItToOthers);
        assert!(drivers.yields(ONE, 2) && !drivers.yields(two(), 2) && !drivers.is_stranded(2));
        drivers.drives(two());
        assert_eq!(drivers.judge(Says::Gone, two(), 2, 2), Verdict::Fails, "nobody fit is left");
        drivers.leaves(two());
        assert!(!drivers.yields(ONE, 1) && drivers.is_stranded(1));
    }

    #[test]
    fn a_flight_begins_again_as_often_as_it_has_had_waiters() {
        let mut drivers = Drivers::default();
        let mut begun = 0;
        for _ in 0..100 {
            drivers.drives(ONE);
            drivers.drives(two());
            begun += usize::from(drivers.judge(Says::Dropped, two(), 2, 2) == Verdict::BeginsAgain);
        }
        assert_eq!(begun, 2);
    }

    #[test]
    fn words_of_executors_are_known_wherever_they_stand() {
        let says = |text: &str| Says::of(&Stop::caught(Box::new(text.to_owned())));
        let io = "called `Result::unwrap()` on an `Err` value: Custom { kind: Other, error: \"A Tokio 1.x context was found, \
                  but it is being shutdown.\" }";
        assert_eq!(says(io), Some(Says::Gone));
        let missing = "there is no reactor running, must be called from the context of a Tokio 1.x runtime";
        let error = TaskError::panicked("f()".into(), missing.into());
        assert_eq!(Says::of(&error.into()), Some(Says::Gone));
        assert_eq!(says("Err: JoinError::Cancelled(Id(7))"), Some(Says::Dropped));
        assert_eq!(Says::of(&Stop::Cancelled), None);
        assert_eq!(Says::of(&Stop::caught(Box::new(7))), Some(Says::Nothing));
    }
}
