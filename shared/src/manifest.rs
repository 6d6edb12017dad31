//! Manifests: which packs there are. A ref names the newest one of a name.
//!
//! ```text
//! manifest   8  sequence number      32  digest of the manifest before, or zeros      4  number of packs
//!            each pack: 32 digest, 4 bytes, 4 bytes when unpacked, 4 tasks, 16 build or zeros, 1 whether it is a delta
//! ref        8  sequence number      32  digest of the manifest
//! ```

use std::time::SystemTime;

use larder_storage::Digest;

use crate::bounds::{MOST_MANIFEST_BYTES, MOST_PACK_BYTES, MOST_PACKS, MOST_REF_BYTES, MOST_UNPACKED_BYTES};
use crate::client::{Client, Rejection};
use crate::envelope::{self, Place};
use crate::wire::{Malformed, Reader, put_count};
use crate::{Kind, Namespace, ShareError, SharedKey, SigningKey, Trust};

const ENTRY_BYTES: usize = 32 + 4 + 4 + 4 + 16 + 1;

/// A pack, as its manifest describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PackEntry {
    /// The BLAKE3 digest of its bytes.
    pub digest: [u8; 32],
    /// Its bytes.
    pub bytes: u32,
    /// Its bytes when it is unpacked.
    pub unpacked: u32,
    /// Its tasks.
    pub tasks: u32,
    /// The code that its tasks are of; zeros if all of their functions declare a version.
    pub build: Digest,
    /// Whether it was added to what was there.
    pub is_delta: bool,
}

/// A list of packs, signed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Manifest {
    /// One more with each push.
    pub sequence: u64,
    /// The digest of the manifest before it, or zeros.
    pub parent: [u8; 32],
    /// Packs: each may refer to tasks in those before it.
    pub packs: Vec<PackEntry>,
    /// The name of the key that has signed it.
    pub signer: Box<str>,
    /// When that was.
    pub signed_at: SystemTime,
    pub(crate) digest: [u8; 32],
}

impl Manifest {
    pub(crate) fn encode(sequence: u64, parent: [u8; 32], packs: &[PackEntry]) -> Vec<u8> {
        let mut out = Vec::with_capacity(44 + packs.len() * ENTRY_BYTES);
        out.extend_from_slice(&sequence.to_le_bytes());
        out.extend_from_slice(&parent);
        put_count(&mut out, packs.len());
        for pack in packs {
            out.extend_from_slice(&pack.digest);
            for number in [pack.bytes, pack.unpacked, pack.tasks] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            out.extend_from_slice(&pack.build.to_bytes());
            out.push(u8::from(pack.is_delta));
        }
        out
    }

    fn decode(opened: &envelope::Opened<'_>, digest: [u8; 32]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(opened.payload);
        let (sequence, parent) = (reader.u64()?, reader.array()?);
        let count = reader.count(ENTRY_BYTES, MOST_PACKS)?;
        let mut packs = Vec::with_capacity(count);
        for _ in 0..count {
            let pack = PackEntry {
                digest: reader.array()?,
                bytes: reader.u32()?,
                unpacked: reader.u32()?,
                tasks: reader.u32()?,
                build: Digest::from_bytes(reader.array()?),
                is_delta: match reader.u8()? {
                    0 => false,
                    1 => true,
                    _ => return Err(Malformed),
                },
            };
            if pack.bytes as usize > MOST_PACK_BYTES || pack.unpacked as usize > MOST_UNPACKED_BYTES {
                return Err(Malformed);
            }
            packs.push(pack);
        }
        reader.end()?;
        let (signer, signed_at) = (opened.signer.clone(), opened.signed_at);
        Ok(Self { sequence, parent, packs, signer, signed_at, digest })
    }

    /// Returns when it was signed, in seconds from 1970 on.
    pub(crate) fn signed_in(&self) -> u64 {
        self.signed_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
    }

