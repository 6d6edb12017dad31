//! Numbers by which the page names tasks: those that it was told of, and those that it has only met in the graph.
//!
//! A task keeps its number when it is told of after it was met. Of the tasks that were only met the last ones are kept.

use std::collections::{BTreeMap, HashMap};

use larder::events::TaskId;

/// Tasks that are kept without being told of.
const KEPT: usize = 20_000;

#[derive(Default)]
pub(super) struct Names {
    last: u64,
    numbers: HashMap<TaskId, u64>,
    /// Those that were only met.
    met: BTreeMap<u64, TaskId>,
}

impl Names {
    /// Returns the number of a task that something was told of.
    pub(super) fn told(&mut self, task: &TaskId) -> u64 {
        let number = self.number(task);
        self.met.remove(&number);
        number
    }

    /// Returns the number of a task that is in the graph.
    pub(super) fn met(&mut self, task: &TaskId) -> u64 {
        let is_new = !self.numbers.contains_key(task);
        let number = self.number(task);
        if is_new {
            self.met.insert(number, task.clone());
            if self.met.len() > KEPT
                && let Some((_, oldest)) = self.met.pop_first()
            {
                self.numbers.remove(&oldest);
            }
        }
        number
    }

    /// Returns the number of a task that has one.
    pub(super) fn known(&self, task: &TaskId) -> Option<u64> {
        self.numbers.get(task).copied()
    }

    /// Returns a task that was only met.
    pub(super) fn of_met(&self, number: u64) -> Option<&TaskId> {
        self.met.get(&number)
    }

    /// Forgets what was told of a task.
    pub(super) fn forget(&mut self, task: &TaskId) {
        self.numbers.remove(task);
    }

    fn number(&mut self, task: &TaskId) -> u64 {
        if let Some(number) = self.numbers.get(task) {
            return *number;
        }
        self.last += 1;
        self.numbers.insert(task.clone(), self.last);
        self.last
    }
}
