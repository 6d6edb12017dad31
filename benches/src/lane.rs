//! One contestant, set up for one kind of work, ready to take samples.

use crate::allocation::{allocations, live_bytes_of};
use crate::work::{HITS, Work, next};
use std::hint::black_box;
use std::time::Instant;

/// One sample: the cost of one unit of work.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Nanoseconds per unit, or bytes per unit where the work says so.
    pub cost: f64,
    /// Allocations of the measuring thread per unit.
    pub allocations: f64,
    /// The cost of the untimed unit before it, with the processor's caches as the others left them; only for edits.
    pub cold: Option<f64>,
}

/// A contestant at the start line. Each call takes one sample; set-up stays outside of what is timed.
pub type Lane = Box<dyn FnMut() -> Sample>;

/// A contestant that may take part: the name in the report, and how to enter. `None` for work that it cannot do.
#[derive(Clone, Copy)]
pub struct Contestant {
    /// The name in the report.
    pub name: &'static str,
    /// Sets the contestant up for one kind of work.
    pub enter: fn(Work) -> Option<Lane>,
}

/// Times `work`, which performs `units` units.
#[inline]
pub fn timed(units: u32, work: impl FnOnce()) -> Sample {
    let before = allocations();
    let start = Instant::now();
    work();
    let elapsed = start.elapsed();
    let allocations = allocations() - before;
    Sample {
        cost: elapsed.as_nanos() as f64 / f64::from(units),
        allocations: allocations as f64 / f64::from(units),
        cold: None,
    }
}

/// Performs `count` hits over `keys` keys in turn.
#[inline(always)]
pub fn in_turn(keys: u32, count: u32, mut hit: impl FnMut(u32) -> u64) {
    let mut key = 0;
    for _ in 0..count {
        black_box(hit(black_box(key)));
        key = next(key, keys);
    }
}

/// How many hits one sample over `keys` keys takes: every key at least once.
pub fn hits_per_sample(keys: u32) -> u32 {
    HITS.max(keys)
}

/// The lane of repeated hits. Each sample visits all keys untimed before it begins: the others in the race have
/// filled the processor's caches with tables of their own since the last one.
pub fn hits(keys: u32, mut hit: impl FnMut(u32) -> u64 + 'static) -> Option<Lane> {
    Some(Box::new(move || repeated_hits(keys, &mut hit)))
}

/// One sample of repeated hits, for systems that have to start it inside a task or a query.
#[inline]
pub fn repeated_hits(keys: u32, mut hit: impl FnMut(u32) -> u64) -> Sample {
    let count = hits_per_sample(keys);
    in_turn(keys, keys, &mut hit);
    timed(count, || in_turn(keys, count, &mut hit))
}

/// The lane of edits: `edit` makes one change and asks. One edit goes before each sample, for the reason given
/// at [`hits`]: a cold processor cache would charge the neighbour's table to an edit of a microsecond. Its
/// cost is kept as [`Sample::cold`], shown beside the other figures and not judged.
pub fn edits(mut edit: impl FnMut() + 'static) -> Option<Lane> {
    Some(Box::new(move || {
        let cold = timed(1, &mut edit).cost;
        Sample { cold: Some(cold), ..timed(1, &mut edit) }
    }))
}

/// The lane of first calls: `fresh` makes an empty store and returns how to call it; both that and the drop of the
/// store stay untimed.
pub fn misses<C: FnMut(u32) -> u64>(keys: u32, mut fresh: impl FnMut() -> C + 'static) -> Option<Lane> {
    Some(Box::new(move || {
        let mut call = fresh();
        timed(keys, || in_turn(keys, keys, &mut call))
    }))
}

/// The lane of live bytes: `fill` makes a store, fills it with `units` entries and returns it alive.
pub fn footprint<S>(units: u32, mut fill: impl FnMut() -> S + 'static) -> Option<Lane> {
    Some(Box::new(move || {
        let (store, bytes) = live_bytes_of(&mut fill);
        drop(store);
        Sample { cost: bytes as f64 / f64::from(units), ..Sample::default() }
    }))
}
