//! Observed: runs, verifications and restored values as observers are told of them, and recorded for explanations.
//!
//! Everything here is out of line and runs only if [`Observers::any`](crate::context::observers::Observers::any) says that something
//! listens. A run that began unobserved is not told of.
//!
//! The cause of a run is known to the visit that has found out that the body must run ([`Why`]), and to the flags of the node, which the
//! run's outcome clears. So it is taken down when the body begins ([`Begun`]), and told when the outcome is in place.

use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Instant;

use crate::context::engine::Engine;
use crate::context::event::{Cause, Event, Fingerprint, Outcome, Ran, Restored, Settled, TaskRef, Verified};
use crate::context::local::Local;
use crate::evaluate::execute::keeps;
use crate::graph::failure::TaskError;
use crate::graph::flags::{Flags, Keeping};
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::graph::stop::Stop;
use crate::graph::task_fn::Ran as Came;
use larder_storage::Digest;

/// A visit's part of the cause for which a body has to run.
#[derive(Clone, Copy, Default)]
pub(crate) enum Why {
    /// Nothing: the node's flags tell.
    #[default]
    Flags,
    /// The read at this position of the last run has changed.
    Read(usize),
    /// A read of the stored run differs.
    Stored(Differs),
    /// The node lies on a cycle that is being resolved.
    Cycle,
    /// Waiting for the node's owner would never end.
    Apart,
    /// The store has lost a part of what the run read or emitted.
    Lost,
}

/// A read of a stored run that differs now.
#[derive(Clone, Copy)]
pub(crate) struct Differs {
    pub(crate) key: Digest,
    pub(crate) before: Digest,
    pub(crate) now: Option<Digest>,
}

/// Whether a run or a verification that begins now is told of.
#[inline(always)]
pub(crate) fn is_observed(local: &Local) -> bool {
    local.engine().observers.any()
}

/// An observed run that has begun.
pub(crate) struct Begun {
    start: Instant,
    cause: Cause<TaskRef<'static>>,
    before: Option<Fingerprint>,
}

/// Whether a run is observed, and how: known by its type where it is not, so that such a run carries nothing.
pub(crate) trait Watched: Copy {
    /// The run, if it is observed.
    fn begun(&self) -> Option<&Begun>;
}

/// A run that is not observed.
#[derive(Clone, Copy)]
pub(crate) struct Unwatched;

impl Watched for Unwatched {
    #[inline(always)]
    fn begun(&self) -> Option<&Begun> {
        None
    }
}

impl Watched for &Begun {
    fn begun(&self) -> Option<&Begun> {
        Some(self)
    }
}

impl Watched for Option<&Begun> {
    fn begun(&self) -> Option<&Begun> {
        *self
    }
}

impl Begun {
    /// Takes down why the body of a claimed node is about to run. The session stays open until the run is told of.
    #[cold]
    #[inline(never)]
    pub(crate) fn new(local: &Local, node: NodeRef, why: &Why) -> Self {
        let before = Persisted::of(node).and_then(|persisted| Fingerprint::of(persisted.fingerprint));
        Self { start: Instant::now(), cause: cause(local, node, why), before }
    }

    /// Takes down the same, if the run is observed.
    #[inline]
    pub(crate) fn if_observed(local: &Local, node: NodeRef, why: &Why) -> Option<Self> {
        is_observed(local).then(|| Self::new(local, node, why))
    }

    /// The outcome of the run is in place, and its claim still held.
    #[cold]
    #[inline(never)]
    pub(crate) fn completed(&self, local: &Local, node: NodeRef, came: Came) {
        let outcome = match came {
            Came::First => Outcome::New,
            Came::Changed => Outcome::Changed,
            Came::Equal => Outcome::CutOff,
            Came::Provisional(_) => Outcome::Provisional,
        };
        self.tell(local, node, outcome);
    }

    /// The run has failed, and its claim is still held.
    pub(crate) fn failed(&self, local: &Local, node: NodeRef, error: &TaskError) {
        let is_cancelled = matches!(error, TaskError::Cancelled);
        self.tell(local, node, if is_cancelled { Outcome::Cancelled } else { Outcome::Failed });
    }

    /// A run beside the node has ended.
    #[cold]
    pub(crate) fn ended_beside(&self, local: &Local, node: NodeRef, stop: Option<&Stop>) {
        let outcome = match stop {
            None => Outcome::Provisional,
            Some(stop) if stop.is_given_up() => Outcome::Cancelled,
            Some(_) => Outcome::Failed,
        };
        self.tell(local, node, outcome);
    }

