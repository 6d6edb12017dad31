//! Explanations of a program's runs, against what the ledger knows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use larder::Runtime;
use larder::events::{Cause, Event, Observing, TaskId, TaskRef};
use larder::explain::{Explanation, Happening};

use super::World;
use crate::ledger::Read;
use crate::program::Key;

/// Watches the runs of a world.
#[derive(Debug)]
pub(super) struct Watch {
    told: Arc<Mutex<Told>>,
    _observing: Observing,
}

#[derive(Debug, Default)]
struct Told {
    world: Weak<World>,
    /// The read because of which the last run of a task was made, or that had changed as well when it was made for another cause.
    causes: HashMap<TaskId, Option<TaskId>>,
    wrong: Vec<String>,
}

impl Watch {
    pub(super) fn begin(runtime: &Runtime) -> Self {
        let told = Arc::<Mutex<Told>>::default();
        let sink = told.clone();
        let observing = runtime.observe(move |event: &Event<TaskRef<'_>>| note(&sink, event));
        Self { told, _observing: observing }
    }

    pub(super) fn watch(&self, world: &Arc<World>) {
        self.told.lock().expect("no observer panics").world = Arc::downgrade(world);
    }
}

fn note(told: &Mutex<Told>, event: &Event<TaskRef<'_>>) {
    let (task, cause, changed) = match event {
        // A run beside the task, of which nothing is recorded.
        Event::Ran(ran) if matches!(ran.cause, Cause::Cycle | Cause::Apart | Cause::Lost) => return,
        Event::Ran(ran) => (ran.task.id(), Some(ran.cause.clone()), ran.changed.as_ref().map(TaskRef::id)),
        Event::Restored(restored) => (restored.task.id(), None, None),
        Event::Settled(settled) | Event::Resolved(settled) => (settled.task.id(), None, None),
        _ => return,
    };
    let mut told = told.lock().expect("no observer panics");
    let read = match &cause {
        Some(Cause::Read { read, .. }) => Some(read.id()),
        Some(Cause::StoredRead { read, before, after }) => {
            if Some(*before) == *after {
                told.wrong.push(format!("{task} is said to run because of {read:?}, which is what it was"));
            }
            read.as_ref().map(TaskRef::id)
        }
        _ => None,
    };
    let world = told.world.upgrade();
    if let (Some(world), Some(Cause::Read { .. }), Some(named)) = (world, &cause, &read)
        && let (Some(key), Some(named)) = (key_of(task.as_str()), world.read_of(named.as_str()))
    {
        let in_order =
            !matches!(key, Key::Node(id) if format!("{:?}", world.program.nodes[id].expr).contains("Scope"));
        world.ledger().check_cause(key, &named, in_order);
    }
    match cause {
        Some(_) => drop(told.causes.insert(task, read.or(changed))),
        None => drop(told.causes.remove(&task)),
    }
}

/// The task that is printed so.
fn key_of(text: &str) -> Option<Key> {
    let (function, args) = text.strip_suffix(')')?.split_once('(')?;
    // The part of a task, or what reads it by a handle, stands for itself.
    match function {
        "part" => match key_of(args.strip_suffix(", ..")?)? {
            Key::Node(id) => Some(Key::Part(id)),
            _ => None,
        },
        "through" => args.split(", ").nth(1)?.parse().ok().map(Key::Through),
        "plain" | "transient" | "unequal" | "volatile" | "fixpoint" | "stepped" | "falling_back"
        | "asynchronous" | "named" | "method" => args
            .rsplit(", ")
            .next()?
            .trim_matches('"')
            .parse()
            .ok()
            .filter(|id| *id < usize::MAX)
            .map(Key::Node),
        _ => None,
    }
}

impl World {
    /// Returns the read of a body that is printed so.
    fn read_of(&self, text: &str) -> Option<Read> {
        let number = |name: &str| text.strip_prefix(name)?.strip_suffix("\")")?.parse().ok();
        if let Some(input) = number("input(\"x") {
            return Some(Read::Input(input));
        }
        if let Some(file) = number("file(\"") {
            return Some(self.file_read(file));
        }
        key_of(text).map(Read::Value)
    }

    /// Explains a node, and compares that with what was told of when it ran.
    ///
    /// # Errors
    /// Returns what is wrong with it.
    pub fn check_explanation(&self, id: usize) -> Result<(), String> {
        let Some(watch) = &self.watch else { return Ok(()) };
        if !self.program.has_handles(id) {
            return Ok(());
        }
        let task = self.runtime.run(|| super::bodies::task(self.id, &self.program, id));
        let explanation = self.runtime.explain_task(&task);
        let mut told = watch.told.lock().expect("no observer panics");
        if let Some(wrong) = told.wrong.pop() {
            return Err(wrong);
        }
        check(&explanation, &told.causes).map_err(|wrong| format!("{wrong}: {explanation}"))
    }
}

fn check(explanation: &Explanation, causes: &HashMap<TaskId, Option<TaskId>>) -> Result<(), String> {
    let steps = &explanation.steps;
    let goes_on = |happened: &Happening| match happened {
        Happening::Settled
        | Happening::Ran(Cause::Read { .. } | Cause::StoredRead { read: Some(()), .. }) => Some(true),
        // Of a source that only the store knows, and a component that was dissolved for another reason than a read, the rest is not known.
        Happening::Ran(Cause::StoredRead { .. } | Cause::Cycle | Cause::Unfinished) => None,
        Happening::Ran(cause) if cause.needs_no_read() => None,
        _ => Some(false),
    };
    for (at, step) in steps.iter().enumerate() {
        if goes_on(&step.happened).is_some_and(|goes_on| goes_on != (at + 1 < steps.len())) {
            return Err(format!("the chain does not end at its end: {}", step.task));
        }
    }
    let Some([first, second]) = steps.first_chunk() else { return Ok(()) };
    match causes.get(&first.task) {
        Some(Some(named)) if *named != second.task => {
            Err(format!("{} was told to run because of {named:?}", first.task))
        }
        _ => Ok(()),
    }
}
