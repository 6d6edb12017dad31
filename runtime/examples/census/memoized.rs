//! The census on Larder: its tasks, asked within sessions of a runtime.

use std::sync::Arc;

/// The crate that `tasks` uses: larder itself. See `plain` for the other one.
use ::larder;
use larder::{Refreshed, Runtime, Stats};

use crate::model::{Diagnostic, Report};
use crate::roots::Roots;

#[path = "tasks.rs"]
pub mod tasks;

/// A census that remembers. All clones are the same one.
#[derive(Clone, Default)]
pub struct Census(Runtime);

impl Census {
    pub fn on(runtime: Runtime) -> Census {
        Census(runtime)
    }

    /// The report of everything below `roots`, and what its making had to say, now or when it was made.
    pub fn report(&self, roots: &Roots) -> (Arc<Report>, Vec<Diagnostic>) {
        let Roots { dirs, files, .. } = roots;
        self.0.run(|| (tasks::report(dirs, files), tasks::overview::collect(dirs, files)))
    }

    /// How many files a report of `roots` parses, if it has to parse them all.
    pub fn count_files(&self, roots: &Roots) -> u64 {
        self.0.run(|| tasks::count_files(&roots.dirs, &roots.files))
    }

    /// Looks at the file system again, which stands still for the tasks until then.
    pub fn refresh(&self) -> Refreshed {
        self.0.refresh().expect("no session is open on this thread")
    }

    /// How far the files have come, from here on.
    pub fn progress(&self) -> larder::progress::Progress {
        self.0.progress(["parse_file"])
    }

    /// Pushes what is new, if this run is to, and tells the traffic with the cache that machines share. None without one.
    #[cfg(feature = "shared")]
    pub fn share(&self) -> Option<String> {
        let pushed = self.0.flush_shared(std::time::Duration::from_secs(60));
        let stats = self.0.shared_stats()?;
        let failed = pushed.err().map(|error| format!(", not pushed: {error}")).unwrap_or_default();
        Some(format!("shared: {stats}{failed}"))
    }

    /// The work of the task functions so far.
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }
}

/// Bodies of `parse_file`.
pub fn parsed(stats: &Stats) -> u64 {
    stats.get("parse_file").map_or(0, |function| function.runs)
}
