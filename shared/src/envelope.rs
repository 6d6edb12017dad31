//! Envelopes: what is signed. A manifest and a ref are in one; a pack is named by its digest in a signed manifest.
//!
//! ```text
//! 4   "LRDS"        1  version 1      1  kind: b'm' or b'r'      8  id of the key
//! 8   signed at, in seconds from 1970 on                         4  length of the payload
//! ..  payload                                                   64  signature
//! ```
//! Signed is: `larder shared 1`, a zero byte, then the namespace, kind and ref, each with its length, the id of the key, the moment, and
//! the BLAKE3 of the payload. So what was signed for one place is of no use at another. For example, the ref `main` that is copied to
//! `release` does not hold.

use std::time::{Duration, SystemTime};

use crate::client::Rejection;
use crate::wire::{Reader, put_bytes, put_count};
use crate::{Kind, Namespace, SigningKey, Trust};

const MAGIC: [u8; 4] = *b"LRDS";
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 4 + 1 + 1 + 8 + 8 + 4;
const SIGNATURE_BYTES: usize = 64;

/// Where something is signed for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) namespace: &'a Namespace,
    pub(crate) kind: Kind,
    /// The name of a ref; empty for a manifest, which is named by its content.
    pub(crate) name: &'a str,
}

/// The content of an envelope that holds.
#[derive(Debug)]
pub(crate) struct Opened<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) signer: Box<str>,
    pub(crate) signed_at: SystemTime,
}

fn message(place: Place<'_>, key: [u8; 8], signed_at: u64, payload: &[u8]) -> Vec<u8> {
    let mut message = b"larder shared 1\0".to_vec();
    put_bytes(&mut message, place.namespace.to_string().as_bytes());
    put_bytes(&mut message, &[place.kind.letter() as u8]);
    put_bytes(&mut message, place.name.as_bytes());
    message.extend_from_slice(&key);
    message.extend_from_slice(&signed_at.to_le_bytes());
    message.extend_from_slice(blake3::hash(payload).as_bytes());
    message
}

/// Signs a payload.
pub(crate) fn seal(place: Place<'_>, key: &SigningKey, now: SystemTime, payload: &[u8]) -> Vec<u8> {
    let id = key.public().id();
    let signed_at = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut bytes = Vec::with_capacity(HEAD_BYTES + payload.len() + SIGNATURE_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[VERSION, place.kind.letter() as u8]);
    bytes.extend_from_slice(&id);
    bytes.extend_from_slice(&signed_at.to_le_bytes());
    put_count(&mut bytes, payload.len());
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(&key.sign(&message(place, id, signed_at, payload)));
    bytes
}

/// Opens an envelope if it is of at most so many bytes, for this place, and signed by a key that is trusted.
pub(crate) fn open<'a>(
    place: Place<'_>,
    trust: &Trust,
    most: usize,
    bytes: &'a [u8],
) -> Result<Opened<'a>, Rejection> {
    if bytes.len() > most {
        return Err(Rejection::Size);
    }
    let mut reader = Reader::new(bytes);
    let malformed = |_| Rejection::Decode;
    if reader.array().map_err(malformed)? != MAGIC {
        return Err(Rejection::Decode);
    }
    if reader.u8().map_err(malformed)? != VERSION {
        return Err(Rejection::Version);
    }
    if reader.u8().map_err(malformed)? != place.kind.letter() as u8 {
        return Err(Rejection::Decode);
    }
    let id = reader.array().map_err(malformed)?;
    let signed_at = reader.u64().map_err(malformed)?;
    let payload = reader.bytes().map_err(malformed)?;
    let signature = reader.array::<SIGNATURE_BYTES>().map_err(malformed)?;
    reader.end().map_err(malformed)?;
    let key = trust.find(id).ok_or(Rejection::Untrusted)?;
    if !key.verifies(&message(place, id, signed_at, payload), &signature) {
        return Err(Rejection::Signature);
    }
    let moment = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(signed_at));
    let signed_at = moment.filter(|moment| trust.accepts(*moment)).ok_or(Rejection::TooOld)?;
    Ok(Opened { payload, signer: key.name().into(), signed_at })
}
