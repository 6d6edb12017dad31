//! Sessions that share tasks and pools, with the work of each task spread in every way that rayon and the runtime offer.
//!
//! `LARDER_STRESS_SECONDS=n` lets each kind of work run that long.

use super::*;

/// A way to spread the work of a task.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum How {
    Scope,
    Join,
    ParIter,
    /// The closure of the scope is carried, too.
    Wrapped,
    /// Jobs of rayon's that spread their work by `par_map`; and the reverse. With as many threads in the pool as in the runtime's crew or
    /// fewer, these waited for the crew, and the crew for the pool.
    ParMapInRayon,
    ScopeInRayon,
    RayonInParMap,
    /// The jobs of each task go to another pool than those of the one above it.
    TwoPools,
    /// Work that does not ask for anything, as a sort does, before the jobs.
    Uncarried,
}

const KINDS: [How; 9] = [
    How::Scope,
    How::Join,
    How::ParIter,
    How::Wrapped,
    How::ParMapInRayon,
    How::ScopeInRayon,
    How::RayonInParMap,
    How::TwoPools,
    How::Uncarried,
];

struct Pools([ThreadPool; 2]);

fn halve(range: std::ops::Range<u64>, f: &(dyn Fn(u64) -> u64 + Sync)) -> u64 {
    if range.end - range.start == 1 {
        return f(range.start);
    }
    let middle = u64::midpoint(range.start, range.end);
    let (a, b) = rayon::join(|| halve(range.start..middle, f), || halve(middle..range.end, f));
    a + b
}

/// The sum of `f` over the numbers below `n`, each a job.
fn spread(pools: &Pools, depth: usize, how: How, n: u64, f: &(dyn Fn(u64) -> u64 + Sync)) -> u64 {
    let task = current();
    let f = &|n| task.run(|| f(n));
    let each = || (0..n as usize).into_par_iter().with_max_len(1).map(|n| n as u64);
    let pool = &pools.0[if how == How::TwoPools { depth % 2 } else { 0 }];
    match how {
        How::Join => pool.install(|| halve(0..n, f)),
        How::ParIter | How::TwoPools => pool.install(|| each().map(f).sum()),
        How::Uncarried => pool.install(|| {
            let mut numbers: Vec<_> = (0..2000u64).rev().collect();
            numbers.par_sort_by_key(|n| n % 97);
            each().map(f).sum()
        }),
        How::ParMapInRayon => pool.install(|| each().map(|n| task.run(|| par_map(0..2, |_| f(n))[1])).sum()),
        How::ScopeInRayon => pool.install(|| {
            let both = |n| {
                let (mut one, mut other) = (0, 0);
                larder::scope(|s| {
                    s.spawn(|| one = f(n));
                    s.spawn(|| other = f(n));
                });
                assert_eq!(one, other);
                one
            };
            each().map(|n| task.run(|| both(n))).sum()
        }),
        How::RayonInParMap => par_map(0..2, |half| {
            let half = half * n / 2..(half + 1) * n / 2;
            pool.install(|| halve(half, f))
        })
        .into_iter()
        .sum(),
        How::Scope | How::Wrapped => {
            let sum = std::sync::atomic::AtomicU64::new(0);
            pool.scope(|s| {
                let spawn_all = || {
                    for n in 0..n {
                        let sum = &sum;
                        s.spawn(move |_| {
                            sum.fetch_add(f(n), SeqCst);
                        });
                    }
                };
                if how == How::Wrapped { task.run(spawn_all) } else { spawn_all() }
            });
            sum.into_inner()
        }
    }
}

#[task_fn(transient)]
fn leaf(round: &Input<u64>, n: u64) -> u64 {
    (0..200).for_each(|_| std::hint::spin_loop());
    round.get() + n
}

#[task_fn(transient)]
fn lower(#[skip] pools: Arc<Pools>, how: How, round: &Input<u64>, k: u64) -> u64 {
    spread(&pools, 1, how, 8, &|n| leaf(round, k + n))
}

#[task_fn(transient)]
fn upper(#[skip] pools: Arc<Pools>, how: How, round: &Input<u64>, k: u64) -> u64 {
    spread(&pools, 0, how, 3, &|n| lower(pools.clone(), how, round, k + n % 2))
}

/// Two sessions, each with a task that uses rayon inside; the one reads what the other computes. Each kind of work hung within half a
/// second, but for those that leave no frames behind.
#[test]
fn sessions_that_share_tasks_and_pools_never_hang() {
    let seconds = std::env::var("LARDER_STRESS_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    for threads in [1, 2, 4, 8] {
        for how in KINDS {
            let work = move || share_tasks_and_pools(threads, how, seconds);
            if seconds.is_some() { work() } else { in_time(work) }
        }
    }
}

fn share_tasks_and_pools(threads: usize, how: How, seconds: Option<u64>) {
    // Crews larger and smaller than the pool.
    let crew = if threads < 4 { 4 } else { 2 };
    let rt = Runtime::builder().threads(crew).run_apart_after(Duration::from_millis(20)).build();
    let round = rt.input("round", 0);
    let pools = Arc::new(Pools([pool(threads), pool(threads)]));
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut rounds = 0;
    while end.map_or(rounds < 25, |end| Instant::now() < end) {
        rounds += 1;
        rt.update(|u| u.set(&round, rounds)).unwrap();
        let lower_sum = |k: u64| 8 * (rounds + k) + 28;
        thread::scope(|s| {
            for thread in 0..3 {
                let (rt, pools, round) = (&rt, &pools, &round);
                s.spawn(move || {
                    for k in 0..4 {
                        if thread == 0 {
                            let sum = rt.run(|| lower(pools.clone(), how, round, k));
                            assert_eq!(sum, lower_sum(k), "{how:?}, {threads} threads, round {rounds}");
                        } else {
                            let sum = rt.run(|| upper(pools.clone(), how, round, k));
                            let expected = 2 * lower_sum(k) + lower_sum(k + 1);
                            assert_eq!(sum, expected, "{how:?}, {threads} threads, round {rounds}");
                        }
                    }
                });
            }
        });
    }
    if seconds.is_some() {
        println!("{how:?}, {threads} threads, {rounds} rounds:\n{}", rt.stats());
    }
}
