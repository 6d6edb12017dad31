//! Persist: results survive the process.
//!
//! # What is stored of what
//! A run of a task whose function is stored (`TaskFn::stored`) is handed to the store when it completes, before its node is
//! FRESH: its key, what it read with fingerprints, its output, what it emitted. It is not stored if anything that it read
//! is not: a reader of something that the store does not know could never be marked stale. A transient task stands for its own reads (`evaluate/stored/flatten.rs`). The stored part of a node stands in
//! its [`Persisted`].
//!
//! # How a node comes out of the store
//! ```text
//! a call misses in memory
//!   probe     borrowed arguments are encoded, one point read; nothing is allocated for the task before      (`probe`)
//!   insert    the node, RUNNING; a lost race ends here
//!   restore   record valid and trusted: decode, FRESH, RESTORED; nothing else is read                      (`restore`)
//!   check     record stale: do the reads of one of its traces have their current values?  then restore     (`check`)
//!   run       otherwise
//! ```
//! A node whose reads have changed in this process takes the same way (from "check" on) before its body runs: back in an
//! earlier state nothing runs. RESTORED means that a node's reads are not in its `Deps`: the edges that lead to it are in
//! the store alone, so it is verified by its record, and found by walking the store.
//!
//! # How a change is told
//! Leaves that were stored are looked at when the store is opened ([`open`](self::open)), and by every refresh; what they
//! are is in [`Leaves`]. A leaf that differs makes its dependents stale, in memory and in the store, in one walk
//! ([`walk`]); all marks are in the batch that stores the leaf.
//!
//! # Invariants
//! 1. A stored task that is not stale is valid on what `leaves` says (rule 1 of `docs/storage-format.md`, section 11).
//! 2. `is_stored` of a node: store and queue hold its current value and reads, and the same is true of all that it read, or that a
//!    transient task read which it has read. What
//!    is read from a node that is not stored makes the reader not stored.
//! 3. A node that has run in this process is in `nodes` with its reads in `Deps`, or was removed from the store: so edges
//!    that are not committed need not be found in the store.
//! 4. Nothing here fails a computation: what cannot be read is a miss, what cannot be written stays in memory.

pub(crate) mod components;
pub(crate) mod counts;
pub(crate) mod deadline;
pub(crate) mod elsewhere;
pub(crate) mod identity;
pub(crate) mod leaves;
pub(crate) mod lossy;
pub(crate) mod nodes;
pub(crate) mod observe;
pub(crate) mod open;
pub(crate) mod pending;
pub(crate) mod sharded;
pub(crate) mod stored_trace;
pub(crate) mod types;
pub(crate) mod walk;
pub(crate) mod wide;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use rustc_hash::FxHashSet;

use self::components::Components;
pub(crate) use self::counts::Counts;
use self::elsewhere::Elsewhere;
use self::identity::{Functions, Identified};
pub(crate) use self::leaves::{LeafState, Leaves};
use self::nodes::Nodes;
pub(crate) use self::observe::{Moved, Touched};
pub use self::open::{Opened, StorageConfig};
pub(crate) use self::pending::{Known, Pending, PendingChange};
pub(crate) use self::stored_trace::StoredTrace;
pub use self::types::stored;
pub(crate) use self::types::{recall_key, recognised};
pub(crate) use self::walk::Bereft;
pub(crate) use self::wide::reads_changed;
use crate::base::clock::Clock;
use crate::graph::epoch::Epoch;
use crate::graph::node::NodeRef;
use crate::graph::task_fn::Observer;
use larder_storage::{
    Digest, Fingerprints, FunctionId, Group, Guarded, RunNumber, StoreCap, TaskKey, WriteBehind,
};

/// The process that stored a task, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) generation: RunNumber,
    pub(crate) function: Option<FunctionId>,
}

/// The knowledge about the code behind a stored task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// All of it is that of this program.
    Same,
    /// The code of its function is known, by a declared version. Its reads may be of other code.
    SameFunction,
    /// This program has not called the function so far, and may not have it any more.
    Unknown,
}

