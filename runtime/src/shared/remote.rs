//! Records for the engine: asked for within the time that the breaker gives.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use larder_backend::explanation::SharedOrigin;
use larder_backend::storage::TaskKey;
use larder_backend::storage::record::ForeignTask;
use larder_backend::{Compared, Remote, Turn};
use larder_shared::{SharedError, fetch};

use super::{Divergence, Link};

/// A single task is asked for if a run of its function usually takes so many times as long as a call of the engine.
const TIMES: u32 = 5;

/// The most divergences that are kept.
const MOST_DIVERGENCES: usize = 100;

impl Link {
    /// Looks for records of these tasks, unless the engine is not to be asked.
    pub(super) fn fetch(&self, tasks: &[TaskKey]) -> Vec<ForeignTask> {
        let Some(until) = self.breaker.allows() else { return Vec::new() };
        let begun = Instant::now();
        let config = &self.config;
        let fetch = || fetch(&*config.engine, &config.namespace, &config.trust, tasks, until);
        // An engine that panics is one that does not work.
        let found = catch_unwind(AssertUnwindSafe(fetch))
            .unwrap_or_else(|_| Err(SharedError::broken("the engine panicked")));
        self.breaker.note(found.as_ref().map(|_| ()), begun.elapsed());
        match found {
            Ok(found) => {
                self.count(&found.counts);
                self.note_origins(&found.tasks);
                found.tasks.into_iter().map(|(task, _)| task).collect()
            }
            Err(error) => {
                self.failed(&error);
                Vec::new()
            }
        }
    }
}

impl Remote for Link {
    fn records(&self, tasks: &[TaskKey]) -> Vec<ForeignTask> {
        self.fetch(tasks)
    }

    fn is_worthwhile(&self, usual: Option<Duration>) -> bool {
        let Some(usual) = usual else { return false };
        // Before the first call a round trip on a fast network is assumed.
        usual >= TIMES * self.breaker.usual().unwrap_or(Duration::from_millis(1))
    }

    fn checks(&self) -> f64 {
        self.config.check
    }

    fn compared(&self, outcome: Compared) {
        let mut state = self.state();
        // If a record came for a task, it came after the pack.
        let is_record = state.origins.contains_key(&outcome.key);
        let pack = state.packs.get(&outcome.key).copied().filter(|_| !is_record);
        let stats = &mut state.stats;
        stats.checked += 1;
        if outcome.is_equal {
            return;
        }
        stats.diverged += 1;
        if stats.divergences.len() < MOST_DIVERGENCES {
            let Compared { task, came, computed, reads_differ, origin, .. } = outcome;
            let signed = origin.map(|origin| (origin.by.into(), origin.at));
            let task = task.into();
            stats.divergences.push(Divergence { task, came, computed, reads_differ, pack, signed });
        }
    }

    fn signed(&self, task: TaskKey) -> Option<SharedOrigin> {
        self.origin(task)
    }

    fn await_turn(&self, turn: &mut Turn<'_>) {
        self.wait_for_turn(turn);
    }

    fn stored(&self, task: TaskKey) -> bool {
        if self.config.writer.is_none() {
            return false;
        }
        self.note_run(task)
    }

    fn committed(&self, task: TaskKey) {
        self.publish_soon(task);
    }
}
