//! All sources and inputs, read at opening.

use super::super::{Guarded, ReadFailure, Rejected, StorageError, Table, Visit};
use super::{Incomplete, InputRecord, SOURCES, SourceRecord, SourceSet};

/// A leaf that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf<'a> {
    /// A source: to be looked at again.
    Source(SourceRecord<'a>),
    /// An input.
    Input(InputRecord<'a>),
}

/// Visits all stored sources and inputs, and tells whether those are all that ever were stored.
///
/// On `Err`, some leaf may have changed unseen: nothing stored is valid unverified.
pub fn read_leaves(store: &Guarded, mut visit: impl FnMut(Leaf<'_>)) -> Result<(), Incomplete> {
    let unread = |error: StorageError| Incomplete::Unread(ReadFailure::Storage(error));
    let mut seen = SourceSet::default();
    let mut rejected = 0;
    for table in [Table::Sources, Table::Inputs] {
        let scan = store.scan(table, &[], |key, payload| {
            let leaf = match table {
                Table::Sources => SourceRecord::decode(payload).map(Leaf::Source),
                _ => InputRecord::decode(payload).map(Leaf::Input),
            };
            match leaf {
                Ok(leaf) => {
                    seen.insert(key);
                    visit(leaf);
                }
                Err(_) => {
                    store.reject(Rejected::Decode);
                    rejected += 1;
                }
            }
            Visit::Continue
        });
        rejected += scan.map_err(unread)?.rejected;
    }
    let mut buffer = Vec::new();
    let payload = store.read(Table::Meta, SOURCES, &mut buffer).map_err(Incomplete::Unread)?;
    let stored = payload.and_then(|payload| SourceSet::decode(payload).ok()).unwrap_or_else(SourceSet::lost);
    if rejected > 0 || stored.is_incomplete() || stored != seen { Err(Incomplete::Lost) } else { Ok(()) }
}
