//! Reports about the store.

use std::fmt;
use std::sync::Arc;

use crate::context::engine::Engine;
use crate::graph::reason::Reason;
use crate::persist::elsewhere::RemoteStats;
use crate::persist::{Opened, Persistence};
use larder_storage::{
    FlushError, Operation, RejectedCounts, StorageError, StoreCapStats, StoreReport, WriteBehindStats,
    verify_store,
};

/// Runs of a task function that were not stored, for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unstored {
    /// The function's path.
    pub path: &'static str,
    /// Why.
    pub reason: Reason,
    /// How many runs.
    pub runs: u64,
    /// How the first of them came not to be stored: the task, a read of it that is not stored, a read of that one, and so on to the one that is
    /// the cause, as calls with their arguments. At most nine names and one that tells how many are left out, of 200 bytes each. The
    /// task alone if the cause is no read.
    pub way: Vec<String>,
}

/// The traffic between a runtime and its store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StorageStats {
    /// The findings at opening.
    pub opened: Opened,
    /// Tasks made fresh from the store, without running their body.
    pub restored: u64,
    /// Stale tasks found current by what is stored of them.
    pub verified: u64,
    /// Tasks that went back to an older result.
    pub reverted: u64,
    /// Stored tasks that walks after changes have met: what depends on what changed, and nothing else.
    pub walked: u64,
    /// Runs handed to the store.
    pub stored: u64,
    /// Runs not stored, and why, ordered by function.
    pub unstored: Vec<Unstored>,
    /// Records that were damaged or foreign, by reason. Each was a miss.
    pub rejected: RejectedCounts,
    /// Calls of the store that failed.
    pub errors: u64,
    /// The work of the background writer: since when nothing could be stored, and whether it has given up.
    pub writer: WriteBehindStats,
    /// The work of the limit of bytes (`max_stored_bytes`) so far, if there is one.
    pub cap: Option<StoreCapStats>,
    /// The traffic with other machines' records, if there is a way to them.
    #[doc(hidden)]
    pub remote: Option<RemoteStats>,
    /// Some of what tells which results are stale was lost, so that each result is verified before it is used.
    pub distrusted: bool,
}

impl Engine {
    /// Statistics of the store, if there is one.
    pub(crate) fn storage_stats(&self) -> Option<StorageStats> {
        self.persistence().map(|persistence| persistence.stats(self))
    }

    /// Returns the first error of the background writer since its last success, once: to be reported.
    #[must_use]
    pub fn take_storage_error(&self) -> Option<Arc<StorageError>> {
        self.persistence()?.writer.take_report()
    }

    /// Returns once everything that was computed so far, and can be stored, is durable.
    ///
    /// # Errors
    /// If one more attempt to store what is waiting has failed, if the writer has given up, or if the store's file was deleted or
    /// replaced.
    pub fn flush(&self) -> Result<(), FlushError> {
        let Some(persistence) = self.persistence() else { return Ok(()) };
        persistence.writer.flush()?;
        persistence.pending.prune(persistence.writer.committed());
        Ok(())
    }

    /// Reads and checks the whole store. `None` without one.
    ///
    /// # Errors
    /// If the store fails.
    pub fn storage_report(&self) -> Option<Result<StoreReport, StorageError>> {
        let persistence = self.persistence()?;
        let report = persistence.writer.quiesced(verify_store);
        Some(report.unwrap_or_else(|_| verify_store(&persistence.store)))
    }

    /// Gives back the space that dropped results took.
    ///
    /// # Errors
    /// If the store fails.
    pub fn compact_storage(&self) -> Result<(), StorageError> {
        let Some(persistence) = self.persistence() else { return Ok(()) };
        let compacted = persistence.writer.quiesced(|store| store.storage().compact());
        compacted.unwrap_or_else(|error| Err(StorageError::failed(Operation::Compact, error)))
    }
}

impl Persistence {
    fn stats(&self, engine: &Engine) -> StorageStats {
        let functions = engine.functions.all();
        let unstored = self.counts.all_unstored().into_iter();
        let mut unstored: Vec<_> = unstored
            .map(|(function, reason, count)| Unstored {
                path: functions[function as usize].site.path,
                reason,
                runs: count.runs,
                way: count.way.into_vec(),
            })
            .collect();
        unstored.sort_by_key(|unstored| (unstored.path, unstored.reason));
        let operations = [
            Operation::Open,
            Operation::Get,
            Operation::Scan,
            Operation::Commit,
            Operation::Size,
            Operation::Compact,
        ];
        StorageStats {
            opened: self.opened,
            restored: self.counts.restored.get(),
            verified: self.counts.verified.get(),
            reverted: self.counts.reverted.get(),
            walked: self.counts.walked.get(),
            stored: self.counts.stored.get(),
            unstored,
            rejected: self.store.rejected(),
            errors: operations.into_iter().map(|operation| self.store.errors(operation)).sum(),
            writer: self.writer.stats(),
            cap: self.live_cap.as_ref().map(|cap| cap.stats()),
            remote: self.elsewhere.as_ref().map(|elsewhere| elsewhere.stats()),
            distrusted: self.distrust.load(std::sync::atomic::Ordering::Relaxed),
        }
    }
}

impl StorageStats {
    /// Returns how many runs were not stored.
    #[must_use]
    pub fn unstored_runs(&self) -> u64 {
        self.unstored.iter().map(|unstored| unstored.runs).sum()
    }
}

impl fmt::Display for StorageStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "store: {} restored, {} stored, {} verified, {} reverted, {} not stored",
            self.restored,
            self.stored,
            self.verified,
            self.reverted,
            self.unstored_runs()
        )?;
        for Unstored { path, reason, runs, way } in &self.unstored {
            write!(f, "\n    {runs} of {path}: {}", reason.describe())?;
            if way.len() > 1 {
                write!(f, ": {}", way.join(" -> "))?;
            }
        }
        if self.rejected.total() > 0 {
            write!(f, "\n    {} records rejected", self.rejected.total())?;
        }
        if self.errors + self.writer.errors > 0 {
            write!(f, "\n    {} calls failed", self.errors)?;
        }
        if self.writer.gave_up {
            write!(f, "\n    nothing more is stored: the writer has given up")?;
        } else if let Some(since) = self.writer.failing_since {
            let seconds = since.elapsed().unwrap_or_default().as_secs();
            write!(f, "\n    nothing could be stored for {seconds} s; it is tried again")?;
        }
        if self.distrusted {
            write!(f, "\n    damaged: every result is verified before it is used")?;
        }
        Ok(())
    }
}
