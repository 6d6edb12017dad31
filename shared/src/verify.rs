//! Verify: all that a ref names is fetched and looked at, and nothing is kept.

use std::time::Instant;

use larder_storage::Fingerprints;

use crate::client::{Client, Rejection};
use crate::manifest::{self, Manifest, PackEntry};
use crate::pack::{Pack, unpack};
use crate::pull::PACKS_AT_ONCE;
use crate::wire::Malformed;
use crate::{Counts, Kind, Namespace, ShareError, SharedEngine, SharedKey, Trust};

/// The list that a ref names, and whether all of it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// The list that the ref names.
    pub manifest: Manifest,
    /// Packs that hold.
    pub sound: u64,
    /// Their tasks.
    pub tasks: u64,
    /// The results of these tasks.
    pub results: u64,
    /// The bytes of the results, without what they have read.
    pub result_bytes: u64,
    /// Requests to the engine. A pack that does not hold is among the rejected.
    pub counts: Counts,
}

impl Verified {
    /// Whether all packs hold.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.counts.rejected.is_empty()
    }
}

/// Fetches all that a ref names, and checks signatures, sizes, digests, and that each pack can be decoded. For the job that watches over a cache: a client that
/// pulls leaves out what does not hold, and its tasks run.
///
/// Cost: the traffic of a pull. At most 16 packs are held at once.
///
/// # Errors
/// If there is no ref that holds, or the engine fails. Packs that do not hold are no error: see [`Verified::is_sound`].
pub fn verify(
    engine: &dyn SharedEngine,
    (namespace, name): (&Namespace, &str),
    trust: &Trust,
    until: Instant,
) -> Result<Verified, ShareError> {
    let mut client = Client::new(engine, until);
    let manifest = manifest::read(&mut client, namespace, name, trust)?;
    let (mut sound, mut contents) = (0, Contents::default());
    for entries in manifest.packs.chunks(PACKS_AT_ONCE) {
        let key = |entry: &PackEntry| SharedKey::of(namespace, Kind::Pack, &entry.digest);
        let keys: Vec<_> = entries.iter().map(key).collect();
        let found = client.get_all(&keys)?;
        for ((entry, key), bytes) in entries.iter().zip(&keys).zip(found) {
            match look_at(namespace.fingerprints(), entry, bytes.as_deref()) {
                Ok(of_pack) => {
                    sound += 1;
                    contents.add(of_pack);
                }
                Err(why) => client.reject(key, why),
            }
        }
    }
    let Contents { tasks, results, bytes } = contents;
    Ok(Verified { manifest, sound, tasks, results, result_bytes: bytes, counts: client.counts })
}

#[derive(Clone, Copy, Default)]
struct Contents {
    tasks: u64,
    results: u64,
    bytes: u64,
}

impl Contents {
    fn add(&mut self, other: Self) {
        self.tasks += other.tasks;
        self.results += other.results;
        self.bytes += other.bytes;
    }
}

fn look_at(
    fingerprints: Fingerprints,
    entry: &PackEntry,
    bytes: Option<&[u8]>,
) -> Result<Contents, Rejection> {
    let raw = unpack(entry, bytes)?;
    let pack = Pack::decode(fingerprints, &raw).map_err(|Malformed| Rejection::Decode)?;
    if pack.len() != entry.tasks as usize {
        return Err(Rejection::Decode);
    }
    let mut contents = Contents::default();
    let looked = pack.for_each(|task| {
        let bytes = task.traces.iter().map(|trace| trace.output.len() as u64).sum();
        contents.add(Contents { tasks: 1, results: task.traces.len() as u64, bytes });
        Ok::<(), Malformed>(())
    });
    looked.map_err(|Malformed| Rejection::Decode)?;
    Ok(contents)
}
