//! Results that travel in packs.

use super::storage::{median, ours};
use crate::ours::{LARDER, packs};
use crate::verdict::{Check, Verdict};

pub(super) fn shared_trips() -> Verdict {
    let mut verdict = Verdict::on("shared-trips");
    for shape in [packs::Shape::Tree, packs::Shape::Levels, packs::Shape::Chain] {
        let shared = ours(|| packs::shared(shape));
        let what = format!("{shape:?}: round trips of a cold root");
        verdict.check(Check::at_most(what, shared.map(|shared| shared.trips as f64), 4.0, "trips"));
        let what = format!("{shape:?}: bodies that run");
        verdict.check(Check::at_most(what, shared.map(|shared| shared.runs as f64), 0.0, "bodies"));
        if let Some(shared) = shared {
            verdict.figure(LARDER.name, &format!("{shape:?}: tasks"), shared.tasks as f64, "tasks");
        }
    }
    verdict
}

pub(super) fn shared_import() -> Verdict {
    let mut verdict = Verdict::on("shared-import");
    let rounds = ours(|| (0..3).map(|_| packs::shared(packs::Shape::Tree)).collect::<Vec<_>>());
    let ratio = |of: fn(&packs::Shared) -> f64| rounds.as_ref().map(|rounds| median(rounds.iter().map(of)));
    let what = "100,000 tasks out of packs, durable and all verified, against computing and storing them";
    let all = ratio(|round| (round.importing + round.verifying) / round.storing);
    verdict.check(Check::at_most(what, all, 2.0, "x"));
    for (what, of) in [
        ("computed and stored", (|round| round.storing) as fn(&packs::Shared) -> f64),
        ("pulled", |round| round.importing),
        ("opened, and the root verified", |round| round.verifying),
    ] {
        if let Some(seconds) = ratio(of) {
            verdict.figure(LARDER.name, what, seconds, "s");
        }
    }
    verdict
}

pub(super) fn shared_bytes() -> Verdict {
    let mut verdict = Verdict::on("shared-bytes");
    let shared = ours(|| packs::shared(packs::Shape::Tree));
    let ratio = shared.map(|shared| shared.packed as f64 / shared.zipped as f64);
    verdict.check(Check::at_most("packs against the same records by zstd -1", ratio, 0.6, "x"));
    if let Some(shared) = shared {
        let each = |bytes: u64| bytes as f64 / shared.tasks as f64;
        verdict.figure(LARDER.name, "packs, a task", each(shared.packed), "bytes");
        verdict.figure("zstd -1", "records, a task", each(shared.zipped), "bytes");
    }
    verdict
}

pub(super) fn shared_hostile() -> Verdict {
    let mut verdict = Verdict::on("shared-hostile");
    let used = ours(|| packs::hostile(10_000));
    let what = "10,000 pulls of changed bytes: pulls that used some of them";
    verdict.check(Check::at_most(what, used.map(|used| used as f64), 0.0, "pulls"));
    verdict
}
