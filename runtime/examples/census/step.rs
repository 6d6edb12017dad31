//! One report: asked for with memory or without, and what it took to make.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder::{Refreshed, Runtime, Stats};

use crate::args::Memoization;
use crate::memoized::{self, parsed};
use crate::model::{Diagnostic, Report};
use crate::plain;
use crate::progress::Progress;
use crate::roots::Roots;
use crate::table::grouped;

pub enum Census {
    Memoized {
        census: memoized::Census,
        /// Before the first report there is nothing to look at again: a store has just been opened, and what it knows
        /// looked at.
        has_reported: bool,
    },
    Plain,
}

pub struct Step {
    pub report: Arc<Report>,
    /// Sorted.
    pub diagnostics: Vec<Diagnostic>,
    pub elapsed: Duration,
    pub work: Work,
}

/// The work for a report.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Work {
    /// The changes since the last report, how long it took to see them, and the work of the task functions about them.
    Memoized {
        sources: Refreshed,
        looking: Duration,
        tasks: Stats,
    },
    Plain,
}

impl Census {
    /// A census; and, if it cannot remember what it should, why.
    pub fn new(
        memoization: Memoization,
        runtime: impl FnOnce() -> (Runtime, Option<String>),
    ) -> (Census, Option<String>) {
        match memoization {
            Memoization::Larder => {
                let (runtime, problem) = runtime();
                (Census::Memoized { census: memoized::Census::on(runtime), has_reported: false }, problem)
            }
            Memoization::Plain => (Census::Plain, None),
        }
    }

    /// Ends the run's part in the cache that machines share, if it has one, and tells what it was.
    #[cfg(feature = "shared")]
    pub fn share(&self) {
        if let Census::Memoized { census, .. } = self
            && let Some(told) = census.share()
        {
            eprintln!("{told}");
        }
    }

    /// The report of `roots` as they are now.
    pub fn step(&mut self, roots: &Roots) -> Step {
        let start = Instant::now();
        let ((report, mut diagnostics), work) = match self {
            Census::Memoized { census, has_reported } => {
                let looks = if std::mem::replace(has_reported, true) {
                    census.refresh()
                } else {
                    Refreshed::default()
                };
                memoized(census, roots, looks, start.elapsed())
            }
            Census::Plain => (plain::report(roots), Work::Plain),
        };
        let elapsed = start.elapsed();
        // A directory that cannot be read is told by each task that reads it.
        diagnostics.sort();
        diagnostics.dedup();
        Step { report, diagnostics, elapsed, work }
    }
}

impl Step {
    /// Whether files have been parsed, as they are new or have changed. Other changes show in the report, if it matters.
    pub fn has_parsed(&self) -> bool {
        matches!(&self.work, Work::Memoized { tasks, .. } if parsed(tasks) > 0)
    }
}

fn memoized(
    census: &memoized::Census,
    roots: &Roots,
    sources: Refreshed,
    looking: Duration,
) -> ((Arc<Report>, Vec<Diagnostic>), Work) {
    let before = census.stats();
    // The work that is left for a later report is not known before it is done.
    let total = || (parsed(&before) == 0).then(|| census.count_files(roots));
    let done = {
        let progress = census.progress();
        move || progress.now().done
    };
    let bar = Progress::start(total, done);
    let report = census.report(roots);
    drop(bar);
    (report, Work::Memoized { sources, looking, tasks: census.stats().since(&before) })
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.work {
            Work::Memoized { sources, looking, tasks } => {
                // Before the first report there are none.
                if sources.checked > 0 {
                    let (changed, checked) =
                        (grouped(sources.changed as u64), grouped(sources.checked as u64));
                    write!(f, "{changed} of {checked} sources changed, seen in {}; ", Time(*looking))?;
                }
                let [parsed, runs, hits] = [parsed(tasks), tasks.runs(), tasks.hits()].map(grouped);
                write!(f, "files parsed: {parsed}, bodies run: {runs}, calls hit: {hits}")?;
                if let restored @ 1.. =
                    tasks.functions.iter().map(|function| function.storage_hits).sum::<u64>()
                {
                    write!(f, ", {} of them in the cache", grouped(restored))?;
                }
                f.write_str("; ")?;
            }
            Work::Plain => f.write_str("without memoization; ")?,
        }
        write!(f, "{} in all", Time(self.elapsed))
    }
}

struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs_f64() {
            seconds if seconds < 1.0 => write!(f, "{:.1} ms", seconds * 1e3),
            seconds => write!(f, "{seconds:.2} s"),
        }
    }
}
