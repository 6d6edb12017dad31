//! The tasks that have read something.

use super::{InspectError, StoreReader};
use crate::record::{Incomplete, read_dependents};
use crate::{Digest, ReadFailure, Table, TaskKey};

/// The dependents of a task, source or input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dependents {
    /// Their keys, in ascending order. Some may not be stored any more, or not read it any more.
    pub tasks: Vec<TaskKey>,
    /// Whether these are all.
    pub is_complete: bool,
}

impl StoreReader {
    /// Returns the tasks that are known to have read `target`. Memory: 16 bytes each.
    ///
    /// # Errors
    /// If the store fails.
    pub fn dependents(&self, target: Digest) -> Result<Dependents, InspectError> {
        let mut tasks = Vec::new();
        let is_complete = match read_dependents(&self.store, target, &mut tasks) {
            Ok(()) => true,
            Err(Incomplete::Unread(ReadFailure::Storage(source))) => return Err(self.failed(source)),
            Err(_) => false,
        };
        tasks.sort_unstable();
        tasks.dedup();
        Ok(Dependents { tasks, is_complete })
    }

    /// Returns the number of the run that used a task last, if that did not run it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn used(&self, task: TaskKey) -> Result<Option<u64>, InspectError> {
        let payload = self.get(Table::Uses, &task.to_bytes())?;
        Ok(payload.and_then(|payload| payload.try_into().ok()).map(u64::from_le_bytes))
    }
}
