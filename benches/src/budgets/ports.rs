//! The programs of the guide beside the programs of other crates that do the same.

use crate::verdict::{Check, Verdict};
use ports::Step;

pub(super) fn ports() -> Verdict {
    let mut verdict = Verdict::on("ports");
    for step in ports::steps() {
        let Step { program, peer, edit, here, there } = step;
        let what = format!("{program} against {peer}, {edit}: bodies");
        verdict.check(Check::at_most(what, Some(here.bodies as f64), there.bodies as f64, ""));
        let what = format!("{program} against {peer}, {edit}: bodies and selections");
        verdict.check(Check::at_most(what, Some(here.all() as f64), there.all() as f64, ""));
    }
    verdict
}
