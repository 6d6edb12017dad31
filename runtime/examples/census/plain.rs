//! The census without memory, for `--plain`: the same tasks with their attributes taken away, so that what Larder costs
//! can be measured.

use std::sync::Arc;

use crate::model::{Diagnostic, Report};
use crate::roots::Roots;

/// The crate that `tasks` uses.
mod larder;

#[path = "tasks.rs"]
#[expect(dead_code, reason = "a question that only a progress bar asks is among them")]
mod tasks;

/// The report of everything below `roots`, and what its making had to say.
pub fn report(roots: &Roots) -> (Arc<Report>, Vec<Diagnostic>) {
    let report = tasks::report(&roots.dirs, &roots.files);
    (report, larder::collect())
}
