//! Looking at sources by their stored names, for programs that read stores. Not for people: it changes without notice.

use std::path::Path;
use std::time::SystemTime;

use larder_backend::storage::record::{SourceKind, Stamp};
use larder_backend::storage::{Digest, Fingerprints};
use larder_backend::{DEADLINES, Look, Observer, Outside, Seen};

use crate::{env, fs};

/// Returns a moment as `2026-11-27 18:30:00 UTC`.
#[must_use]
pub fn utc(at: SystemTime) -> String {
    larder_backend::json::Utc(at).to_string()
}

/// Returns the fingerprint that a source has now, or none if it is of a kind that cannot be looked at. A relative path starts at
/// `base`, if there is one. The last look at a stored source spares reading its content, if its stamp is the same.
pub fn fingerprint_now(
    (base, fingerprints): (Option<&Path>, Fingerprints),
    (kind, name): (SourceKind, &[u8]),
    (content, stamp, racy): (Digest, Option<Stamp>, bool),
) -> Option<Digest> {
    let mut observers = fs::OBSERVERS.iter().chain([&env::OBSERVER, &DEADLINES]);
    let observer: &Observer = observers.find(|observer| observer.kind == kind)?;
    let last = Seen { content, stamp, racy };
    Some(match (observer.look)(Outside { base, fingerprints, ..Outside::default() }, name, &last) {
        Look::Same => content,
        Look::Seen(seen) => seen.content,
    })
}
