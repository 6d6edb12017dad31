//! The cost of a store where very much is read, or very many read one thing.

use super::storage::{median, ours};
use crate::ours::{LARDER, wide};
use crate::verdict::{Check, Verdict};

pub(super) fn store_wide() -> Verdict {
    const READS: u32 = 300_000;
    let mut verdict = Verdict::on("store-wide");
    judge(&mut verdict, "a task of 300,000 reads, one changed", ours(|| wide::many_reads(READS)));
    judge(&mut verdict, "300,000 readers of one input", ours(|| wide::many_readers(READS)));
    verdict
}

fn judge(verdict: &mut Verdict, what: &str, edits: Option<Vec<wide::Edit>>) {
    let of = |value: fn(&wide::Edit) -> f64| edits.as_ref().map(|edits| median(edits.iter().map(value)));
    let what = format!("{what}, with a store against without");
    verdict.check(Check::at_most(what.clone(), of(|edit| edit.with / edit.without), 2.0, "x"));
    for (when, value) in [("without", of(|edit| edit.without)), ("with", of(|edit| edit.with))] {
        if let Some(value) = value {
            verdict.figure(LARDER.name, &format!("{what}: {when}"), value * 1e3, "ms");
        }
    }
}
