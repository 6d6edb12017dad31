//! Packs into a store: as tasks that are stale, so that each is verified by what it has read before it is used.
//!
//! - Results that are in the store stay: the current result of a task, of which code it is, and whether it is stale. A result that comes is one
//!   more of its task, behind that one (`Group::found`).
//! - A leaf that is there stays as well. An imported one has no stamp, so its content is read when the store is opened.
//! - A trace that has read what is neither in the store nor came before it is left out: nothing could tell when it changes.
//! - Groups are committed in order, and each task stands in the group of its reads or a later one. So a process that is killed in the middle
//!   leaves a sound store, with some of the tasks.

use std::collections::HashSet;
use std::sync::Arc;

use larder_storage::record::{
    InputRecord, NewTask, PulledRecord, SourceKind, SourceRecord, TaskRecord, read_since, stored_build,
};
use larder_storage::{
    BackingStorage, Delivery, Digest, Fingerprints, Group, Guarded, Opening, ReadFailure, RunNumber,
    StorageError, StoreIdentity, Table, TaskKey, WriteBehind, WriteBehindOptions, open_store,
};

use crate::export::is_below_base;
use crate::pack::{Pack, PackedTask};
use crate::wire::Malformed;
use crate::{Manifest, ShareError};

/// Counts of the tasks that were offered, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// New tasks, or new results of tasks that were stale.
    pub(crate) imported: u64,
    /// The store knows them as they are, or better.
    pub(crate) known: u64,
    /// They have read what is not there, or what may not be named.
    pub(crate) left_out: u64,
}

/// Returns the build that has written to a store last, if its digests are of this kind.
pub(crate) fn build_of(store: &Guarded, fingerprints: Fingerprints) -> Option<Digest> {
    stored_build(store).filter(|(_, found)| *found == fingerprints).map(|(build, _)| build)
}

/// Tasks on their way into a store.
pub(crate) struct Importer {
    store: Arc<Guarded>,
    writer: WriteBehind,
    group: Group,
    generation: RunNumber,
    /// Keys of tasks and leaves that the store has, or will have.
    known: HashSet<Digest>,
    pub(crate) taken: Taken,
    /// The tasks of the pack that is taken in which are new.
    imported: Vec<TaskKey>,
    /// The store takes nothing more.
    is_refused: bool,
}

/// A group is handed over when it takes so many bytes.
const GROUP_BYTES: usize = 1 << 20;

/// The code that the tasks of a pack are of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// Functions that are shared between builds, and have read such functions, perhaps of versions that are not the program's.
    AnyBuild,
    /// The program's own.
    ThisBuild,
}

enum Failed {
    Malformed,
    Store(StorageError),
}

impl From<Malformed> for Failed {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Importer {
    /// Opens a store; an empty one is of `build` from here on.
    pub(crate) fn open(
        storage: Arc<dyn BackingStorage>,
        build: Digest,
        fingerprints: Fingerprints,
    ) -> Result<Self, ShareError> {
        let store = Arc::new(Guarded::new(storage));
        let own = build_of(&store, fingerprints).unwrap_or(build);
        let identity = StoreIdentity { build: own, fingerprints: Some(fingerprints) };
        let generation = match open_store(&store, &identity) {
            Opening::Warm { generation, .. } => generation,
            Opening::Fresh | Opening::Cold { .. } => RunNumber::BEFORE_ALL,
            Opening::Unusable(error) => return Err(error.into()),
        };
        // 0 is for tasks whose reads may be of other code than the program's: it is before all runs of this store.
        let generation = generation.max(RunNumber(1));
        let since = read_since(&store, own, generation).max(RunNumber(1));
        let mut group = Group::new(fingerprints);
        group.run_since(own, generation, since);
        let writer = WriteBehind::start(store.clone(), WriteBehindOptions::default())?;
        Ok(Self {
            store,
            writer,
            group,
            generation,
            known: HashSet::new(),
            taken: Taken::default(),
            imported: Vec::new(),
            is_refused: false,
        })
    }

    /// Remembers that all of a manifest has come.
    pub(crate) fn note_pulled(&mut self, name: &str, manifest: &Manifest, list: [u8; 32]) {
        let (signed_at, sequence) = (manifest.signed_in(), manifest.sequence);
        let (generation, signer) = (self.generation, &*manifest.signer);
        self.group.pulled(name, PulledRecord { list, generation, signed_at, sequence, signer });
    }

