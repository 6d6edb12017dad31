//! Events: what happens in a runtime, told as it happens.
//!
//! [`Runtime::observe`] calls an [`Observer`] on the spot; [`Runtime::subscribe`] queues events to be taken out later. There is an event
//! for each run of a body, with the cause of it, for each task that was verified or restored from the store, for sessions, updates, waits
//! at the gate, and batches that the store has taken. There is none for a call that is answered from memory: such calls cost what they
//! cost without an observer.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use larder::events::{Cause, Event, TaskRef};
//! use larder::{Input, Runtime, task_fn};
//!
//! #[task_fn]
//! fn words(text: &Input<String>) -> usize {
//!     text.with(|text| text.split_whitespace().count())
//! }
//!
//! #[task_fn]
//! fn report(text: &Input<String>) -> String {
//!     format!("{} words", words(text))
//! }
//!
//! let runtime = Runtime::new();
//! let text = runtime.input("text", "a b".to_owned());
//! runtime.run(|| report(&text));
//!
//! let told = Arc::new(Mutex::new(Vec::new()));
//! let sink = told.clone();
//! let observing = runtime.observe(move |event: &Event<TaskRef<'_>>| {
//!     if let Event::Ran(ran) = event {
//!         let because = match &ran.cause {
//!             Cause::Read { read, .. } => format!("{read} changed"),
//!             other => format!("{other:?}"),
//!         };
//!         sink.lock().unwrap().push(format!("{}: {because}", ran.task));
//!     }
//! });
//! runtime.update(|update| update.set(&text, "a b c".to_owned()))?;
//! runtime.run(|| report(&text));
//! drop(observing);
//! assert_eq!(
//!     *told.lock().unwrap(),
//!     [
//!         "words(input(\"text\")): input(\"text\") changed",
//!         "report(input(\"text\")): words(input(\"text\")) changed",
//!     ]
//! );
//! # Ok::<(), larder::UpdateError>(())
//! ```

pub use larder_backend::events::*;

use std::sync::Arc;

use crate::Runtime;

impl Runtime {
    /// Tells `observer` of all that happens from now on, until the guard is dropped.
    ///
    /// An observer runs where things happen, often while a task is claimed: it should be quick, and must not call task functions. It should
    /// not hold this runtime, which would then never end. See [`Observer`].
    ///
    /// Cost: a call and two readings of the clock for each run and verification; none for a hit. While no observer is there, one
    /// load for each run and verification.
    pub fn observe(&self, observer: impl Observer) -> Observing {
        self.engine.observe(Arc::new(observer))
    }

    /// Queues all events from now on. The queue holds `capacity` of them, at least one; beyond that the oldest is lost, and counted.
    ///
    /// Cost: as for [`Runtime::observe`], and the printing of the task's arguments for each event.
    ///
    /// ```
    /// use larder::events::{Event, Outcome};
    /// use larder::{Runtime, task_fn};
    ///
    /// #[task_fn]
    /// fn double(n: u32) -> u32 {
    ///     n * 2
    /// }
    ///
    /// let runtime = Runtime::new();
    /// let events = runtime.subscribe(1000);
    /// runtime.run(|| double(4));
    /// let (events, lost) = events.drain();
    /// let ran = events.iter().find_map(|event| match event {
    ///     Event::Ran(ran) => Some(ran),
    ///     _ => None,
    /// });
    /// assert_eq!(ran.map(|ran| (ran.task.as_str(), ran.outcome)), Some(("double(4)", Outcome::New)));
    /// assert_eq!(lost.0, 0);
    /// ```
    pub fn subscribe(&self, capacity: usize) -> Subscription {
        self.engine.subscribe(capacity)
    }
}
