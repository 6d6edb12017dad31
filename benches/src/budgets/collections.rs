//! The cost of a change to one entry of a collection.

use crate::allocation;
use crate::ours::LARDER;
use crate::race::{Entry, Pace, Race};
use crate::verdict::{Check, Verdict};
use crate::work::{Fold, Work};

/// Samples are nanoseconds, figures microseconds.
const MICROSECONDS: f64 = 1e-3;

pub(super) fn fold() -> Verdict {
    let mut verdict = Verdict::on("fold");
    let entry = |label: &str, leaves, how| Entry {
        label: label.to_owned(),
        work: Work::FoldEdit { leaves, how },
        contestant: LARDER,
    };
    let [flat, tree, large] = ["larder, one body", "larder, fold", "larder, fold of 1,000,000"];
    let entries = [
        entry(flat, 100_000, Fold::Flat),
        entry(tree, 100_000, Fold::Tree),
        entry(large, 1_000_000, Fold::Tree),
    ];
    let race = Race::between(entries, Pace::BRIEF);
    let what = "one of 100,000 leaves, against one body that reads them all";
    verdict.check(Check::at_most(what, race.ratio(tree, flat), 0.01, "x"));
    let what = "one of 1,000,000 leaves, against one of 100,000";
    verdict.check(Check::at_most(what, race.ratio(large, tree), 1.5, "x"));
    verdict.costs(&race, "", MICROSECONDS, "us");

    let entry = |label: &str, how| Entry {
        label: label.to_owned(),
        work: Work::FoldFootprint { leaves: 100_000, how },
        contestant: LARDER,
    };
    let race = Race::between([entry(flat, Fold::Flat), entry(tree, Fold::Tree)], Pace::ONCE);
    let ratio = race.ratio(tree, flat).filter(|_| allocation::is_counting());
    verdict.check(Check::at_most("bytes of a leaf of 100,000, against that body", ratio, 1.0, "x"));
    for label in race.labels() {
        verdict.figure(label, "a leaf", race.cost(label).unwrap_or(f64::NAN), "bytes");
    }
    verdict
}
