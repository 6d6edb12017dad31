//! Pull: packs into a store.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use larder_storage::record::{PulledRecord, read_pulled};
use larder_storage::{BackingStorage, Digest, Guarded, TaskKey};

use crate::client::{Client, Rejection};
use crate::import::{Importer, Of, build_of};
use crate::manifest::{self, Manifest, PackEntry};
use crate::pack::{Pack, unpack};
use crate::{Counts, Kind, Namespace, ShareError, SharedEngine, SharedKey, Trust};

/// The packs that are fetched, and held, at once.
pub(crate) const PACKS_AT_ONCE: usize = 16;

/// The outcome of a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pulled {
    /// The number of the manifest.
    pub sequence: u64,
    /// The name of the key that has signed it.
    pub signer: Box<str>,
    /// When it was signed.
    pub signed_at: SystemTime,
    /// The number of a list of this name that the store has pulled before, if that was signed later and has a greater number: the engine gives out
    /// an old list, or the cache was put back to an earlier state.
    pub older_than: Option<u64>,
    /// Tasks that are new to the store, or whose results are. They are verified before they are used.
    pub imported: u64,
    /// Tasks that the store knows as well, or better.
    pub known: u64,
    /// Tasks that have read what did not come, or may not be named here.
    pub left_out: u64,
    /// Packs of another build, which are of no use here.
    pub other_builds: u64,
    /// Requests to the engine. A pack that was not used is among the rejected.
    pub counts: Counts,
    /// The packs that had something new.
    pub packs: Vec<PulledPack>,
}

/// A pack, and the tasks that were new in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PulledPack {
    /// The digest by which the engine keeps it.
    pub digest: [u8; 32],
    /// The tasks.
    pub tasks: Vec<TaskKey>,
}

/// Pulls what a ref names into a store. `build` is the identity of the code that is going to use the store, if that is known; without it, a
/// store that is empty takes on the one of what comes.
///
/// Three round trips, and more only where the engine gives fewer packs at a time than there are. The program that owns the store must not run.
///
/// # Errors
/// If there is no ref that holds, the engine fails, or the store cannot be written. Packs that do not hold are no error: their tasks run.
pub fn pull(
    engine: &dyn SharedEngine,
    (namespace, name): (&Namespace, &str),
    trust: &Trust,
    storage: Arc<dyn BackingStorage>,
    build: Option<Digest>,
    until: Instant,
) -> Result<Pulled, ShareError> {
    let mut client = Client::new(engine, until);
    let manifest = manifest::read(&mut client, namespace, name, trust)?;
    pull_packs(client, (namespace, name), manifest, storage, build)
}

/// Pulls as [`pull`] does, unless all that the ref names has been pulled into this store before. Returns `None` then, after two round trips. Of a list that is
/// [older](Pulled::older_than) than one that the store has pulled, nothing is fetched.
///
/// # Errors
/// The errors of [`pull`].
pub fn pull_new(
    engine: &dyn SharedEngine,
    (namespace, name): (&Namespace, &str),
    trust: &Trust,
    storage: Arc<dyn BackingStorage>,
    build: Digest,
    until: Instant,
) -> Result<Option<Pulled>, ShareError> {
    let mut client = Client::new(engine, until);
    let manifest = manifest::read(&mut client, namespace, name, trust)?;
    let mut buffer = Vec::new();
    let before = pulled_before(&storage, (namespace, name), &mut buffer);
    if before.is_some_and(|before| before.list == list_for(&manifest, build)) {
        return Ok(None);
    }
    if let Some(newer) = before.and_then(|before| newer_than(&manifest, before)) {
        return Ok(Some(Pulled::nothing(&manifest, Some(newer), client.counts)));
    }
    pull_packs(client, (namespace, name), manifest, storage, Some(build)).map(Some)
}

/// Returns what a store tells of the list that it has pulled last. A store of other fingerprints is about to be emptied, and tells nothing.
fn pulled_before<'b>(
    storage: &Arc<dyn BackingStorage>,
    (namespace, name): (&Namespace, &str),
    buffer: &'b mut Vec<u8>,
) -> Option<PulledRecord<'b>> {
    let store = Guarded::new(storage.clone());
    build_of(&store, namespace.fingerprints())?;
    read_pulled(&store, name, buffer)
}

/// Names what a build takes of a manifest: another build finds other packs in it.
fn list_for(manifest: &Manifest, build: Digest) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&manifest.digest).update(&build.to_bytes());
    *hasher.finalize().as_bytes()
}

