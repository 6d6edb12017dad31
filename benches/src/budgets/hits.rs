//! The cost of a hit: hot, through the table, by a borrowed string, awaited, in allocations, on two threads.

use crate::allocation;
use crate::lane::Contestant;
use crate::ours::LARDER;
use crate::peers::caches::{MOKA, QUICK_CACHE};
use crate::peers::comemo::COMEMO;
use crate::peers::floor::FLOOR;
use crate::peers::maps::DASHMAP;
use crate::peers::memoize::{CACHED, CONCURRENT_CACHED};
use crate::peers::salsa::{BY_ARGUMENTS, BY_HANDLE, INSIDE, INSIDE_BY_ARGUMENTS};
use crate::race::{Entry, Pace, Race};
use crate::verdict::{Check, Verdict};
use crate::work::{List, Shape, Work};

pub(super) fn hit_hot() -> Verdict {
    let mut verdict = Verdict::on("hit-hot");
    let everybody = [
        LARDER,
        DASHMAP,
        BY_HANDLE,
        INSIDE,
        INSIDE_BY_ARGUMENTS,
        BY_ARGUMENTS,
        QUICK_CACHE,
        MOKA,
        CACHED,
        CONCURRENT_CACHED,
        COMEMO,
        FLOOR,
    ];
    for keys in [1, 100, 1000] {
        let race = Race::over(Work::Hit { keys }, &everybody, Pace::BRIEF);
        let when = of_keys(keys);
        for (peer, limit) in [(INSIDE.name, 0.25), (DASHMAP.name, 1.0)] {
            let ratio = race.ratio(LARDER.name, peer);
            verdict.check(Check::at_most(format!("{when} against {peer}"), ratio, limit, "x"));
        }
        verdict.costs(&race, &when, 1.0, "ns");
    }
    verdict
}

pub(super) fn hit_table() -> Verdict {
    let mut verdict = Verdict::on("hit-table");
    let everybody = [
        LARDER,
        DASHMAP,
        BY_HANDLE,
        BY_ARGUMENTS,
        QUICK_CACHE,
        MOKA,
        CACHED,
        CONCURRENT_CACHED,
        COMEMO,
        FLOOR,
    ];
    let race = Race::over(Work::Hit { keys: 100_000 }, &everybody, Pace::BRIEF);
    let ratio = race.ratio(LARDER.name, DASHMAP.name);
    verdict.check(Check::at_most("100,000 keys in order against dashmap", ratio, 1.3, "x"));
    verdict.costs(&race, "100,000 keys", 1.0, "ns");
    verdict
}

pub(super) fn hit_str() -> Verdict {
    let mut verdict = Verdict::on("hit-str");
    let everybody = [LARDER, QUICK_CACHE, DASHMAP, BY_ARGUMENTS, CACHED, COMEMO];
    let race = Race::over(Work::HitStr { keys: 1000 }, &everybody, Pace::BRIEF);
    let ratio = race.ratio(LARDER.name, QUICK_CACHE.name);
    verdict.check(Check::at_most("1,000 strings of 40 bytes against quick_cache", ratio, 1.0, "x"));
    verdict.costs(&race, "1,000 strings", 1.0, "ns");
    verdict.allocations(&race, "a hit by string");
    verdict
}

pub(super) fn hit_async() -> Verdict {
    let mut verdict = Verdict::on("hit-async");
    let shapes = [("larder async", Shape::Async), ("larder sync", Shape::Sync)];
    let race = Race::between(
        shapes.map(|(label, shape)| Entry {
            label: label.to_owned(),
            work: Work::HitShape(shape),
            contestant: LARDER,
        }),
        Pace::BRIEF,
    );
    let ratio = race.ratio("larder async", "larder sync");
    verdict.check(Check::at_most("an awaited hit against a sync one", ratio, 1.2, "x"));
    verdict.costs(&race, "100 keys", 1.0, "ns");
    verdict
}

