//! The writer's thread: waits for a batch, commits it, and does what is due in the store between two batches.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::commit::Committer;
use super::group::Room;
use super::{BatchDone, Group, OnBatch, Shared};
use crate::{Operation, StorageError};

impl Shared {
    /// The writer's thread.
    pub(super) fn run(&self) {
        let _gave_up = GiveUpOnPanic(self);
        let mut committer = Committer::new(self.options.max_traces);
        while let Some((groups, ticket)) = self.next_batch() {
            let start = Instant::now();
            let on_done = self.options.on_batch.as_ref().map(|OnBatch(begins)| begins());
            if !self.commit(&mut committer, groups) {
                return;
            }
            if let Some(on_done) = on_done {
                on_done(&BatchDone { writes: committer.writes(), bytes: committer.bytes(), start });
            }
            let mut queue = self.queue.lock();
            queue.committed = ticket;
            queue.under_way = None;
            queue.trouble = None;
            queue.stats.batches += 1;
            queue.stats.writes += committer.writes();
            let bytes = committer.bytes();
            queue.stats.bytes += bytes;
            committer.relax();
            self.done.notify_all();
            drop(queue);
            self.sweep(&mut committer);
            self.look_at_cap(bytes);
        }
    }

    /// After a batch of so many bytes: if the store takes more than it may, sees what has to go.
    fn look_at_cap(&self, bytes: u64) {
        let Some(cap) = self.options.cap.as_ref().filter(|cap| cap.wrote(bytes)) else { return };
        if self.queue.lock().closing {
            // The store is brought under its cap when it is closed.
            return;
        }
        let _alone = self.committing.lock();
        // After an error it is as it was; the next batch tells whether the store works.
        let _ = cap.look(&self.store);
    }

    /// Sweeps the lists of dependents that have become shorter, in slices, until the next batch waits. A writer that closes does
    /// not go on for ever: what it leaves costs its bytes only.
    fn sweep(&self, committer: &mut Committer) {
        const SLICES_AT_THE_END: usize = 256;
        let mut slices = 0;
        while committer.has_sweeping() {
            let swept = {
                let _alone = self.committing.lock();
                committer.sweep(&self.store)
            };
            slices += 1;
            let queue = self.queue.lock();
            if swept.is_err() || queue.since.is_some() || queue.closing && slices >= SLICES_AT_THE_END {
                // After an error, what was taken up is left as it is; the next batch tells whether the store works.
                return;
            }
        }
    }

    /// Waits until a batch is due and takes all that is waiting; `None` when closing, with nothing left.
    fn next_batch(&self) -> Option<(Vec<Group>, u64)> {
        let mut queue = self.queue.lock();
        loop {
            let Some(since) = queue.since else {
                if queue.closing {
                    return None;
                }
                self.due.wait(&mut queue);
                continue;
            };
            let deadline = since + self.options.batch_delay;
            let asked = queue.closing || queue.wanted > queue.committed;
            if asked || queue.bytes >= self.options.batch_bytes || Instant::now() >= deadline {
                let mut groups = std::mem::take(&mut queue.full);
                groups.extend(queue.open.take());
                queue.room = Room::default();
                queue.bytes = 0;
                queue.since = None;
                queue.under_way = Some(Instant::now());
                return Some((groups, queue.accepted));
            }
            self.due.wait_until(&mut queue, deadline);
        }
    }
}

/// Wakes the threads that wait for a writer that died.
struct GiveUpOnPanic<'a>(&'a Shared);

impl Drop for GiveUpOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let error = StorageError::failed(Operation::Commit, "the writer's thread panicked");
            self.0.queue.lock().give_up(Arc::new(error));
            self.0.done.notify_all();
        }
    }
}
