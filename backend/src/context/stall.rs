//! Stalls: waits whose end cannot be proved, because the waiting thread is one of the user's pool.
//!
//! A pool's thread has frames on its stack that the runtime does not know. For example, task `x` calls `rayon::join(a, b)`. Worker 2
//! steals `b`, splits it by another `join`, and while it waits for the half that worker 3 has stolen, it runs a job that asks for
//! `x`. The owner of `x` waits in rayon for `b`; `b` lies on the stack of worker 2, below the job; the job waits for `x`. No wait but
//! the last is known here, so the wait graph sees no cycle. Or all workers of a pool ask for `x`, and the jobs of `x` stand in the
//! queue of that pool. A thread of the crew or one that opened its own session has no such frames below, as long as its program
//! opens sessions outside of pools.
//!
//! ```text
//!   a foreign strand waits for a node that another strand has claimed
//!     │ the node is published: the wait is over                    │ a run apart of it ends: its twin is taken
//!     │ the owner is known to be stalled, or the wait has lasted as long as a run usually takes
//!     ▼
//!   the strand runs the task apart (`apart.rs`)
//! ```
//!
//! * *Foreign* is work that [`Carried`](crate::Carried) brought to a thread, all that works for it, and all that runs on a thread which
//!   has been seen to do such work. Each cycle of waits that is hidden in this way has a foreign wait on it: nothing else stands on
//!   frames of other tasks.
//! * How long a foreign strand waits is no matter of correctness. It chooses between waiting in vain and computing a value twice.
//! * *It ends.* No foreign strand waits for ever, so each goes on with its body or with one of a task below it, of which there are
//!   finitely many. A body that is run apart may fan out in the pool; its thread then runs jobs, its own or queued ones. Each job
//!   that is taken out of the queue is replaced by jobs for tasks further down, finitely many. Once a task has a twin, it is not run
//!   apart again.
//! * *Work stays bounded.* For each run apart of a node that is under way, others wait four times as long before they begin one more.
//! * A task that is resolved as part of a cycle cannot be run apart: its wait ends in an error after a minute at the least.

use std::time::{Duration, Instant};

use crate::context::engine::Engine;
use crate::context::local::Local;
use crate::context::strand::ancestors;
use crate::graph::claim::Phase;
use crate::graph::failure::TaskError;
use crate::graph::flags::Flags;
use crate::graph::node::NodeRef;
use crate::graph::stale_reads;
use crate::graph::stop::Stop;
use crate::graph::strand_id::StrandId;

/// For how long nothing is said of a task that cannot be run apart.
const MINUTE: Duration = Duration::from_secs(60);

/// A foreign strand's wait for one node.
pub(crate) struct Stall {
    since: Instant,
    /// When to judge. `None` is never.
    until: Option<Instant>,
    /// Whether `until` is more than a first guess.
    is_judged: bool,
    then: Then,
}

/// The outcome of a wait that has lasted too long.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    RunApart,
    Fail,
}

/// The next step when the waiting thread has been woken.
pub(crate) enum Verdict {
    /// The wait is over, or its session is.
    Over,
    /// Wait on.
    Wait,
    /// Stop waiting: run the task apart.
    Never,
    Fail(Stop),
}

impl Stall {
    /// Returns how to treat the current strand's wait for `node`; `None` if the wait is sure to end.
    pub(crate) fn of(local: &Local, node: NodeRef) -> Option<Self> {
        // A source is observed by the runtime, and never twice in one session.
        if !local.is_foreign() || node.task_fn.observe.is_some() {
            return None;
        }
        let since = Instant::now();
        let then = if can_run_apart(local, node) { Then::RunApart } else { Then::Fail };
        let least = least(local.engine(), node);
        let until = match then {
            Then::RunApart if is_owner_stalled(local, node) => Some(since),
            Then::RunApart => since.checked_add(least),
            Then::Fail => since.checked_add(local.engine().apart_after.saturating_mul(600).max(MINUTE)),
        };
        Some(Self { since, until, is_judged: then == Then::Fail, then })
    }

