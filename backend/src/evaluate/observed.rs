//! Observed: runs, verifications and restored values as observers are told of them, and recorded for explanations.
//!
//! Everything here is out of line and runs only if [`Observers::any`](crate::context::observers::Observers::any) says that something
//! listens. A run that began unobserved is not told of.
//!
//! The cause of a run is known to the visit that has found out that the body must run ([`Why`]), and to the flags of the node, which the
//! run's outcome clears. So it is taken down when the body begins ([`Begun`]), and told when the outcome is in place.

mod earlier;
mod looking;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Instant, SystemTime};

use self::earlier::EarlierReads;
pub(crate) use self::looking::{Looking, verified, verified_at_once};
use crate::context::engine::Engine;
use crate::context::event::{Event, Ran, Restored, Settled};
use crate::context::local::{Local, Naming};
use crate::context::spans::{Begins, Ends, OpenSpans};
use crate::evaluate::complete::keeps;
use crate::evaluate::determinism;
use crate::graph::cause::{Cause, Happening, Outcome};
use crate::graph::edges::Edge;
use crate::graph::epoch::Epoch;
use crate::graph::failure::TaskError;
use crate::graph::flags::{Flags, Keeping};
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::graph::stop::Stop;
use crate::graph::task_fn::Ran as Came;
use crate::graph::task_name::{Fingerprint, TaskRef};
use crate::graph::trail::{Confirmed, Record, Trail};
use crate::persist::deadline;
use larder_storage::Digest;
use larder_storage::record::Because;

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
    /// It is checked whether the body comes to the same.
    Check,
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
    /// For its record, if causes are recorded.
    linked: Option<Linked>,
    /// The reads of the last run, if these are not the cause.
    earlier: Option<EarlierReads>,
    /// Open until the run is told of.
    spans: RefCell<OpenSpans>,
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
        let (start, cause) = (Instant::now(), cause(local, node, why));
        let linked = local.engine().observers.records().then(|| Linked::to(local, node, why, &cause));
        let is_explained = linked.as_ref().is_some_and(|linked| linked.because.is_some());
        let earlier = if is_explained { None } else { EarlierReads::of(node, &cause) };
        let openers = &local.engine().observers.openers;
        let spans = openers.open(|| Begins::Run { task: TaskRef::to(node), cause: &cause }).into();
        Self { start, cause, before, linked, earlier, spans }
    }

    /// Goes on with the body on this thread: what happens from here on happens in its spans.
    #[cold]
    pub(crate) fn enter(&self) {
        self.spans.borrow_mut().enter();
    }

    /// Leaves the body on this thread, if its spans are not closed.
    #[cold]
    pub(crate) fn exit(&self) {
        self.spans.borrow_mut().exit();
    }

    /// Takes down the same of a body that runs to its end on this thread, from here on.
    #[cold]
    #[inline(never)]
    pub(crate) fn entered(local: &Local, node: NodeRef, why: &Why) -> Self {
        let begun = Self::new(local, node, why);
        begun.enter();
        begun
    }

    /// Takes down the same, if the run is observed.
    #[inline]
    pub(crate) fn if_observed(local: &Local, node: NodeRef, why: &Why) -> Option<Self> {
        is_observed(local).then(|| Self::entered(local, node, why))
    }

    /// Returns the cause as a store keeps it.
    #[cold]
    pub(crate) fn because(&self) -> Because {
        match self.cause {
            Cause::Read { .. } | Cause::StoredRead { .. } => Because::Read,
            Cause::First => Because::First,
            Cause::Volatile => Because::Volatile,
            Cause::Expired => Because::Expired,
            Cause::NotKept => Because::NotKept,
            Cause::Forgotten => Because::Forgotten,
            Cause::Invalidated => Because::Invalidated,
            Cause::Evicted => Because::Evicted,
            Cause::Failed => Because::Failed,
            Cause::Unfinished => Because::Unfinished,
            Cause::Cycle => Because::Cycle,
            Cause::Lost => Because::Lost,
            Cause::Apart | Cause::Check => Because::Unknown,
        }
    }

    /// The outcome of the run is in place, and its claim still held.
    #[cold]
    #[inline(never)]
    pub(crate) fn completed(&self, local: &Local, node: NodeRef, came: Came) {
        self.ended(local, node, outcome_of(came));
        if !matches!(came, Came::Provisional(_) | Came::Held) && local.engine().observers.checks() > 0.0 {
            determinism::check(local, node);
        }
    }

    /// The run has failed, and its claim is still held.
    pub(crate) fn failed(&self, local: &Local, node: NodeRef, error: &TaskError) {
        let is_cancelled = matches!(error, TaskError::Cancelled);
        self.ended(local, node, if is_cancelled { Outcome::Cancelled } else { Outcome::Failed });
    }

    /// The body of a member of a component has failed.
    #[cold]
    pub(crate) fn failed_on_cycle(&self, local: &Local, node: NodeRef, stop: &Stop) {
        self.ended(local, node, if stop.is_given_up() { Outcome::Cancelled } else { Outcome::Failed });
    }

    /// A run beside the node has ended.
    #[cold]
    pub(crate) fn ended_beside(&self, local: &Local, node: NodeRef, stop: Option<&Stop>) {
        let outcome = match stop {
            None => Outcome::Provisional,
            Some(stop) if stop.is_given_up() => Outcome::Cancelled,
            Some(_) => Outcome::Failed,
        };
        self.tell(local, node, outcome, None);
    }

    fn ended(&self, local: &Local, node: NodeRef, outcome: Outcome) {
        let changed = self.earlier.as_ref().and_then(|earlier| earlier.changed(local.engine().epoch()));
        self.record(local, node, outcome, changed);
        self.tell(local, node, outcome, changed.map(|(_, read)| read));
    }

    /// `changed` is a read of the last run that is not the cause, and its position.
    fn record(&self, local: &Local, node: NodeRef, outcome: Outcome, changed: Option<(usize, NodeRef)>) {
        let Some(linked) = &self.linked else { return };
        // A first run is not recorded, unless something is that comes before it.
        if matches!((&self.cause, outcome), (Cause::First, Outcome::New)) && !Trail::is_of(node) {
            return;
        }
        let happened = Happening::Ran(self.cause.map(|_| ()));
        let mut record = new_record(local.engine(), happened, outcome);
        (record.before, record.after) = (self.before, fingerprint_after(node, outcome));
        (record.because, record.cut_off) = (linked.because.clone(), linked.cut_off.clone());
        if let (Some(earlier), Some((position, read))) = (&self.earlier, changed) {
            // Names are printed by the user's code, which belongs to no task.
            let _no_session = Naming::begin();
            let epoch = local.engine().epoch();
            record.because = Some(Trail::point_at_reason(read, epoch));
            record.cut_off = cut_off_among(&earlier.reads, position, epoch);
        }
        Trail::add(node, record);
    }

    fn tell(&self, local: &Local, node: NodeRef, outcome: Outcome, changed: Option<NodeRef>) {
        let after = fingerprint_after(node, outcome);
        let event = Event::Ran(Ran {
            task: TaskRef::to(node),
            cause: self.cause.clone(),
            changed: changed.map(TaskRef::to),
            outcome,
            thread: thread::current().id(),
            start: self.start,
            end: Instant::now(),
            before: self.before,
            after,
        });
        local.engine().observers.tell(&event);
        self.spans.take().end(Ends::Told(&event));
    }
}

