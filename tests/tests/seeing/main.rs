//! Seeing what runs and why: events, explanations, the test kit.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod around;
mod causes;
mod earlier;
mod explain;
mod kit;
mod observers;
mod reasons;
mod strands;
mod timeline;
mod times;
mod tracing_events;
mod world;

use std::sync::{Arc, Mutex};

use larder::events::{Cause, Event, Observing, Outcome, TaskRef};
use larder::{Input, Runtime, task_fn};

#[task_fn(transient)]
fn half(input: &Input<u64>) -> u64 {
    input.get() / 2
}

#[task_fn(transient)]
fn both(one: &Input<u64>, other: &Input<u64>) -> u64 {
    half(one) * 100 + half(other)
}

fn set(runtime: &Runtime, input: &Input<u64>, value: u64) {
    runtime.update(|update| update.set(input, value)).unwrap();
}

/// Events about tasks, in lines: `half(input("i")): ran: read 0, input("i"), changed: CutOff`.
struct Told {
    lines: Arc<Mutex<Vec<String>>>,
    _observing: Observing,
}

impl Told {
    fn of(runtime: &Runtime) -> Self {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let sink = lines.clone();
        let observing = runtime.observe(move |event: &Event<TaskRef<'_>>| {
            if let Some(line) = line(event) {
                sink.lock().unwrap().push(line);
            }
        });
        Self { lines, _observing: observing }
    }

    /// Takes the lines out, in the order of the alphabet.
    fn take(&self) -> Vec<String> {
        let mut lines = std::mem::take(&mut *self.lines.lock().unwrap());
        lines.sort();
        lines
    }

    /// Takes the lines out, in the order in which they were told.
    fn in_order(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap())
    }
}

fn line(event: &Event<TaskRef<'_>>) -> Option<String> {
    Some(match event {
        Event::Ran(ran) => {
            let because = match &ran.cause {
                Cause::Read { position, read } => format!("read {position}, {read}, changed"),
                Cause::StoredRead { read, .. } => format!("stored read {read:?} differs"),
                other => format!("{other:?}"),
            };
            assert!(ran.start <= ran.end);
            match ran.outcome {
                Outcome::New => format!("{}: ran: {because}", ran.task),
                outcome => format!("{}: ran: {because}: {outcome:?}", ran.task),
            }
        }
        Event::Verified(verified) => format!("{}: verified", verified.task),
        Event::Restored(restored) => format!("{}: restored", restored.task),
        Event::Settled(settled) => format!("{}: settled, changed: {}", settled.task, settled.changed),
        Event::Resolved(resolved) => format!("{}: resolved, changed: {}", resolved.task, resolved.changed),
        _ => return None,
    })
}
