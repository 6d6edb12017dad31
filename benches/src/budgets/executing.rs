//! What fanning out costs.

use crate::ours::LARDER;
use crate::peers::crews::{RAYON_ITER, RAYON_SPAWN, THREADS, TOKIO_SPAWN};
use crate::race::{Entry, Pace, Race};
use crate::verdict::{Check, Verdict};
use crate::work::Work;

pub(super) fn scope() -> Verdict {
    let mut verdict = Verdict::on("scope");
    let everybody = [LARDER, RAYON_ITER, RAYON_SPAWN, THREADS, TOKIO_SPAWN];
    let race = Race::over(Work::Scope, &everybody, Pace::BRIEF);
    let overhead = race.cost(LARDER.name);
    verdict.check(Check::at_most("CPU overhead of an item of 60 ns, of 10,000", overhead, 25.0, "ns"));
    verdict.costs(&race, "an item of 10,000, CPU overhead", 1.0, "ns");
    let race = Race::over(Work::ScopeEmpty, &everybody, Pace::BRIEF);
    let empty = race.cost(LARDER.name).map(|cost| cost * 1e-3);
    verdict.check(Check::at_most("an empty scope", empty, 5.0, "us"));
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
        if name == LARDER.name {
            verdict.check(Check::at_least("64 bodies of 1 ms on 2 threads", gain, 1.9, "x"));
        }
        if let Some(gain) = gain {
            verdict.figure(name, "64 bodies of 1 ms on 2 threads", gain, "x");
        }
    }
    verdict
}