    /// Returns the bytes of all packs.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.packs.iter().map(|pack| u64::from(pack.bytes)).sum()
    }

    /// Returns the number of tasks in all packs.
    #[must_use]
    pub fn tasks(&self) -> u64 {
        self.packs.iter().map(|pack| u64::from(pack.tasks)).sum()
    }
}

/// Reads the manifest that a ref names. Two round trips.
///
/// # Errors
/// [`ShareError::NoRef`] if there is none that holds.
pub(crate) fn read(
    client: &mut Client<'_>,
    namespace: &Namespace,
    name: &str,
    trust: &Trust,
) -> Result<Manifest, ShareError> {
    let key = SharedKey::reference(namespace, name).map_err(|rule| no_ref(namespace, rule, None))?;
    let Some(bytes) = client.get(&key)? else { return Err(no_ref(namespace, name, None)) };
    let mut refused = |key: &SharedKey, why| {
        client.reject(key, why);
        no_ref(namespace, name, Some(why))
    };
    let place = Place { namespace, kind: Kind::Ref, name };
    let opened = envelope::open(place, trust, MOST_REF_BYTES, &bytes).map_err(|why| refused(&key, why))?;
    let (sequence, digest) =
        decode_ref(opened.payload).map_err(|Malformed| refused(&key, Rejection::Decode))?;
    let key = SharedKey::of(namespace, Kind::Manifest, &digest);
    let bytes = client.get(&key)?;
    let manifest = open(namespace, trust, digest, bytes.as_deref()).and_then(|manifest| {
        if manifest.sequence == sequence { Ok(manifest) } else { Err(Rejection::Decode) }
    });
    manifest.map_err(|why| {
        client.reject(&key, why);
        no_ref(namespace, name, Some(why))
    })
}

fn open(
    namespace: &Namespace,
    trust: &Trust,
    digest: [u8; 32],
    bytes: Option<&[u8]>,
) -> Result<Manifest, Rejection> {
    let bytes = bytes.ok_or(Rejection::Absent)?;
    if bytes.len() > MOST_MANIFEST_BYTES {
        return Err(Rejection::Size);
    }
    if *blake3::hash(bytes).as_bytes() != digest {
        return Err(Rejection::Digest);
    }
    let place = Place { namespace, kind: Kind::Manifest, name: "" };
    let opened = envelope::open(place, trust, MOST_MANIFEST_BYTES, bytes)?;
    Manifest::decode(&opened, digest).map_err(|Malformed| Rejection::Decode)
}

fn decode_ref(payload: &[u8]) -> Result<(u64, [u8; 32]), Malformed> {
    let mut reader = Reader::new(payload);
    let found = (reader.u64()?, reader.array()?);
    reader.end()?;
    Ok(found)
}

fn no_ref(namespace: &Namespace, name: &str, rejected: Option<Rejection>) -> ShareError {
    ShareError::NoRef { name: name.into(), fingerprints: namespace.fingerprints(), rejected }
}

/// Writes a manifest, and the ref that names it. The ref last: it never names what is not there.
pub(crate) fn write(
    client: &mut Client<'_>,
    namespace: &Namespace,
    name: &str,
    key: &SigningKey,
    manifest: (u64, [u8; 32], &[PackEntry]),
) -> Result<(), ShareError> {
    let now = SystemTime::now();
    let (sequence, parent, packs) = manifest;
    let place = Place { namespace, kind: Kind::Manifest, name: "" };
    let bytes = envelope::seal(place, key, now, &Manifest::encode(sequence, parent, packs));
    let digest = *blake3::hash(&bytes).as_bytes();
    client.put(&SharedKey::of(namespace, Kind::Manifest, &digest), &bytes, crate::Put::IfAbsent)?;
    let at = SharedKey::reference(namespace, name).map_err(|rule| no_ref(namespace, rule, None))?;
    let mut payload = sequence.to_le_bytes().to_vec();
    payload.extend_from_slice(&digest);
    let place = Place { namespace, kind: Kind::Ref, name };
    client.put(&at, &envelope::seal(place, key, now, &payload), crate::Put::Replace)
}
