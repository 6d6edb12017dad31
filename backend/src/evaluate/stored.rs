//! Stored tasks on the way of a call: probed, checked, restored, made anew from their keys, and recorded when they have run.

mod check;
mod collect;
mod component;
mod deadline;
mod flatten;
mod probe;
mod recall;
mod record_component;
mod record_run;
mod restore;
mod verified;

pub(crate) use self::check::{Check, Progress};
pub(crate) use self::collect::{Collected, Finding, Search};
pub(crate) use self::deadline::read_deadline;
pub(crate) use self::probe::{check_after_waiting, miss};
pub(crate) use self::record_run::Completion;
pub(crate) use self::restore::{Restored, consult};
