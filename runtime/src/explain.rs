//! Explanations: why did it run?

pub use larder_backend::explanation::*;

use crate::events::{Impure, TaskId};
use crate::{Builder, Runtime, Task, ask};

impl Runtime {
    /// Explains why a task has run last: down to the input or the source that had changed, through which tasks, and which of these were cut
    /// off on the way; and why the task is not stored, if it is not. `call` makes the call, of which only its arguments are used: nothing
    /// runs.
    ///
    /// The runtime has to record causes: [`Builder::record_causes`]. Whether the task is stored is told in any case; so is, of a task that this process
    /// has not run, why it ran last in an earlier one ([`Explanation::earlier`]).
    ///
    /// ```
    /// use larder::{Input, Runtime, task_fn};
    ///
    /// #[task_fn]
    /// fn words(text: &Input<String>) -> usize {
    ///     text.with(|text| text.split_whitespace().count())
    /// }
    ///
    /// #[task_fn]
    /// fn report(text: &Input<String>) -> String {
    ///     format!("{} words", words(text))
    /// }
    ///
    /// let runtime = Runtime::builder().record_causes(true).build();
    /// let text = runtime.input("text", "a b".to_owned());
    /// runtime.run(|| report(&text));
    /// runtime.update(|update| update.set(&text, "a b c".to_owned()))?;
    /// runtime.run(|| report(&text));
    ///
    /// let explanation = runtime.explain(|| report(&text));
    /// let lines: Vec<_> = explanation.to_string().lines().map(str::to_owned).collect();
    /// assert_eq!(lines[0], r#"`report(input("text"))` ran after update 1, because its read 0 had changed:"#);
    /// assert_eq!(lines[1], r#"  `words(input("text"))` ran after update 1, because its read 0 had changed:"#);
    /// assert!(lines[2].starts_with(r#"    `input("text")` was set by update 1"#));
    /// # Ok::<(), larder::UpdateError>(())
    /// ```
    ///
    /// Cost: in proportion to the length of the explanation; with a store, one look at each function in it if the task ran for
    /// the first time, and some point reads for each step of an earlier process.
    ///
    /// # Panics
    /// If `call` calls no task function, inside of an update, and in a program that is compiled with `panic = "abort"`.
    #[track_caller]
    pub fn explain<R>(&self, call: impl FnOnce() -> R) -> Explanation {
        self.run(|| ask(call).explain())
    }

    /// Explains as [`Runtime::explain`] does, given a handle.
    ///
    /// # Panics
    /// If the handle is to a task of another runtime, and inside of an update.
    #[track_caller]
    pub fn explain_task<T>(&self, task: &Task<T>) -> Explanation {
        self.engine.explain(task)
    }
}

impl Runtime {
    /// Returns the bodies that were found to come to something else when they were run once more: the first hundred of them. See
    /// [`Builder::check_determinism`].
    #[must_use]
    pub fn impure(&self) -> Vec<Impure<TaskId>> {
        self.engine.impure()
    }
}

impl Builder {
    /// Runs a share of all bodies twice, from 0 (none, the default) to 1 (all), and compares outputs and reads. Differences are told
    /// of by [`Event::Impure`](crate::events::Event), and kept for [`Runtime::impure`]. The value of the first run is used.
    ///
    /// A body that depends on something that the runtime does not see, as the time, a file that it opens itself or the order in a `HashMap`,
    /// gives stale answers sooner or later. For tests, and for a small share of what runs elsewhere.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use larder::{Runtime, task_fn};
    ///
    /// static CALLS: AtomicU32 = AtomicU32::new(0);
    ///
    /// #[task_fn]
    /// fn ticket(name: &str) -> String {
    ///     format!("{name} {}", CALLS.fetch_add(1, Ordering::Relaxed))
    /// }
    ///
    /// let runtime = Runtime::builder().check_determinism(1.0).build();
    /// assert_eq!(runtime.run(|| ticket("a")), "a 0");
    /// assert_eq!(runtime.impure()[0].task.as_str(), r#"ticket("a")"#);
    /// ```
    ///
    /// Cost: the time of the bodies that run twice; their reads are there already. Async and volatile bodies, and tasks on cycles, are not
    /// checked.
    #[must_use]
    pub fn check_determinism(mut self, share: f64) -> Self {
        self.config.checks_determinism = share.clamp(0.0, 1.0);
        self
    }

    /// Records why tasks run, for [`Runtime::explain`]. Default: no.
    ///
    /// Cost: two readings of the clock for each run and verification, as with an observer, and some 250 bytes for each task that has run
    /// more than once or was verified. First runs are not recorded.
    #[must_use]
    pub fn record_causes(mut self, records: bool) -> Self {
        self.config.records_causes = records;
        self
    }
}
