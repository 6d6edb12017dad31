//! Events of a runtime for subscribers of the `tracing` crate (feature `tracing`).

use std::time::Instant;

use crate::Runtime;
use crate::events::{Cause, Event, Observing, Outcome, TaskRef};

impl Runtime {
    /// Tells subscribers of `tracing` of each run of a body, each verification, update, wait at the gate and batch of the store, under the
    /// target `larder`, until the guard is dropped. Runs that fail are warnings; the others have the level `DEBUG`, verifications and restored
    /// tasks `TRACE`.
    ///
    /// Each is one event, made when it is over, with the field `elapsed_us`; an event of a run has `task`, `cause` and `outcome`, too. It is made
    /// on the thread of the run, inside of the spans that the body's caller has entered there.
    ///
    /// Cost: as for [`Runtime::observe`]; arguments are printed only if a subscriber wants the event.
    pub fn trace_events(&self) -> Observing {
        self.observe(|event: &Event<TaskRef<'_>>| tell(event))
    }
}

fn micros(start: Instant, end: Instant) -> u64 {
    u64::try_from(end.saturating_duration_since(start).as_micros()).unwrap_or(u64::MAX)
}

fn tell(event: &Event<TaskRef<'_>>) {
    match event {
        Event::Ran(ran) => {
            let (task, elapsed_us) = (&ran.task, micros(ran.start, ran.end));
            let cause = Shown(&ran.cause, ran.changed.as_ref());
            if ran.outcome == Outcome::Failed {
                tracing::warn!(target: "larder", %task, %cause, outcome = ?ran.outcome, elapsed_us, "ran");
            } else {
                tracing::debug!(target: "larder", %task, %cause, outcome = ?ran.outcome, elapsed_us, "ran");
            }
        }
        Event::Verified(verified) => {
            let elapsed_us = micros(verified.start, verified.end);
            tracing::trace!(target: "larder", task = %verified.task, elapsed_us, "verified");
        }
        Event::Restored(restored) => tracing::trace!(target: "larder", task = %restored.task, "restored"),
        Event::Impure(impure) => tracing::warn!(target: "larder", task = %impure.task, "impure"),
        Event::Updated(updated) => {
            let (number, changed, marked) = (updated.number, updated.changed.len(), updated.marked);
            let elapsed_us = micros(updated.start, updated.end);
            tracing::debug!(target: "larder", number, changed, marked, elapsed_us, "updated");
        }
        Event::Waited(waited) => {
            let elapsed_us = micros(waited.start, waited.end);
            tracing::debug!(target: "larder", waiter = ?waited.waiter, elapsed_us, "waited at the gate");
        }
        Event::Committed(committed) => {
            let (writes, bytes) = (committed.writes, committed.bytes);
            let elapsed_us = micros(committed.start, committed.end);
            tracing::debug!(target: "larder", writes, bytes, elapsed_us, "stored a batch");
        }
        _ => {}
    }
}

/// A cause, and a read that had changed as well.
struct Shown<'a, 'b>(&'a Cause<TaskRef<'b>>, Option<&'a TaskRef<'b>>);

impl std::fmt::Display for Shown<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Cause::Read { position, read } => write!(f, "read {position}, {read}, had changed"),
            Cause::StoredRead { read: Some(read), .. } => write!(f, "{read} differs"),
            other => write!(f, "{other:?}"),
        }?;
        match self.1 {
            Some(changed) => write!(f, "; {changed} had changed as well"),
            None => Ok(()),
        }
    }
}