fn pull_packs(
    mut client: Client<'_>,
    (namespace, name): (&Namespace, &str),
    manifest: Manifest,
    storage: Arc<dyn BackingStorage>,
    build: Option<Digest>,
) -> Result<Pulled, ShareError> {
    let of_no_build = Digest::default();
    let newest = manifest.packs.iter().rev().map(|pack| pack.build).find(|build| *build != of_no_build);
    let fingerprints = namespace.fingerprints();
    let stored = build_of(&Guarded::new(storage.clone()), fingerprints);
    let build = build.or(stored).or(newest).unwrap_or(of_no_build);
    let (wanted, others): (Vec<&PackEntry>, Vec<&PackEntry>) =
        manifest.packs.iter().partition(|pack| pack.build == of_no_build || pack.build == build);
    let keys: Vec<_> = wanted.iter().map(|pack| SharedKey::of(namespace, Kind::Pack, &pack.digest)).collect();
    let mut buffer = Vec::new();
    let before = pulled_before(&storage, (namespace, name), &mut buffer);
    let older_than = before.and_then(|before| newer_than(&manifest, before));
    let (mut importer, mut packs) = (Importer::open(storage, build, fingerprints)?, Vec::new());
    // A pack takes up to 16 MiB, so they are not all held at once.
    for (entries, keys) in wanted.chunks(PACKS_AT_ONCE).zip(keys.chunks(PACKS_AT_ONCE)) {
        let found = client.get_all(keys)?;
        for ((entry, key), bytes) in entries.iter().zip(keys).zip(found) {
            let raw = match unpack(entry, bytes.as_deref()) {
                Ok(raw) => raw,
                Err(why) => {
                    client.reject(key, why);
                    continue;
                }
            };
            let of = if entry.build == of_no_build { Of::AnyBuild } else { Of::ThisBuild };
            let is_sound = match Pack::decode(fingerprints, &raw) {
                Ok(pack) if pack.len() == entry.tasks as usize => importer.take(&pack, of)?,
                _ => false,
            };
            if !is_sound {
                client.reject(key, Rejection::Decode);
            }
            packs.push(PulledPack { digest: entry.digest, tasks: importer.take_imported() });
        }
    }
    if client.counts.rejected.is_empty() && older_than.is_none() {
        importer.note_pulled(name, &manifest, list_for(&manifest, build));
    }
    let taken = importer.finish()?;
    Ok(Pulled {
        imported: taken.imported,
        known: taken.known,
        left_out: taken.left_out,
        other_builds: others.len() as u64,
        packs: packs.into_iter().filter(|pack| !pack.tasks.is_empty()).collect(),
        ..Pulled::nothing(&manifest, older_than, client.counts)
    })
}

impl Pulled {
    fn nothing(manifest: &Manifest, older_than: Option<u64>, counts: Counts) -> Self {
        Self {
            sequence: manifest.sequence,
            signer: manifest.signer.clone(),
            signed_at: manifest.signed_at,
            older_than,
            imported: 0,
            known: 0,
            left_out: 0,
            other_builds: 0,
            counts,
            packs: Vec::new(),
        }
    }
}

/// Returns the number of the list that was pulled before, if it is newer. A ref that was begun anew has smaller numbers, which were signed later; and the clocks
/// of two writers may differ.
fn newer_than(manifest: &Manifest, before: PulledRecord<'_>) -> Option<u64> {
    let is_newer = before.sequence > manifest.sequence && before.signed_at >= manifest.signed_in();
    is_newer.then_some(before.sequence)
}

/// Returns the manifest that a ref names.
///
/// # Errors
/// If there is none that holds, or the engine fails.
pub fn list(
    engine: &dyn SharedEngine,
    (namespace, name): (&Namespace, &str),
    trust: &Trust,
    until: Instant,
) -> Result<Manifest, ShareError> {
    manifest::read(&mut Client::new(engine, until), namespace, name, trust)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn an_older_list_has_a_smaller_number_and_was_signed_before() {
        let before = PulledRecord {
            list: [0; 32],
            generation: larder_storage::RunNumber(1),
            signed_at: 1000,
            sequence: 7,
            signer: "ci",
        };
        let newer = |sequence, signed_at| {
            let signed_at = UNIX_EPOCH + Duration::from_secs(signed_at);
            let (parent, digest) = ([0; 32], [0; 32]);
            let manifest =
                Manifest { sequence, parent, packs: Vec::new(), signer: "ci".into(), signed_at, digest };
            newer_than(&manifest, before)
        };
        assert_eq!(newer(6, 900), Some(7));
        assert_eq!(newer(6, 1000), Some(7));
        // The cache was emptied, and begun anew.
        assert_eq!(newer(1, 1001), None);
        // Another writer, whose clock is behind.
        assert_eq!(newer(8, 990), None);
        assert_eq!(newer(7, 1000), None);
    }
}
