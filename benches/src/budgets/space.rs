//! The size of tasks: bytes in memory, bytes of binary and seconds of compiling.

use crate::allocation;
use crate::ours::LARDER;
use crate::peers::caches::{MOKA, QUICK_CACHE};
use crate::peers::maps::DASHMAP;
use crate::peers::salsa::{BY_ARGUMENTS, BY_HANDLE};
use crate::peers::salsa_graph::SALSA;
use crate::race::{Pace, Race};
use crate::size;
use crate::verdict::{Check, Verdict};
use crate::work::Work;

pub(super) fn memory() -> Verdict {
    let mut verdict = Verdict::on("memory");
    let counted = allocation::is_counting();

    let everybody = [LARDER, BY_ARGUMENTS, BY_HANDLE, DASHMAP, QUICK_CACHE, MOKA];
    let race = Race::over(Work::Footprint { keys: 1_000_000 }, &everybody, Pace::ONCE);
    let entry = race.cost(LARDER.name).filter(|_| counted);
    verdict.check(Check::at_most("a task of 1,000,000, map included", entry, 120.0, "bytes"));
    for label in race.labels() {
        verdict.figure(label, "an entry of 1,000,000", race.cost(label).unwrap_or(f64::NAN), "bytes");
    }

    let race = Race::over(Work::GridFootprint { side: 1000 }, &[LARDER], Pace::ONCE);
    let task = race.cost(LARDER.name).filter(|_| counted);
    verdict.check(Check::at_most("a task of 1,000,000 with two edges", task, 120.0 + 2.0 * 16.0, "bytes"));

    let race = Race::over(Work::EdgeFootprint { reads: 1000 }, &[LARDER, SALSA], Pace::ONCE);
    let edge = race.cost(LARDER.name).filter(|_| counted);
    verdict.check(Check::at_most("an edge of 1,000,000, both directions", edge, 16.0, "bytes"));
    for label in race.labels() {
        verdict.figure(label, "an edge of 1,000,000", race.cost(label).unwrap_or(f64::NAN), "bytes");
    }
    verdict
}

pub(super) fn size() -> Verdict {
    let mut verdict = Verdict::on("size");
    let figures = match size::measure(size::FUNCTIONS, size::Kind::JUDGED) {
        Ok(figures) => figures,
        Err(error) => {
            verdict.check(Check::at_most(format!("not measured: {error}"), None, 0.25, "x"));
            return verdict;
        }
    };
    let salsa = figures.of(size::Kind::Salsa);
    let limits = [("sync", size::Kind::Larder, 0.25), ("async", size::Kind::LarderAsync, 0.45)];
    for (name, kind, limit) in limits {
        let larder = figures.of(kind);
        let ratio = |of: fn(&size::PerFunction) -> f64| Some(of(larder?) / of(salsa?));
        let bytes = ratio(|per| per.bytes);
        verdict.check(Check::at_most(format!("bytes of binary, {name}, against salsa"), bytes, limit, "x"));
        let seconds = ratio(|per| per.seconds);
        verdict.check(Check::at_most(
            format!("seconds of compiling, {name}, against salsa"),
            seconds,
            limit,
            "x",
        ));
    }
    for (kind, per) in figures.iter() {
        verdict.figure(kind.name(), "a function", per.bytes, "bytes");
        verdict.figure(kind.name(), "a function", per.seconds, "s");
    }
    verdict
}
