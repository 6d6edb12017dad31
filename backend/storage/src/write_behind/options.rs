//! Options of a writer, and its reports: batches, the outcome of groups and flushes, figures.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::{StorageError, StoreCap};

/// How a [`WriteBehind`](super::WriteBehind) gathers and gives up.
#[derive(Clone, Debug)]
pub struct WriteBehindOptions {
    /// A batch starts when so many bytes are waiting. 32 MiB: few big commits cost a store like redb far less, in time and in space, than
    /// many small ones; what waits takes about thrice as much memory, until it is committed. A million small tasks are stored
    /// in 5 batches. With 16 MiB it takes a third longer, with 64 MiB a third more memory.
    pub batch_bytes: usize,
    /// A batch starts when something has waited for so long: what a crash costs. 1 s.
    pub batch_delay: Duration,
    /// Threads wait for the batch under way when two more are waiting; see [`WriteBehind::keep_pace`](super::WriteBehind::keep_pace). So long at most: 2 s.
    pub patience: Duration,
    /// Groups are refused when so many bytes are waiting. 256 MiB.
    pub queue_bytes: usize,
    /// Is told of each batch that begins, and of its end if it was committed, by the writer's thread. None.
    pub on_batch: Option<OnBatch>,
    /// A cap that acts while the writer runs. None.
    pub cap: Option<Arc<StoreCap>>,
    /// The traces kept of one task. 8.
    pub max_traces: usize,
    /// How often a batch is tried in quick succession; at least once. 4, within about a second.
    pub attempts: u32,
    /// The pause after that, before the batch is tried once more; each further pause is twice as long, up to 64 times this. 1 s.
    pub pause: Duration,
}

impl Default for WriteBehindOptions {
    fn default() -> Self {
        Self {
            batch_bytes: 32 << 20,
            batch_delay: Duration::from_secs(1),
            patience: Duration::from_secs(2),
            queue_bytes: 256 << 20,
            on_batch: None,
            cap: None,
            max_traces: 8,
            attempts: 4,
            pause: Duration::from_secs(1),
        }
    }
}

/// A batch that was committed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BatchDone {
    /// Records written or deleted.
    pub writes: u64,
    /// Bytes of keys and records in it.
    pub bytes: u64,
    /// When it was begun.
    pub start: Instant,
}

/// Is told of the end of a batch, or dropped if that is not committed. It must not panic.
pub type OnBatchDone = Box<dyn FnOnce(&BatchDone)>;

/// Is told of each batch that begins, and returns what is told of its end. It must not panic.
#[derive(Clone)]
pub struct OnBatch(pub Arc<dyn Fn() -> OnBatchDone + Send + Sync>);

impl fmt::Debug for OnBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnBatch").finish_non_exhaustive()
    }
}

/// The outcome of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what read a refused task must not be stored either"]
pub enum Delivery {
    /// It will be committed. The ticket grows with each group; see [`WriteBehind::committed`](super::WriteBehind::committed).
    Accepted {
        /// The group's place in the order of handing over.
        ticket: u64,
    },
    /// Too much is waiting, or the writer has given up. The group is unchanged.
    Refused,
}

/// The progress of the writer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteBehindStats {
    /// Groups accepted.
    pub accepted: u64,
    /// Groups refused.
    pub refused: u64,
    /// Batches committed.
    pub batches: u64,
    /// Records written or deleted by them.
    pub writes: u64,
    /// Bytes of keys and records in them.
    pub bytes: u64,
    /// Runs that have come to another output than the one that was stored for the same reads, and have replaced it: their bodies are impure.
    pub contradictions: u64,
    /// Attempts that failed.
    pub errors: u64,
    /// Whether the writer has given up: nothing more is stored by this process.
    pub gave_up: bool,
    /// Since when nothing could be stored: the first attempt that failed, of those without a success in between.
    pub failing_since: Option<SystemTime>,
}

/// Not everything is durable, because of this error. Unless the writer has given up, it goes on trying.
#[derive(Clone, Debug)]
pub struct FlushError {
    source: Arc<StorageError>,
}

impl FlushError {
    pub(super) fn of(source: Arc<StorageError>) -> Self {
        Self { source }
    }
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("results could not be stored and stay in memory for now")
    }
}

impl std::error::Error for FlushError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}
