//! Bytes that inputs leave behind, and bytes that a store takes.

use crate::allocation;
use crate::ours::kept;
use crate::verdict::{Check, Verdict};

pub(super) fn inputs_gone() -> Verdict {
    let mut verdict = Verdict::on("inputs-gone");
    let (memory, disk) = (allocation::is_counting().then(kept::left_in_memory), kept::left_on_disk());
    // Lists that have grown keep some room, which is nothing per input.
    verdict.check(Check::at_most("bytes left of an input, in memory", memory, 0.5, "bytes"));
    verdict.check(Check::at_most("bytes left of an input, in the store's records", Some(disk), 0.0, "bytes"));
    verdict
}

pub(super) fn store_peak() -> Verdict {
    let mut verdict = Verdict::on("store-peak");
    let (storing, alone) = kept::peaks();
    let ratio = allocation::is_counting().then_some(storing / alone);
    verdict.check(Check::at_most("peak of storing 1,000,000 tasks, against computing them", ratio, 1.3, "x"));
    verdict.figure("larder", "peak of computing", alone / 1e6, "MB");
    verdict.figure("larder", "peak of storing", storing / 1e6, "MB");
    verdict
}

pub(super) fn store_size() -> Verdict {
    let mut verdict = Verdict::on("store-size");
    let (edited, at_once) = kept::lengths();
    let ratio = Some(edited / at_once);
    verdict.check(Check::at_most(
        "the file after 50 batches of edits, against one written at once",
        ratio,
        1.3,
        "x",
    ));
    verdict.figure("larder", "the edited file", edited / 1e6, "MB");
    verdict.figure("larder", "the file written at once", at_once / 1e6, "MB");
    verdict
}
