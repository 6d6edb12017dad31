//! What a change costs: an unrelated one, an equal one, one of many leaves, one of many inputs, and along a chain.
//!
//! Absolute limits are those of DESIGN.md; where it gives a ratio, the peer runs the same edits in the same race.

use crate::ours::LARDER;
use crate::peers::comemo::COMEMO;
use crate::peers::salsa_graph::SALSA;
use crate::race::{Pace, Race};
use crate::verdict::{Check, Verdict};
use crate::work::Work;

/// Samples are nanoseconds, limits microseconds.
const MICROSECONDS: f64 = 1e-3;

pub(super) fn write_unrelated() -> Verdict {
    let mut verdict = Verdict::on("write-unrelated");
    let race = Race::over(Work::UnrelatedWrite { leaves: 10_000 }, &[LARDER, SALSA], Pace::BRIEF);
    verdict.check(absolute("10,000 fresh nodes", &race, 1.0));
    verdict.costs(&race, "10,000 leaves", MICROSECONDS, "us");
    let race = Race::over(Work::UnrelatedWrite { leaves: 1_000_000 }, &[LARDER, SALSA], Pace::STEADY);
    verdict.check(absolute("1,000,000 fresh nodes", &race, 1.0));
    verdict.costs(&race, "1,000,000 leaves", MICROSECONDS, "us");
    verdict
}

pub(super) fn edit_equal() -> Verdict {
    let mut verdict = Verdict::on("edit-equal");
    let race = Race::over(Work::EditEqual { leaves: 10_000 }, &[LARDER, SALSA, COMEMO], Pace::BRIEF);
    verdict.check(absolute("one of 10,000 leaves runs and stays equal", &race, 5.0));
    verdict.costs(&race, "10,000 leaves", MICROSECONDS, "us");
    verdict
}

pub(super) fn edit_leaf() -> Verdict {
    let mut verdict = Verdict::on("edit-leaf");
    let race = Race::over(Work::EditLeaf { leaves: 10_000 }, &[LARDER, SALSA, COMEMO], Pace::BRIEF);
    let ratio = race.ratio(LARDER.name, SALSA.name);
    verdict.check(Check::at_most("one of 10,000 leaves and the root, against salsa", ratio, 0.3, "x"));
    verdict.costs(&race, "10,000 leaves", MICROSECONDS, "us");
    verdict
}

pub(super) fn edit_wide() -> Verdict {
    let mut verdict = Verdict::on("edit-wide");
    let race = Race::over(Work::EditWide { inputs: 10_000 }, &[LARDER, SALSA, COMEMO], Pace::BRIEF);
    let ratio = race.ratio(LARDER.name, SALSA.name);
    verdict.check(Check::at_most("one of 10,000 inputs of the root, against salsa", ratio, 1.0, "x"));
    verdict.costs(&race, "10,000 inputs", MICROSECONDS, "us");
    verdict
}

pub(super) fn chain() -> Verdict {
    let mut verdict = Verdict::on("chain");
    let race = Race::over(Work::Chain { links: 1000 }, &[LARDER, SALSA, COMEMO], Pace::BRIEF);
    for peer in [SALSA.name, COMEMO.name] {
        let ratio = race.ratio(LARDER.name, peer);
        verdict.check(Check::at_most(format!("1,000 links, all re-run, against {peer}"), ratio, 0.8, "x"));
    }
    verdict.costs(&race, "1,000 links", MICROSECONDS, "us");
    verdict
}

pub(super) fn chain_cutoff() -> Verdict {
    let mut verdict = Verdict::on("chain-cutoff");
    let race = Race::over(Work::ChainCutoff { links: 1000 }, &[LARDER, SALSA, COMEMO], Pace::BRIEF);
    verdict.check(absolute("1,000 links behind a value that stays equal", &race, 8.0));
    verdict.costs(&race, "1,000 links", MICROSECONDS, "us");
    verdict
}

fn absolute(what: &str, race: &Race, limit: f64) -> Check {
    Check::at_most(what, race.cost(LARDER.name).map(|cost| cost * MICROSECONDS), limit, "us")
}
