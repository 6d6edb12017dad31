//! Opening the file, whatever it is.
//!
//! | what is there | opened to write | opened to read |
//! |---|---|---|
//! | nothing; an empty file; a store that was begun and not completed | a new store | an error |
//! | a store | that | that |
//! | one of ours that is damaged | set aside, and a new store | an error |
//! | a folder, a device, a pipe; a file of another program | an error; nothing is touched | an error |

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use redb::{Builder, Database, ReadableDatabase};

use super::RedbOptions;
use super::contain::{Trouble, contain};
use super::create::{self, Beginning};
use super::pages::{Handed, Pages, Whole};
use super::place::{Access, StoreFile};
use super::snapshot::{Snapshot, TABLES};
use crate::{Operation, StorageError};

/// A file that was not usable, renamed out of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetAside {
    /// Where it is now.
    pub path: PathBuf,
    /// The fault of the file.
    pub reason: Box<str>,
}

pub(super) struct Opened {
    pub(super) file: Arc<StoreFile>,
    pub(super) db: Db,
    pub(super) snapshot: Snapshot,
    pub(super) set_aside: Option<SetAside>,
}

/// A database, and what it reads through.
pub(super) struct Db {
    pub(super) database: Database,
    pub(super) pages: Arc<Pages>,
}

/// Opens the store; a damaged one is set aside first, and a new one started.
pub(super) fn open(path: &Path, options: &RedbOptions) -> Result<Opened, StorageError> {
    let error = |trouble| error_of(trouble, path);
    let access = if options.read_only { Access::Read } else { Access::Write { mode: options.mode } };
    if options.existing {
        // Not a promise, as the file may go before it is opened; but a path that leads to nothing is a mistake.
        fs::metadata(path).map_err(|source| StorageError::failed(Operation::Open, source))?;
    }
    let file = begin(path, access, options).map_err(error)?;
    match open_file(&file, options) {
        Ok((db, snapshot)) => Ok(Opened { file, db, snapshot, set_aside: None }),
        Err(Trouble::Damaged(reason)) if options.may_replace() => {
            let question =
                file.set_aside(&reason).map_err(|source| StorageError::failed(Operation::Open, source))?;
            drop(file);
            let file = begin(path, access, options).map_err(error)?;
            let (db, snapshot) = open_file(&file, options).map_err(error)?;
            Ok(Opened { file, db, snapshot, set_aside: Some(question) })
        }
        Err(trouble) => Err(error(trouble)),
    }
}

fn error_of(trouble: Trouble, path: &Path) -> StorageError {
    let path = path.to_owned();
    match trouble {
        Trouble::Held => StorageError::Held { path },
        Trouble::Failed(source) => StorageError::failed(Operation::Open, source),
        Trouble::Damaged(reason) => StorageError::Damaged { operation: Operation::Open, table: None, reason },
        Trouble::NotAStore(reason) => StorageError::NotAStore { path, reason },
        Trouble::Unlockable(source) => StorageError::Unlockable { path, source },
    }
}

/// Opens and locks the file; if there is none, or one that was never completed, it is made.
fn begin(path: &Path, access: Access, options: &RedbOptions) -> Result<Arc<StoreFile>, Trouble> {
    let file = StoreFile::open(path, access)?;
    if create::beginning(&file).map_err(Trouble::failed)? == Beginning::Unfinished
        && file.is_writable()
        && !options.existing
    {
        create::create(&file)?;
    }
    Ok(Arc::new(file))
}

/// Opens a file that is locked; says so if it is damaged or not ours.
pub(super) fn open_file(file: &Arc<StoreFile>, options: &RedbOptions) -> Result<(Db, Snapshot), Trouble> {
    let beginning = create::beginning(file).map_err(Trouble::failed)?;
    match beginning {
        Beginning::Ours | Beginning::Redbs => {}
        Beginning::Unfinished => return Err(Trouble::NotAStore("it is not complete".into())),
        Beginning::Others => return Err(Trouble::NotAStore("it does not begin as one".into())),
    }
    let opened = Pages::open(file.clone(), Whole::AfterCrash).and_then(|pages| {
        if beginning == Beginning::Redbs && pages.holds_a_store() == Some(false) {
            return Err(Trouble::NotAStore("it is a redb database of another program".into()));
        }
        open_pages(pages, options)
    });
    match opened {
        Err(Trouble::Damaged(reason)) if beginning == Beginning::Redbs => Err(Trouble::NotAStore(
            format!("it is a redb database, and too damaged to tell more ({reason})").into(),
        )),
        Ok(opened) => {
            if beginning == Beginning::Redbs && file.is_writable() {
                create::mark(file).map_err(Trouble::failed)?;
            }
            Ok(opened)
        }
        opened => opened,
    }
}

