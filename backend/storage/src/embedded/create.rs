//! How a store's file begins, and how it comes into being.
//!
//! ```text
//! offset 0     redb's header, of which redb uses 320 bytes
//! offset 512   "larder store 1\n\0", which redb leaves alone: the file is ours, whatever else it looks like
//! ```
//! A file is made in place, in an order in which each state of it is recognised when the process dies there:
//! ```text
//! nothing  ->  an empty file  ->  "larder store, not complete yet\n", synced
//!          ->  the same, and all pages but the first, synced  ->  the first page over the text, synced: a store
//! ```
//! The next process to open it begins again from any of them, so nothing is left behind.

use std::io;
use std::sync::Arc;

use redb::backends::InMemoryBackend;
use redb::{Builder, StorageBackend};

use super::contain::{Trouble, contain};
use super::merkle::{self, PAGE};
use super::place::StoreFile;
use super::snapshot::TABLES;

const MARK_AT: usize = 512;
const MARK: &[u8; 16] = b"larder store 1\n\0";
const BEGUN: &[u8] = b"larder store, not complete yet\n";

/// The kind of a file, by its first page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// Empty, or of a creation that did not come to its end: to be made a store.
    Unfinished,
    /// It has our mark.
    Ours,
    /// One of redb's without our mark: an older store, or of another program.
    Redbs,
    /// Of another program.
    Others,
}

/// Looks at how a file begins.
pub(super) fn beginning(file: &StoreFile) -> io::Result<Beginning> {
    let length = file.length()?;
    let mut first = vec![0; length.min(PAGE) as usize];
    file.read(0, &mut first)?;
    let marked = first.get(MARK_AT..MARK_AT + MARK.len()) == Some(MARK);
    Ok(match () {
        () if first.is_empty() || first.starts_with(BEGUN) => Beginning::Unfinished,
        () if marked => Beginning::Ours,
        () if merkle::is_redb(&first) => Beginning::Redbs,
        () => Beginning::Others,
    })
}

/// Makes a store with empty tables of a file of no value.
pub(super) fn create(file: &StoreFile) -> Result<(), Trouble> {
    let image = contain(image)??;
    let pages = image.as_chunks::<{ PAGE as usize }>().0;
    let fill = || {
        file.set_length(0)?;
        file.write(0, BEGUN)?;
        file.sync()?;
        file.set_length(image.len() as u64)?;
        for (number, page) in pages.iter().enumerate().skip(1) {
            if page.iter().any(|byte| *byte != 0) {
                file.write(number as u64 * PAGE, page)?;
            }
        }
        file.sync()?;
        file.write(0, &pages[0])?;
        file.sync()?;
        file.sync_name();
        Ok(())
    };
    fill().map_err(|error: io::Error| Trouble::failed(error))
}

/// Marks an older store as ours.
pub(super) fn mark(file: &StoreFile) -> io::Result<()> {
    file.write(MARK_AT as u64, MARK)
}

/// The bytes of a store with empty tables.
fn image() -> Result<Vec<u8>, Trouble> {
    let memory = Arc::new(InMemoryBackend::new());
    let db = Builder::new().set_cache_size(8 << 20).create_with_backend(Shared(memory.clone()))?;
    let transaction = db.begin_write()?;
    for table in TABLES {
        transaction.open_table(table)?;
    }
    transaction.commit()?;
    drop(db);
    let length = memory.len().map_err(Trouble::failed)?;
    let mut image = vec![0; length as usize];
    memory.read(0, &mut image).map_err(Trouble::failed)?;
    let place = image.get_mut(MARK_AT..MARK_AT + MARK.len());
    place.ok_or_else(|| Trouble::failed(io::Error::other("redb made an empty file")))?.copy_from_slice(MARK);
    Ok(image)
}

#[derive(Debug)]
struct Shared(Arc<InMemoryBackend>);

impl StorageBackend for Shared {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}