pub(super) fn hit_allocations() -> Verdict {
    let mut verdict = Verdict::on("hit-allocations");
    let shapes = [
        ("sync", Shape::Sync),
        ("async", Shape::Async),
        ("borrowed", Shape::Borrowed),
        ("handle", Shape::Handle),
        ("dyn trait", Shape::DynTrait),
    ];
    for (name, shape) in shapes {
        let race = Race::over(Work::HitShape(shape), &[LARDER], Pace::BRIEF);
        let allocations = race.allocations(LARDER.name).filter(|_| allocation::is_counting());
        verdict.check(Check::at_most(format!("a hit, {name}"), allocations, 0.0, "allocations"));
    }
    let by_value = [DASHMAP, BY_HANDLE, BY_ARGUMENTS, QUICK_CACHE, MOKA, CACHED, CONCURRENT_CACHED, COMEMO];
    verdict.allocations(&Race::over(Work::Hit { keys: 100 }, &by_value, Pace::BRIEF), "a hit by value");
    let by_string = [DASHMAP, BY_ARGUMENTS, QUICK_CACHE, CACHED, COMEMO];
    verdict.allocations(&Race::over(Work::HitStr { keys: 100 }, &by_string, Pace::BRIEF), "a hit by string");
    verdict
}

/// A hit whose argument is a list of 10,000 inputs: borrowed as a slice, which is hashed and compared whole, and held by an input
/// of its own, which is known by its name.
pub(super) fn hit_slice() -> Verdict {
    let mut verdict = Verdict::on("hit-slice");
    let entry = |label: &str, work, contestant| Entry { label: label.to_owned(), work, contestant };
    let entries = [
        entry("larder, held by an input", Work::HitList { inputs: 10_000, how: List::Held }, LARDER),
        entry("larder, slice", Work::HitList { inputs: 10_000, how: List::Slice }, LARDER),
        entry(BY_HANDLE.name, Work::Hit { keys: 1 }, BY_HANDLE),
    ];
    let race = Race::between(entries, Pace::BRIEF);
    let ratio = race.ratio("larder, held by an input", "larder, slice");
    verdict.check(Check::at_most("10,000 inputs held by an input, against a slice of them", ratio, 0.5, "x"));
    verdict.costs(&race, "10,000 inputs", 1.0, "ns");
    verdict
}

/// Each contestant is measured against itself: one thread and two in turn, within a few milliseconds. Larder's race goes on for
/// longer, and has threads that share nothing beside it, which tell what the machine's processors give at the time.
pub(super) fn hit_threads() -> Verdict {
    let mut verdict = Verdict::on("hit-threads");
    let peers = [DASHMAP, BY_HANDLE, BY_ARGUMENTS, QUICK_CACHE, MOKA, CACHED, CONCURRENT_CACHED, COMEMO];
    for keys in [1, 1000] {
        let when = of_keys(keys);
        let what = format!("{when}, throughput of two threads");
        let race = Race::between(scaling(&[LARDER, FLOOR], keys), Pace::PATIENT);
        verdict.check(against_the_floor(&race, &what));
        let mut races = vec![(race, vec![LARDER, FLOOR])];
        races.extend(peers.map(|peer| (Race::between(scaling(&[peer], keys), Pace::GLANCE), vec![peer])));
        for (race, contestants) in races {
            for Contestant { name, .. } in contestants {
                let gain = race.ratio(&on_threads(name, 1), &on_threads(name, 2));
                if let Some(gain) = gain {
                    verdict.figure(name, &what, gain, "x");
                }
            }
            verdict.costs(&race, &when, 1.0, "ns");
        }
    }
    verdict
}

/// Measures the gain by a second thread, against threads that share nothing.
fn against_the_floor(race: &Race, what: &str) -> Check {
    let both = |name: &str| [on_threads(name, 1), on_threads(name, 2)];
    let (ours, floor) = (both(LARDER.name), both(FLOOR.name));
    let gain = race.relative_gain([&ours[0], &ours[1]], [&floor[0], &floor[1]]);
    Check::at_least(format!("{what}, against threads that share nothing"), gain, 0.97, "x")
}

/// Each contestant on one thread and on two.
fn scaling(contestants: &[Contestant], keys: u32) -> Vec<Entry> {
    let on = |contestant: &Contestant, threads| Entry {
        label: on_threads(contestant.name, threads),
        work: Work::HitThreads { keys, threads },
        contestant: *contestant,
    };
    contestants.iter().flat_map(|contestant| [on(contestant, 1), on(contestant, 2)]).collect()
}

fn on_threads(name: &str, threads: u32) -> String {
    format!("{name} x{threads}")
}

fn of_keys(keys: u32) -> String {
    match keys {
        1 => "1 key".to_owned(),
        keys => format!("{keys} keys"),
    }
}
