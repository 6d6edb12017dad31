//! Batches that cannot be committed.
//!
//! ```text
//!            fails                 fails, attempts used up              pause over, or a flush
//! trying ───────────► a short pause ───────────► waiting, twice as long each time ───────────► trying once
//!   │                                               │ closing: once more                         │
//!   └── an error that cannot pass ──► given up ◄────┘ in vain                     success ──► the next batch
//! ```
//! The batch itself waits in memory, at most [`WriteBehindOptions::batch_bytes`](super::WriteBehindOptions::batch_bytes) and a group; what
//! comes after it waits in the queue, until that is full. A flush is tried for at once, and told if that was in vain: it never
//! waits for a disk to have space.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::commit::Committer;
use super::{Group, Shared, Trouble};
use crate::StorageError;

/// The longest pause, in first pauses.
const LONGEST: u32 = 64;

impl Shared {
    /// Commits one batch, however long it takes. Returns whether it is committed; if not, the writer has given up.
    pub(super) fn commit(&self, committer: &mut Committer, mut groups: Vec<Group>) -> bool {
        let mut short = Duration::from_millis(20);
        let mut long = self.options.pause;
        let mut attempt = 1;
        loop {
            let (flushes, closing) = {
                let queue = self.queue.lock();
                (queue.flushes, queue.closing)
            };
            let result = {
                let _alone = self.committing.lock();
                committer.commit(&self.store, &mut groups)
            };
            let Err(error) = result else { return true };
            let error = Arc::new(error);
            let last = !error.is_transient() || closing && attempt > 1;
            let quickly = attempt < self.options.attempts.max(1);
            self.failed(&error, if quickly { 0 } else { flushes }, last);
            if last {
                return false;
            }
            if quickly {
                thread::sleep(short);
                short *= 4;
            } else {
                self.wait(flushes, long);
                long = (long * 2).min(self.options.pause * LONGEST);
            }
            attempt = attempt.saturating_add(1);
        }
    }

    /// An attempt has failed; flushes up to `answered` are told so.
    fn failed(&self, error: &Arc<StorageError>, answered: u64, last: bool) {
        let mut queue = self.queue.lock();
        queue.stats.errors += 1;
        match &mut queue.trouble {
            Some(trouble) => {
                trouble.error = error.clone();
                trouble.answered = trouble.answered.max(answered);
            }
            None => {
                let since = SystemTime::now();
                queue.trouble = Some(Trouble { error: error.clone(), since, answered, is_final: false });
                queue.to_report = Some(error.clone());
            }
        }
        if last {
            queue.give_up(error.clone());
        }
        self.done.notify_all();
    }

    /// Waits until `pause` is over, or a flush or the end asks for an attempt.
    fn wait(&self, flushes: u64, pause: Duration) {
        let deadline = Instant::now() + pause;
        let mut queue = self.queue.lock();
        while queue.flushes == flushes && !queue.closing && Instant::now() < deadline {
            let _ = self.due.wait_until(&mut queue, deadline);
        }
    }
}
