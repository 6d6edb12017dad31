//! Push: what a store holds, as packs, a manifest and a ref.

use std::collections::HashSet;
use std::time::Instant;

use larder_storage::Digest;
use larder_storage::inspect::StoreReader;

use crate::bounds::{MOST_DELTAS, MOST_PACKS, PACK_BYTES};
use crate::client::Client;
use crate::export::{Export, ExportedTask};
use crate::manifest::{self, Manifest, PackEntry};
use crate::pack::{Finished, Pack, PackWriter, trace_id, unpack};
use crate::{Counts, Kind, Namespace, Put, ShareError, SharedEngine, SharedKey, SigningKey, Skipped, Trust};

/// The outcome of a push.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pushed {
    /// The number of the manifest that the ref names now.
    pub sequence: u64,
    /// Tasks that were packed; 0 if all of the store had been pushed before.
    pub tasks: u64,
    /// Packs that were written.
    pub packs: u64,
    /// Whether all was packed anew, and not only what is new.
    pub is_base: bool,
    /// Results that stay on this machine, and why.
    pub skipped: Skipped,
    /// Requests to the engine.
    pub counts: Counts,
}

/// Pushes the results in a store under a ref, signed, in the namespace of the store's fingerprints. Those that were pushed before under it, by this key, are not pushed again.
///
/// Cost: memory of about the bytes of the store's records; and what the ref names is read, to know what is new.
///
/// # Errors
/// If the store cannot be read, or the engine fails. The ref names then what it named before.
pub fn push(
    engine: &dyn SharedEngine,
    (namespace, name): (&Namespace, &str),
    key: &SigningKey,
    reader: &StoreReader,
    until: Instant,
) -> Result<Pushed, ShareError> {
    let namespace = &namespace.of_kind(reader.head().fingerprints);
    let mut client = Client::new(engine, until);
    let trust = Trust::none().key(key.public());
    let before = match manifest::read(&mut client, namespace, name, &trust) {
        Ok(manifest) => Some(manifest),
        Err(ShareError::NoRef { .. }) => None,
        Err(error) => return Err(error),
    };
    let export = Export::of(reader)?;
    let known = match &before {
        Some(before) if has_room(before) => traces_in(&mut client, namespace, before)?,
        _ => None,
    };
    let build = reader.head().build;
    let mut skipped = export.skipped.clone();
    let packs = match &known {
        Some(known) => pack(&export, build, &mut skipped, |task| is_new(namespace, task, known)),
        None => pack(&export, build, &mut skipped, |_| true),
    };
    let mut pushed = Pushed { is_base: known.is_none(), skipped, ..Pushed::default() };
    pushed.sequence = before.as_ref().map_or(0, |before| before.sequence);
    if packs.is_empty() && before.is_some() {
        pushed.counts = client.counts;
        return Ok(pushed);
    }
    let mut entries = match &before {
        Some(before) if known.is_some() => before.packs.clone(),
        _ => Vec::new(),
    };
    if entries.len() + packs.len() > MOST_PACKS {
        return Err(ShareError::TooLarge {
            bytes: (entries.len() + packs.len()) * PACK_BYTES,
            most: MOST_PACKS * PACK_BYTES,
        });
    }
    for (pack, build) in packs {
        let digest = *blake3::hash(&pack.bytes).as_bytes();
        client.put(&SharedKey::of(namespace, Kind::Pack, &digest), &pack.bytes, Put::IfAbsent)?;
        (pushed.tasks, pushed.packs) = (pushed.tasks + pack.tasks as u64, pushed.packs + 1);
        let number = |number: usize| u32::try_from(number).expect("bounds of packs are far below 4 billion");
        let (bytes, unpacked, tasks) = (number(pack.bytes.len()), number(pack.unpacked), number(pack.tasks));
        entries.push(PackEntry { digest, bytes, unpacked, tasks, build, is_delta: known.is_some() });
    }
    pushed.sequence += 1;
    let parent = before.as_ref().map_or([0; 32], |before| before.digest);
    manifest::write(&mut client, namespace, name, key, (pushed.sequence, parent, &entries))?;
    pushed.counts = client.counts;
    Ok(pushed)
}

/// Whether there may be one more delta: few of them, and small ones beside the base.
fn has_room(before: &Manifest) -> bool {
    let deltas = before.packs.iter().filter(|pack| pack.is_delta);
    let (count, bytes) =
        deltas.fold((0, 0), |(count, bytes), pack| (count + 1, bytes + u64::from(pack.bytes)));
    count < MOST_DELTAS && bytes * 3 <= before.bytes() && !before.packs.is_empty()
}

/// Returns the traces that packs hold: their tasks, and the digests of their reads. None if a pack is not there any more.
fn traces_in(
    client: &mut Client<'_>,
    namespace: &Namespace,
    manifest: &Manifest,
) -> Result<Option<HashSet<(Digest, Digest)>>, ShareError> {
    let key = |pack: &PackEntry| SharedKey::of(namespace, Kind::Pack, &pack.digest);
    let mut traces = HashSet::new();
    for entry in &manifest.packs {
        let bytes = client.get(&key(entry))?;
        let raw = match unpack(entry, bytes.as_deref()) {
            Ok(raw) => raw,
            Err(why) => {
                client.reject(&key(entry), why);
                return Ok(None);
            }
        };
        let Ok(pack) = Pack::decode(namespace.fingerprints(), &raw) else { return Ok(None) };
        let read = pack.for_each(|task| {
            traces.extend(
                task.traces
                    .iter()
                    .map(|trace| (task.key.0, trace_id(namespace.fingerprints(), &trace.reads))),
            );
            Ok::<(), crate::wire::Malformed>(())
        });
        if read.is_err() {
            return Ok(None);
        }
    }
    Ok(Some(traces))
}

fn is_new(namespace: &Namespace, task: &ExportedTask, known: &HashSet<(Digest, Digest)>) -> bool {
    task.traces
        .iter()
        .any(|trace| !known.contains(&(task.key.0, trace_id(namespace.fingerprints(), &trace.reads))))
}

/// Packs tasks: first those that any build can use, then those of this one, which may have read the others.
fn pack(
    export: &Export,
    build: Digest,
    skipped: &mut Skipped,
    is_wanted: impl Fn(&ExportedTask) -> bool,
) -> Vec<(Finished, Digest)> {
    let mut packs = Vec::new();
    for (is_of_any_build, build) in [(true, Digest::default()), (false, build)] {
        let mut writer = PackWriter::default();
        let mut close = |writer: &mut PackWriter| {
            let tasks = writer.tasks();
            match std::mem::take(writer).finish() {
                Some(pack) => packs.push((pack, build)),
                // That cannot be compressed to what a pack may take.
                None => skipped.too_large += tasks as u64,
            }
        };
        let tasks = export.tasks.iter().filter(|task| task.is_of_any_build == is_of_any_build);
        for task in tasks.filter(|task| is_wanted(task)) {
            let Some(function) = export.functions.get(&task.function) else { continue };
            // A large one does not take those before it along.
            if writer.tasks() > 0 && writer.len() + task.bytes() > PACK_BYTES {
                close(&mut writer);
            }
            writer.add(task, (&function.path, function.code), |key| export.leaves.get(&key));
        }
        if writer.tasks() > 0 {
            close(&mut writer);
        }
    }
    packs
}
