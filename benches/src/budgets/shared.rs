//! The cost of a shared cache, and what it is worth.

use super::bounded::ratio;
use super::storage::{median, ours};
use crate::ours::outage::{Outage, misses};
use crate::ours::{LARDER, shared};
use crate::verdict::{Check, Verdict};

pub(super) fn shared_cold() -> Verdict {
    let mut verdict = Verdict::on("shared-cold");
    let rounds = ours(|| (0..5).map(|_| shared::cold()).collect::<Vec<_>>());
    let gain = rounds.as_ref().map(|rounds| median(rounds.iter().map(|round| round.without / round.with)));
    let what = "1,000 files with bodies of 1 ms on a cold machine, with a filled cache against without";
    verdict.check(Check::at_least(what, gain, 10.0, "x"));
    let bodies = rounds.as_ref().map(|rounds| rounds.iter().map(|round| round.bodies).sum::<u64>() as f64);
    verdict.check(Check::at_most("bodies run with it", bodies, 0.0, "bodies"));
    if let Some(rounds) = &rounds {
        verdict.figure(LARDER.name, "with it", median(rounds.iter().map(|round| round.with)) * 1e3, "ms");
        verdict.figure(
            LARDER.name,
            "without it",
            median(rounds.iter().map(|round| round.without)) * 1e3,
            "ms",
        );
    }
    verdict
}

pub(super) fn shared_stale() -> Verdict {
    let mut verdict = Verdict::on("shared-stale");
    let stale = ours(shared::stale);
    let of = |value: fn(&shared::Stale) -> u64| stale.as_ref().map(|stale| value(stale) as f64);
    let what = "round trips for all that is stale, of 1,000 files one in a hundred changed";
    verdict.check(Check::at_most(what, of(|stale| stale.trips), 2.0, "trips"));
    verdict.check(Check::at_most("bodies run", of(|stale| stale.bodies), 0.0, "bodies"));
    verdict
}

pub(super) fn shared_off() -> Verdict {
    let mut verdict = Verdict::on("shared-off");
    for (what, lane) in [
        ("a hit", shared::hits as fn(bool) -> crate::lane::Lane),
        ("a hit in the store", shared::stored_hits),
    ] {
        // A cache that is there and not asked costs at least what none costs.
        let ratio = ours(|| ratio(lane(true), lane(false), 31));
        verdict.check(Check::at_most(
            format!("{what}, with a shared cache against without"),
            ratio,
            1.05,
            "x",
        ));
    }
    verdict
}

pub(super) fn shared_dead() -> Verdict {
    let mut verdict = Verdict::on("shared-dead");
    for (what, outage, limit) in [
        ("a server that refuses", Outage::Refused, 50.0),
        ("a server that hangs", Outage::Hangs, 1_000.0),
        ("a server that hangs on every second connection", Outage::EverySecondHangs, 2_000.0),
    ] {
        // The least of some differences: what else the machine does comes on top of one side or the other.
        let more = ours(|| (0..5).map(|_| misses(Some(outage)) - misses(None)).fold(f64::INFINITY, f64::min));
        let what = format!("2,000 misses of 200 us with {what}, more than without a shared cache");
        verdict.check(Check::at_most(what, more.map(|more| (more * 1e3).max(0.0)), limit, "ms"));
    }
    verdict
}

pub(super) fn shared_once() -> Verdict {
    let mut verdict = Verdict::on("shared-once");
    let most = ours(|| (0..5).map(|_| shared::once()).max()).flatten();
    let what = "bodies of one slow function on two machines at once, with leases";
    verdict.check(Check::at_most(what, most.map(|most| most as f64), 1.0, "bodies"));
    verdict
}
