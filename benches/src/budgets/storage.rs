//! The cost and the promises of the store.

use crate::ours::{LARDER, cutoff, damaged, reopened, stored};
use crate::peers::disk::REDB;
use crate::race::{Pace, Race};
use crate::verdict::{Check, Verdict};
use crate::work::{STORED, Work};
use std::time::Duration;

pub(super) fn probe() -> Verdict {
    let mut verdict = Verdict::on("probe");
    let race = Race::over(Work::Probe, &[LARDER, REDB], Pace::BRIEF);
    let ratio = race.ratio(LARDER.name, REDB.name);
    verdict.check(Check::at_most(
        "a warm hit of a new runtime, against redb's get and decode",
        ratio,
        1.5,
        "x",
    ));
    verdict.costs(&race, "one of 100,000 records", 1.0, "ns");
    verdict
}

pub(super) fn reopen() -> Verdict {
    let mut verdict = Verdict::on("reopen");
    let Some(rounds) = ours(|| {
        let tree = reopened::Tree::of(STORED);
        (0..31).map(|_| tree.reopen()).collect::<Vec<_>>()
    }) else {
        verdict.check(Check::at_most("reopening 100,000 tasks and a hit of the root", None, 2.0, "x"));
        return verdict;
    };
    let ran: u64 = rounds.iter().map(|round| round.runs).sum();
    let ratio = |round: &reopened::Reopened| {
        round.total.as_secs_f64() / (round.opening + round.stamping).as_secs_f64()
    };
    let what =
        "reopening 100,000 tasks and a hit of the root, against opening the store and stamping 1,000 files";
    verdict.check(Check::at_most(what, Some(median(rounds.iter().map(ratio))), 2.0, "x"));
    verdict.check(Check::at_most("bodies run", Some(ran as f64), 0.0, "bodies"));
    let mut part = |what: &str, of: fn(&reopened::Reopened) -> Duration| {
        let milliseconds = median(rounds.iter().map(|round| of(round).as_secs_f64() * 1e3));
        verdict.figure(LARDER.name, what, milliseconds, "ms");
    };
    part("reopening and a hit", |round| round.total);
    part("opening the store by itself", |round| round.opening);
    part("stamping 1,000 files by itself", |round| round.stamping);
    after_one_change(&mut verdict);
    verdict
}

/// A million tasks, one of ten thousand files changed: how much was looked at.
fn after_one_change(verdict: &mut Verdict) {
    const TASKS: u32 = 1_000_000;
    let mut tree = reopened::Tree::of(TASKS);
    verdict.figure(
        LARDER.name,
        "1,000,000 tasks on disk, each",
        tree.file_bytes() as f64 / f64::from(TASKS),
        "bytes",
    );
    let unchanged = tree.reopen();
    let mut rounds = Vec::new();
    for number in 0..3 {
        tree.edit(number);
        rounds.push(tree.reopen());
    }
    let all = [("nothing changed", &unchanged), ("one file of 10,000 changed", &rounds[rounds.len() / 2])];
    for (when, round) in all {
        let when = |what: &str| format!("1,000,000 tasks, {when}: {what}");
        let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        verdict.figure(LARDER.name, &when("open and root"), milliseconds(round.total), "ms");
        verdict.figure(LARDER.name, &when("of it stamping"), milliseconds(round.stamping), "ms");
        verdict.figure(LARDER.name, &when("walked and marked"), round.walked as f64, "tasks");
        verdict.figure(LARDER.name, &when("taken out of the store"), round.restored as f64, "tasks");
        verdict.figure(LARDER.name, &when("verified by record"), round.verified as f64, "tasks");
        verdict.figure(LARDER.name, &when("run"), round.runs as f64, "bodies");
    }
}

pub(super) fn store() -> Verdict {
    let mut verdict = Verdict::on("store");
    let rounds = ours(|| (0..5).map(|_| stored::store()).collect::<Vec<_>>());
    let batches =
        rounds.as_ref().map(|rounds| median(rounds.iter().map(|round| round.seconds / round.batch)));
    let ratio = |of: fn(&stored::Stored) -> u64| {
        rounds.as_ref().map(|rounds| median(rounds.iter().map(|round| round.file as f64 / of(round) as f64)))
    };
    let what = "100,000 tasks, computed and durable, against one batch of the same records";
    verdict.check(Check::at_most(what, batches, 2.5, "x"));
    let what = "bytes on disk against encoded arguments and outputs";
    verdict.check(Check::at_most(what, ratio(|round| round.encoded), 3.0, "x"));
    if let Some(rounds) = &rounds {
        let each = |bytes: u64| bytes as f64 / f64::from(STORED);
        let last = &rounds[rounds.len() - 1];
        verdict.figure(LARDER.name, "100,000 tasks, computed and durable", last.seconds, "s");
        verdict.figure(LARDER.name, "the same without a store", last.unstored, "s");
        verdict.figure("redb", "one batch of the same records", last.batch, "s");
        verdict.figure(LARDER.name, "on disk, a task", each(last.file), "bytes");
        verdict.figure(LARDER.name, "keys and records, a task", each(last.records), "bytes");
        verdict.figure(LARDER.name, "arguments and output, a task", each(last.encoded), "bytes");
    }
    kept_by_peers(&mut verdict);
    verdict
}