fn fingerprint_after(node: NodeRef, outcome: Outcome) -> Option<Fingerprint> {
    let has_value = !matches!(outcome, Outcome::Failed | Outcome::Cancelled | Outcome::Provisional);
    let after = Persisted::of(node).filter(|persisted| has_value && persisted.is_stored);
    after.and_then(|persisted| Fingerprint::of(persisted.fingerprint))
}

fn new_record(engine: &Engine, happened: Happening, outcome: Outcome) -> Record {
    Record::new(happened, outcome, engine.updates.load(Relaxed), engine.epoch())
}

/// The records that one of a run points at, as they are when it begins.
#[derive(Default)]
struct Linked {
    because: Option<Arc<Record>>,
    cut_off: Vec<Arc<Record>>,
}

impl Linked {
    fn to(local: &Local, node: NodeRef, why: &Why, cause: &Cause<TaskRef<'static>>) -> Self {
        let epoch = local.engine().epoch();
        // Names are printed by the user's code, which belongs to no task.
        let _no_session = Naming::begin();
        match cause {
            Cause::Read { position, read } => Self {
                because: Some(Trail::point_at(read.node(), epoch)),
                // SAFETY: the claim is held.
                cut_off: cut_off_among(unsafe { node.deps() }.as_slice(), *position, epoch),
            },
            Cause::StoredRead { read: Some(read), .. } => {
                Self { because: Some(Trail::point_at(read.node(), epoch)), cut_off: Vec::new() }
            }
            Cause::StoredRead { read: None, before, after } => {
                let because = source_that_differs(local, why, (*before, *after), epoch);
                Self { because, cut_off: Vec::new() }
            }
            Cause::Cycle | Cause::Unfinished => {
                Self { because: Trail::of(node).dissolved, cut_off: Vec::new() }
            }
            _ => Self::default(),
        }
    }
}

/// Returns a record of the source or input for which a task runs, if it is one that this process has not read so far.
fn source_that_differs(
    local: &Local,
    why: &Why,
    (before, after): (Fingerprint, Option<Fingerprint>),
    epoch: Epoch,
) -> Option<Arc<Record>> {
    let Why::Stored(Differs { key, .. }) = why else { return None };
    let name = local.engine().persistence()?.leaves.name(*key)?;
    let mut record = Record::of_stored(name, epoch);
    (record.before, record.after) = (Some(before), after);
    Some(Arc::new(record))
}

