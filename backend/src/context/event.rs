//! Events: what observers of a runtime are told, borrowed while they are told and owned afterwards.
//!
//! An event is generic in how it names tasks. An observer gets an `Event<TaskRef<'_>>`: nothing is printed or copied unless the observer
//! asks for it. `Event::to_owned` makes an `Event<TaskId>` of it, which may be kept and sent.

use std::thread::ThreadId;
use std::time::Instant;

use crate::context::watch::GateWaiter;
use crate::graph::cause::{Cause, Outcome};
use crate::graph::task_name::{Fingerprint, TaskId, TaskRef};

/// Something that has happened in a runtime. `T` is how it names tasks, inputs and sources: [`TaskRef`] or [`TaskId`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<T> {
    /// A body has run.
    Ran(Ran<T>),
    /// A stale task has turned out to be current: no body of it has run.
    Verified(Verified<T>),
    /// A task has got its value from the store.
    Restored(Restored<T>),
    /// A part was selected anew from the value of its source.
    Settled(Settled<T>),
    /// Tasks that depend on each other have come to their values: the end of the rounds for one of them.
    Resolved(Settled<T>),
    /// A body has come to something else when it was run once more (`Builder::check_determinism`).
    Impure(Impure<T>),
    /// A session was opened.
    SessionOpened(SessionOpened),
    /// A session has ended.
    SessionClosed(SessionClosed),
    /// An update or a refresh has changed inputs or sources.
    Updated(Updated<T>),
    /// A session or an update has waited at the gate.
    Waited(Waited),
    /// A batch of results was committed to the store.
    Committed(Committed),
}

/// A run of a body.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ran<T> {
    /// The task whose body it is.
    pub task: T,
    /// Why it ran.
    pub cause: Cause<T>,
    /// The first read of the last run that has changed since, if the cause is another one: for example, the last run had failed, and an
    /// input was set. None if a read has changed that is the cause, or that this run did not come to.
    pub changed: Option<T>,
    /// Its outcome.
    pub outcome: Outcome,
    /// The thread on which the run ended. An async body may have run on several.
    pub thread: ThreadId,
    /// When it began.
    pub start: Instant,
    /// When its outcome was in place. An async body has been suspended for some of the time.
    pub end: Instant,
    /// The fingerprint of the value before, if it is or was stored.
    pub before: Option<Fingerprint>,
    /// The fingerprint of the value now, if it is stored.
    pub after: Option<Fingerprint>,
}

/// A task that has turned out to be current.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verified<T> {
    /// The task.
    pub task: T,
    /// The thread that has found out.
    pub thread: ThreadId,
    /// When it began to look. Bodies that ran meanwhile are told of before.
    pub start: Instant,
    /// When it knew.
    pub end: Instant,
}

/// A task whose value has come out of the store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Restored<T> {
    /// The task.
    pub task: T,
    /// The thread that asked for it.
    pub thread: ThreadId,
    /// When it was in place.
    pub at: Instant,
    /// The fingerprint of the value.
    pub fingerprint: Option<Fingerprint>,
}

/// A body that has come to something else when it was run once more, with nothing changed in between.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Impure<T> {
    /// The task whose body it is.
    pub task: T,
    /// The fingerprint of the first output, if its type can be encoded. The task has this one.
    pub first: Option<Fingerprint>,
    /// The fingerprint of the second output; none also if that run has failed.
    pub second: Option<Fingerprint>,
    /// The reads of the first run.
    pub reads: Vec<T>,
    /// Whether the second run has read something else.
    pub reads_differ: bool,
}

/// A task that got a value without a run of its own.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settled<T> {
    /// The task.
    pub task: T,
    /// Whether it is another value than before.
    pub changed: bool,
    /// The thread.
    pub thread: ThreadId,
    /// When it was in place.
    pub at: Instant,
}

/// A session that was opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionOpened {
    /// The thread that opened it.
    pub thread: ThreadId,
    /// When.
    pub at: Instant,
}

/// A session that has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionClosed {
    /// The thread on which it ended.
    pub thread: ThreadId,
    /// When it was opened.
    pub start: Instant,
    /// When it ended.
    pub end: Instant,
}

