//! Complete: put in place what came of a run, in this order: value, edges, epochs, state. The state is stored last, with Release: a thread
//! that sees FRESH sees the rest.

use std::time::Duration;

use crate::context::local::Local;
use crate::evaluate::cycle;
use crate::evaluate::observed::{Begun, Watched};
use crate::evaluate::parts::{note_part, settle_parts};
use crate::evaluate::publish::{Changes, changes_value, publish_failure, publish_run};
use crate::evaluate::relink::relink_run;
use crate::evaluate::stored::{Completion, read_deadline};
use crate::graph::claim::Phase;
use crate::graph::emitted::EmittedValue;
use crate::graph::epoch::Epoch;
use crate::graph::failure::TaskError;
use crate::graph::flags::{Flags, Keeping, Leaving};
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::graph::stale_reads;
use crate::graph::stop::Stop;
use crate::graph::task_fn::{Ran, Replaced};
use larder_storage::Digest;

/// The outcome of a finished run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completed {
    /// The node is FRESH.
    Published,
    /// The node lies on a cycle that is being resolved, and stays claimed.
    Parked,
}

/// Publishes a finished run. Not inlined, like all that a run does not need on the stack while its body runs: bodies
/// nest, and the depth of the stack is what a first build of a deep graph costs.
#[inline(never)]
pub(crate) fn complete(local: &Local, node: NodeRef, ran: Ran, watched: impl Watched) -> Completed {
    if let Ran::Provisional(twin) = ran {
        if let Some(begun) = watched.begun() {
            begun.completed(local, node, ran);
        }
        cycle::park(local, node, twin);
        return Completed::Parked;
    }
    let engine = local.engine();
    throw_failure(local, node);
    let stands_in = if ran == Ran::First && node.task_fn.last_good { stand_in(local, node) } else { None };
    let kept = if stands_in.is_some() { Ran::Held } else { ran };
    let lasts = kept != Ran::Held && lasts(node);
    let lifetime = lifetime(local, node, lasts);
    local.mute();
    let reads_changed = relink_run(local, node);
    node.clear_flag(Flags::RESTORED);
    let emitted_changed = keep_emitted(local, node);
    let changes = Changes { value: changes_value(node, ran), effects: reads_changed || emitted_changed };
    let evicted = Evicted::of(node);
    publish_run(local, node, changes, lasts);
    if node.task_fn.may_expire() && kept != Ran::Held {
        engine.expiries.set(node, lifetime);
    }
    if node.task_fn.observe.is_some() && !node.flag(Flags::SOURCE) {
        node.set_flag(Flags::SOURCE);
        engine.sources.lock().push(node);
    }
    // The store is told before the node is FRESH: a reader then hands its own run over later.
    let run = Completion { ran: kept, because: watched.begun().map(Begun::because).unwrap_or_default() };
    let replaced =
        engine.persistence().and_then(|persistence| persistence.completed(local, node, run, lasts));
    if let Some(evicted) = evicted {
        evicted.compare(node);
    }
    count_run(local, node, ran);
    if node.task_fn.part.is_some() {
        note_part(node);
    }
    if let Some(begun) = watched.begun() {
        begun.completed(local, node, ran);
    }
    end_claim(local, node, Phase::Fresh);
    drop((replaced, stands_in));
    if ran == Ran::Changed && node.keeping().contains(Keeping::HAS_PARTS) {
        settle_parts(local, node);
    }
    Completed::Published
}

/// Throws what makes a run fail though its body has returned: reads on another thread that have not ended, or a failure that the body
/// may have caught.
fn throw_failure(local: &Local, node: NodeRef) {
    if !local.settle_carried() {
        node.set_flag(Flags::FAILED);
        unfinished(node).throw();
    }
    if let Some(stop) = local.poison_of_innermost() {
        // The body may have caught the error and made an output of it, which is in place: it must not be taken for what
        // dependents have seen.
        node.set_flag(Flags::FAILED);
        stop.throw();
    }
}

fn count_run(local: &Local, node: NodeRef, ran: Ran) {
    let counters = local.counters.of(node.function);
    counters.runs.add(1);
    if ran == Ran::Equal {
        counters.cut_off.add(1);
    }
}

/// A `last_good` function has come to an output without having one in memory. If it is not to be kept, the last one that was takes its place
/// out of the store, whether its time is over or not. Returns the one that it has replaced.
#[cold]
#[inline(never)]
fn stand_in(local: &Local, node: NodeRef) -> Option<Option<Replaced>> {
    let persistence = local.engine().persistence()?;
    if keeps(node) {
        return None;
    }
    // Decoding is the user's code, and no part of the run.
    local.mute();
    persistence.put_last_good(node)
}

/// The value that readers have seen of a node whose output was dropped to save memory, and whose body has run again.
struct Evicted {
    fingerprint: Digest,
    changed_at: Epoch,
}

impl Evicted {
    /// None also if readers have seen a failure since.
    fn of(node: NodeRef) -> Option<Self> {
        if !node.keeping().contains(Keeping::EVICTED) {
            return None;
        }
        let fingerprint = Persisted::of(node)?.fingerprint;
        (!node.flag(Flags::FAILED)).then(|| Self { fingerprint, changed_at: node.changed_at.get() })
    }