/// Notes for explanations that the component of some nodes is dissolved, because of a read that has changed. Their claims are held.
#[cold]
pub(crate) fn dissolved(local: &Local, members: &[NodeRef], read: NodeRef) {
    if local.engine().observers.records() {
        // Names are printed by the user's code, which belongs to no task.
        let _no_session = Naming::begin();
        let because = Trail::point_at(read, local.engine().epoch());
        members.iter().for_each(|member| Trail::dissolve(*member, &because));
    }
}

/// So many reads of a run are looked at.
const LOOKED_AT: usize = 4096;

/// Returns the records of those among the first reads of a run that have come to equal values in this epoch, as far as these are looked at.
fn cut_off_among(all: &[Edge], reads: usize, epoch: Epoch) -> Vec<Arc<Record>> {
    const KEPT: usize = 8;
    let looked_at = all.iter().take(reads.min(LOOKED_AT));
    looked_at.filter_map(|read| Trail::point_at_cut_off(read.node(), epoch)).take(KEPT).collect()
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
        Why::Stored(Differs { before, .. }) if *before == deadline::seen(false).content => Cause::Expired,
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
        Why::Check => Cause::Check,
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
        let is_given_up = node.extra().is_some_and(|extra| extra.given_up.load(Relaxed));
        if is_given_up { Cause::Forgotten } else { Cause::Evicted }
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
    let said = node.extra().map_or(Epoch::NEVER, |extra| extra.invalidated.get());
    node.flag(Flags::MUST_RUN) && said > node.verified_at.get()
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

fn record_verified(engine: &Engine, node: NodeRef, origin: Option<NodeRef>) {
    let (epoch, update) = (engine.epoch(), engine.updates.load(Relaxed));
    let _no_session = Naming::begin();
    // SAFETY: the claim is held.
    let mut cut_off = cut_off_among(unsafe { node.deps() }.as_slice(), usize::MAX, epoch);
    if cut_off.is_empty() {
        cut_off.extend(origin.and_then(|origin| Trail::point_at_cut_off(origin, epoch)));
    }
    Trail::confirm(node, Confirmed { update, at: SystemTime::now(), cut_off });
}

/// A node has got its value from the store, and its claim is still held.
#[cold]
#[inline(never)]
pub(crate) fn restored(local: &Local, node: NodeRef) {
    if local.engine().observers.records() {
        let mut record = new_record(local.engine(), Happening::Restored, Outcome::New);
        record.after = fingerprint_after(node, Outcome::New);
        Trail::add(node, record);
    }
    let task = TaskRef::to(node);
    let (thread, at, fingerprint) = (thread::current().id(), Instant::now(), task.fingerprint());
    local.engine().observers.tell(&Event::Restored(Restored { task, thread, at, fingerprint }));
}

/// A part has been selected anew.
#[cold]
#[inline(never)]
pub(crate) fn settled(engine: &Engine, part: NodeRef, source: NodeRef, came: Came) {
    if engine.observers.records() {
        let mut record = new_record(engine, Happening::Settled, outcome_of(came));
        let _no_session = Naming::begin();
        record.because = Some(Trail::point_at(source, engine.epoch()));
        Trail::add(part, record);
    }
    engine.observers.tell(&Event::Settled(got_value(part, came)));
}

/// A member of a component has come to its value, and its claim is still held.
#[cold]
#[inline(never)]
pub(crate) fn resolved(local: &Local, member: NodeRef, came: Came) {
    if local.engine().observers.records() {
        record_resolved(local.engine(), member, outcome_of(came));
    }
    local.engine().observers.tell(&Event::Resolved(got_value(member, came)));
}

/// Its first run of this epoch, if it had one, says why.
fn record_resolved(engine: &Engine, member: NodeRef, outcome: Outcome) {
    let first = Trail::of(member).last;
    let first = first.filter(|last| last.epoch == engine.epoch() && last.outcome == Outcome::Provisional);
    let happened = first.as_ref().map_or(Happening::Ran(Cause::Cycle), |first| first.happened.clone());
    let mut record = new_record(engine, happened, outcome);
    if let Some(first) = first {
        (record.because, record.cut_off) = (first.because.clone(), first.cut_off.clone());
    }
    Trail::add(member, record);
}

fn outcome_of(came: Came) -> Outcome {
    match came {
        Came::First => Outcome::New,
        Came::Changed => Outcome::Changed,
        Came::Equal => Outcome::CutOff,
        Came::Held => Outcome::Held,
        Came::Provisional(_) => Outcome::Provisional,
    }
}

fn got_value(node: NodeRef, came: Came) -> Settled<TaskRef<'static>> {
    let (thread, at) = (thread::current().id(), Instant::now());
    Settled { task: TaskRef::to(node), changed: !matches!(came, Came::Equal | Came::Held), thread, at }
}