    fn tell(&self, local: &Local, node: NodeRef, outcome: Outcome) {
        let has_value = !matches!(outcome, Outcome::Failed | Outcome::Cancelled | Outcome::Provisional);
        let after = Persisted::of(node).filter(|persisted| has_value && persisted.is_stored);
        let after = after.and_then(|persisted| Fingerprint::of(persisted.fingerprint));
        local.engine().observers.tell(&Event::Ran(Ran {
            task: TaskRef::to(node),
            cause: self.cause.clone(),
            outcome,
            thread: thread::current().id(),
            start: self.start,
            end: Instant::now(),
            before: self.before,
            after,
        }));
    }
}

/// The cause of a run that is about to begin.
fn cause(local: &Local, node: NodeRef, why: &Why) -> Cause<TaskRef<'static>> {
    match why {
        Why::Flags => cause_by_flags(node),
        Why::Read(position) => {
            // SAFETY: the claim is held.
            let read = unsafe { node.deps() }.as_slice().get(*position);
            match read {
                Some(read) => Cause::Read { position: *position, read: TaskRef::to(read.node()) },
                None => cause_by_flags(node),
            }
        }
        Why::Stored(Differs { key, before, now }) => Cause::StoredRead {
            read: local
                .engine()
                .persistence()
                .and_then(|persistence| persistence.nodes.get(*key))
                .map(TaskRef::to),
            before: Fingerprint(before.0),
            after: now.map(|now| Fingerprint(now.0)),
        },
        Why::Cycle => Cause::Cycle,
        Why::Apart => Cause::Apart,
        Why::Lost => Cause::Lost,
    }
}

/// The cause as far as the flags of a claimed node tell it.
fn cause_by_flags(node: NodeRef) -> Cause<TaskRef<'static>> {
    if is_invalidated(node) {
        Cause::Invalidated
    } else if node.flag(Flags::FAILED) {
        Cause::Failed
    } else if node.keeping().contains(Keeping::EVICTED) {
        Cause::Evicted
    } else if node.flag(Flags::FORGOTTEN) {
        Cause::Forgotten
    } else if node.flag(Flags::MUST_RUN) {
        must_run(node)
    } else if node.flag(Flags::RESTORED) {
        Cause::Lost
    } else if node.flag(Flags::HAS_VALUE) {
        Cause::Unfinished
    } else {
        Cause::First
    }
}

/// Whether the program has said that the task is to run again, and it has not run since.
fn is_invalidated(node: NodeRef) -> bool {
    let said = node.extra().map_or(0, |extra| extra.invalidated.load(Relaxed));
    node.flag(Flags::MUST_RUN) && said > node.verified_at.load(Relaxed)
}

fn must_run(node: NodeRef) -> Cause<TaskRef<'static>> {
    let task_fn = node.task_fn;
    if task_fn.volatile {
        return Cause::Volatile;
    }
    let has_value = node.flag(Flags::HAS_VALUE);
    match (task_fn.judges(), task_fn.may_expire()) {
        (false, true) if has_value => Cause::Expired,
        (true, false) if has_value => Cause::NotKept,
        (true, true) if has_value && keeps(node) => Cause::Expired,
        (true, true) if has_value => Cause::NotKept,
        _ if task_fn.has_initial() => Cause::Cycle,
        _ => Cause::Unfinished,
    }
}

/// A stale node has turned out to be current, and its claim is still held.
#[cold]
#[inline(never)]
pub(crate) fn verified(local: &Local, node: NodeRef, start: Option<Instant>) {
    let end = Instant::now();
    let (task, thread) = (TaskRef::to(node), thread::current().id());
    let start = start.unwrap_or(end);
    local.engine().observers.tell(&Event::Verified(Verified { task, thread, start, end }));
}

/// A node has got its value from the store, and its claim is still held.
#[cold]
#[inline(never)]
pub(crate) fn restored(local: &Local, node: NodeRef) {
    let task = TaskRef::to(node);
    let (thread, at, fingerprint) = (thread::current().id(), Instant::now(), task.fingerprint());
    local.engine().observers.tell(&Event::Restored(Restored { task, thread, at, fingerprint }));
}

/// A part has been selected anew.
#[cold]
#[inline(never)]
pub(crate) fn settled(engine: &Engine, part: NodeRef, came: Came) {
    engine.observers.tell(&Event::Settled(got_value(part, came)));
}

/// A member of a component has come to its value, and its claim is still held.
#[cold]
#[inline(never)]
pub(crate) fn resolved(local: &Local, member: NodeRef, came: Came) {
    local.engine().observers.tell(&Event::Resolved(got_value(member, came)));
}

fn got_value(node: NodeRef, came: Came) -> Settled<TaskRef<'static>> {
    let (thread, at) = (thread::current().id(), Instant::now());
    Settled { task: TaskRef::to(node), changed: came != Came::Equal, thread, at }
}
