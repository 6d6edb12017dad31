//! `cached` 4: one static per function, behind a lock (`#[cached]`) or in shards (`#[concurrent_cached]`).

use crate::crowd::{Meeting, crowd};
use crate::lane::{Contestant, Lane, hits, misses};
use crate::work::{Work, body, body_str, strings};
use cached::macros::{cached, concurrent_cached};

/// `#[cached]`.
pub const CACHED: Contestant = Contestant { name: "cached", enter: enter_cached };

/// `#[concurrent_cached]`.
pub const CONCURRENT_CACHED: Contestant = Contestant { name: "concurrent_cached", enter: enter_concurrent };

#[cached]
fn locked(key: u32) -> u64 {
    body(key)
}

#[cached]
fn locked_str(key: String) -> u64 {
    body_str(&key)
}

#[concurrent_cached]
fn sharded(key: u32) -> u64 {
    body(key)
}

fn enter_cached(work: Work) -> Option<Lane> {
    match work {
        Work::Hit { keys } => hits(keys, locked),
        Work::HitStr { keys } => {
            let names = strings(keys);
            hits(keys, move |key| locked_str(names[key as usize].clone()))
        }
        Work::HitThreads { keys, threads } => {
            crowd(threads, move || move |meeting: &Meeting| meeting.hits(keys, locked))
        }
        Work::Miss { keys } => {
            // One static for all samples: each sample asks for keys that no sample has asked for.
            let mut round = 1;
            misses(keys, move || {
                round += 1;
                move |key| locked(key.wrapping_add(keys.wrapping_mul(round)))
            })
        }
        _ => None,
    }
}

fn enter_concurrent(work: Work) -> Option<Lane> {
    match work {
        Work::Hit { keys } => hits(keys, sharded),
        Work::HitThreads { keys, threads } => {
            crowd(threads, move || move |meeting: &Meeting| meeting.hits(keys, sharded))
        }
        Work::Miss { keys } => {
            let mut round = 1;
            misses(keys, move || {
                round += 1;
                move |key| sharded(key.wrapping_add(keys.wrapping_mul(round)))
            })
        }
        _ => None,
    }
}