    /// When the waiting thread has to look, whether it is woken or not.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether the waiting thread has to look now.
    pub(crate) fn is_due(&self, engine: &Engine, node: NodeRef) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
            || self.then == Then::RunApart && engine.aparts.has_twin(node)
    }

    /// Judges the wait for `node`.
    pub(crate) fn judge(&mut self, local: &Local, node: NodeRef) -> Verdict {
        let engine = local.engine();
        if node.state.phase() != Phase::Running || !self.is_due(engine, node) {
            return Verdict::Over;
        }
        if self.then == Then::RunApart && engine.aparts.has_twin(node) {
            return Verdict::Never;
        }
        if !std::mem::replace(&mut self.is_judged, true) && self.until != Some(self.since) {
            self.until = self.since.checked_add(trust(engine, node));
            if self.until.is_none_or(|until| until > Instant::now()) {
                return Verdict::Wait;
            }
        }
        if engine.async_runs.of(node).is_some_and(|async_run| !async_run.is_driven()) {
            // The body waits for an event, which running it once more would wait for as well.
            self.is_judged = false;
            self.since = Instant::now();
            self.until = self.since.checked_add(engine.apart_after.max(Duration::from_millis(1)));
            return Verdict::Wait;
        }
        match self.then {
            Then::RunApart => Verdict::Never,
            Then::Fail => Verdict::Fail(stalled(node).into()),
        }
    }
}

/// How long the owner of `node` is trusted at the least. While runs apart of the function turn out to be needed, that gets shorter.
fn least(engine: &Engine, node: NodeRef) -> Duration {
    engine.apart_after / (4 << engine.aparts.needed(node.function).min(5))
}

/// How long the owner of `node` is trusted to finish it: as long as a run usually takes, and longer while others run it apart.
fn trust(engine: &Engine, node: NodeRef) -> Duration {
    let usual = engine.usual_time(node.function);
    let one = usual.map_or(engine.apart_after, |usual| usual.max(least(engine, node)));
    one.saturating_mul(4u32.pow(engine.aparts.under_way(node).min(5)))
}

fn can_run_apart(local: &Local, node: NodeRef) -> bool {
    !node.task_fn.has_initial() && !node.flag(Flags::ON_CYCLE | Flags::RESOLVED) && !local.needs_node()
}

/// Whether this strand runs a task apart that the owner of `node` holds as well: it has waited for that owner already.
fn is_owner_stalled(local: &Local, node: NodeRef) -> bool {
    let Some(owner) = stale_reads::owner(&node.work) else { return false };
    let is_held = |other: &NodeRef| {
        other.state.phase() == Phase::Running
            && stale_reads::owner(&other.work) == Some(owner)
            && *other != node
    };
    local.claimed.borrow().iter().any(is_held)
        || ancestors(local.lineage.borrow().as_ref()).any(|above| above.claimed.iter().any(is_held))
}

#[cold]
fn stalled(node: NodeRef) -> TaskError {
    let message = "work on a thread pool has waited for it for a minute, and the task that computes it may wait for that work; \
                   spread such work by `larder::par_map` or `larder::scope`, or ask for the task before going to the pool"
        .to_owned();
    TaskError::panicked(format!("{node:?}"), message)
}

impl Local {
    /// Whether frames of other tasks may stand below the current strand's work.
    pub(crate) fn is_foreign(&self) -> bool {
        self.foreign.get() || self.hosts_carried.get()
    }

    /// Whether the current frame, and no task that it calls, waits for nodes which no twin can stand for.
    fn needs_node(&self) -> bool {
        self.needs_node.get() == Some((self.strand.get(), self.claimed.borrow().len()))
    }

    /// Runs `work`, whose own waits are for nodes which no twin can stand for.
    pub(crate) fn needing_nodes<R>(&self, work: impl FnOnce() -> R) -> R {
        struct Reset<'a>(&'a Local, Option<(StrandId, usize)>);
        impl Drop for Reset<'_> {
            fn drop(&mut self) {
                self.0.needs_node.set(self.1);
            }
        }
        let here = (self.strand.get(), self.claimed.borrow().len());
        let _reset = Reset(self, self.needs_node.replace(Some(here)));
        work()
    }
}
