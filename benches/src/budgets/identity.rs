//! Edits of a large value of which each task reads some.

use crate::ours::identity::{BY_CONTENT, BY_PARTS, BY_SELECTORS, bodies, bodies_by_entry};
use crate::peers::identity::SALSA;
use crate::race::{Pace, Race};
use crate::verdict::{Check, Verdict};
use crate::work::{FileEdit, Work};

const EDITS: [(FileEdit, &str, f64); 3] = [
    (FileEdit::Shift, "all functions move", 0.0),
    (FileEdit::Body, "one body changes", 2.0),
    (FileEdit::Insert, "one is put in", 2.0),
];

/// Samples are nanoseconds, figures microseconds.
const MICROSECONDS: f64 = 1e-3;

pub(super) fn identity() -> Verdict {
    let mut verdict = Verdict::on("identity");
    for functions in [1000, 10_000] {
        for (edit, name, most) in EDITS {
            let work = Work::Identity { functions, edit };
            let race = Race::over(work, &[BY_CONTENT, BY_PARTS, SALSA], Pace::BRIEF);
            for (contestant, limit) in [(BY_CONTENT, 0.3), (BY_PARTS, 1.0)] {
                let ratio = race.ratio(contestant.name, SALSA.name);
                let what = format!("{functions} functions, {name}: {}, against salsa", contestant.name);
                verdict.check(Check::at_most(what, ratio, limit, "x"));
            }
            verdict.costs(&race, &format!("{functions} functions, {name}"), MICROSECONDS, "us");
            if functions == 1000 {
                for (by_parts, form) in [(false, "content keys"), (true, "parts")] {
                    let bodies = bodies(by_parts, functions, edit) as f64;
                    let what = format!("{name}: bodies beside parse and root, by {form}");
                    verdict.check(Check::at_most(what, Some(bodies), most, ""));
                }
            }
        }
    }
    verdict
}

pub(super) fn keyed() -> Verdict {
    let mut verdict = Verdict::on("keyed");
    let race = Race::over(Work::Keyed { keys: 10_000 }, &[BY_PARTS, BY_SELECTORS], Pace::BRIEF);
    let ratio = race.ratio(BY_PARTS.name, BY_SELECTORS.name);
    verdict.check(Check::at_most(
        "one of 10,000 entries changes: by entries, against projections",
        ratio,
        0.2,
        "x",
    ));
    let bodies = bodies_by_entry(10_000) as f64;
    verdict.check(Check::at_most("bodies that run", Some(bodies), 3.0, ""));
    verdict.costs(&race, "10,000 entries", MICROSECONDS, "us");
    verdict
}
