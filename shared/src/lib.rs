//! The shared cache: results that one machine has computed and stored, for others.
//!
//! # Layers, from the outside in
//! ```text
//! push, pull        a store to packs, packs to a store
//!   verify          whether all that is there holds
//!   record          single tasks, for what has changed since
//!   manifest        which packs there are; a ref names the newest manifest
//!   pack            tasks with their traces, and the leaves that they have read
//!   envelope        sizes, signatures and digests: all of it before anything is unpacked or decoded
//!   SharedEngine    bytes by name: a folder, memory, yours
//! ```
//! Nothing that an engine returns is believed. An item that is unsigned, signed by another key, cut off, exchanged or larger than it may be is a miss with a
//! reason, never a value. And nothing in a pack is believed about *this* machine's files: tasks are imported as stale, so the runtime verifies
//! each by what it has read before it serves it. For example, a pack says that `words("a.txt")` came to 7 on a file with a certain digest; the
//! file here has another one, so the body runs.
//!
//! The bytes are described in `docs/shared-format.md`.
//!
//! # Invariants
//! - This crate imports nothing of the runtime. It reads and writes stores through `larder_storage`.
//! - Only `envelope` and `pack` look at bytes from an engine; each length is compared with a bound before anything is allocated for it.
//! - Secrets appear in no `Debug` and in no error.

#[cfg(any(feature = "s3", feature = "http"))]
mod answer;
mod bounds;
mod client;
pub mod conformance;
mod engine;
mod envelope;
mod error;
mod export;
mod folder;
#[cfg(feature = "http")]
mod http;
mod import;
mod key;
mod keys;
mod lease;
mod manifest;
mod memory;
mod pack;
mod place;
mod pull;
mod push;
mod record;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "s3")]
mod s3;
#[cfg(any(feature = "redis", feature = "s3", feature = "http"))]
mod url;
mod verify;
mod wire;

pub use self::bounds::{
    MOST_MANIFEST_BYTES, MOST_PACK_BYTES, MOST_PACKS, MOST_RECORD_BYTES, MOST_UNPACKED_BYTES,
};
pub use self::client::{Counts, Rejection};
pub use self::engine::{Limits, Put, SharedEngine};
pub use self::error::{ShareError, SharedError};
pub use self::export::{Skipped, stays_here};
pub use self::folder::FolderEngine;
#[cfg(feature = "http")]
pub use self::http::HttpEngine;
pub use self::key::{Kind, Namespace, SharedKey, platform};
pub use self::keys::{KeyError, SigningKey, Trust, TrustedKey};
pub use self::lease::{Holder, Lease};
pub use self::manifest::{Manifest, PackEntry};
pub use self::memory::MemoryEngine;
pub use self::place::engine_at;
pub use self::pull::{Pulled, PulledPack, list, pull, pull_new};
pub use self::push::{Pushed, push};
pub use self::record::{Fetched, Published, Signed, fetch, publish};
#[cfg(feature = "redis")]
pub use self::redis::RedisEngine;
#[cfg(feature = "s3")]
pub use self::s3::S3Engine;
pub use self::verify::{Verified, verify};
pub use larder_storage::Fingerprints;