/// The store of an engine, and what the engine knows of it.
pub(crate) struct Persistence {
    pub(crate) store: Arc<Guarded>,
    pub(crate) writer: WriteBehind,
    pub(crate) functions: Functions,
    pub(crate) leaves: Leaves,
    pub(crate) nodes: Nodes,
    pub(crate) pending: Pending,
    pub(crate) components: Components,
    pub(crate) generation: RunNumber,
    /// The generation since which this build alone has written to the store. Records that a function with a declared version stored
    /// before may have read functions of other code.
    pub(crate) since: RunNumber,
    pub(crate) observers: Vec<Observer>,
    /// Where relative paths of sources start.
    base_dir: Option<Arc<Path>>,
    clock: Clock,
    /// Some dependents or leaves are lost: a stored task is valid only when it has been verified.
    pub(crate) distrust: AtomicBool,
    /// The tasks that have been verified since.
    pub(crate) trusted: Mutex<FxHashSet<Digest>>,
    /// Tasks that are only stored, and whose body would have to run in this epoch.
    pub(crate) must_run: Mutex<(Epoch, FxHashSet<Digest>)>,
    /// Restored nodes to be marked when the gate is next held exclusively.
    pub(crate) queued: Mutex<Vec<NodeRef>>,
    /// Tasks over removed inputs whose nodes have gone, and whose records are to go.
    pub(crate) orphans: Mutex<Vec<Digest>>,
    /// Marks that were refused. They go with the next ones, before which no leaf is stored that they belong to.
    pub(crate) lost_marks: Mutex<FxHashSet<Digest>>,
    /// Counts changes to leaves while sessions are open, at their beginning and at their end.
    pub(crate) changes_in_sessions: AtomicU64,
    /// Whether this run has told the store that it writes.
    pub(crate) begun: AtomicBool,
    pub(crate) keeps_uses: bool,
    pub(crate) cap: Option<u64>,
    /// The cap while the program runs.
    pub(crate) live_cap: Option<Arc<StoreCap>>,
    pub(crate) compacts: bool,
    pub(crate) counts: Counts,
    /// Records of other machines, if there is a way to them.
    pub(crate) elsewhere: Option<Box<Elsewhere>>,
    pub(crate) opened: Opened,
}

impl Persistence {
    /// Returns the kind of digests in the store.
    #[inline]
    pub(crate) fn fingerprints(&self) -> Fingerprints {
        self.store.fingerprints()
    }

    /// Returns an empty group for the store.
    pub(crate) fn group(&self) -> Group {
        Group::new(self.fingerprints())
    }

    /// Hands a group over, whose changes to tasks are `changes`. Returns whether it will be committed.
    pub(crate) fn hand_over(
        &self,
        group: &mut Group,
        changes: impl IntoIterator<Item = (Digest, PendingChange)>,
    ) -> bool {
        let first = !self.begun.load(Relaxed) && !self.begun.swap(true, Relaxed);
        if first {
            group.run_since(self.functions.build(), self.generation, self.since);
        }
        let accepted = self.pending.hand_over(&self.writer, group, changes);
        if first && !accepted {
            self.begun.store(false, Relaxed);
        }
        accepted
    }

    /// Whether a stored task is valid without being verified.
    pub(crate) fn is_trusted(&self, task: TaskKey, known: &Known) -> bool {
        self.is_trusted_record(task, known.is_stale, known.origin)
    }

    pub(crate) fn is_trusted_record(&self, task: TaskKey, is_stale: bool, origin: Origin) -> bool {
        let needs_no_look = !self.distrust.load(Relaxed) && self.code_of(origin) == Code::Same;
        !is_stale && (needs_no_look || self.trusted.lock().contains(&task.0))
    }

    /// Returns the knowledge about the code that a record comes from.
    pub(crate) fn code_of(&self, origin: Origin) -> Code {
        if origin.generation >= self.since {
            return Code::Same;
        }
        match origin.function.and_then(|function| self.functions.met(function)) {
            Some(Identified::ByBuild) => Code::Same,
            Some(Identified::ByVersion) => Code::SameFunction,
            None => Code::Unknown,
        }
    }

    /// A task has been verified.
    pub(crate) fn trust(&self, task: TaskKey, known: &Known) {
        if self.distrust.load(Relaxed) || self.code_of(known.origin) != Code::Same {
            self.trusted.lock().insert(task.0);
        }
    }

    /// The task was used in this run.
    pub(crate) fn note_use(&self, task: TaskKey) {
        if self.keeps_uses {
            let mut group = self.group();
            group.used(task, self.generation);
            self.hand_over(&mut group, []);
        }
    }

    pub(crate) fn must_run(&self, key: Digest, epoch: Epoch) -> bool {
        let must_run = self.must_run.lock();
        must_run.0 == epoch && must_run.1.contains(&key)
    }

    pub(crate) fn note_must_run(&self, key: Digest, epoch: Epoch) {
        let mut must_run = self.must_run.lock();
        if must_run.0 != epoch {
            *must_run = (epoch, FxHashSet::default());
        }
        must_run.1.insert(key);
    }
}
