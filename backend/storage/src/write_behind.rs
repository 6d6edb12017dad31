//! Storing behind the back of computations: finished work is handed over, a thread commits it in batches.
//!
//! # Protocol
//! ```text
//! computation                 queue (Mutex)                      writer's thread
//! fill a Group   ── push ──>  open group, full groups,  ── all ──>  merge, seal, commit   (retry, in order)
//!                             ticket of the last one    <── ticket of the last one committed
//! ```
//! - A **group** is what belongs together, say a finished task with its output, or a changed source with the tasks
//!   that it made stale. It is committed whole or not at all, together with whatever else is waiting.
//! - Groups are committed **in the order of handing over**, and none is left out. When a batch cannot be committed it is tried
//!   again, and nothing later is (see `retry`): quickly at first, then after pauses that grow, for as long as the program
//!   runs. For example, a disk that is full for an hour is tried once a minute, and when there is space again the batch that waited
//!   is committed, and all that came after it. After an error that cannot pass (the file is damaged, deleted, or read only) the writer
//!   gives up for good: the store stays at what it was, and everything from then on stays in memory.
//! - **Handing over** takes the queue's lock for one copy of the group's bytes, or for none if the group is large (it is
//!   moved then). No commit is made under that lock, and it never waits for space.
//! - **Back-pressure**: when more than [`WriteBehindOptions::queue_bytes`] are waiting, a group is *refused* and left to
//!   its owner. The engine then treats the task as one that cannot be stored, so that no task that read it is stored
//!   either; stored marks and stamps stay as they were, which is always safe.
//! - **Pace**: a thread that has computed something waits for the batch under way when two more are waiting
//!   ([`WriteBehind::keep_pace`]). So what waits to be committed takes at most three batches while the store is about as
//!   fast as the tasks are, and no time is lost: the store would be waited for in the end. For a batch that takes longer than
//!   [`WriteBehindOptions::patience`], and for a store that fails, no thread waits: the queue fills, and groups are
//!   refused at last. So a disk that is slow or full costs hits in a later run, and a few seconds in this one.
//!
//! A batch starts when enough bytes are waiting, when the oldest has waited long enough, or at a flush.
//! While one batch is committed the next one gathers, so the batches grow by themselves when the store is slow.

mod commit;
mod group;
mod options;
mod retry;
mod writer;

use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Instant, SystemTime};

use parking_lot::{Condvar, Mutex};

pub use self::group::Group;
use self::group::Room;
pub use self::options::{
    BatchDone, Delivery, FlushError, OnBatch, OnBatchDone, WriteBehindOptions, WriteBehindStats,
};
use super::{Guarded, Operation, Signal, StorageError};

/// Hands finished work to a store behind the back of computations. Dropping it commits what is waiting.
pub struct WriteBehind {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// The process that the thread belongs to.
    process: u32,
}

struct Shared {
    store: Arc<Guarded>,
    options: WriteBehindOptions,
    queue: Mutex<Queue>,
    /// To the writer: a batch may be due. Signalled when the first group arrives, when a batch becomes due, and by a flush.
    due: Signal,
    /// Wakes threads that flush: a batch was committed, or could not be.
    done: Condvar,
    /// Held while a batch is merged and committed, and during any other change of the store.
    committing: Mutex<()>,
}

#[derive(Default)]
struct Queue {
    /// Full groups, then the one that small groups are appended to.
    full: Vec<Group>,
    open: Option<Group>,
    /// Of a group that was full, since the last batch was taken.
    room: Room,
    bytes: usize,
    /// When the oldest of what is waiting arrived.
    since: Option<Instant>,
    /// When the batch under way was taken.
    under_way: Option<Instant>,
    /// Groups accepted so far: the ticket of the last one.
    accepted: u64,
    /// The ticket of the last group that is durable.
    committed: u64,
    /// A flush waits for this ticket.
    wanted: u64,
    /// Flushes so far.
    flushes: u64,
    closing: bool,
    stats: WriteBehindStats,
    /// The last error, while there has been no success since.
    trouble: Option<Trouble>,
    to_report: Option<Arc<StorageError>>,
}

