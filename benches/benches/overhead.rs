//! The overhead of a call, in the groups of the field (turbo-tasks): `direct`, `cached-same-keys`,
//! `cached-different-keys`, `uncached`, `uncached-parallel`. Each has a trivial body and busy bodies of 1, 10, 100
//! and 1,000 us; the key is `(u64, Duration)`. Figures include the body: subtract `direct`.
//!
//! The peers that anybody has at hand stand beside larder: moka for the cached groups, rayon for the parallel one.
//!
//! Reference to beat, turbo-tasks' own table (its machine), busy body of 1 us included: cached-same-keys 490 ns,
//! cached-different-keys 1.00 us, uncached 20.47 us, uncached-parallel 5.67 us.

#![allow(missing_docs, reason = "criterion's macros generate undocumented items")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use larder_benches::busy::busy;
use std::hint::black_box;
use std::time::Duration;

/// The busy bodies; none is the trivial one.
const BODIES_US: [u64; 5] = [0, 1, 10, 100, 1000];

/// How many keys the groups with different keys go over.
const KEYS: u64 = 1000;

/// How many bodies run at once in `uncached-parallel`.
const PARALLEL: u64 = 64;

/// The body: spins for `time` (nothing at all for none) and returns its key.
fn work(key: u64, time: Duration) -> u64 {
    if !time.is_zero() {
        busy(time);
    }
    black_box(key)
}

fn bodies() -> impl Iterator<Item = (Duration, String)> {
    BODIES_US.into_iter().map(|us| {
        let name = if us == 0 { "trivial".to_owned() } else { us.to_string() };
        (Duration::from_micros(us), name)
    })
}

fn direct(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("direct");
    for (time, name) in bodies() {
        group.bench_function(BenchmarkId::new("plain", &name), |bencher| {
            bencher.iter(|| work(black_box(1), black_box(time)));
        });
    }
}

fn cached_same_keys(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cached-same-keys");
    for (time, name) in bodies() {
        let cache = moka::sync::Cache::new(10_000);
        group.bench_function(BenchmarkId::new("moka", &name), |bencher| {
            bencher.iter(|| cache.get_with((black_box(1), time), || work(1, time)));
        });
        #[cfg(feature = "larder-engine")]
        group.bench_function(BenchmarkId::new("larder", &name), |bencher| {
            larder::Runtime::new().run(|| bencher.iter(|| ours::task(black_box(1), black_box(time))));
        });
    }
}

fn cached_different_keys(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cached-different-keys");
    for (time, name) in bodies() {
        let cache = moka::sync::Cache::new(10_000);
        let mut key = 0;
        group.bench_function(BenchmarkId::new("moka", &name), |bencher| {
            (0..KEYS).for_each(|key| cache.insert((key, time), key));
            bencher.iter(|| {
                key = (key + 1) % KEYS;
                cache.get_with((black_box(key), time), || work(key, time))
            });
        });
        #[cfg(feature = "larder-engine")]
        group.bench_function(BenchmarkId::new("larder", &name), |bencher| {
            larder::Runtime::new().run(|| {
                (0..KEYS).for_each(|key| {
                    black_box(ours::task(key, time));
                });
                bencher.iter(|| {
                    key = (key + 1) % KEYS;
                    ours::task(black_box(key), black_box(time))
                });
            });
        });
    }
}

fn uncached(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("uncached");
    for (time, name) in bodies() {
        let mut key = 0;
        group.bench_function(BenchmarkId::new("moka", &name), |bencher| {
            let cache = moka::sync::Cache::new(10_000);
            bencher.iter(|| {
                key += 1;
                cache.get_with((black_box(key), time), || work(key, time))
            });
        });
        #[cfg(feature = "larder-engine")]
        group.bench_function(BenchmarkId::new("larder", &name), |bencher| {
            larder::Runtime::new().run(|| {
                bencher.iter(|| {
                    key += 1;
                    ours::task(black_box(key), black_box(time))
                });
            });
        });
    }
}

fn uncached_parallel(criterion: &mut Criterion) {
    use rayon::prelude::*;
    let mut group = criterion.benchmark_group("uncached-parallel");
    group.throughput(Throughput::Elements(PARALLEL));
    let tokio = tokio::runtime::Builder::new_multi_thread().build().expect("a runtime can be built");
    for (time, name) in bodies() {
        group.bench_function(BenchmarkId::new("rayon", &name), |bencher| {
            bencher.iter(|| {
                (0..PARALLEL).into_par_iter().for_each(|key| {
                    black_box(work(key, time));
                });
            });
        });
        // One task per body, as turbo-tasks does it.
        group.bench_function(BenchmarkId::new("tokio::spawn", &name), |bencher| {
            bencher.iter(|| {
                tokio.block_on(async {
                    let tasks: Vec<_> =
                        (0..PARALLEL).map(|key| tokio::spawn(async move { work(key, time) })).collect();
                    for task in tasks {
                        black_box(task.await.expect("a body does not panic"));
                    }
                });
            });
        });
        #[cfg(feature = "larder-engine")]
        group.bench_function(BenchmarkId::new("larder", &name), |bencher| {
            bencher.iter_custom(|rounds| {
                ours::in_fresh_runtimes(rounds, |keys| {
                    larder::par_map(keys, |key| {
                        black_box(ours::task(key, time));
                    });
                })
            });
        });
        // Async bodies, of which so many are under way on one thread: what a miss costs where nothing runs beside it.
        #[cfg(feature = "larder-engine")]
        group.bench_function(BenchmarkId::new("larder async, one thread", &name), |bencher| {
            bencher.iter_custom(|rounds| {
                ours::in_fresh_runtimes(rounds, |keys| {
                    ours::all_async::task(keys.start, keys.end, time).get()
                })
            });
        });
    }
}

#[cfg(feature = "larder-engine")]
mod ours {
    use std::hint::black_box;
    use std::ops::Range;
    use std::time::{Duration, Instant};

    #[larder::task_fn(transient)]
    pub(super) fn task(key: u64, time: Duration) -> u64 {
        super::work(key, time)
    }

    #[larder::task_fn(transient)]
    async fn task_async(key: u64, time: Duration) -> u64 {
        std::future::ready(super::work(key, time)).await
    }

    #[larder::task_fn(transient)]
    #[allow(dead_code, reason = "asked by its handle only")]
    pub(super) async fn all_async(first: u64, end: u64, time: Duration) {
        let mut tasks = larder::stream(first..end, super::PARALLEL as usize, |key| task_async(key, time));
        while let Some(result) = tasks.next().await {
            black_box(result);
        }
    }

    /// How many rounds a runtime keeps the results of.
    const KEPT: u64 = 1000;

    /// Times `rounds` rounds of `ask`, each in a session, over keys that no call has asked for. After some rounds the
    /// runtime is replaced: criterion takes so many that their results would fill the memory.
    pub(super) fn in_fresh_runtimes(rounds: u64, ask: impl Fn(Range<u64>)) -> Duration {
        let mut elapsed = Duration::ZERO;
        let mut left = rounds;
        while left > 0 {
            let runtime = larder::Runtime::new();
            let round =
                |number: u64| runtime.run(|| ask(number * super::PARALLEL..(number + 1) * super::PARALLEL));
            // Starts the crew.
            round(0);
            let now = left.min(KEPT);
            let start = Instant::now();
            (1..=now).for_each(round);
            elapsed += start.elapsed();
            left -= now;
        }
        elapsed
    }
}

criterion_group! {
    name = overhead;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = direct, cached_same_keys, cached_different_keys, uncached, uncached_parallel
}
criterion_main!(overhead);
