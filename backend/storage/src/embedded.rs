//! The embedded default: one file, kept by redb, behind guards of ours.
//!
//! redb is atomic and durable, and reads without verifying a checksum. So it reads through [`Pages`], which checks every page
//! when it comes from the file: a damaged, misplaced or outdated page is an error there, and redb never sees it.
//! - Damage found when opening: the file is **set aside** (renamed to `*.damaged-N`) and a new one started; the fact
//!   is told by [`RedbStorage::set_aside`]. That is done to a file of ours alone ([`open`], [`place`]).
//! - Damage found later: the file is set aside and the store is *gone*: every call fails until it is opened again.
//!   It does not continue empty. Later results would have lost their dependencies.
//! - A panic inside redb is caught where it is called ([`contain`]) and means damage, too. (The process's panic hook
//!   still sees it.)
//! - What is not stored is answered from memory where much of that is asked for ([`absent`]).
//! - After an input/output error redb refuses all work: the store is *closed*, and the next commit opens it again, or a read does
//!   after a pause ([`again`]).
//! - A file that was deleted or replaced is noticed after each commit ([`place`]).
//!
//! # Which part may touch what
//! ```text
//! snapshot  RwLock   one read transaction with its tables, shared by all point reads; replaced right after each
//!                    commit. One of the last commit costs nothing: what that commit freed is free for the next.
//!                    One that is kept for longer keeps pages from being used again, and the file doubles. A scan
//!                    keeps the one it started with.
//! writer    Mutex    the database itself: commit, compact, close. Taken before `snapshot`, never after it.
//! ```

mod absent;
mod again;
mod contain;
mod create;
mod merkle;
mod open;
mod pages;
mod place;
mod snapshot;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::{Mutex, RwLock};
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata};

use self::absent::Absent;
use self::again::Pauses;
use self::contain::{Trouble, contain};
use self::open::Db;
pub use self::open::SetAside;
use self::place::StoreFile;
use self::snapshot::{Snapshot, TABLES};
use super::{BackingStorage, Operation, StorageError, Table, Visit, Write, Writes};

/// How to open a [`RedbStorage`].
#[derive(Clone, Debug)]
pub struct RedbOptions {
    cache_bytes: usize,
    read_only: bool,
    existing: bool,
    filter_after: u32,
    mode: u32,
}

impl Default for RedbOptions {
    fn default() -> Self {
        Self { cache_bytes: 48 << 20, read_only: false, existing: false, filter_after: 4096, mode: 0o600 }
    }
}

impl RedbOptions {
    /// Returns the default: read and write, with at most 48 MiB of page cache. The system keeps pages of the file as well.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the most memory for the cache of pages.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Opens for reading only: in a folder that cannot be written, on a file system without locks, or beside other readers. It neither
    /// creates nor repairs nor renames a file (what a crash left is repaired in memory), and cannot be opened while a writer has
    /// the file; see [`RedbStorage::open_snapshot`] for that.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Opens only a store that must be there and be sound: a file that is missing or damaged is an error, and is neither made, completed nor
    /// renamed.
    #[must_use]
    pub fn existing(mut self) -> Self {
        self.existing = true;
        self
    }

    /// Sets after how many reads of tasks that are not stored the next commit makes a filter, which answers further such reads
    /// from memory; `u32::MAX` for never. The default is 4,096.
    ///
    /// Cost: the commit reads the keys of all stored tasks once (about half a microsecond each); 2 to 4 bytes of memory for
    /// each of them.
    #[must_use]
    pub fn filter_after(mut self, reads: u32) -> Self {
        self.filter_after = reads;
        self
    }

    /// Sets the permissions that a new file is created with. The default is `0o600`: results are their user's own, as the files may be
    /// that they were computed from.
    #[cfg(unix)]
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Whether a damaged file is set aside, and a missing one made.
    fn may_replace(&self) -> bool {
        !self.read_only && !self.existing
    }

