//! dashmap with Fx, used as a cache by hand: get, else compute and insert.

use crate::crowd::{Meeting, crowd};
use crate::lane::{Contestant, Lane, footprint, hits, misses};
use crate::work::{Work, body, body_str, strings};
use dashmap::DashMap;
use rustc_hash::FxBuildHasher;
use std::sync::Arc;

/// dashmap 6 with `rustc-hash`.
pub const DASHMAP: Contestant = Contestant { name: "dashmap", enter };

type Map<K> = DashMap<K, u64, FxBuildHasher>;

fn enter(work: Work) -> Option<Lane> {
    match work {
        Work::Hit { keys } => {
            let map = filled(keys);
            hits(keys, move |key| get(&map, key))
        }
        Work::HitStr { keys } => {
            let names = strings(keys);
            let map: Map<Box<str>> =
                names.iter().map(|name| (name.as_str().into(), body_str(name))).collect();
            hits(keys, move |key| *map.get(names[key as usize].as_str()).expect("every name was inserted"))
        }
        Work::HitThreads { keys, threads } => {
            let map = Arc::new(filled(keys));
            crowd(threads, move || {
                let map = Arc::clone(&map);
                move |meeting: &Meeting| meeting.hits(keys, |key| get(&map, key))
            })
        }
        Work::Miss { keys } => misses(keys, || {
            let map = Map::default();
            move |key| get_or_insert(&map, key)
        }),
        Work::Footprint { keys } => footprint(keys, move || filled(keys)),
        _ => None,
    }
}

#[inline]
fn get(map: &Map<u32>, key: u32) -> u64 {
    *map.get(&key).expect("every key was inserted")
}

#[inline]
fn get_or_insert(map: &Map<u32>, key: u32) -> u64 {
    if let Some(value) = map.get(&key) {
        return *value;
    }
    let value = body(key);
    map.insert(key, value);
    value
}

fn filled(keys: u32) -> Map<u32> {
    let map = Map::default();
    for key in 0..keys {
        get_or_insert(&map, key);
    }
    map
}
