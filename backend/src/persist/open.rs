//! Opening a store, and closing it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use parking_lot::Mutex;

use super::elsewhere::{Elsewhere, Remote};
use super::identity::{Build, Functions, build_identity};
use super::leaves::LeafState;
use super::{Counts, Leaves, Persistence, deadline};
use crate::base::clock::Clock;
use crate::graph::epoch::Epoch;
use crate::graph::invalidate::Marking;
use crate::graph::task_fn::{Observer, Seen};
use larder_storage::record::{Leaf, SourceKind, read_leaves, read_since};
use larder_storage::{
    BackingStorage, Digest, Fingerprints, Guarded, Opening, Rejected, RunNumber, StorageError, StoreCap,
    StoreIdentity, WriteBehind, WriteBehindOptions, evict, open_store,
};

/// Which store, and how it is used.
#[derive(Clone)]
pub struct StorageConfig {
    /// The store.
    pub storage: Arc<dyn BackingStorage>,
    /// How results are gathered.
    pub write_behind: WriteBehindOptions,
    /// The most bytes of keys and records; the least recently used results are dropped, while the program runs and when the store is closed.
    pub cap: Option<u64>,
    /// Whether the space of replaced and dropped records is given back when the store is closed.
    pub compacts: bool,
    /// The identity of the code of functions without a declared version; by default, the digest of the program's file.
    pub build: Option<Digest>,
    /// How stored sources are looked at.
    pub observers: Vec<Observer>,
    /// Records of other machines.
    pub remote: Option<Arc<dyn Remote>>,
}

impl StorageConfig {
    /// Returns the defaults.
    #[must_use]
    pub fn new(storage: Arc<dyn BackingStorage>) -> Self {
        let write_behind = WriteBehindOptions::default();
        Self {
            storage,
            write_behind,
            cap: None,
            compacts: false,
            build: None,
            observers: Vec::new(),
            remote: None,
        }
    }
}

impl StorageConfig {
    /// Returns the identity of the code of functions without a declared version. Zeros where the program's file cannot be read: no
    /// other process has such results.
    #[must_use]
    pub fn build_identity(&self) -> Digest {
        self.build.or_else(|| build_identity().ok()).unwrap_or_default()
    }
}

impl std::fmt::Debug for StorageConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StorageConfig")
            .field("cap", &self.cap)
            .field("build", &self.build)
            .finish_non_exhaustive()
    }
}

/// The findings at opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Opened {
    /// An empty store.
    Fresh,
    /// A store with results in it; whether this build wrote last.
    Warm {
        /// If not, only functions that declare their version hit.
        same_build: bool,
    },
    /// A store that could not be read. It was emptied.
    Cold {
        /// Why.
        reason: Rejected,
    },
}

impl Persistence {
    /// Opens a store and looks at all sources that it knows.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub(crate) fn open(
        config: StorageConfig,
        base_dir: Option<Arc<Path>>,
        clock: Clock,
        fingerprints: Option<Fingerprints>,
    ) -> Result<Self, StorageError> {
        let code = match config.build {
            Some(build) => Build::Given(build),
            None => Build::OfProgram(build_identity().unwrap_or_else(|_| nobody_else())),
        };
        let build = code.digest();
        let store = Arc::new(Guarded::new(config.storage));
        let (opened, generation) = match open_store(&store, &StoreIdentity { build, fingerprints }) {
            Opening::Fresh => (Opened::Fresh, RunNumber::BEFORE_ALL),
            Opening::Warm { generation, same_build } => (Opened::Warm { same_build }, generation),
            Opening::Cold { reason } => (Opened::Cold { reason }, RunNumber::BEFORE_ALL),
            Opening::Unusable(error) => return Err(error),
        };
        let since = read_since(&store, build, generation);
        // Records of other machines have the generation 0, which is to be before every run of this store.
        let first = RunNumber(u64::from(config.remote.is_some()));
        let (since, generation) = (since.max(first), generation.max(first));
        // A store that cannot tell its size is counted when as much as the cap has been written.
        let live_cap =
            config.cap.map(|cap| Arc::new(StoreCap::new(cap, store.storage().size().ok().flatten())));
        let write_behind = WriteBehindOptions { cap: live_cap.clone(), ..config.write_behind };
        let persistence = Self {
            since,
            writer: WriteBehind::start(store.clone(), write_behind)?,
            live_cap,
            functions: Functions::new(code, store.clone()),
            elsewhere: config.remote.map(|remote| Box::new(Elsewhere::new(remote, &store))),
            store,
            leaves: Leaves::default(),
            nodes: super::Nodes::default(),
            pending: super::Pending::default(),
            components: super::Components::default(),
            generation,
            observers: config.observers.into_iter().chain([deadline::OBSERVER]).collect(),
            base_dir,
            clock,
            distrust: AtomicBool::new(false),
            trusted: Mutex::default(),
            must_run: Mutex::default(),
            queued: Mutex::default(),
            orphans: Mutex::default(),
            lost_marks: Mutex::default(),
            changes_in_sessions: AtomicU64::new(0),
            begun: AtomicBool::new(false),
            keeps_uses: config.cap.is_some(),
            cap: config.cap,
            compacts: config.compacts,
            counts: Counts::default(),
            opened,
        };
        if matches!(opened, Opened::Warm { .. }) {
            persistence.read_leaves();
        }
        Ok(persistence)
    }

    fn read_leaves(&self) {
        let mut leaves = self.leaves.lock();
        let all = read_leaves(&self.store, |leaf| {
            let (kind, name, seen) = match leaf {
                Leaf::Source(source) => {
                    let seen = Seen { content: source.content, stamp: source.stamp, racy: source.racy };
                    (source.kind, source.name, seen)
                }
                Leaf::Input(input) => (
                    SourceKind::Input,
                    input.name,
                    Seen { content: input.fingerprint, stamp: None, racy: false },
                ),
            };
            let name = name.into();
            let leaf = LeafState { kind, name, seen, is_stored: true, in_memory: false, is_untold: false };
            leaves.insert(leaf.key(self.store.fingerprints()), leaf);
        });
        drop(leaves);
        if all.is_err() {
            self.distrust.store(true, Relaxed);
        }
        let (_, moved) = self.look();
        if !moved.is_empty() {
            self.changed(&[], moved, &[], &mut Marking::noting(Epoch::NEVER));
        }
    }

    /// Drops what is over the cap, if there is one, and compacts the store, if it is to be.
    fn shrink(&self) -> Result<(), StorageError> {
        let size = self.store.storage().size()?;
        let cap = self.cap.filter(|cap| size.is_none_or(|size| size > *cap));
        let compacts = self.compacts && self.begun.load(Relaxed);
        if cap.is_none() && !compacts {
            return Ok(());
        }
        let shrunk = self.writer.quiesced(|store| {
            let evicted = cap.map(|cap| evict(store, cap)).transpose()?;
            let has_evicted = evicted.is_some_and(|evicted| evicted.trimmed + evicted.tasks > 0);
            if has_evicted || compacts { store.storage().compact() } else { Ok(()) }
        });
        shrunk.unwrap_or(Ok(()))
    }
}

/// An identity that no other process has: where the program's file cannot be read, every run starts cold.
fn nobody_else() -> Digest {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let local = 0_u8;
    Digest::xxh3(format!("{now:?} {} {:p}", std::process::id(), &raw const local).as_bytes())
}

impl Drop for Persistence {
    fn drop(&mut self) {
        // An error leaves the store larger than it should be, and right.
        let _ = self.shrink();
    }
}