    /// Opens or creates the store at `path`. The folder must exist.
    ///
    /// # Errors
    /// If another process has the store, or its file cannot be opened, locked or written; if what is there is not a store. Whatever
    /// is not one is left alone; a store that is damaged is renamed to `*.damaged-N`, and replaced by a new one.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<RedbStorage, StorageError> {
        let opened = open::open(path.as_ref(), self)?;
        Ok(RedbStorage::of(path.as_ref(), self, opened))
    }
}

/// A store in one file. See the module's text for what it survives.
pub struct RedbStorage {
    path: PathBuf,
    file: Arc<StoreFile>,
    options: RedbOptions,
    snapshot: RwLock<Option<Arc<Snapshot>>>,
    writer: Mutex<Writer>,
    /// Set once, when damage is found; the next holder of `writer` closes the store.
    damaged: AtomicBool,
    set_aside: Mutex<Option<SetAside>>,
    absent: Absent,
    again: Mutex<Pauses>,
}

enum Writer {
    Open(Db),
    /// After an input/output error: to be opened again.
    Closed,
    /// After damage.
    Gone,
}

impl RedbStorage {
    /// Opens or creates the store at `path`, with the default options.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StorageError> {
        RedbOptions::new().open(path)
    }

    /// Opens a copy of the store at `path` as it is now, for reading only: also while another process has it, and writes.
    ///
    /// The copy is a file in the system's folder for temporary files, which goes when it is closed. Should a commit have come
    /// in the middle, the state before it is used, or, if there is none left, nothing: all checksums of the copy are verified.
    /// Cost: copying the file and reading it once.
    ///
    /// # Errors
    /// If the file cannot be read, or the copy not be written; if the copy is damaged.
    pub fn open_snapshot(path: impl AsRef<Path>) -> Result<Self, StorageError> {
        let options = RedbOptions::new().read_only();
        let opened = open::open_copy(path.as_ref(), &options)?;
        Ok(Self::of(path.as_ref(), &options, opened))
    }

    fn of(path: &Path, options: &RedbOptions, opened: open::Opened) -> Self {
        Self {
            path: path.to_owned(),
            file: opened.file,
            options: options.clone(),
            snapshot: RwLock::new(Some(Arc::new(opened.snapshot))),
            writer: Mutex::new(Writer::Open(opened.db)),
            damaged: AtomicBool::new(false),
            set_aside: Mutex::new(opened.set_aside),
            absent: Absent::new(options.filter_after),
            again: Mutex::default(),
        }
    }

    /// Opens the store at `path` for reading only.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, StorageError> {
        RedbOptions::new().read_only().open(path)
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the damaged file that was found in place of the store, and where it is now; when opening or since.
    pub fn set_aside(&self) -> Option<SetAside> {
        self.set_aside.lock().clone()
    }

    /// Makes an error of `trouble`, and of damage what damage means.
    fn trouble(&self, operation: Operation, trouble: Trouble) -> StorageError {
        match trouble {
            Trouble::Failed(source) => {
                self.open_again();
                StorageError::failed(operation, source)
            }
            Trouble::Held => StorageError::Held { path: self.path.clone() },
            Trouble::NotAStore(reason) => StorageError::NotAStore { path: self.path.clone(), reason },
            Trouble::Unlockable(source) => StorageError::Unlockable { path: self.path.clone(), source },
            Trouble::Damaged(reason) => {
                self.damaged.store(true, Relaxed);
                *self.snapshot.write() = None;
                // The holder of the writer looks at `damaged` before letting go.
                if let Some(mut writer) = self.writer.try_lock() {
                    self.close_damaged(&mut writer, &reason);
                }
                StorageError::Damaged { operation, table: None, reason }
            }
        }
    }

    /// Closes a damaged store and sets its file aside.
    fn close_damaged(&self, writer: &mut Writer, reason: &str) {
        let before = std::mem::replace(writer, Writer::Gone);
        *self.snapshot.write() = None;
        if matches!(before, Writer::Gone) {
            return;
        }
        // Closing writes; on a damaged file that may panic as well.
        let _ = contain(|| drop(before));
        if self.options.may_replace()
            && let Ok(question) = self.file.set_aside(reason)
        {
            *self.set_aside.lock() = Some(question);
        }
    }

    fn unusable(&self, operation: Operation) -> StorageError {
        if self.damaged.load(Relaxed) {
            let reason = "found earlier; open the store again".into();
            StorageError::Damaged { operation, table: None, reason }
        } else {
            self.open_again();
            StorageError::failed(operation, "closed for now, after an error or to be compacted")
        }
    }

    /// Opens the file again after an error, unless a pause is not over, or a thread that writes is at it. No lock is held.
    #[cold]
    fn open_again(&self) {
        let Some(mut writer) = self.writer.try_lock() else { return };
        if matches!(*writer, Writer::Gone) || self.damaged.load(Relaxed) || !self.again.lock().is_over() {
            return;
        }
        self.close(&mut writer);
        if let Err(Trouble::Damaged(reason)) = self.reopen(&mut writer) {
            self.damaged.store(true, Relaxed);
            self.close_damaged(&mut writer, &reason);
        }
    }

    /// Closes the database, which accepts nothing more after an error; what it had not committed is gone with it.
    fn close(&self, writer: &mut Writer) {
        *self.snapshot.write() = None;
        if let Writer::Open(db) = std::mem::replace(writer, Writer::Closed) {
            let _ = contain(|| drop(db.database));
        }
    }

    fn current(&self, operation: Operation) -> Result<Arc<Snapshot>, StorageError> {
        self.snapshot.read().clone().ok_or_else(|| self.unusable(operation))
    }

    /// Runs `work` on the database, opened again if need be, and takes a new snapshot.
    fn write(
        &self,
        operation: Operation,
        work: impl FnOnce(&mut Database) -> Result<(), Trouble>,
    ) -> Result<(), StorageError> {
        if self.options.read_only {
            return Err(StorageError::ReadOnly);
        }
        let mut writer = self.writer.lock();
        let found_while_reading = || match self.damaged.load(Relaxed) {
            true => Err(Trouble::damaged("found while reading")),
            false => Ok(()),
        };
        let result = found_while_reading()
            .and_then(|()| self.write_locked(&mut writer, work))
            .and_then(|()| found_while_reading());
        match result {
            Ok(()) => Ok(()),
            Err(Trouble::Damaged(reason)) => {
                self.damaged.store(true, Relaxed);
                self.close_damaged(&mut writer, &reason);
                Err(StorageError::Damaged { operation, table: None, reason })
            }
            Err(trouble) => {
                self.close(&mut writer);
                // Reads go on if it can be opened at once; if not, the next commit tries again.
                let _ = self.reopen(&mut writer);
                drop(writer);
                Err(self.trouble(operation, trouble))
            }
        }
    }

    fn write_locked(
        &self,
        writer: &mut Writer,
        work: impl FnOnce(&mut Database) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        if matches!(writer, Writer::Closed) {
            self.reopen(writer)?;
        }
        let Writer::Open(Db { database, pages }) = writer else {
            return Err(Trouble::damaged("found earlier; open the store again"));
        };
        let worked = contain(|| {
            work(database)?;
            Snapshot::take(database.begin_read()?)
        });
        // Of a page that is not right redb may make any error.
        let snapshot = worked
            .and_then(|worked| worked)
            .map_err(|trouble| pages.damage().map_or(trouble, Trouble::damaged))?;
        *self.snapshot.write() = Some(Arc::new(snapshot));
        Ok(())
    }

    /// Opens the file again. It must be as it was: a new one in its place would forget what this run relies on.
    fn reopen(&self, writer: &mut Writer) -> Result<(), Trouble> {
        if !matches!(writer, Writer::Closed) {
            return Ok(());
        }
        let (db, snapshot) = open::open_file(&self.file, &self.options)?;
        *writer = Writer::Open(db);
        *self.snapshot.write() = Some(Arc::new(snapshot));
        Ok(())
    }
}