fn open_pages(pages: Pages, options: &RedbOptions) -> Result<(Db, Snapshot), Trouble> {
    let mut builder = Builder::new();
    builder.set_cache_size(options.cache_bytes);
    let pages = Arc::new(pages);
    let handed = Handed(pages.clone());
    let opened = contain(|| {
        let database = builder.create_with_backend(handed)?;
        let snapshot = with_all_tables(&database)?;
        Ok((database, snapshot))
    });
    match opened.and_then(|opened: Result<_, Trouble>| opened) {
        Ok((database, snapshot)) => Ok((Db { database, pages }, snapshot)),
        // Whatever redb made of it.
        Err(trouble) => Err(pages.damage().map_or(trouble, Trouble::damaged)),
    }
}

/// A snapshot with all tables, created if need be.
fn with_all_tables(db: &Database) -> Result<Snapshot, Trouble> {
    let snapshot = Snapshot::take(db.begin_read()?)?;
    if snapshot.is_complete() {
        return Ok(snapshot);
    }
    let transaction = db.begin_write()?;
    for table in TABLES {
        transaction.open_table(table)?;
    }
    transaction.commit()?;
    Snapshot::take(db.begin_read()?)
}

/// Opens a copy of the file. The writer may have been in the middle of a commit, so all pages of the copy are looked at, and the
/// state of an earlier commit is used if that of the last one is not whole.
pub(super) fn open_copy(path: &Path, options: &RedbOptions) -> Result<Opened, StorageError> {
    // At times the writer is too fast: pages of all commits that the copied header knows have been written over since.
    let mut tries = 3;
    loop {
        tries -= 1;
        match open_copy_once(path, options) {
            Err(StorageError::Damaged { .. }) if tries > 0 => {}
            opened => return opened,
        }
    }
}

fn open_copy_once(path: &Path, options: &RedbOptions) -> Result<Opened, StorageError> {
    let error = |trouble| error_of(trouble, path);
    let (copied, _removed) = copy(path).map_err(|source| StorageError::failed(Operation::Open, source))?;
    let file = Arc::new(StoreFile::unnamed(path, copied).map_err(error)?);
    match create::beginning(&file).map_err(|source| StorageError::failed(Operation::Open, source))? {
        Beginning::Ours | Beginning::Redbs => {}
        Beginning::Unfinished => return Err(error(Trouble::NotAStore("it is not complete".into()))),
        Beginning::Others => return Err(error(Trouble::NotAStore("it does not begin as one".into()))),
    }
    let pages = Pages::open(file.clone(), Whole::Always).map_err(error)?;
    if pages.holds_a_store() != Some(true) {
        return Err(error(Trouble::NotAStore("it is a redb database of another program".into())));
    }
    let (db, snapshot) = open_pages(pages, options).map_err(error)?;
    Ok(Opened { file, db, snapshot, set_aside: None })
}

/// A copy that no other user may read, and that has lost its name when this returns, where files may.
fn copy(path: &Path) -> io::Result<(File, Removed)> {
    static COPIES: AtomicU64 = AtomicU64::new(0);
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut from = File::open(path)?;
    let number = COPIES.fetch_add(1, Relaxed);
    let name = format!("larder-{}-{number}-{:x}.redb", std::process::id(), unguessed());
    let removed = Removed(std::env::temp_dir().join(name));
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&removed.0)?;
    io::copy(&mut from, &mut file)?;
    Ok((file, removed))
}

/// A number that other processes do not guess: names of temporary files are shared by all users.
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
