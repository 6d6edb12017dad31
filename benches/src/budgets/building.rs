//! The cost of first calls: one after the other, and nested.

use crate::allocation;
use crate::ours::LARDER;
use crate::peers::caches::{MOKA, QUICK_CACHE};
use crate::peers::comemo::COMEMO;
use crate::peers::floor::FLOOR;
use crate::peers::maps::DASHMAP;
use crate::peers::memoize::{CACHED, CONCURRENT_CACHED};
use crate::peers::salsa::{BY_ARGUMENTS, BY_HANDLE};
use crate::peers::salsa_graph::SALSA;
use crate::race::{Entry, Pace, Race};
use crate::verdict::{Check, Verdict};
use crate::work::{Nest, Work};

const MISS: Work = Work::Miss { keys: 100_000 };

pub(super) fn miss() -> Verdict {
    let mut verdict = Verdict::on("miss");
    let everybody = [
        LARDER,
        BY_ARGUMENTS,
        BY_HANDLE,
        DASHMAP,
        QUICK_CACHE,
        MOKA,
        CACHED,
        CONCURRENT_CACHED,
        COMEMO,
        FLOOR,
    ];
    let race = Race::over(MISS, &everybody, Pace::STEADY);
    let ratio = race.ratio(LARDER.name, BY_ARGUMENTS.name);
    verdict.check(Check::at_most("100,000 keys against salsa by arguments", ratio, 0.9, "x"));
    let allocations = race.allocations(LARDER.name).filter(|_| allocation::is_counting());
    // Growth of the table is amortized over the 100,000: a few dozen allocations, which are not the miss's own.
    let whole = allocations.map(|allocations| (allocations * 100.0).round() / 100.0);
    verdict.check(Check::at_most("a true miss", whole, 1.0, "allocations"));
    verdict.costs(&race, "100,000 keys", 1.0, "ns");
    verdict.allocations(&race, "a miss");
    verdict
}

/// The nests, each with a smaller one of its kind: linear means that a task costs the same in both.
const NESTS: [(&str, Nest, Nest); 3] = [
    ("chain of 10,000", Nest::Chain(10_000), Nest::Chain(1_000)),
    ("grid of 100 x 100", Nest::Grid(100), Nest::Grid(32)),
    ("tree of 65,535", Nest::Tree(65_535), Nest::Tree(8_191)),
];

/// How much dearer a task of the larger nest may be and still count as linear: caches do fill up.
const LINEAR: f64 = 2.0;

pub(super) fn nested_build() -> Verdict {
    let mut verdict = Verdict::on("nested-build");
    for (name, large, small) in NESTS {
        let entry = |label: &str, work, contestant| Entry { label: label.to_owned(), work, contestant };
        let entries = [
            entry("larder", Work::Build(large), LARDER),
            entry("larder, small", Work::Build(small), LARDER),
            entry("larder, miss", MISS, LARDER),
            entry("salsa", Work::Build(large), SALSA),
            entry("salsa, small", Work::Build(small), SALSA),
            entry("comemo", Work::Build(large), COMEMO),
        ];
        let race = Race::between(entries, Pace::STEADY);
        let ratio = race.ratio("larder", "larder, miss");
        verdict.check(Check::at_most(format!("a task of the {name} against a miss"), ratio, 1.7, "x"));
        let growth = race.ratio("larder", "larder, small");
        let what = format!("a task of the {name} against one of a smaller of its kind");
        verdict.check(Check::at_most(what, growth, LINEAR, "x"));
        verdict.costs(&race, name, 1.0, "ns");
    }
    verdict
}
