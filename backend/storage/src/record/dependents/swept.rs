//! Taking dependents out of the list of a target, which only grows otherwise.

use xxhash_rust::xxh3::xxh3_64;

use super::super::super::{Batch, Digest, Guarded, ReadFailure, Table};
use super::{IN_HEAD, ListHead, NotARecord, segment_key};
use crate::TaskKey;

/// The entries that were taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swept {
    /// All of them, and the list itself if its target is not stored.
    All,
    /// Some of them.
    Some,
    /// None, or the list is not known to be whole.
    Nothing,
}

/// A segment that is written anew has so many dependents at most.
const IN_SEGMENT: usize = 4096;

/// The number of dependents in the list of a target; 0 if it has none. Of a list that is not known to be whole, more than any other has.
pub(crate) fn dependents_count(store: &Guarded, target: Digest) -> Result<u64, ReadFailure> {
    let mut buffer = Vec::new();
    let head = store.read(Table::Dependents, &target.to_bytes(), &mut buffer)?;
    Ok(match head.map(ListHead::decode) {
        None => 0,
        Some(Ok(head)) if !head.incomplete => head.count,
        Some(Ok(_) | Err(NotARecord)) => u64::MAX,
    })
}

/// Whether a task, source or input has a record. One that cannot be read is one.
pub(crate) fn is_target_stored(store: &Guarded, target: Digest) -> Result<bool, ReadFailure> {
    let mut buffer = Vec::new();
    for table in [Table::Tasks, Table::Sources, Table::Inputs] {
        match store.read(table, &target.to_bytes(), &mut buffer) {
            Ok(None) => {}
            Ok(Some(_)) | Err(ReadFailure::Rejected(_)) => return Ok(true),
            Err(failure) => return Err(failure),
        }
    }
    Ok(false)
}

/// Takes those out of the list of a target that `is_gone` names. A list that is left empty goes unless the target is stored.
pub(crate) fn sweep_dependents(
    store: &Guarded,
    target: Digest,
    batch: &mut Batch,
    is_gone: impl Fn(Digest) -> Result<bool, ReadFailure>,
) -> Result<Swept, ReadFailure> {
    let is_stored = is_target_stored(store, target)?;
    let mut buffer = Vec::new();
    let head = match store.read(Table::Dependents, &target.to_bytes(), &mut buffer)? {
        Some(head) => ListHead::decode(head),
        None => return Ok(Swept::All),
    };
    // Some are missing: it stays as it is.
    let mut dependents = Vec::new();
    let (Ok(head), Ok(())) = (head, super::read_dependents(store, target, &mut dependents)) else {
        return Ok(Swept::Nothing);
    };
    let mut kept: Vec<[u8; 16]> = Vec::new();
    for TaskKey(dependent) in &dependents {
        if !is_gone(*dependent)? {
            kept.push(dependent.to_bytes());
        }
    }
    kept.sort_unstable();
    kept.dedup();
    if kept.len() == dependents.len() && !kept.is_empty() {
        return Ok(Swept::Nothing);
    }
    let left = if kept.is_empty() { Swept::All } else { Swept::Some };
    let mut new = ListHead { count: kept.len() as u64, ..ListHead::default() };
    new.sum = kept.iter().fold(0, |sum, key| sum.wrapping_add(xxh3_64(key)));
    new.here = kept.split_off(kept.len() - kept.len() % IN_SEGMENT);
    if new.here.len() > IN_HEAD {
        kept.append(&mut new.here);
    }
    for segment in kept.chunks(IN_SEGMENT) {
        let key = segment_key(target, new.segments);
        batch.seal(Table::Dependents, &key, |out| out.extend_from_slice(segment.as_flattened()));
        new.segments += 1;
    }
    for number in new.segments..head.segments {
        batch.delete(Table::Dependents, &segment_key(target, number));
    }
    if left == Swept::All && !is_stored {
        batch.delete(Table::Dependents, &target.to_bytes());
    } else {
        new.write(target, batch);
    }
    Ok(left)
}