impl BackingStorage for RedbStorage {
    fn get(&self, table: Table, key: &[u8], value: &mut Vec<u8>) -> Result<bool, StorageError> {
        // Its guard is gone before anything is done about an error.
        let result = self.snapshot.read().as_ref().map(|snapshot| {
            if self.absent.is_certain(table, key) {
                return Ok(false);
            }
            let found = contain(|| snapshot.get(table, key, value)).and_then(|found| found);
            if let Ok(false) = found {
                self.absent.note_read_in_vain(table);
            }
            found
        });
        match result {
            Some(result) => result.map_err(|trouble| self.trouble(Operation::Get, trouble).at(table)),
            None => Err(self.unusable(Operation::Get).at(table)),
        }
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Visit,
    ) -> Result<(), StorageError> {
        let snapshot = self.current(Operation::Scan).map_err(|error| error.at(table))?;
        snapshot
            .scan(table, prefix, visit)
            .map_err(|trouble| self.trouble(Operation::Scan, trouble).at(table))
    }

    fn commit(&self, writes: Writes<'_>) -> Result<(), StorageError> {
        self.write(Operation::Commit, |db| {
            self.absent.note_writes(writes);
            commit(db, writes)
        })?;
        self.confirm()?;
        // The batch is stored, whatever comes of this; if nothing does, the next one tries again.
        let _ = self.absent.note_stored(self);
        Ok(())
    }

