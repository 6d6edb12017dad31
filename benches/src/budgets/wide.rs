//! What a store costs where very much is read, or very many read one thing.

use super::storage::{median, ours};
use crate::ours::{LARDER, wide};
use crate::verdict::{Check, Verdict};

pub(super) fn store_wide() -> Verdict {
    const READS: u32 = 300_000;
    let mut verdict = Verdict::on("store-wide");
    let kinds: [(&str, fn(u32) -> Vec<wide::Edit>); 2] = [
        ("a task of 300,000 reads, one changed", wide::many_reads),
        ("300,000 readers of one input", wide::many_readers),
    ];
    for (what, measure) in kinds {
        let edits = ours(|| measure(READS));
        let of = |value: fn(&wide::Edit) -> f64| edits.as_ref().map(|edits| median(edits.iter().map(value)));
        let what = format!("{what}, with a store against without");
        verdict.check(Check::at_most(what.clone(), of(|edit| edit.with / edit.without), 2.0, "x"));
        for (when, value) in [("without", of(|edit| edit.without)), ("with", of(|edit| edit.with))] {
            if let Some(value) = value {
                verdict.figure(LARDER.name, &format!("{what}: {when}"), value * 1e3, "ms");
            }
        }
    }
    verdict
}
