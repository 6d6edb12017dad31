//! Progress: how far the work of a runtime has come, for a bar.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Runtime;

/// How far the tasks of a runtime, or of some functions, have come since this was made. Made by [`Runtime::progress`].
///
/// It looks at counters that the runtime keeps anyway: no body knows of it, and it costs the tasks nothing.
#[derive(Clone, Debug)]
pub struct Progress {
    runtime: Runtime,
    functions: Arc<[String]>,
    before: u64,
    expected: Arc<AtomicU64>,
}

/// How far the work has come, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProgressNow {
    /// Tasks that are known to be part of the work: those that are done or running, or as many as were expected. The length of a bar.
    pub known: u64,
    /// Tasks that were computed, verified or restored. The position of a bar.
    pub done: u64,
    /// Bodies that have begun and not ended, those included that wait for the tasks that they call. Async bodies are not counted.
    pub running: u64,
}

impl Runtime {
    /// Begins to watch the progress of the functions of these names, or of all if there is none.
    ///
    /// ```
    /// use larder::{Runtime, task_fn};
    ///
    /// #[task_fn]
    /// fn scan(file: u32) -> u32 {
    ///     file * 2
    /// }
    ///
    /// let runtime = Runtime::new();
    /// let progress = runtime.progress(["scan"]);
    /// progress.expect(10);
    /// // With indicatif, on another thread, ten times a second:
    /// // bar.set_length(now.known); bar.set_position(now.done);
    /// runtime.run(|| (0..4).map(scan).sum::<u32>());
    /// let now = progress.now();
    /// assert_eq!((now.known, now.done, now.running), (10, 4, 0));
    /// ```
    #[must_use]
    pub fn progress<N: Into<String>>(&self, functions: impl IntoIterator<Item = N>) -> Progress {
        let functions: Arc<[String]> = functions.into_iter().map(Into::into).collect();
        let before = self.engine.progress(&functions).0;
        Progress { runtime: self.clone(), functions, before, expected: Arc::default() }
    }
}

impl Progress {
    /// Says how many tasks the work has, as far as that is known by now. Clones learn of it, too.
    pub fn expect(&self, tasks: u64) {
        self.expected.store(tasks, Ordering::Relaxed);
    }

    /// Returns how far the work has come. Cost: a look at the counters of each function, per thread.
    #[must_use]
    pub fn now(&self) -> ProgressNow {
        let (done, running) = self.runtime.engine.progress(&self.functions);
        let done = done.saturating_sub(self.before);
        ProgressNow { known: self.expected.load(Ordering::Relaxed).max(done + running), done, running }
    }
}
