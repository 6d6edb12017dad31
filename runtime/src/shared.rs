//! The shared cache: results that one machine has computed, for others. Feature `shared`. See the guide's page
//! [shared cache](crate::guide::shared_cache).
//!
//! # Order
//! ```text
//! build         packs that the ref names are pulled into the store, unless they were before      (`link`)
//! a change      records of the stale tasks are asked for before the first of their bodies runs    (`remote`)
//! the end       a writer pushes what its store holds, and records of what it has run             (`link`)
//! ```
//! Nothing here fails a computation: what does not come costs time, and at most [`Shared::budget`]; the `breaker` sees to that.

mod breaker;
mod config;
mod link;
mod remote;
mod stats;
mod timed;
mod turn;

pub use larder_shared::{
    FolderEngine, Holder, KeyError, Kind, Lease, Limits, MemoryEngine, Namespace, Put, ShareError,
    SharedEngine, SharedError, SharedKey, SigningKey, Skipped, TrustedKey,
};

pub use self::config::{EnvError, Shared};
pub(crate) use self::link::Link;
pub use self::stats::{Divergence, SharedStats};
