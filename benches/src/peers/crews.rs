//! Ways to fan out: rayon, threads of one's own, tokio. Larder's scopes are compared with these.

use crate::busy::{busy, spin_60_ns};
use crate::lane::{Contestant, Lane, Sample, timed};
use crate::work::Work;
use crate::work::cpu_time;
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Duration;

/// rayon's parallel iterator.
pub const RAYON_ITER: Contestant =
    Contestant { name: "rayon par_iter", enter: |work| enter(work, rayon_iter) };

/// rayon's `scope.spawn`, one job per item.
pub const RAYON_SPAWN: Contestant =
    Contestant { name: "rayon scope.spawn", enter: |work| enter(work, rayon_spawn) };

/// `thread::scope`, a chunk of the items per thread, spawned for each fan-out.
pub const THREADS: Contestant = Contestant { name: "thread::scope", enter: |work| enter(work, thread_scope) };

/// `tokio::spawn`, one task per item.
pub const TOKIO_SPAWN: Contestant =
    Contestant { name: "tokio::spawn", enter: |work| enter(work, tokio_spawn) };

/// How many items of about 60 ns [`Work::Scope`] fans out.
pub const ITEMS: u64 = 10_000;

/// How many bodies of 1 ms [`Work::ScopeMillis`] fans out.
pub const BODIES: u64 = 64;

/// Fans `items` out on `threads` threads: prepared once, run per sample.
type Crew = Box<dyn Fn(u64, fn(u64) -> u64)>;

fn enter(work: Work, crew: fn(u32) -> Crew) -> Option<Lane> {
    match work {
        Work::Scope => Some(cpu_overhead(crew(2))),
        Work::ScopeEmpty => {
            let crew = crew(2);
            Some(Box::new(move || timed(1, || crew(0, spin_60_ns))))
        }
        Work::ScopeMillis { threads } => {
            let crew = crew(threads);
            Some(Box::new(move || timed(BODIES as u32, || crew(BODIES, millisecond))))
        }
        _ => None,
    }
}

/// CPU time of the process per item, over all threads, less that of the same items in a plain loop.
pub fn cpu_overhead(crew: impl Fn(u64, fn(u64) -> u64) + 'static) -> Lane {
    Box::new(move || {
        let plain = cpu_of(|| {
            (0..ITEMS).for_each(|item| {
                black_box(spin_60_ns(item));
            })
        });
        let fanned = cpu_of(|| crew(ITEMS, spin_60_ns));
        Sample { cost: (fanned - plain) / ITEMS as f64, ..Sample::default() }
    })
}

/// A body of 1 ms of wall time.
pub fn millisecond(item: u64) -> u64 {
    busy(Duration::from_millis(1));
    item
}

fn cpu_of(work: impl FnOnce()) -> f64 {
    let before = cpu_time();
    work();
    cpu_time() - before
}

fn rayon_pool(threads: u32) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads as usize).build().expect("a pool can be built")
}

fn rayon_iter(threads: u32) -> Crew {
    let pool = rayon_pool(threads);
    Box::new(move |items, body| {
        pool.install(|| {
            (0..items).into_par_iter().for_each(|item| {
                black_box(body(item));
            })
        });
    })
}

fn rayon_spawn(threads: u32) -> Crew {
    let pool = rayon_pool(threads);
    Box::new(move |items, body| {
        pool.scope(|scope| {
            (0..items).for_each(|item| {
                scope.spawn(move |_| {
                    black_box(body(item));
                })
            });
        });
    })
}

fn thread_scope(threads: u32) -> Crew {
    let threads = u64::from(threads);
    Box::new(move |items, body| {
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let share = items * thread / threads..items * (thread + 1) / threads;
                scope.spawn(move || {
                    share.for_each(|item| {
                        black_box(body(item));
                    })
                });
            }
        });
    })
}

fn tokio_spawn(threads: u32) -> Crew {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads as usize).build();
    let runtime = runtime.expect("a runtime can be built");
    Box::new(move |items, body| {
        runtime.block_on(async {
            let tasks: Vec<_> =
                (0..items).map(|item| tokio::spawn(async move { black_box(body(item)) })).collect();
            for task in tasks {
                task.await.expect("a body does not panic");
            }
        });
    })
}
