//! The cost of fanning out.

use crate::ours::LARDER;
use crate::peers::crews::{RAYON_ITER, RAYON_SPAWN, THREADS, TOKIO_SPAWN};
use crate::race::{Entry, Pace, Race};
use crate::verdict::{Check, Verdict};
use crate::work::Work;

pub(super) fn scope() -> Verdict {
    let mut verdict = Verdict::on("scope");
    let everybody = [LARDER, RAYON_ITER, RAYON_SPAWN, THREADS, TOKIO_SPAWN];
    let race = Race::over(Work::Scope, &everybody, Pace::BRIEF);
    let ratio = race.ratio(LARDER.name, RAYON_ITER.name);
    let what = "CPU overhead of an item of 60 ns, of 10,000, against rayon's par_iter";
    verdict.check(Check::at_most(what, ratio, 1.2, "x"));
    verdict.costs(&race, "an item of 10,000, CPU overhead", 1.0, "ns");
    let entry = |label: &str, work, contestant| Entry { label: label.to_owned(), work, contestant };
    let miss = entry("larder, miss", Work::Miss { keys: 10_000 }, LARDER);
    let empty = everybody.map(|contestant| entry(contestant.name, Work::ScopeEmpty, contestant));
    let race = Race::between(empty.into_iter().chain([miss]), Pace::BRIEF);
    let misses = race.ratio(LARDER.name, "larder, miss");
    verdict.check(Check::at_most("an empty scope, against a miss", misses, 20.0, "x"));
    verdict.costs(&race, "an empty scope", 1e-3, "us");
    verdict
}

pub(super) fn scope_speedup() -> Verdict {
    let mut verdict = Verdict::on("scope-speedup");
    let everybody = [LARDER, RAYON_ITER, THREADS, TOKIO_SPAWN];
    let label = |name: &str, threads: u32| format!("{name} x{threads}");
    let entries = everybody.iter().flat_map(|contestant| {
        [1, 2].map(|threads| Entry {
            label: label(contestant.name, threads),
            work: Work::ScopeMillis { threads },
            contestant: *contestant,
        })
    });
    let race = Race::between(entries, Pace::STEADY);
    for contestant in everybody {
        let name = contestant.name;
        let gain = race.ratio(&label(name, 1), &label(name, 2));
        if let Some(gain) = gain {
            verdict.figure(name, "64 bodies of 1 ms on 2 threads", gain, "x");
        }
    }
    let both = |name: &str| [label(name, 1), label(name, 2)];
    let (ours, rayon) = (both(LARDER.name), both(RAYON_ITER.name));
    let gain = race.relative_gain([&ours[0], &ours[1]], [&rayon[0], &rayon[1]]);
    verdict.check(Check::at_least("64 bodies of 1 ms on 2 threads, against rayon's gain", gain, 0.97, "x"));
    verdict
}
