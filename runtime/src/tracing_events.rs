//! Spans of a runtime for subscribers of the `tracing` crate (feature `tracing`).

use std::sync::Arc;
use std::time::Instant;

use larder_backend::spans::{Begins, Ends, OpensSpans, Span};
use tracing::field::{Empty, debug, display};

use crate::Runtime;
use crate::events::{Cause, Event, Observing, Outcome, TaskRef};

impl Runtime {
    /// Shows subscribers of `tracing` spans of what happens, under the target `larder`, until the guard is dropped:
    ///
    /// | span | level | fields | around |
    /// |---|---|---|---|
    /// | `run` | `DEBUG` | `task`, `function`, `cause`; at its end `outcome`, `changed` | a body |
    /// | `verify` | `TRACE` | `task`, `function`; at its end `outcome`: `Current`, `Restored`, `Stale` | a look at a stale task, or into the store, whether a body must run |
    /// | `update` | `DEBUG` | at its end `number`, `changed`, `marked` | an update that changes something |
    /// | `wait_at_gate` | `DEBUG` | `waiter` | the wait of a session or an update |
    /// | `store_batch` | `DEBUG` | at its end `writes`, `bytes` | the commit of a batch, on the writer's thread |
    ///
    /// Spans nest as the work does. For example, `report` calls `words`: the span of `words` is a child of the one of `report`, and what `words` logs is in both.
    /// The span of an async body is entered at each poll and left after it; its parent is the span in which its first poll was. A wait of a future is
    /// entered by no thread. A body that another thread runs than the one that asks for it (`heavy` functions, items of a scope) begins a tree of its own.
    /// A span whose work is given up, as with a cancelled session, is closed without an `outcome`, or with `Cancelled` if a body was under way.
    ///
    /// Moments are events: a `WARN` for a run that has failed, in its span, and for a body that is `impure`; a `TRACE` for a task that is `restored`, and for
    /// a task that is `verified` without a look at it. That goes for members of a cycle, which are verified together, and for readers of a part that has stayed equal: there is no moment
    /// at which one of them begins.
    ///
    /// Cost: none for hits, which are not reported. As for [`Runtime::observe`]; where no subscriber wants a span, a look at its callsite comes to that, and
    /// nothing is printed.
    ///
    /// ```
    /// use larder::{Runtime, task_fn};
    ///
    /// #[task_fn]
    /// fn double(n: u32) -> u32 {
    ///     // In the span `run{task=double(4)}`.
    ///     tracing::info!("doubling");
    ///     n * 2
    /// }
    ///
    /// let runtime = Runtime::new();
    /// let _traced = runtime.trace_events();
    /// runtime.run(|| double(4));
    /// ```
    pub fn trace_events(&self) -> Observing {
        let observer = |event: &Event<TaskRef<'_>>| tell(event);
        self.engine.observe_with_spans(Arc::new(observer), Arc::new(Spans))
    }
}

/// Opens a span of `tracing` for each piece of work.
struct Spans;

impl OpensSpans for Spans {
    fn open(&self, begins: &Begins<'_>) -> Option<Box<dyn Span>> {
        let span = match begins {
            Begins::Run { task, cause } => tracing::debug_span!(
                target: "larder", "run", %task, function = task.path(), cause = %Shown(cause), outcome = Empty, changed = Empty
            ),
            Begins::Verification { task } => {
                tracing::trace_span!(target: "larder", "verify", %task, function = task.path(), outcome = Empty)
            }
            Begins::Update => {
                tracing::debug_span!(target: "larder", "update", number = Empty, changed = Empty, marked = Empty)
            }
            Begins::Wait { waiter } => tracing::debug_span!(target: "larder", "wait_at_gate", ?waiter),
            Begins::Batch => {
                tracing::debug_span!(target: "larder", "store_batch", writes = Empty, bytes = Empty)
            }
            _ => return None,
        };
        (!span.is_disabled()).then(|| Box::new(Shows(span)) as Box<dyn Span>)
    }
}

/// A span of `tracing`, which is closed when it is dropped.
struct Shows(tracing::Span);

impl Span for Shows {
    fn enter(&mut self) {
        self.0.with_subscriber(|(id, subscriber)| subscriber.enter(id));
    }

    fn exit(&mut self) {
        self.0.with_subscriber(|(id, subscriber)| subscriber.exit(id));
    }

    fn ends(&mut self, how: Ends<'_>) {
        let span = &self.0;
        match how {
            Ends::Told(Event::Ran(ran)) => {
                span.record("outcome", debug(ran.outcome));
                if let Some(changed) = &ran.changed {
                    span.record("changed", display(changed));
                }
            }
            Ends::Told(Event::Verified(_)) => _ = span.record("outcome", "Current"),
            Ends::Told(Event::Updated(updated)) => {
                span.record("number", updated.number);
                span.record("changed", updated.changed.len());
                span.record("marked", updated.marked);
            }
            Ends::Told(Event::Committed(committed)) => {
                span.record("writes", committed.writes);
                span.record("bytes", committed.bytes);
            }
            Ends::Stale => _ = span.record("outcome", "Stale"),
            Ends::Restored => _ = span.record("outcome", "Restored"),
            _ => {}
        }
    }
}

fn micros(start: Instant, end: Instant) -> u64 {
    u64::try_from(end.saturating_duration_since(start).as_micros()).unwrap_or(u64::MAX)
}

fn tell(event: &Event<TaskRef<'_>>) {
    match event {
        Event::Ran(ran) if ran.outcome == Outcome::Failed => {
            let (task, elapsed_us) = (&ran.task, micros(ran.start, ran.end));
            tracing::warn!(target: "larder", %task, cause = %Shown(&ran.cause), elapsed_us, "failed");
        }
        // A look that takes time has a span.
        Event::Verified(verified) if verified.start == verified.end => {
            tracing::trace!(target: "larder", task = %verified.task, "verified");
        }
        Event::Restored(restored) => tracing::trace!(target: "larder", task = %restored.task, "restored"),
        Event::Impure(impure) => tracing::warn!(target: "larder", task = %impure.task, "impure"),
        _ => {}
    }
}

struct Shown<'a, 'b>(&'a Cause<TaskRef<'b>>);

impl std::fmt::Display for Shown<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Cause::Read { position, read } => write!(f, "read {position}, {read}, had changed"),
            Cause::StoredRead { read: Some(read), .. } => write!(f, "{read} differs"),
            other => write!(f, "{other:?}"),
        }
    }
}
