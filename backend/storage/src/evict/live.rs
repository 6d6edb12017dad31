//! The size cap while a program runs: an estimate of what is stored, and what is to go.
//!
//! ```text
//! writer's thread                                             the engine, between sessions
//! a batch is committed, and its bytes make the estimate
//! exceed the cap:  look
//!   all records are counted; the least recently used tasks
//!   with older traces lose these, in batches of their own
//!   none of them has any:  they are *victims*     ─────────►   a victim that no node in memory stands for is removed,
//!                                                             as a forgotten task is
//! ```
//! For example: a cap of 64 MiB, and 70 are stored. The writer finds 20,000 tasks that were not used for longest, and of 11 MiB in all.
//! Had they older traces, these would go. They have none, so each of them becomes a victim; the next sessions find them listed,
//! and slices of some hundred tasks go before these sessions open. The readers of a victim stay, and stay valid.
//!
//! Only the engine can tell that memory does not go by a record. It says so with the gate held exclusively, so that no session is
//! restoring the task meanwhile; the removal itself takes the writer's queue.
//!
//! A look costs one pass over all keys and records, so there is none before a sixteenth of the cap has been written since the last.

use std::collections::{BinaryHeap, HashMap};
use std::fmt;

use parking_lot::Mutex;

use super::{commit, merge, weigh};
use crate::record::TaskRecord;
use crate::{Batch, Digest, Guarded, StorageError, Table, TaskKey, Visit, envelope};

/// The most tasks that one look makes victims.
const VICTIMS: usize = 1 << 16;

/// A cap on the bytes of keys and records of a store, for as long as a program writes to it.
pub struct StoreCap {
    bytes: u64,
    state: Mutex<State>,
    /// Whether there are victims: asked by each session.
    has_victims: std::sync::atomic::AtomicBool,
}

#[derive(Default)]
struct State {
    /// About the bytes of all keys and records; at least so many.
    estimate: u64,
    /// The estimate from which on it is worth a look.
    next: u64,
    victims: Vec<Candidate>,
    /// The bytes of victims that have gone since the last look.
    gone: u64,
    stats: StoreCapStats,
}

/// The work of a cap while the program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreCapStats {
    /// The bytes of all keys and records as far as they are known: counted by the last look, and what was written since.
    pub bytes: u64,
    /// How often all records were looked at.
    pub looks: u64,
    /// Tasks whose older results were dropped.
    pub trimmed: u64,
    /// Tasks dropped altogether.
    pub tasks: u64,
    /// Tasks that were to be dropped, and stayed, as they are in memory.
    pub spared: u64,
}

/// A task, by its last use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// The generation of its last use.
    used: u64,
    task: [u8; 16],
    /// The bytes of the task with its current trace and output.
    bytes: u64,
    /// About the bytes of its older traces.
    older: u64,
}

impl StoreCap {
    /// Makes a cap of so many bytes for a store that takes `size` where it is kept.
    pub fn new(bytes: u64, size: Option<u64>) -> Self {
        let state = State { estimate: size.unwrap_or(0), next: bytes, ..State::default() };
        Self { bytes, state: Mutex::new(state), has_victims: false.into() }
    }

