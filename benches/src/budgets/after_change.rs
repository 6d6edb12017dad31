//! The cost of a change: an unrelated one, an equal one, one of many leaves, one of many inputs, and along a chain.
//!
//! The peer runs the same edits in the same race.

use crate::ours::LARDER;
use crate::peers::comemo::COMEMO;
use crate::peers::salsa_graph::SALSA;
use crate::race::{Entry, Pace, Race};
use crate::verdict::{Check, Verdict};
use crate::work::Work;

/// Samples are nanoseconds, limits microseconds.
const MICROSECONDS: f64 = 1e-3;

pub(super) fn write_unrelated() -> Verdict {
    let mut verdict = Verdict::on("write-unrelated");
    let entry = |label: &str, leaves, contestant| Entry {
        label: label.to_owned(),
        work: Work::UnrelatedWrite { leaves },
        contestant,
    };
    let labels = ["larder, 10,000 leaves", "larder, 1,000,000 leaves"];
    let entries = [
        entry(labels[0], 10_000, LARDER),
        entry(labels[1], 1_000_000, LARDER),
        entry("salsa, 10,000 leaves", 10_000, SALSA),
    ];
    let race = Race::between(entries, Pace::BRIEF);
    for label in labels {
        let ratio = race.ratio(label, "salsa, 10,000 leaves");
        verdict.check(Check::at_most(format!("{label}, against salsa's 10,000"), ratio, 0.002, "x"));
    }
    verdict.costs(&race, "", MICROSECONDS, "us");
    verdict
}

pub(super) fn edit_equal() -> Verdict {
    let mut verdict = Verdict::on("edit-equal");
    let race = Race::over(Work::EditEqual { leaves: 10_000 }, &[LARDER, SALSA, COMEMO], Pace::BRIEF);
    let ratio = race.ratio(LARDER.name, SALSA.name);
    let what = "one of 10,000 leaves runs and stays equal, against salsa";
    verdict.check(Check::at_most(what, ratio, 0.003, "x"));
    verdict.costs(&race, "10,000 leaves", MICROSECONDS, "us");
    verdict
}

pub(super) fn edit_leaf() -> Verdict {
    let mut verdict = Verdict::on("edit-leaf");
    let race = Race::over(Work::EditLeaf { leaves: 10_000 }, &[LARDER, SALSA, COMEMO], Pace::BRIEF);
    let ratio = race.ratio(LARDER.name, SALSA.name);
    verdict.check(Check::at_most("one of 10,000 leaves and the root, against salsa", ratio, 0.07, "x"));
    verdict.costs(&race, "10,000 leaves", MICROSECONDS, "us");
    verdict
}

pub(super) fn edit_wide() -> Verdict {
    let mut verdict = Verdict::on("edit-wide");
    let race = Race::over(Work::EditWide { inputs: 10_000 }, &[LARDER, SALSA, COMEMO], Pace::BRIEF);
    let ratio = race.ratio(LARDER.name, SALSA.name);
    verdict.check(Check::at_most("one of 10,000 inputs of the root, against salsa", ratio, 0.5, "x"));
    verdict.costs(&race, "10,000 inputs", MICROSECONDS, "us");
    verdict
}

pub(super) fn chain() -> Verdict {
    let mut verdict = Verdict::on("chain");
    let race = Race::over(Work::Chain { links: 1000 }, &[LARDER, SALSA, COMEMO], Pace::BRIEF);
    for peer in [SALSA.name, COMEMO.name] {
        let ratio = race.ratio(LARDER.name, peer);
        verdict.check(Check::at_most(format!("1,000 links, all re-run, against {peer}"), ratio, 0.7, "x"));
    }
    verdict.costs(&race, "1,000 links", MICROSECONDS, "us");
    verdict
}

pub(super) fn chain_cutoff() -> Verdict {
    let mut verdict = Verdict::on("chain-cutoff");
    let race = Race::over(Work::ChainCutoff { links: 1000 }, &[LARDER, SALSA, COMEMO], Pace::BRIEF);
    let ratio = race.ratio(LARDER.name, SALSA.name);
    let what = "1,000 links behind a value that stays equal, against salsa";
    verdict.check(Check::at_most(what, ratio, 0.12, "x"));
    verdict.costs(&race, "1,000 links", MICROSECONDS, "us");
    verdict
}