    fn confirm(&self) -> Result<(), StorageError> {
        // A snapshot has no place; what is read only loses nothing.
        if self.options.read_only || self.file.is_in_place() {
            Ok(())
        } else {
            Err(StorageError::Replaced { path: self.path.clone() })
        }
    }

    fn size(&self) -> Result<Option<u64>, StorageError> {
        self.file.length().map(Some).map_err(|error| StorageError::failed(Operation::Size, error))
    }

    /// While it compacts, reads fail, and so are misses.
    fn compact(&self) -> Result<(), StorageError> {
        // Compaction moves pages, which no snapshot may be reading.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(1);
        self.write(Operation::Compact, |db| {
            let snapshot = self.snapshot.write().take();
            drop(snapshot);
            loop {
                match db.compact() {
                    Ok(true) => {}
                    Ok(false) => return Ok(()),
                    // A scan is still open. It ends soon; space can also be given back another time.
                    Err(redb::CompactionError::TransactionInProgress) => {
                        if std::time::Instant::now() > deadline {
                            return Ok(());
                        }
                        std::thread::sleep(std::time::Duration::from_millis(5));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        })
    }
}

/// Writes a sorted batch in one transaction.
fn commit(db: &Database, writes: Writes<'_>) -> Result<(), Trouble> {
    let transaction = db.begin_write()?;
    for (table, writes) in writes.by_table() {
        let mut into = transaction.open_table(TABLES[table.index()])?;
        // Sorted writes into a gap are spliced in, about 3 x faster than one by one. An empty table is one gap.
        let gap = if into.is_empty()? { true } else { goes_behind(&into, writes.clone())? };
        if gap {
            let mut cursor = into.upper_bound_mut(std::ops::Bound::<&[u8]>::Unbounded)?;
            for Write { key, value, .. } in writes {
                if let Some(value) = value {
                    cursor.insert_before(key, value)?;
                }
            }
            cursor.close()?;
        } else {
            for Write { key, value, .. } in writes {
                match value {
                    Some(value) => drop(into.insert(key, value)?),
                    None => drop(into.remove(key)?),
                }
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

fn goes_behind<'w>(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    mut writes: impl Iterator<Item = Write<'w>>,
) -> Result<bool, Trouble> {
    let last = table.last()?;
    Ok(match (last, writes.next()) {
        (Some((last, _)), Some(first)) => last.value() < first.key,
        _ => true,
    })
}

impl Drop for RedbStorage {
    fn drop(&mut self) {
        let writer = std::mem::replace(self.writer.get_mut(), Writer::Gone);
        let snapshot = self.snapshot.get_mut().take();
        let _ = contain(|| drop((snapshot, writer)));
    }
}

impl std::fmt::Debug for RedbStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedbStorage").field("path", &self.path).finish_non_exhaustive()
    }
}
