//! Leases as objects, written on the condition that there is none, or still the one that is over.
//!
//! ```text
//! 16 holder;  8 moment of its end: milliseconds since 1970, little-endian
//! ```
//! A server that ignores conditions gives a lease to two holders.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion};

use super::transport::shared_error;
use super::{Created, create};
use crate::{Holder, Lease, SharedError};

fn now() -> u64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
}

/// A lease that is there.
struct Found {
    holder: [u8; 16],
    ends: u64,
    version: UpdateVersion,
}

async fn found(store: &AmazonS3, path: &Path) -> Result<Option<Found>, SharedError> {
    let object = match store.get(path).await {
        Ok(object) if object.meta.size == 24 => object,
        // No lease of this version: as one that is over.
        Ok(object) => {
            let version = UpdateVersion { e_tag: object.meta.e_tag, version: object.meta.version };
            return Ok(Some(Found { holder: [0; 16], ends: 0, version }));
        }
        Err(Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(shared_error(error)),
    };
    let version = UpdateVersion { e_tag: object.meta.e_tag.clone(), version: object.meta.version.clone() };
    let bytes = object.bytes().await.map_err(shared_error)?;
    let holder = bytes.first_chunk().copied().unwrap_or_default();
    let ends = bytes.last_chunk().copied().map_or(0, u64::from_le_bytes);
    Ok(Some(Found { holder, ends, version }))
}

pub(super) async fn take(
    store: &AmazonS3,
    path: &Path,
    holder: Holder,
    lasts: Duration,
) -> Result<Lease, SharedError> {
    let ends = now().saturating_add(u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX));
    let bytes = [&holder.to_bytes()[..], &ends.to_le_bytes()].concat();
    match create(store, path, bytes.clone().into()).await? {
        Created::Written => return Ok(Lease::Taken),
        Created::NotSupported => return Ok(Lease::NotSupported),
        Created::WasThere => {}
    }
    // If it has ended just now, the next one that asks gets it.
    let Some(found) = found(store, path).await? else { return Ok(Lease::Held) };
    if found.holder != holder.to_bytes() && now() < found.ends {
        return Ok(Lease::Held);
    }
    let options = PutOptions { mode: PutMode::Update(found.version), ..PutOptions::default() };
    match store.put_opts(path, bytes.into(), options).await {
        Ok(_) => Ok(Lease::Taken),
        Err(Error::Precondition { .. } | Error::AlreadyExists { .. } | Error::NotFound { .. }) => {
            Ok(Lease::Held)
        }
        Err(error) => Err(shared_error(error)),
    }
}

pub(super) async fn end(store: &AmazonS3, path: &Path, holder: Holder) -> Result<(), SharedError> {
    match found(store, path).await? {
        Some(found) if found.holder == holder.to_bytes() => store.delete(path).await.map_err(shared_error),
        _ => Ok(()),
    }
}