/// An update that has changed something.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Updated<T> {
    /// The number of the update, from 1. Those that changed nothing are not counted.
    pub number: u64,
    /// The inputs and sources that have changed. Sources that are known to the store alone are missing.
    pub changed: Vec<Changed<T>>,
    /// How many tasks in memory were marked stale.
    pub marked: usize,
    /// The thread that made it.
    pub thread: ThreadId,
    /// When values began to be compared.
    pub start: Instant,
    /// When all was in place.
    pub end: Instant,
}

/// An input or a source that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changed<T> {
    /// The input or the source.
    pub leaf: T,
    /// Whether it was removed.
    pub removed: bool,
    /// The fingerprint of the value before, if its type can be encoded.
    pub before: Option<Fingerprint>,
    /// The fingerprint of the value now, if its type can be encoded.
    pub after: Option<Fingerprint>,
}

/// A wait at the gate that has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Waited {
    /// Whether it was a session or an update.
    pub waiter: GateWaiter,
    /// The thread, or the one that polled the future last.
    pub thread: ThreadId,
    /// When the wait began.
    pub start: Instant,
    /// When it was over.
    pub end: Instant,
}

/// A batch that the store has taken.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Committed {
    /// Records written and deleted.
    pub writes: u64,
    /// Bytes of keys and records.
    pub bytes: u64,
    /// The writer's thread.
    pub thread: ThreadId,
    /// When the batch was begun.
    pub start: Instant,
    /// When it was durable.
    pub end: Instant,
}

impl Event<TaskRef<'_>> {
    /// Makes an event that may be kept and sent: with the names of tasks, which are printed for it.
    #[must_use]
    pub fn to_owned(&self) -> Event<TaskId> {
        match self {
            Self::Ran(ran) => Event::Ran(ran.to_owned()),
            Self::Verified(Verified { task, thread, start, end }) => {
                Event::Verified(Verified { task: task.id(), thread: *thread, start: *start, end: *end })
            }
            Self::Restored(Restored { task, thread, at, fingerprint }) => Event::Restored(Restored {
                task: task.id(),
                thread: *thread,
                at: *at,
                fingerprint: *fingerprint,
            }),
            Self::Settled(settled) => Event::Settled(settled.to_owned()),
            Self::Resolved(settled) => Event::Resolved(settled.to_owned()),
            Self::Impure(impure) => Event::Impure(impure.to_owned()),
            Self::SessionOpened(opened) => Event::SessionOpened(opened.clone()),
            Self::SessionClosed(closed) => Event::SessionClosed(closed.clone()),
            Self::Updated(updated) => Event::Updated(updated.to_owned()),
            Self::Waited(waited) => Event::Waited(waited.clone()),
            Self::Committed(committed) => Event::Committed(committed.clone()),
        }
    }
}

impl Ran<TaskRef<'_>> {
    fn to_owned(&self) -> Ran<TaskId> {
        let Self { task, cause, changed, outcome, thread, start, end, before, after } = self;
        Ran {
            task: task.id(),
            cause: cause.map(TaskRef::id),
            changed: changed.as_ref().map(TaskRef::id),
            outcome: *outcome,
            thread: *thread,
            start: *start,
            end: *end,
            before: *before,
            after: *after,
        }
    }
}

impl Impure<TaskRef<'_>> {
    pub(crate) fn to_owned(&self) -> Impure<TaskId> {
        let Self { task, first, second, reads, reads_differ } = self;
        let reads = reads.iter().map(TaskRef::id).collect();
        Impure { task: task.id(), first: *first, second: *second, reads, reads_differ: *reads_differ }
    }
}

impl Settled<TaskRef<'_>> {
    fn to_owned(&self) -> Settled<TaskId> {
        let Self { task, changed, thread, at } = self;
        Settled { task: task.id(), changed: *changed, thread: *thread, at: *at }
    }
}

impl Updated<TaskRef<'_>> {
    fn to_owned(&self) -> Updated<TaskId> {
        let Self { number, changed, marked, thread, start, end } = self;
        let changed = changed.iter().map(|changed| Changed {
            leaf: changed.leaf.id(),
            removed: changed.removed,
            before: changed.before,
            after: changed.after,
        });
        Updated {
            number: *number,
            changed: changed.collect(),
            marked: *marked,
            thread: *thread,
            start: *start,
            end: *end,
        }
    }
}
