//! Larder's side. Built with the feature `larder-engine`; without it larder takes part in nothing, and every budget
//! says `not built`.
//!
//! The files mirror `peers`: one call, what follows a change and first builds, fanning out, and what stands on disk. Work that
//! none of them knows is answered with `None` by `enter`.

use crate::lane::{Contestant, Lane};
use crate::work::Work;

/// Larder.
pub const LARDER: Contestant = Contestant { name: "larder", enter };

#[cfg(feature = "larder-engine")]
mod call;
#[cfg(feature = "larder-engine")]
mod collections;
#[cfg(feature = "larder-engine")]
mod crew;
#[cfg(feature = "larder-engine")]
mod graph;
pub mod bounded;
pub mod cutoff;
pub mod damaged;
pub mod identity;
pub mod kept;
pub mod outage;
pub mod packs;
pub mod reopened;
pub mod seeing;
pub mod shared;
pub mod stored;
pub mod wide;

#[cfg(feature = "larder-engine")]
fn enter(work: Work) -> Option<Lane> {
    call::enter(work)
        .or_else(|| graph::enter(work))
        .or_else(|| collections::enter(work))
        .or_else(|| crew::enter(work))
        .or_else(|| stored::enter(work))
}

#[cfg(not(feature = "larder-engine"))]
fn enter(_: Work) -> Option<Lane> {
    None
}
