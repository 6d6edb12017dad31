//! moka and quick_cache: concurrent caches with eviction, sized so that they never evict here.

use crate::crowd::{Meeting, crowd};
use crate::lane::{Contestant, Lane, footprint, hits, misses};
use crate::work::{Work, body, body_str, strings};

/// moka 0.12, the sync cache, by `get_with` (its exactly-once call).
pub const MOKA: Contestant = Contestant { name: "moka", enter: enter_moka };

/// quick_cache 0.7, the sync cache; on a miss `get_or_insert_with`, which is exactly once.
pub const QUICK_CACHE: Contestant = Contestant { name: "quick_cache", enter: enter_quick };

type Moka = moka::sync::Cache<u32, u64>;
type Quick<K> = quick_cache::sync::Cache<K, u64>;

fn enter_moka(work: Work) -> Option<Lane> {
    match work {
        Work::Hit { keys } => {
            let cache = moka(keys);
            hits(keys, move |key| cache.get_with(key, || body(key)))
        }
        Work::HitThreads { keys, threads } => {
            let cache = moka(keys);
            crowd(threads, move || {
                let cache = cache.clone();
                move |meeting: &Meeting| meeting.hits(keys, |key| cache.get_with(key, || body(key)))
            })
        }
        Work::Miss { keys } => misses(keys, move || {
            let cache = moka(keys);
            move |key| cache.get_with(key, || body(key))
        }),
        Work::Footprint { keys } => footprint(keys, move || {
            let cache = moka(keys);
            for key in 0..keys {
                cache.get_with(key, || body(key));
            }
            cache.run_pending_tasks();
            cache
        }),
        _ => None,
    }
}

fn moka(keys: u32) -> Moka {
    Moka::new(u64::from(keys) * 2 + 1000)
}

fn enter_quick(work: Work) -> Option<Lane> {
    match work {
        Work::Hit { keys } => {
            let cache = quick(keys);
            hits(keys, move |key| fetch(&cache, key))
        }
        Work::HitStr { keys } => {
            let names = strings(keys);
            let cache = quick::<Box<str>>(keys);
            for name in &names {
                cache.insert(name.as_str().into(), body_str(name));
            }
            hits(keys, move |key| cache.get(names[key as usize].as_str()).expect("nothing is evicted"))
        }
        Work::HitThreads { keys, threads } => {
            let cache = std::sync::Arc::new(quick(keys));
            crowd(threads, move || {
                let cache = std::sync::Arc::clone(&cache);
                move |meeting: &Meeting| meeting.hits(keys, |key| fetch(&cache, key))
            })
        }
        Work::Miss { keys } => misses(keys, move || {
            let cache = quick(keys);
            move |key| fetch(&cache, key)
        }),
        Work::Footprint { keys } => footprint(keys, move || {
            let cache = quick(keys);
            for key in 0..keys {
                fetch(&cache, key);
            }
            cache
        }),
        _ => None,
    }
}

#[inline]
fn fetch(cache: &Quick<u32>, key: u32) -> u64 {
    match cache.get_or_insert_with(&key, || Ok::<_, std::convert::Infallible>(body(key))) {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

fn quick<K: Eq + std::hash::Hash>(keys: u32) -> Quick<K> {
    Quick::new(keys as usize * 2 + 1000)
}
