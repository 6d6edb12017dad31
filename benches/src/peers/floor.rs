//! The floor: one thread's own Fx table. Nothing that is shared can be expected below it.

use crate::crowd::{Meeting, crowd};
use crate::lane::{Contestant, Lane, footprint, hits, misses};
use crate::work::{Work, body};
use rustc_hash::FxHashMap;

/// A thread-local `FxHashMap`.
pub const FLOOR: Contestant = Contestant { name: "thread-local map", enter };

fn enter(work: Work) -> Option<Lane> {
    match work {
        Work::Hit { keys } => {
            let mut map = FxHashMap::default();
            hits(keys, move |key| *map.entry(key).or_insert_with(|| body(key)))
        }
        // Threads that share nothing: what two processors of this machine give just now.
        Work::HitThreads { keys, threads } => crowd(threads, move || {
            move |meeting: &Meeting| {
                let mut map = FxHashMap::default();
                meeting.hits(keys, move |key| *map.entry(key).or_insert_with(|| body(key)))
            }
        }),
        Work::Miss { keys } => misses(keys, || {
            let mut map = FxHashMap::default();
            move |key| *map.entry(key).or_insert_with(|| body(key))
        }),
        Work::Footprint { keys } => {
            footprint(keys, move || (0..keys).map(|key| (key, body(key))).collect::<FxHashMap<_, _>>())
        }
        _ => None,
    }
}
