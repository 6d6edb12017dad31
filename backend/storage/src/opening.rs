//! Looking at a store before it is used: whether what it holds can be read by this program.

use super::record::{MetaRecord, SOURCES, STORE, SourceSet};
use super::{
    Batch, Digest, Fingerprints, Guarded, ReadFailure, Rejected, RunNumber, StorageError, Table, Visit,
};

/// The process that opens the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreIdentity {
    /// The build: what the code of task functions without a declared version is identified by.
    pub build: Digest,
    /// The kind of digests that the store has to have. `None`: those that it has, and the default in an empty one.
    pub fingerprints: Option<Fingerprints>,
}

/// The findings. Nothing of it is an error: at worst the store is not used.
#[derive(Debug)]
pub enum Opening {
    /// An empty store. Now it is ours.
    Fresh,
    /// A store that can be read.
    Warm {
        /// The number of this run: one more than that of the last one that wrote.
        generation: RunNumber,
        /// Whether the same build wrote last. If not, only functions with declared versions will hit.
        same_build: bool,
    },
    /// A store that could not be read, of another format, codec or machine, of other digests, or with a damaged head. It was emptied.
    Cold {
        /// Why.
        reason: Rejected,
    },
    /// The store cannot be used: it could not be read, or not be emptied.
    Unusable(StorageError),
}

/// Looks at `store`, makes it ours if it is empty, and empties it if it cannot be read. From here on [`Guarded::fingerprints`] are the store's.
pub fn open_store(store: &Guarded, identity: &StoreIdentity) -> Opening {
    store.set_fingerprints(identity.fingerprints.unwrap_or_default());
    match look(store, identity) {
        Ok(opening) => opening,
        Err(error) => Opening::Unusable(error),
    }
}

fn look(store: &Guarded, identity: &StoreIdentity) -> Result<Opening, StorageError> {
    if store.storage().holds_nothing() {
        return Ok(Opening::Fresh);
    }
    let mut buffer = Vec::new();
    let reason = match store.read(Table::Meta, STORE, &mut buffer) {
        Ok(Some(payload)) => match MetaRecord::decode(payload) {
            Ok(meta) if meta.is_readable() => {
                let found = meta.fingerprints();
                if let Some(found) =
                    found.filter(|_| identity.fingerprints.is_none_or(|own| found == Some(own)))
                {
                    store.set_fingerprints(found);
                    let generation = meta.generation.next();
                    return Ok(Opening::Warm { generation, same_build: meta.build == identity.build });
                }
                store.reject(Rejected::Fingerprints)
            }
            // Digests that this program does not have are no other format.
            Ok(meta) if meta.is_of_own_format() => store.reject(Rejected::Fingerprints),
            Ok(_) => store.reject(Rejected::Foreign),
            Err(_) => store.reject(Rejected::Decode),
        },
        Ok(None) if is_empty(store)? => {
            claim(store, identity)?;
            return Ok(Opening::Fresh);
        }
        Ok(None) => store.reject(Rejected::Foreign),
        Err(ReadFailure::Rejected(reason)) => reason,
        Err(ReadFailure::Storage(error)) => return Err(error),
    };
    empty(store)?;
    claim(store, identity)?;
    Ok(Opening::Cold { reason })
}

fn is_empty(store: &Guarded) -> Result<bool, StorageError> {
    let mut empty = true;
    for table in Table::ALL {
        store.storage().scan(table, &[], &mut |_, _| {
            empty = false;
            Visit::Stop
        })?;
    }
    Ok(empty)
}

fn claim(store: &Guarded, identity: &StoreIdentity) -> Result<(), StorageError> {
    let mut batch = Batch::new();
    batch.seal(Table::Meta, STORE, |out| {
        MetaRecord::own(identity.build, RunNumber::BEFORE_ALL, store.fingerprints()).encode_into(out);
    });
    batch.seal(Table::Meta, SOURCES, |out| SourceSet::default().encode_into(out));
    store.commit(batch.writes())
}

/// Deletes everything, the meta table last: interrupted, the store is still found unreadable and emptied again.
fn empty(store: &Guarded) -> Result<(), StorageError> {
    const AT_ONCE: usize = 100_000;
    let mut batch = Batch::new();
    for table in Table::ALL.into_iter().rev() {
        loop {
            batch.clear();
            store.storage().scan(table, &[], &mut |key, _| {
                batch.delete(table, key);
                if batch.len() < AT_ONCE { Visit::Continue } else { Visit::Stop }
            })?;
            if batch.is_empty() {
                break;
            }
            store.commit(batch.writes())?;
        }
    }
    Ok(())
}
