//! Faults that a store in memory is told to make.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use crate::{Operation, StorageError};

/// Faults to come, and a count of the calls so far. Every fault can be set while the store is in use.
#[derive(Debug, Default)]
pub struct Faults {
    calls: [AtomicU64; Operation::COUNT],
    plan: Mutex<[Plan; Operation::COUNT]>,
}

#[derive(Debug, Default)]
struct Plan {
    delay: Duration,
    /// Calls of these numbers fail; of commits, those marked are torn.
    nth: Vec<(u64, Outcome)>,
    always: Outcome,
}

/// The outcome of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Outcome {
    #[default]
    Work,
    Fail,
    /// Fail in the middle, with half of the writes made; atomicity is for the store to keep.
    Tear,
    /// Claim to have worked.
    Lose,
}

impl Faults {
    /// Lets the `nth` call from now fail: 1 is the next one.
    pub fn fail_nth(&self, operation: Operation, nth: u64) {
        self.at(operation, nth, Outcome::Fail);
    }

    /// Lets every call fail, until [`Faults::heal`].
    pub fn fail_all(&self, operation: Operation) {
        self.plan.lock()[operation as usize].always = Outcome::Fail;
    }

    /// Lets the `nth` commit from now fail with half of its writes made. None of them is seen, which the trait promises.
    pub fn tear_nth_commit(&self, nth: u64) {
        self.at(Operation::Commit, nth, Outcome::Tear);
    }

    /// Commits claim to be durable and are lost, as on a disk that lies, until [`Faults::heal`].
    pub fn lose_commits(&self) {
        self.plan.lock()[Operation::Commit as usize].always = Outcome::Lose;
    }

    /// Lets every call take at least this long, until [`Faults::heal`].
    pub fn delay(&self, operation: Operation, time: Duration) {
        self.plan.lock()[operation as usize].delay = time;
    }

    /// Ends all faults.
    pub fn heal(&self) {
        *self.plan.lock() = Default::default();
    }

    /// Returns the number of calls so far, failed ones included.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.calls[operation as usize].load(Relaxed)
    }

    pub(super) fn call(&self, operation: Operation) -> Result<Outcome, StorageError> {
        let number = self.calls[operation as usize].fetch_add(1, Relaxed) + 1;
        let (outcome, delay) = {
            let mut plans = self.plan.lock();
            let plan = &mut plans[operation as usize];
            let planned = plan.nth.iter().position(|&(nth, _)| nth == number);
            (planned.map_or(plan.always, |at| plan.nth.swap_remove(at).1), plan.delay)
        };
        if !delay.is_zero() {
            thread::sleep(delay);
        }
        if outcome == Outcome::Fail { Err(Self::error(operation)) } else { Ok(outcome) }
    }

    pub(super) fn error(operation: Operation) -> StorageError {
        StorageError::failed(operation, io::Error::other("injected fault"))
    }

    fn at(&self, operation: Operation, nth: u64, outcome: Outcome) {
        let number = self.calls(operation) + nth;
        self.plan.lock()[operation as usize].nth.push((number, outcome));
    }
}
