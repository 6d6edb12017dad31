//! Opening the file, whatever it is.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use redb::{Builder, Database, ReadableDatabase};

use super::contain::{Trouble, contain};
use super::snapshot::{Snapshot, TABLES};
use super::{Db, RedbOptions};
use crate::storage::{Operation, StorageError, Table};

/// Files set aside are kept up to this number; then the last one is replaced, so that a disk that damages every
/// file is not filled with them.
const KEPT_ASIDE: u32 = 8;

/// A file that was not usable, renamed out of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetAside {
    /// Where it is now.
    pub path: PathBuf,
    /// What was wrong with it.
    pub reason: Box<str>,
}

pub(super) struct Opened {
    pub(super) db: Db,
    pub(super) snapshot: Snapshot,
    pub(super) set_aside: Option<SetAside>,
}

/// Opens the store; a damaged or foreign file is set aside first, and a new one started.
pub(super) fn open(path: &Path, options: &RedbOptions) -> Result<Opened, StorageError> {
    let error = |trouble| error_of(trouble, path);
    match open_existing(path, options) {
        Ok((db, snapshot)) => Ok(Opened { db, snapshot, set_aside: None }),
        Err(Trouble::Damaged(reason)) if !options.read_only => {
            let aside =
                set_aside(path, &reason).map_err(|source| StorageError::failed(Operation::Open, source))?;
            let (db, snapshot) = open_existing(path, options).map_err(error)?;
            Ok(Opened { db, snapshot, set_aside: Some(aside) })
        }
        Err(trouble) => Err(error(trouble)),
    }
}

fn error_of(trouble: Trouble, path: &Path) -> StorageError {
    match trouble {
        Trouble::Held => StorageError::Held { path: path.to_owned() },
        Trouble::Failed(source) => StorageError::failed(Operation::Open, source),
        Trouble::Damaged(reason) => StorageError::Damaged { operation: Operation::Open, table: None, reason },
    }
}

/// Opens a copy of the file. A file that a writer has open says that it is to be repaired; so redb verifies all checksums of the
/// copy when it opens it, which is what makes a copy right that was made in the middle of a commit.
pub(super) fn open_copy(path: &Path, options: &RedbOptions) -> Result<Opened, StorageError> {
    let (file, _removed) = copy(path).map_err(|source| StorageError::failed(Operation::Open, source))?;
    let mut builder = Builder::new();
    builder.set_cache_size(options.cache_bytes);
    let opened = contain(|| {
        let db = builder.create_file(file)?;
        let snapshot = Snapshot::take(db.begin_read()?)?;
        Ok((Db::Writable(db), snapshot))
    });
    let (db, snapshot) =
        opened.and_then(|opened: Result<_, Trouble>| opened).map_err(|trouble| error_of(trouble, path))?;
    Ok(Opened { db, snapshot, set_aside: None })
}

/// A copy that nobody else knows, and that has lost its name when this returns, where files may.
fn copy(path: &Path) -> std::io::Result<(File, Removed)> {
    static COPIES: AtomicU64 = AtomicU64::new(0);
    let mut from = File::open(path)?;
    let number = COPIES.fetch_add(1, Relaxed);
    let name = format!("larder-{}-{number}-{:x}.redb", std::process::id(), unguessed());
    let removed = Removed(std::env::temp_dir().join(name));
    let mut file = File::options().read(true).write(true).create_new(true).open(&removed.0)?;
    std::io::copy(&mut from, &mut file)?;
    Ok((file, removed))
}

/// A number that other processes do not guess: names of temporary files are everybody's.
fn unguessed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        // Where an open file keeps its name, the system's cleaning finds it.
        let _ = fs::remove_file(&self.0);
    }
}

/// Opens the file, or creates it, unless it is damaged or not ours.
pub(super) fn open_existing(path: &Path, options: &RedbOptions) -> Result<(Db, Snapshot), Trouble> {
    let mut builder = Builder::new();
    builder.set_cache_size(options.cache_bytes);
    contain(|| {
        if options.read_only {
            let db = builder.open_read_only(path)?;
            let snapshot = Snapshot::take(db.begin_read()?)?;
            return Ok((Db::ReadOnly(db), snapshot));
        }
        let new = !path.exists();
        let db = builder.create(path)?;
        let snapshot = with_all_tables(&db)?;
        if new {
            sync_folder(path);
        }
        Ok((Db::Writable(db), snapshot))
    })?
}

/// A snapshot with all tables, created if need be; a database with tables of somebody else is not ours.
fn with_all_tables(db: &Database) -> Result<Snapshot, Trouble> {
    let transaction = db.begin_read()?;
    let empty =
        transaction.list_tables()?.next().is_none() && transaction.list_multimap_tables()?.next().is_none();
    let snapshot = Snapshot::take(transaction)?;
    if snapshot.is_complete() {
        return Ok(snapshot);
    }
    if !empty && !snapshot.has(Table::Meta) {
        return Err(Trouble::Damaged("a redb database of another program".into()));
    }
    let transaction = db.begin_write()?;
    for table in TABLES {
        transaction.open_table(table)?;
    }
    transaction.commit()?;
    Snapshot::take(db.begin_read()?)
}

/// Renames the file at `path` to the first free `*.damaged-N`.
pub(super) fn set_aside(path: &Path, reason: &str) -> std::io::Result<SetAside> {
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{number}"));
        PathBuf::from(name)
    };
    let free = (1..KEPT_ASIDE).map(numbered).find(|candidate| !candidate.exists());
    let aside = free.unwrap_or_else(|| numbered(KEPT_ASIDE));
    fs::rename(path, &aside)?;
    sync_folder(path);
    Ok(SetAside { path: aside, reason: reason.into() })
}

/// Makes a new name durable, where folders can be synced. Without it a power cut may lose the file, which is a cold
/// start and nothing worse, so failing to is no error.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}