    /// Whether there are victims to be taken.
    #[inline]
    pub fn has_victims(&self) -> bool {
        // Relaxed: a hint. The list has a lock.
        self.has_victims.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Takes so many victims at most, to be removed if `may_go`. Returns these.
    pub fn take_victims(&self, most: usize, may_go: impl Fn(TaskKey) -> bool) -> Vec<TaskKey> {
        let mut state = self.state.lock();
        let from = state.victims.len().saturating_sub(most);
        let taken = state.victims.split_off(from);
        if from == 0 {
            // Gives its memory back, too.
            state.victims = Vec::new();
            self.has_victims.store(false, std::sync::atomic::Ordering::Relaxed);
        }
        let is_done = from == 0;
        let mut going = Vec::with_capacity(taken.len());
        for victim in taken {
            let task = TaskKey(Digest::from_bytes(victim.task));
            if may_go(task) {
                state.estimate = state.estimate.saturating_sub(victim.bytes);
                state.gone += victim.bytes;
                state.stats.tasks += 1;
                going.push(task);
            } else {
                state.stats.spared += 1;
            }
        }
        if is_done {
            let helped = std::mem::take(&mut state.gone) >= self.bytes / 16;
            state.next = if state.estimate <= self.bytes || helped {
                // It may grow up to the cap. If it is above that already, so much was written meanwhile that it takes another look.
                self.bytes
            } else {
                // Another look may find as little.
                state.estimate.saturating_add(self.bytes / 16)
            };
        }
        going
    }

    /// Returns the work so far.
    pub fn stats(&self) -> StoreCapStats {
        let state = self.state.lock();
        StoreCapStats { bytes: state.estimate, ..state.stats }
    }

    /// A batch of so many bytes has been committed. Returns whether it is time for a look.
    pub(crate) fn wrote(&self, bytes: u64) -> bool {
        let mut state = self.state.lock();
        state.estimate = state.estimate.saturating_add(bytes);
        state.estimate > state.next && state.victims.is_empty()
    }

    /// Counts all records, and sees what has to go. Nothing else is committed meanwhile.
    pub(crate) fn look(&self, store: &Guarded) -> Result<(), StorageError> {
        let (total, candidates) = count(store)?;
        let mut state = self.state.lock();
        state.stats.looks += 1;
        state.estimate = total;
        state.next = total.max(self.bytes).saturating_add(self.bytes / 16);
        if total <= self.bytes {
            state.next = self.bytes;
            return Ok(());
        }
        // A little more than has to, so that the next batch does not call for the next look.
        let too_much = total - self.bytes + self.bytes / 8;
        drop(state);
        let trimmed = trim(store, &candidates, too_much)?;
        let mut state = self.state.lock();
        if trimmed.tasks > 0 {
            state.stats.trimmed += trimmed.tasks;
            state.estimate = state.estimate.saturating_sub(trimmed.bytes);
            if trimmed.bytes < too_much {
                // The next look finds tasks without older traces.
                state.next = 0;
            }
            return Ok(());
        }
        let mut bytes = 0;
        let going = candidates.iter().take_while(|candidate| {
            let goes = bytes < too_much;
            bytes += candidate.bytes;
            goes
        });
        let mut victims: Vec<_> = going.copied().collect();
        // They are taken from the end.
        victims.reverse();
        state.victims = victims;
        state.gone = 0;
        self.has_victims.store(!state.victims.is_empty(), std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }
}

/// The bytes of all keys and records, and the tasks that were not used for longest, in that order.
fn count(store: &Guarded) -> Result<(u64, Vec<Candidate>), StorageError> {
    let mut total = 0;
    for table in Table::ALL.into_iter().filter(|table| !matches!(table, Table::Tasks | Table::Uses)) {
        store.storage().scan(table, &[], &mut |key, record| {
            total += (key.len() + record.len()) as u64;
            Visit::Continue
        })?;
    }
    let mut oldest = BinaryHeap::new();
    // By the first byte of the key, so that the uses of one part at a time are in memory.
    for part in 0..=u8::MAX {
        let mut uses: HashMap<[u8; 16], u64> = HashMap::new();
        store.storage().scan(Table::Uses, &[part], &mut |key, record| {
            total += (key.len() + record.len()) as u64;
            let payload = envelope::open(Table::Uses, key, record).ok();
            if let (Some(task), Some(Ok(used))) = (key.first_chunk(), payload.map(<[u8; 8]>::try_from)) {
                uses.insert(*task, u64::from_le_bytes(used));
            }
            Visit::Continue
        })?;
        store.storage().scan(Table::Tasks, &[part], &mut |key, record| {
            let own = (key.len() + record.len()) as u64;
            total += own;
            let Some(task) = key.first_chunk::<16>() else { return Visit::Continue };
            let (output, stored) = weigh(key, record);
            let used = uses.get(task).map_or(stored, |used| stored.max(*used));
            oldest.push(Candidate {
                used,
                task: *task,
                bytes: own + output,
                older: older_bytes(key, record),
            });
            if oldest.len() > VICTIMS {
                oldest.pop();
            }
            Visit::Continue
        })?;
    }
    Ok((total, oldest.into_sorted_vec()))
}

/// About the bytes of the older traces of a task: each like the current one.
fn older_bytes(key: &[u8], record: &[u8]) -> u64 {
    let payload = envelope::open(Table::Tasks, key, record).ok();
    let task = payload.and_then(|payload| TaskRecord::decode(payload).ok());
    task.map_or(0, |task| task.older().count() as u64 * (task.current.bytes().len() as u64 + 74))
}

struct Trimmed {
    tasks: u64,
    bytes: u64,
}

/// Drops older traces of the first of these tasks, until so many bytes have gone.
fn trim(store: &Guarded, tasks: &[Candidate], too_much: u64) -> Result<Trimmed, StorageError> {
    let mut trimmed = Trimmed { tasks: 0, bytes: 0 };
    let mut batch = Batch::new();
    for candidate in tasks.iter().filter(|candidate| candidate.older > 0) {
        if trimmed.bytes >= too_much {
            break;
        }
        merge(store, candidate.task, &[], &mut batch)?;
        trimmed.tasks += 1;
        trimmed.bytes += candidate.older;
    }
    if !batch.is_empty() {
        commit(store, &mut batch)?;
    }
    Ok(trimmed)
}

impl fmt::Debug for StoreCap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreCap").field("bytes", &self.bytes).field("stats", &self.stats()).finish()
    }
}
