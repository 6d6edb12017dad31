//! The client of an engine: asks in batches, within a time, and counts all that was not used.

use std::fmt;
use std::time::Instant;

use crate::{SharedEngine, SharedError, SharedKey};

/// Why something that an engine returned is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rejection {
    /// It is not there (any more).
    Absent,
    /// It is larger than it may be.
    Size,
    /// It is of another version of the format.
    Version,
    /// It is signed by a key that is not trusted.
    Untrusted,
    /// Its signature does not hold.
    Signature,
    /// It was signed before what is trusted begins.
    TooOld,
    /// It is not what its name, or a manifest, says.
    Digest,
    /// Its content makes no sense.
    Decode,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "it is not there",
            Self::Size => "it is larger than it may be",
            Self::Version => "it is of another version of the format",
            Self::Untrusted => "it is signed by a key that is not trusted",
            Self::Signature => "its signature does not hold",
            Self::TooOld => "it was signed before what is trusted begins",
            Self::Digest => "its content is not the one that its name stands for",
            Self::Decode => "its content makes no sense",
        })
    }
}

/// Counts of the requests to an engine, and of the answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Calls of the engine, one after the other.
    pub trips: u64,
    /// Bytes that came.
    pub bytes_in: u64,
    /// Bytes that went.
    pub bytes_out: u64,
    /// Items that were not used, and why.
    pub rejected: Vec<(SharedKey, Rejection)>,
}

/// An engine for the time of one push or pull.
pub(crate) struct Client<'a> {
    engine: &'a dyn SharedEngine,
    until: Instant,
    pub(crate) counts: Counts,
}

impl<'a> Client<'a> {
    pub(crate) fn new(engine: &'a dyn SharedEngine, until: Instant) -> Self {
        Self { engine, until, counts: Counts::default() }
    }

    pub(crate) fn get(&mut self, key: &SharedKey) -> Result<Option<Vec<u8>>, SharedError> {
        Ok(self.get_all(std::slice::from_ref(key))?.pop().flatten())
    }

    /// Returns as many items as there are keys.
    pub(crate) fn get_all(&mut self, keys: &[SharedKey]) -> Result<Vec<Option<Vec<u8>>>, SharedError> {
        let mut all = Vec::with_capacity(keys.len());
        for some in keys.chunks(self.engine.limits().keys.max(1)) {
            self.counts.trips += 1;
            let found = self.engine.get(some, self.until)?;
            if found.len() != some.len() {
                return Err(SharedError::broken("it returned more or fewer items than it was asked for"));
            }
            self.counts.bytes_in += found.iter().flatten().map(|bytes| bytes.len() as u64).sum::<u64>();
            all.extend(found);
        }
        Ok(all)
    }

    pub(crate) fn put(
        &mut self,
        key: &SharedKey,
        bytes: &[u8],
        how: crate::Put,
    ) -> Result<(), crate::ShareError> {
        let most = self.engine.limits().item_bytes;
        if bytes.len() > most {
            return Err(crate::ShareError::TooLarge { bytes: bytes.len(), most });
        }
        self.counts.trips += 1;
        self.engine.put(&[(key.clone(), bytes)], how, self.until)?;
        self.counts.bytes_out += bytes.len() as u64;
        Ok(())
    }

    /// Keeps items that are all within the engine's bounds, in one call.
    pub(crate) fn put_all(
        &mut self,
        items: &[(SharedKey, Vec<u8>)],
        how: crate::Put,
    ) -> Result<(), SharedError> {
        let most = self.engine.limits().item_bytes;
        let items: Vec<_> = items.iter().filter(|(_, bytes)| bytes.len() <= most).collect();
        let items: Vec<_> = items.into_iter().map(|(key, bytes)| (key.clone(), &bytes[..])).collect();
        if items.is_empty() {
            return Ok(());
        }
        self.counts.trips += 1;
        self.engine.put(&items, how, self.until)?;
        self.counts.bytes_out += items.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
        Ok(())
    }

    pub(crate) fn has_time(&self) -> bool {
        Instant::now() < self.until
    }

    pub(crate) fn reject(&mut self, key: &SharedKey, why: Rejection) {
        self.counts.rejected.push((key.clone(), why));
    }
}