struct Trouble {
    error: Arc<StorageError>,
    since: SystemTime,
    /// The flushes up to this one were tried for, in vain.
    answered: u64,
    is_final: bool,
}

/// Waiting groups stand in pieces of this size: a buffer that grows on and on is half empty, and stands in memory twice when it grows.
const PIECE: usize = 1 << 20;

/// Groups larger than this are moved, not copied.
const COPIED: usize = 64 << 10;

/// Message of an error in a forked process.
const FORKED: &str = "the store was opened by the process that this one was forked from, whose threads are missing here; open it \
                      in each process";

impl WriteBehind {
    /// Starts a writer for `store`. Whatever has no thread to spare for it gets the error.
    pub fn start(store: Arc<Guarded>, options: WriteBehindOptions) -> Result<Self, StorageError> {
        let shared = Arc::new(Shared {
            store,
            options,
            queue: Mutex::default(),
            due: Signal::new(),
            done: Condvar::new(),
            committing: Mutex::new(()),
        });
        let writer = shared.clone();
        let thread = thread::Builder::new()
            .name("larder-store".into())
            .spawn(move || writer.run())
            .map_err(|error| StorageError::failed(Operation::Open, error))?;
        Ok(Self { shared, thread: Some(thread), process: std::process::id() })
    }

    /// Whether the thread is missing: this process was forked off the one that started it. The store is that one's.
    fn is_lost(&self) -> bool {
        self.process != std::process::id()
    }

    fn lost() -> Arc<StorageError> {
        Arc::new(StorageError::failed(Operation::Commit, FORKED))
    }

    /// Hands `group` over and leaves it empty, with its buffers to be reused; refused, it is left as it is.
    pub fn push(&self, group: &mut Group) -> Delivery {
        let bytes = group.bytes();
        let mut queue = self.shared.queue.lock();
        let queue = &mut *queue;
        if queue.gave_up() || queue.closing || queue.bytes + bytes > self.shared.options.queue_bytes {
            queue.stats.refused += 1;
            return Delivery::Refused;
        }
        let due = queue.bytes + bytes >= self.shared.options.batch_bytes;
        let signals = queue.since.is_none() || (due && queue.bytes < self.shared.options.batch_bytes);
        if signals && self.is_lost() {
            // To signal a thread that is missing may hand the lock over to it.
            queue.closing = true;
            queue.stats.refused += 1;
            return Delivery::Refused;
        }
        if bytes <= COPIED {
            let open = queue.open.get_or_insert_with(|| {
                let mut open = group.like();
                open.reserve(queue.room);
                open
            });
            open.append(group);
            group.clear();
            if open.bytes() > PIECE {
                queue.room = open.room();
                let open = queue.open.take();
                queue.full.extend(open);
            }
        } else {
            let open = queue.open.take();
            let empty = group.like();
            queue.full.extend(open.into_iter().chain([std::mem::replace(group, empty)]));
        }
        if signals {
            self.shared.due.notify_one();
        }
        queue.since.get_or_insert_with(Instant::now);
        queue.bytes += bytes;
        queue.accepted += 1;
        queue.stats.accepted += 1;
        Delivery::Accepted { ticket: queue.accepted }
    }

    /// Waits while two batches are waiting and another one is under way: short tasks are computed faster than they are stored, and
    /// what waits takes memory. Does not wait for a store that fails, nor for a batch that takes longer than
    /// [`WriteBehindOptions::patience`].
    ///
    /// For a thread that holds nothing that the store needs.
    pub fn keep_pace(&self) {
        let mut queue = self.shared.queue.lock();
        while queue.bytes >= 2 * self.shared.options.batch_bytes && queue.trouble.is_none() && !self.is_lost()
        {
            let Some(under_way) = queue.under_way else { return };
            if self.shared.done.wait_until(&mut queue, under_way + self.shared.options.patience).timed_out() {
                return;
            }
        }
    }

