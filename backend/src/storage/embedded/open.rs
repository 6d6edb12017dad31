//! Opening the file, whatever it is.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

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
    let error = |trouble| match trouble {
        Trouble::Held => StorageError::Held { path: path.to_owned() },
        Trouble::Failed(source) => StorageError::failed(Operation::Open, source),
        Trouble::Damaged(reason) => StorageError::Damaged { operation: Operation::Open, table: None, reason },
    };
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
