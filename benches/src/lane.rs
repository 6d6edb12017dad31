//! One contestant, set up for one kind of work, ready to take samples.

use crate::allocation::{allocations, live_bytes_of};
use crate::work::{CROWD_HITS, HITS, Work, next};
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// One sample: the cost of one unit of work.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Nanoseconds per unit, or bytes per unit where the work says so.
    pub cost: f64,
    /// Allocations of the measuring thread per unit.
    pub allocations: f64,
}

/// A contestant at the start line. Each call takes one sample; set-up stays outside of what is timed.
pub type Lane = Box<dyn FnMut() -> Sample>;

/// Somebody who may take part: the name in the report, and how to enter. `None` for work that it cannot do.
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
    }
}

/// Performs `count` hits over `keys` keys in turn from `from` on; returns where it stopped.
#[inline(always)]
pub fn in_turn(from: u32, keys: u32, count: u32, mut hit: impl FnMut(u32) -> u64) -> u32 {
    let mut key = from;
    for _ in 0..count {
        black_box(hit(black_box(key)));
        key = next(key, keys);
    }
    key
}

/// The lane of repeated hits. It goes on where its last sample stopped, so that many keys are all visited.
pub fn hits(keys: u32, mut hit: impl FnMut(u32) -> u64 + 'static) -> Option<Lane> {
    let mut from = 0;
    in_turn(0, keys, keys, &mut hit);
    Some(Box::new(move || {
        let start = from;
        timed(HITS, || from = in_turn(start, keys, HITS, &mut hit))
    }))
}

/// The lane of first calls: `fresh` makes an empty store and returns how to call it; both that and the drop of the
/// store stay untimed.
pub fn misses<C: FnMut(u32) -> u64>(keys: u32, mut fresh: impl FnMut() -> C + 'static) -> Option<Lane> {
    Some(Box::new(move || {
        let mut call = fresh();
        timed(keys, || {
            in_turn(0, keys, keys, &mut call);
        })
    }))
}

/// The lane of live bytes: `fill` makes a store, fills it with `units` entries and returns it alive.
pub fn footprint<S>(units: u32, mut fill: impl FnMut() -> S + 'static) -> Option<Lane> {
    Some(Box::new(move || {
        let (store, bytes) = live_bytes_of(&mut fill);
        drop(store);
        Sample { cost: bytes as f64 / f64::from(units), allocations: 0.0 }
    }))
}

/// The lane of a crowd: each member waits at the barrier, performs [`CROWD_HITS`] hits and returns how long that
/// took. The cost is that of one hit at the throughput of them all.
pub fn crowd<M>(threads: u32, mut member: impl FnMut() -> M + 'static) -> Option<Lane>
where
    M: FnOnce(&Barrier) -> Duration + Send,
{
    Some(Box::new(move || {
        let barrier = Barrier::new(threads as usize);
        let members: Vec<M> = (0..threads).map(|_| member()).collect();
        let times: Vec<Duration> = std::thread::scope(|scope| {
            let barrier = &barrier;
            let running: Vec<_> = members.into_iter().map(|run| scope.spawn(move || run(barrier))).collect();
            running.into_iter().map(|thread| thread.join().expect("a member of the crowd panicked")).collect()
        });
        let rate: f64 = times.iter().map(|time| f64::from(CROWD_HITS) / time.as_nanos() as f64).sum();
        Sample { cost: 1.0 / rate, allocations: 0.0 }
    }))
}

/// What a member of a crowd does with a plain `hit`.
pub fn member(barrier: &Barrier, keys: u32, mut hit: impl FnMut(u32) -> u64) -> Duration {
    in_turn(0, keys, keys, &mut hit);
    barrier.wait();
    let start = Instant::now();
    in_turn(0, keys, CROWD_HITS, hit);
    start.elapsed()
}