    /// The output is in place and stored again, if it can be: by its fingerprint it may be the one that was dropped.
    fn compare(self, node: NodeRef) {
        if Persisted::of(node).is_some_and(|now| now.is_stored && now.fingerprint == self.fingerprint) {
            node.changed_at.set(self.changed_at);
        }
    }
}

#[cold]
pub(crate) fn unfinished(node: NodeRef) -> TaskError {
    let message =
        "the task has ended while work that was carried out of it (`larder::current`) still runs".to_owned();
    TaskError::panicked(format!("{node:?}"), message)
}

/// Publishes a failed run. Its reads stay recorded, so that a change in them reaches the tasks that caught the failure.
///
/// `stop` goes on with the failure of this task in it. It runs no code of the user's that could panic: nothing would end the claim. `begun` is the run, if it is observed.
#[cold]
#[inline(never)]
pub(crate) fn fail(local: &Local, node: NodeRef, stop: &mut Stop, begun: Option<&Begun>) {
    if node.flag(Flags::ON_CYCLE) {
        if let Some(begun) = begun {
            begun.failed_on_cycle(local, node, stop);
        }
        return cycle::park_failed(local, node, stop);
    }
    // Work that still runs can add nothing any more; the task has failed already.
    local.settle_carried();
    let error = local.failure_of_innermost(stop, node);
    if let (Stop::Failed(held), TaskError::Panicked { .. }) = (stop, &error) {
        **held = error.clone();
    }
    local.mute();
    if let Some(begun) = begun {
        begun.failed(local, node, &error);
    }
    if matches!(error, TaskError::Cancelled) {
        // Reads that the run did not come to would be missing, and no task has seen this failure: the edges of the run
        // before stay, by which changes reach the readers of its output.
        if let Some(extra) = node.extra() {
            extra.failure.lock().take();
        }
        if !node.flag(Flags::HAS_VALUE) {
            // It has never ended, so it is kept only for what has read it before, or asks again.
            node.put_on(Leaving::ABANDONED);
            local.engine().queue_tidying(node);
        }
    } else {
        let head = local.head_of_innermost();
        local.with_reads(|reads| publish_failure(local, node, reads, error, head));
    }
    // A run that failed has to be made up for even if nothing else changes.
    node.set_flag(Flags::MUST_RUN);
    node.clear_flag(Flags::AHEAD);
    let counters = local.counters.of(node.function);
    counters.runs.add(1);
    counters.failed.add(1);
    end_claim(local, node, Phase::Empty);
}

/// Whether the output, which is in place, may be used in later sessions.
#[inline]
fn lasts(node: NodeRef) -> bool {
    !node.task_fn.volatile && (!node.task_fn.judges() || keeps(node))
}

/// How long the output, which is in place, may be used. The moment at which that is over is the last read of a run that may be stored.
#[inline(always)]
fn lifetime(local: &Local, node: NodeRef, lasts: bool) -> Option<Duration> {
    if !node.task_fn.may_expire() { None } else { limited_lifetime(local, node, lasts) }
}

#[cold]
#[inline(never)]
fn limited_lifetime(local: &Local, node: NodeRef, lasts: bool) -> Option<Duration> {
    let lifetime = node.task_fn.lifetime(node)?;
    if lasts && !lifetime.is_zero() {
        read_deadline(local, node, lifetime);
    }
    Some(lifetime)
}

#[inline(never)]
pub(crate) fn keeps(node: NodeRef) -> bool {
    // The judgement is the user's code. Should it panic, the run has failed, with the output in place.
    let before = node.flag(Flags::FAILED);
    node.set_flag(Flags::FAILED);
    // SAFETY: the claim is held, and the output is in place.
    let keeps = unsafe { node.task_fn.keeps(node) };
    if !before {
        node.clear_flag(Flags::FAILED);
    }
    keeps
}

/// Lists a task that has run, well or not, to run again in the next session.
#[inline(never)]
pub(crate) fn list_to_run_again(local: &Local, node: NodeRef) {
    let engine = local.engine();
    engine.volatiles.lock().push(node);
    engine.chores.list_prompt();
}

fn end_claim(local: &Local, node: NodeRef, phase: Phase) {
    local.pop_claim(node);
    drop(stale_reads::take(&node.work));
    node.end_claim(phase, &local.engine().lot);
}

/// Keeps what the run emitted. Returns whether it differs from what the last one did.
fn keep_emitted(local: &Local, node: NodeRef) -> bool {
    (local.has_emitted() || node.extra().is_some()) && replace_emitted(node, local.take_emitted())
}

#[inline(never)]
pub(crate) fn replace_emitted(node: NodeRef, emitted: Vec<EmittedValue>) -> bool {
    let mut place = node.extra_or_insert().emitted.lock();
    let equal =
        place.len() == emitted.len() && place.iter().zip(&emitted).all(|(old, new)| old.equals(&**new));
    if !equal {
        let old = std::mem::replace(&mut *place, emitted.into());
        drop(place);
        drop(old);
    }
    !equal
}