#[cfg(feature = "disk-peers")]
fn kept_by_peers(verdict: &mut Verdict) {
    use crate::peers::disk::kept;
    for kept in kept::salsa().into_iter().chain([kept::cached()]) {
        verdict.figure(kept.who, "on disk, a task", kept.bytes as f64 / f64::from(STORED), "bytes");
        verdict.figure(kept.who, "100,000 tasks, computed and kept", kept.seconds, "s");
    }
}

#[cfg(not(feature = "disk-peers"))]
fn kept_by_peers(_: &mut Verdict) {}

pub(super) fn store_overhead() -> Verdict {
    let mut verdict = Verdict::on("store-overhead");
    let rounds = ours(|| (0..9).map(stored::overhead).collect::<Vec<_>>());
    let of =
        |value: fn(&stored::Overhead) -> f64| rounds.as_ref().map(|rounds| median(rounds.iter().map(value)));
    let ratio = of(|round| round.with / round.without);
    verdict.check(Check::at_most("20,000 bodies of 10 us, with against without", ratio, 1.15, "x"));
    if let (Some(without), Some(durable)) =
        (of(|round| round.without), of(|round| round.durable / round.without))
    {
        verdict.figure(LARDER.name, "a body without", without / 20_000.0 * 1e6, "us");
        verdict.figure(LARDER.name, "with, until all is durable", durable, "x");
    }
    verdict
}

pub(super) fn revert() -> Verdict {
    let mut verdict = Verdict::on("revert");
    match ours(stored::reverts) {
        Some(reverts) => {
            for (storage, ran) in reverts {
                let what = format!("back to earlier states, store {storage}");
                verdict.check(Check::at_most(what, Some(ran as f64), 0.0, "bodies"));
            }
        }
        None => verdict.check(Check::at_most("back to an earlier state", None, 0.0, "bodies")),
    }
    verdict
}

pub(super) fn restart_cutoff() -> Verdict {
    let mut verdict = Verdict::on("restart-cutoff");
    let rounds = ours(cutoff::unrelated_files);
    let most = |of: fn(&cutoff::Ran) -> u64| {
        rounds.as_ref().map(|rounds| rounds.iter().map(of).max().unwrap_or(0) as f64)
    };
    let what = "bodies above 300 leaves that run after a restart and come to the same";
    verdict.check(Check::at_most(what, most(|ran| ran.above), 0.0, "bodies"));
    if let (Some(rounds), Some(leaves)) = (&rounds, most(|ran| ran.leaves)) {
        verdict.figure(LARDER.name, "leaves that ran", leaves, "bodies");
        let time = median(rounds.iter().map(|ran| ran.time.as_secs_f64()));
        verdict.figure(LARDER.name, "open and root", time * 1e3, "ms");
    }
    verdict
}

pub(super) fn bitflips() -> Verdict {
    use damaged::Damage;
    let mut verdict = Verdict::on("bitflips");
    for (damage, files, what) in [
        (Damage::Flip, 10_000, "files with a flipped bit"),
        (Damage::OlderPage, 500, "files with a page of an earlier state"),
        (Damage::CopiedPage, 500, "files with a page of another place"),
    ] {
        // An abort would end this process, and be seen by that.
        let outcome = ours(|| damaged::damage(damage, files));
        let of = |value: fn(&damaged::Outcome) -> u64| outcome.as_ref().map(|outcome| value(outcome) as f64);
        let name = |of: &str| format!("{of} of {files} {what}");
        verdict.check(Check::at_most(name("wrong values"), of(|outcome| outcome.wrong), 0.0, "values"));
        verdict.check(Check::at_most(name("panics"), of(|outcome| outcome.panics), 0.0, "panics"));
        verdict.check(Check::at_most(name("panics in redb"), of(|outcome| outcome.contained), 0.0, "panics"));
        if let Some(outcome) = outcome {
            verdict.figure(LARDER.name, &name("a hit less"), outcome.missed as f64, "files");
            verdict.figure(LARDER.name, &name("set aside"), outcome.set_aside as f64, "files");
        }
    }
    verdict
}

/// Larder's side, if it takes part.
pub(super) fn ours<T>(measure: impl FnOnce() -> T) -> Option<T> {
    cfg!(feature = "larder-engine").then(measure)
}

pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
