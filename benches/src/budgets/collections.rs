//! The cost of a change to one entry of a collection.

use crate::allocation;
use crate::ours::LARDER;
use crate::peers::dataflow::DIFFERENTIAL;
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
    // Leaves and edges are the same; above 64 leaves there is a node more.
    verdict.check(Check::at_most("bytes of a leaf of 100,000, against that body", ratio, 1.0, "x"));
    for label in race.labels() {
        verdict.figure(label, "a leaf", race.cost(label).unwrap_or(f64::NAN), "bytes");
    }
    verdict
}

pub(super) fn group_by() -> Verdict {
    let mut verdict = Verdict::on("group-by");
    let race = Race::over(Work::GroupBy { rows: 100_000 }, &[LARDER, DIFFERENTIAL], Pace::BRIEF);
    let ratio = race.ratio(LARDER.name, DIFFERENTIAL.name);
    verdict.check(Check::at_most(
        "one row of 100,000 goes to another group, against differential",
        ratio,
        1.0,
        "x",
    ));
    verdict.costs(&race, "100,000 rows", MICROSECONDS, "us");
    verdict
}