    /// Takes a pack in, which may be of the code of `any` build. `false` if it makes no sense; what came before that stays.
    pub(crate) fn take(&mut self, pack: &Pack<'_>, of: Of) -> Result<bool, ShareError> {
        for function in &pack.functions {
            match of {
                Of::AnyBuild => self.group.shared_function(function),
                Of::ThisBuild => self.group.function(function),
            }
        }
        for leaf in &pack.leaves {
            if !is_below_base(leaf.kind, leaf.name) || self.has(leaf.key)? {
                continue;
            }
            self.known.insert(leaf.key);
            if leaf.kind == SourceKind::Input {
                // The program sets its value here; until then it has one that no task has read.
                let fingerprint = Digest::xxh3(b"larder: not set here");
                self.group.input(&InputRecord { name: leaf.name, fingerprint, value: &[] });
            } else {
                let (kind, name, content) = (leaf.kind, leaf.name, leaf.content);
                self.group.source(&SourceRecord { kind, name, stamp: None, racy: true, content });
            }
        }
        let generation = if of == Of::AnyBuild { RunNumber::BEFORE_ALL } else { self.generation };
        let read = pack.for_each(|task| self.task(&task, generation).map_err(Failed::Store));
        match read {
            Ok(()) => Ok(true),
            Err(Failed::Malformed) => Ok(false),
            Err(Failed::Store(error)) => Err(error.into()),
        }
    }

    /// Whether the store has a task or leaf of this key, or will have.
    fn has(&mut self, key: Digest) -> Result<bool, StorageError> {
        if self.known.contains(&key) {
            return Ok(true);
        }
        let mut buffer = Vec::new();
        for table in [Table::Sources, Table::Inputs, Table::Tasks] {
            match self.store.read(table, &key.to_bytes(), &mut buffer) {
                Ok(Some(_)) => {
                    self.known.insert(key);
                    return Ok(true);
                }
                Err(ReadFailure::Storage(error)) => return Err(error),
                Ok(None) | Err(_) => {}
            }
        }
        Ok(false)
    }

    fn task(&mut self, task: &PackedTask, generation: RunNumber) -> Result<(), StorageError> {
        let mut buffer = Vec::new();
        let found = match self.store.read(Table::Tasks, &task.key.to_bytes(), &mut buffer) {
            Ok(payload) => payload.and_then(|payload| TaskRecord::decode(payload).ok()),
            Err(ReadFailure::Storage(error)) => return Err(error),
            Err(_) => None,
        };
        if found.is_some_and(|record| record.encoded_key != task.encoded_key) {
            self.taken.known += 1;
            return Ok(());
        }
        let mut usable = Vec::new();
        for trace in &task.traces {
            let mut is_whole = true;
            for read in &trace.reads {
                is_whole &= read.key != task.key.0 && self.has(read.key)?;
            }
            if is_whole {
                usable.push(trace);
            }
        }
        if usable.is_empty() || self.is_refused {
            self.taken.left_out += 1;
            return Ok(());
        }
        self.known.insert(task.key.0);
        let Some(record) = found else {
            // The last one that is added is the current one.
            for trace in usable.into_iter().rev() {
                let encoded_key = &task.encoded_key;
                let fingerprints = self.store.fingerprints();
                trace.as_new(fingerprints, |trace| {
                    self.group.ran(&NewTask { encoded_key, generation, trace: *trace });
                });
            }
            self.group.stale(task.key);
            self.note_imported(task.key);
            return Ok(());
        };
        let fingerprints = self.store.fingerprints();
        let current = record.current.digest(fingerprints);
        let has = |digest| current == digest || record.older().any(|older| older.digest == digest);
        usable.retain(|trace| trace.digest(fingerprints).is_some_and(|digest| !has(digest)));
        if usable.is_empty() {
            self.taken.known += 1;
            return Ok(());
        }
        // Behind what is there, whose code and staleness the store knows.
        usable.iter().rev().for_each(|trace| self.group.found(&task.encoded_key, trace));
        self.note_imported(task.key);
        Ok(())
    }

    fn note_imported(&mut self, task: TaskKey) {
        self.taken.imported += 1;
        self.imported.push(task);
        if self.group.bytes() > GROUP_BYTES {
            self.hand_over();
        }
    }

    /// Returns the tasks that are new since this was last asked.
    pub(crate) fn take_imported(&mut self) -> Vec<TaskKey> {
        std::mem::take(&mut self.imported)
    }

    fn hand_over(&mut self) {
        // Readers of a refused task must not be stored either.
        self.is_refused |= self.writer.push(&mut self.group) == Delivery::Refused;
        self.group.clear();
        self.writer.keep_pace();
    }

    /// Makes all of it durable.
    pub(crate) fn finish(mut self) -> Result<Taken, ShareError> {
        self.hand_over();
        self.writer.flush()?;
        Ok(self.taken)
    }
}
