//! Bounds on memory: what a cap costs, and what is kept under one.

use crate::allocation;
use crate::lane::Lane;
use crate::ours::bounded as larder;
use crate::ours::stored::spills;
use crate::peers::bounded::{SALSA_ROOM, moka_insertions, moka_ratio, salsa_ratio};
use crate::peers::disk::REDB;
use crate::verdict::{Check, Verdict};
use crate::work::{Work, trace};

/// The median of the ratios of two lanes, sample by sample.
pub(super) fn ratio(mut one: Lane, mut other: Lane, rounds: usize) -> f64 {
    _ = (one(), other());
    let mut ratios: Vec<f64> = (0..rounds).map(|_| one().cost / other().cost).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    ratios[rounds / 2]
}

pub(super) fn cap_hits() -> Verdict {
    let mut verdict = Verdict::on("cap-hits");
    type Pair = (&'static str, fn(bool) -> Lane);
    let pairs: [Pair; 3] = [
        ("a hit of one key", |capped| larder::hits(1, capped)),
        ("a hit of 100,000 keys", |capped| larder::hits(100_000, capped)),
        ("a miss", larder::builds),
    ];
    for (what, lane) in pairs {
        // The limit is the difference between two runs of one program.
        let ratio = ratio(lane(true), lane(false), 101);
        verdict.check(Check::at_most(
            format!("{what} with a cap, against one without"),
            Some(ratio),
            1.05,
            "x",
        ));
    }
    verdict
}

pub(super) fn cap_bytes() -> Verdict {
    let mut verdict = Verdict::on("cap-bytes");
    let ratio = allocation::is_counting().then(|| larder::live_against_cap(64 << 20));
    let what = "live bytes at the beginning of a session, against the cap of 64 MiB";
    verdict.check(Check::at_most(what, ratio, 1.1, "x"));
    // The cache of a thread, up to 2 MiB beside the tasks, is a larger share of this.
    verdict.figure("larder", "the same with a cap of 16 MiB", larder::live_against_cap(16 << 20), "x");
    verdict
}

pub(super) fn cap_miss() -> Verdict {
    let mut verdict = Verdict::on("cap-miss");
    let plain = ratio(larder::misses(true), larder::misses(false), 31);
    verdict.check(Check::at_most("a miss with eviction, against one without", Some(plain), 1.4, "x"));
    let moka = ratio(larder::misses(true), moka_insertions(50_000), 31);
    verdict.check(Check::at_most("the same, against an insertion of moka by weight", Some(moka), 0.5, "x"));
    verdict
}

pub(super) fn cap_pause() -> Verdict {
    let mut verdict = Verdict::on("cap-pause");
    // The least of several: a thread that is not scheduled waits for other reasons.
    let pause = (0..5).map(|_| larder::longest_pause()).fold(f64::INFINITY, f64::min);
    verdict.check(Check::at_most(
        "the longest hold of the gate while 1,000,000 tasks go",
        Some(pause),
        3.0,
        "ms",
    ));
    verdict
}

pub(super) fn cap_free() -> Verdict {
    let mut verdict = Verdict::on("cap-free");
    let mut costs: Vec<f64> = (0..5).map(|_| larder::freeing()).collect();
    costs.sort_unstable_by(f64::total_cmp);
    verdict.check(Check::at_most("CPU for a task that goes", Some(costs[2]), 300.0, "ns"));
    verdict
}

pub(super) fn cap_ratio() -> Verdict {
    let mut verdict = Verdict::on("cap-ratio");
    let trace = trace();
    let [larder, moka, salsa] =
        [larder::hit_ratio(&trace, SALSA_ROOM), moka_ratio(&trace, SALSA_ROOM), salsa_ratio(&trace)];
    let behind = (moka.max(salsa) - larder) * 100.0;
    verdict.check(Check::at_most(
        "points of hits behind the better of moka and salsa",
        Some(behind),
        2.0,
        "",
    ));
    for (who, hits) in [("larder", larder), ("moka", moka), ("salsa", salsa)] {
        verdict.figure(who, "hits", hits * 100.0, "%");
    }
    verdict
}

pub(super) fn cap_spill() -> Verdict {
    let mut verdict = Verdict::on("cap-spill");
    let spill = (REDB.enter)(Work::Probe).map(|redb| ratio(spills(), redb, 31));
    verdict.check(Check::at_most(
        "an output that comes back, against redb's get and decode",
        spill,
        1.5,
        "x",
    ));
    verdict
}
