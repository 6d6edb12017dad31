//! Peers under a bound: moka by weight and by number, salsa by `lru`.

use std::hint::black_box;

use crate::lane::{Lane, timed};
use crate::work::text_of;

/// moka: insertions of results of two hundred bytes into a cache that is full by weight.
#[must_use]
pub fn moka_insertions(entries: u64) -> Lane {
    let weight = |_: &u64, text: &String| u32::try_from(text.len()).unwrap_or(u32::MAX);
    let cache = moka::sync::Cache::builder().weigher(weight).max_capacity(entries * 200).build();
    let mut key = 0;
    let mut fill = move |count: u64| {
        for _ in 0..count {
            black_box(cache.get_with(black_box(key), || text_of(key)));
            key += 1;
        }
    };
    fill(entries * 2);
    Box::new(move || timed(10_000, || fill(10_000)))
}

/// moka: the share of hits on a trace, with room for so many entries.
#[must_use]
pub fn moka_ratio(trace: &[u64], room: usize) -> f64 {
    let cache = moka::sync::Cache::new(room as u64);
    let mut misses = 0;
    for keys in trace.chunks(100) {
        for key in keys {
            cache.get_with(*key, || {
                misses += 1;
                text_of(*key)
            });
        }
        cache.run_pending_tasks();
    }
    1.0 - f64::from(misses) / trace.len() as f64
}

#[salsa::input]
struct Trigger {
    number: u64,
}

#[salsa::interned]
struct Key<'db> {
    number: u64,
}

#[salsa::tracked(lru = 10_000, returns(ref))]
fn salsa_page<'db>(db: &'db dyn salsa::Database, key: Key<'db>) -> String {
    MISSES.set(MISSES.get() + 1);
    text_of(*key.number(db))
}

thread_local! {
    static MISSES: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// The number of outputs that salsa keeps: it is part of the program.
pub const SALSA_ROOM: usize = 10_000;

/// salsa: the share of hits on a trace, with `lru` for [`SALSA_ROOM`] outputs. The rest goes at each new revision.
#[must_use]
pub fn salsa_ratio(trace: &[u64]) -> f64 {
    let mut db = salsa::DatabaseImpl::new();
    let trigger = Trigger::new(&db, 0);
    MISSES.set(0);
    for (number, keys) in (0..).zip(trace.chunks(100)) {
        for key in keys {
            black_box(salsa_page(&db, Key::new(&db, *key)));
        }
        salsa::Setter::to(trigger.set_number(&mut db), number);
    }
    1.0 - f64::from(MISSES.get()) / trace.len() as f64
}
