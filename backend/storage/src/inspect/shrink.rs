//! Making a store smaller: dropping what a plan names, and compacting. The store must be one that no other process has.

use std::path::Path;
use std::sync::Arc;

use super::{Collect, Collected, Collection, InspectError};
use crate::evict::remove_tasks;
use crate::record::{dependents_count, read_dependents};
use crate::{
    BackingStorage, Digest, Group, Guarded, ReadFailure, StorageError, Table, Visit, WriteBehind,
    WriteBehindOptions, evict,
};

/// Drops what a plan names from the store at `path`, then sources that nothing stored has read, then what is over the size, and gives the space
/// back. The file must be there and be sound: it is neither created nor replaced. Interrupted, the store is right, and
/// smaller or not.
///
/// # Errors
/// If another process has the store; if it cannot be opened or written.
pub fn collect(path: &Path, plan: &Collection, what: &Collect) -> Result<Collected, InspectError> {
    open_and(path, |store| collect_in(store, plan, what))
}

/// Gives back the free space of the store at `path`, as [`collect`] does in the end.
///
/// # Errors
/// If another process has the store; if it cannot be opened or written.
pub fn compact(path: &Path) -> Result<Collected, InspectError> {
    open_and(path, |store| {
        let before = store.size()?;
        store.compact()?;
        Ok(Collected { file_bytes: before.zip(store.size()?), ..Collected::default() })
    })
}

fn open_and(
    path: &Path,
    work: impl FnOnce(Arc<dyn BackingStorage>) -> Result<Collected, StorageError>,
) -> Result<Collected, InspectError> {
    let name = path.to_string_lossy();
    let storage = crate::RedbOptions::new()
        .existing()
        .open(path)
        .map_err(|source| InspectError::Open { path: name.as_ref().into(), source })?;
    work(Arc::new(storage)).map_err(|source| InspectError::Read { path: name.as_ref().into(), source })
}

fn collect_in(
    storage: Arc<dyn BackingStorage>,
    plan: &Collection,
    what: &Collect,
) -> Result<Collected, StorageError> {
    let store = Arc::new(Guarded::over(storage));
    let before = store.storage().size()?;
    let mut collected = Collected { tasks: plan.tasks.len() as u64, ..Collected::default() };
    remove_tasks(&store, plan.tasks.iter().copied())?;
    if let Some(cap) = what.max_bytes {
        let evicted = evict(&store, cap)?;
        (collected.evicted, collected.trimmed) = (evicted.tasks, evicted.trimmed);
    }
    collected.sources = remove_sources(&store)?;
    store.storage().compact()?;
    collected.file_bytes = before.zip(store.storage().size()?);
    Ok(collected)
}

/// Drops the sources that no stored task depends on, not even through tasks that are gone themselves.
fn remove_sources(store: &Arc<Guarded>) -> Result<u64, StorageError> {
    let mut sources = Vec::new();
    store.scan(Table::Sources, &[], |key, _| {
        if let Ok(key) = key.try_into() {
            sources.push(Digest::from_bytes(key));
        }
        Visit::Continue
    })?;
    let mut group = Group::new(store.fingerprints());
    let mut removed = 0;
    for source in sources {
        if has_no_dependents(store, source)? {
            group.remove_source(source);
            removed += 1;
        }
    }
    if removed > 0 {
        let writer = WriteBehind::start(store.clone(), WriteBehindOptions::default())?;
        let _ = writer.push(&mut group);
        writer.flush().map_err(|error| StorageError::failed(crate::Operation::Commit, error))?;
    }
    Ok(removed)
}

/// Whether no dependent has a record or a list of its own. A list that cannot be read counts as one of dependents.
fn has_no_dependents(store: &Guarded, source: Digest) -> Result<bool, StorageError> {
    let mut dependents = Vec::new();
    if read_dependents(store, source, &mut dependents).is_err() {
        return Ok(false);
    }
    let mut buffer = Vec::new();
    for task in dependents {
        match store.read(Table::Tasks, &task.to_bytes(), &mut buffer) {
            Ok(None) => {}
            Ok(Some(_)) | Err(ReadFailure::Rejected(_)) => return Ok(false),
            Err(ReadFailure::Storage(error)) => return Err(error),
        }
        match dependents_count(store, task.0) {
            Ok(0) => {}
            Ok(_) | Err(ReadFailure::Rejected(_)) => return Ok(false),
            Err(ReadFailure::Storage(error)) => return Err(error),
        }
    }
    Ok(true)
}