    /// Returns once everything that was accepted before is durable, or one more attempt to make it so has failed.
    pub fn flush(&self) -> Result<(), FlushError> {
        if self.is_lost() {
            return Err(FlushError::of(Self::lost()));
        }
        let mut queue = self.shared.queue.lock();
        let wanted = queue.accepted;
        queue.wanted = queue.wanted.max(wanted);
        queue.flushes += 1;
        let this = queue.flushes;
        self.shared.due.notify_one();
        while queue.committed < wanted {
            match &queue.trouble {
                Some(trouble) if trouble.is_final || trouble.answered >= this => {
                    return Err(FlushError::of(trouble.error.clone()));
                }
                _ => self.shared.done.wait(&mut queue),
            }
        }
        match &queue.trouble {
            Some(trouble) if trouble.is_final && queue.stats.refused > 0 => {
                return Err(FlushError::of(trouble.error.clone()));
            }
            _ => {}
        }
        drop(queue);
        let confirmed = self.shared.store.storage().confirm();
        confirmed.map_err(|error| FlushError::of(Arc::new(error)))
    }

    /// Returns the ticket of the last group that is durable. Later groups are not yet to be found in the store.
    pub fn committed(&self) -> u64 {
        self.shared.queue.lock().committed
    }

    /// Has all that waits committed now, without waiting for it. Returns its ticket.
    pub fn hasten(&self) -> u64 {
        let mut queue = self.shared.queue.lock();
        let ticket = queue.accepted;
        if queue.committed < ticket && !self.is_lost() {
            queue.wanted = ticket;
            self.shared.due.notify_one();
        }
        ticket
    }

    /// Flushes, and runs `work` while nothing is committed: to drop what is old, to verify, to compact.
    pub fn quiesced<R>(&self, work: impl FnOnce(&Guarded) -> R) -> Result<R, FlushError> {
        self.flush()?;
        let _alone = self.shared.committing.lock();
        Ok(work(&self.shared.store))
    }

    /// Returns the progress of the writer.
    pub fn stats(&self) -> WriteBehindStats {
        let queue = self.shared.queue.lock();
        let failing_since = queue.trouble.as_ref().map(|trouble| trouble.since);
        let contradictions = self.shared.store.contradictions();
        WriteBehindStats { gave_up: queue.gave_up(), failing_since, contradictions, ..queue.stats }
    }

    /// Returns the first error since the last success, once: to be reported to the user. Later ones are only counted.
    pub fn take_report(&self) -> Option<Arc<StorageError>> {
        self.shared.queue.lock().to_report.take()
    }
}

impl Drop for WriteBehind {
    fn drop(&mut self) {
        if self.is_lost() {
            // The store stays open: to close it writes to it, and gives up the lock, which are the other process's.
            std::mem::forget(self.shared.clone());
            return;
        }
        self.shared.queue.lock().closing = true;
        self.shared.due.notify_one();
        if let Some(thread) = self.thread.take() {
            if thread.thread().id() == thread::current().id() {
                // An observer has kept the last reference to what is dropped: this thread cannot wait for itself.
                return;
            }
            // A panic of the writer's thread was already counted as giving up.
            let _ = thread.join();
        }
    }
}

impl Queue {
    fn gave_up(&self) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.is_final)
    }

    /// Drops all that is waiting, and takes nothing more.
    fn give_up(&mut self, error: Arc<StorageError>) {
        let since = self.trouble.as_ref().map_or_else(SystemTime::now, |trouble| trouble.since);
        self.trouble = Some(Trouble { error, since, answered: u64::MAX, is_final: true });
        self.full = Vec::new();
        self.open = None;
        self.bytes = 0;
        self.since = None;
        self.under_way = None;
    }
}

impl fmt::Debug for WriteBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteBehind").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
