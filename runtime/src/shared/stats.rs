//! Statistics of a shared cache.

use std::fmt;
use std::time::{Duration, SystemTime};

use larder_shared::Skipped;

/// The traffic of a runtime with its shared cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedStats {
    /// Tasks that came in packs, to be verified before they are used.
    pub pulled: u64,
    /// The packs that the ref names were pulled by an earlier process.
    pub was_current: bool,
    /// The name of the key that has signed the packs, and when it did.
    pub signed: Option<(Box<str>, SystemTime)>,
    /// The number of the list that was pulled before, if the ref names an older one now: nothing was pulled.
    pub older_than: Option<u64>,
    /// Tasks asked for one by one, and in batches, because they were stale or not known.
    pub asked: u64,
    /// Records that came for them.
    pub came: u64,
    /// Tasks that a record has spared a run.
    pub used: u64,
    /// Round trips, one after the other: for packs, for records, and to write.
    pub trips: u64,
    /// A time that half of the calls of the engine have not exceeded, by a fourth exactly; and one that 99 of 100 have not. None without calls.
    pub trip_times: Option<(Duration, Duration)>,
    /// Bytes that came.
    pub bytes_in: u64,
    /// Bytes that went.
    pub bytes_out: u64,
    /// Items that came and were not used, by reason, with the number of items.
    pub rejected: Vec<(Box<str>, u64)>,
    /// The time that calls of tasks have waited for records.
    pub waited: Duration,
    /// How often the engine was left alone for a time because it failed.
    pub openings: u64,
    /// Tasks that were pushed in packs.
    pub pushed: u64,
    /// Results that the last push has left on this machine, by reason.
    pub skipped: Skipped,
    /// Tasks whose records were written.
    pub published: u64,
    /// Leases that were taken ([`Shared::leases`](super::Shared::leases)).
    pub leases: u64,
    /// Tasks whose run on another machine was waited for.
    pub awaited: u64,
    /// Results that came and whose bodies have run all the same, to be compared ([`Shared::check`](super::Shared::check)).
    pub checked: u64,
    /// The number of checked results that the body has not come to here.
    pub diverged: u64,
    /// The first 100 of these.
    pub divergences: Vec<Divergence>,
    /// The last error of the engine.
    pub error: Option<Box<str>>,
}

/// A result that came, and that the body of its task has not come to on this machine: the body is not deterministic, or the writer was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Divergence {
    /// The task, as a call with its arguments.
    pub task: Box<str>,
    /// The fingerprint of the value that came.
    pub came: u128,
    /// The fingerprint of the value that was computed here, which is the task's.
    pub computed: u128,
    /// Whether the body has read something else here than the writer's.
    pub reads_differ: bool,
    /// The digest of the pack with which it came, as the engine names it. None if it came as a record, or to an earlier process.
    pub pack: Option<[u8; 32]>,
    /// The name of the key that has signed what came, and when it did, as far as that is known.
    pub signed: Option<(Box<str>, SystemTime)>,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { task, came, computed, .. } = self;
        // Eight digits, as fingerprints are shown elsewhere.
        write!(f, "{task} came as {:08x} and is {:08x} here", came >> 96, computed >> 96)?;
        if let Some(pack) = &self.pack {
            f.write_str(", from pack ")?;
            pack.iter().take(6).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        if let Some((by, _)) = &self.signed {
            write!(f, ", signed by {by}")?;
        }
        if self.reads_differ {
            f.write_str(", from other reads")?;
        }
        Ok(())
    }
}

impl fmt::Display for SharedStats {
    /// One line, as programs show it when they end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.older_than, &self.signed, self.was_current) {
            (Some(newer), ..) => {
                write!(f, "the list of packs is older than number {newer}, which came before")?
            }
            (None, _, true) => write!(f, "packs as before")?,
            (None, Some((by, _)), false) => write!(f, "{} tasks in packs by {by}", self.pulled)?,
            (None, None, false) => write!(f, "no packs")?,
        }
        write!(f, ", {} of {} records used", self.used, self.asked)?;
        if self.pushed + self.published > 0 {
            write!(f, ", {} tasks pushed, {} records written", self.pushed, self.published)?;
        }
        if self.checked > 0 {
            write!(f, ", {} of {} checked results differ", self.diverged, self.checked)?;
        }
        for (why, count) in &self.rejected {
            write!(f, ", {count} rejected: {why}")?;
        }
        if let Some(error) = &self.error {
            write!(f, ", {error}")?;
        }
        Ok(())
    }
}
