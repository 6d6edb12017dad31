//! Check: of the results that came from elsewhere and hold here, a share is not used. Their bodies run, and what they come to is compared.
//!
//! ```text
//! a trace holds        it has come, and its task is one of the share      noted; the check of the task ends as if no trace held
//! .. the body runs     its result is the task's                           compared with the trace when it is stored
//! ```
//! A task below the one that is asked for gets a node and is asked for itself then. So with a share of 1 all bodies run.
//!
//! For example, CI has come to `total = 17` by a broken disk, and signed that. A laptop that checks one in a hundred comes to 18 one day, goes on with 18, and
//! tells the task, both fingerprints, and the key that has signed the 17.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{Compared, Elsewhere, Remote};
use crate::graph::determinism::is_of_share;
use crate::persist::{Known, Persistence, StoredTrace};
use larder_storage::record::for_each_pulled;
use larder_storage::{Digest, Guarded, RunNumber, TaskKey};

/// The share of results that are checked, and those that are being checked.
pub(super) struct SharedCheck {
    share: f64,
    /// Chooses other tasks in each process.
    seed: u64,
    /// The generations of tasks that came in packs.
    generations: FxHashSet<RunNumber>,
    expected: Mutex<FxHashMap<Digest, Expected>>,
    /// The number of tasks in `expected`.
    count: AtomicUsize,
}

/// A result that came, and that the body of its task is to come to.
struct Expected {
    trace: StoredTrace,
    generation: RunNumber,
}

impl SharedCheck {
    pub(super) fn new(remote: &dyn Remote, store: &Guarded) -> Self {
        // The code of the user may panic; then nothing is checked.
        let share = catch_unwind(AssertUnwindSafe(|| remote.checks())).unwrap_or(0.0);
        let mut generations = FxHashSet::default();
        if share > 0.0 {
            generations.insert(RunNumber::BEFORE_ALL);
            for_each_pulled(store, |list| _ = generations.insert(list.generation));
        }
        let seed = RandomState::new().hash_one(0);
        Self { share, seed, generations, expected: Mutex::default(), count: AtomicUsize::new(0) }
    }

    fn is_due(&self, task: TaskKey) -> bool {
        self.share > 0.0 && is_of_share(task.0.0 as u64 ^ self.seed, self.share)
    }
}

impl Elsewhere {
    /// Whether the body of a task is to run although the trace at this place of what is known of it holds: it has come from elsewhere, and is one of the share.
    pub(crate) fn is_checked(&self, task: TaskKey, known: &Known, trace: usize) -> bool {
        let has_come = || {
            let in_pack = trace == 0 && self.check.generations.contains(&known.origin.generation);
            let digest = known.traces.get(trace).map(StoredTrace::digest);
            in_pack || digest.is_some_and(|digest| self.came.lock().contains(&(task.0, digest)))
        };
        // No member of a component can be run alone.
        let is_alone = |trace: &StoredTrace| trace.trace().component().is_none();
        self.check.is_due(task) && known.traces.get(trace).is_some_and(is_alone) && has_come()
    }

    /// Notes the result that the body of a task is to come to.
    pub(crate) fn expect(&self, task: TaskKey, known: &Known, trace: usize) {
        let Some(trace) = known.traces.get(trace).cloned() else { return };
        let expected = Expected { trace, generation: known.origin.generation };
        if self.check.expected.lock().insert(task.0, expected).is_none() {
            self.check.count.fetch_add(1, Relaxed);
        }
    }
}

impl Persistence {
    /// The body of a task has come to a value with this fingerprint, by a trace of this digest: compares it with what came from elsewhere, if that is being
    /// checked. `is_equal` compares the value in place with one that is stored, and `name` names the task.
    #[inline]
    pub(crate) fn compare_with_elsewhere(
        &self,
        task: TaskKey,
        (fingerprint, trace): (Digest, Digest),
        is_equal: impl FnOnce(&StoredTrace) -> bool,
        name: impl FnOnce() -> String,
    ) {
        let Some(elsewhere) =
            self.elsewhere.as_ref().filter(|elsewhere| elsewhere.check.count.load(Relaxed) > 0)
        else {
            return;
        };
        let Some(expected) = elsewhere.check.expected.lock().remove(&task.0) else { return };
        elsewhere.check.count.fetch_sub(1, Relaxed);
        let came = expected.trace.trace().output.fingerprint;
        let is_equal = came == fingerprint || is_equal(&expected.trace);
        let origin = self.origin_of(task, expected.trace.digest(), expected.generation);
        let outcome = Compared {
            key: task,
            task: if is_equal { String::new() } else { name() },
            came: came.0,
            computed: fingerprint.0,
            is_equal,
            reads_differ: trace != expected.trace.digest(),
            origin,
        };
        _ = catch_unwind(AssertUnwindSafe(|| elsewhere.remote.compared(outcome)));
    }
}
