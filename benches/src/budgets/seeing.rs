//! Judges the costs of being seen, and how soon a store of a million tasks answers.

use crate::allocation;
use crate::budgets::bounded::ratio;
use crate::budgets::storage::median;
use crate::ours::seeing::{Million, Seen, bodies, builds, hits};
use crate::verdict::{Check, Verdict};

/// The median of the ratios of two measures that take turns.
fn in_turns(one: impl Fn() -> f64, other: impl Fn() -> f64) -> f64 {
    _ = (one(), other());
    median((0..15).map(|_| one() / other()))
}

pub(super) fn see_hook() -> Verdict {
    let mut verdict = Verdict::on("see-hook");
    let ratio = Some(ratio(hits(true), hits(false), 101));
    verdict.check(Check::at_most("a hit with an observer, against one without", ratio, 1.05, "x"));
    verdict
}

pub(super) fn see_observer() -> Verdict {
    let mut verdict = Verdict::on("see-observer");
    let ratio = Some(in_turns(|| builds(Seen::Observed), || builds(Seen::Not)));
    let what =
        "2,000 bodies of 30 us and their readers, run twice, with an observer that counts, against without";
    verdict.check(Check::at_most(what, ratio, 1.05, "x"));
    verdict
}

pub(super) fn see_determinism() -> Verdict {
    let mut verdict = Verdict::on("see-determinism");
    let ratio = Some(in_turns(|| builds(Seen::Checked), bodies));
    let what = "2,000 bodies of 30 us and their readers, run twice, all of them checked, against the bodies by themselves";
    verdict.check(Check::at_most(what, ratio, 2.2, "x"));
    verdict
}

pub(super) fn see_stats() -> Verdict {
    let mut verdict = Verdict::on("see-stats");
    let million = Million::fill();
    let rounds: Vec<_> = (0..5).map(|_| million.stats()).collect();
    let seconds = median(rounds.iter().map(|(seconds, _)| *seconds));
    let peak = rounds.iter().map(|(_, bytes)| bytes / 1e6).fold(0.0, f64::max);
    verdict.check(Check::at_most("`larder stats` of 1,000,000 tasks", Some(seconds), 2.0, "s"));
    let peak = allocation::is_counting().then_some(peak);
    verdict.check(Check::at_most("the most live bytes of that", peak, 200.0, "MB"));
    verdict.figure("larder", "the store's file", million.file_bytes() / 1e6, "MB");
    verdict
}

pub(super) fn see_explain() -> Verdict {
    let mut verdict = Verdict::on("see-explain");
    let million = Million::fill();
    let rounds: Vec<_> = (0..9).map(|_| million.explanations()).collect();
    for (at, what) in ["a task of 1,000 reads", "one of its reads"].into_iter().enumerate() {
        let milliseconds = Some(median(rounds.iter().map(|round| round[at])));
        let what = format!("`larder explain` of {what}, in a store of 1,000,000 tasks");
        verdict.check(Check::at_most(what, milliseconds, 100.0, "ms"));
    }
    verdict
}

pub(super) fn see_inspector() -> Verdict {
    let mut verdict = Verdict::on("see-inspector");
    let million = Million::fill();
    let rounds: Vec<_> = (0..5).map(|_| million.pages()).collect();
    for (at, (what, _)) in rounds[0].iter().enumerate() {
        let milliseconds = Some(median(rounds.iter().map(|round| round[at].1)));
        verdict.check(Check::at_most(what.clone(), milliseconds, 300.0, "ms"));
    }
    verdict.figure("larder", "a search that finds nothing", million.search(), "ms");
    verdict
}
