//! Events: what observers of a runtime are told, borrowed while they are told and owned afterwards.
//!
//! An event is generic in how it names tasks. An observer gets an `Event<TaskRef<'_>>`: nothing is printed or copied unless the observer
//! asks for it. `Event::to_owned` makes an `Event<TaskId>` of it, which may be kept and sent.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;
use std::thread::ThreadId;
use std::time::Instant;

use crate::context::watch::GateWaiter;
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::graph::task_fn::{RawTaskFn, Site};
use larder_storage::Digest;

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

/// Why a body has run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause<T> {
    /// Neither memory nor the store has had a value of the task.
    First,
    /// A value that the last run has read has changed.
    Read {
        /// Its position among the reads of that run, from 0. Those before it have not changed.
        position: usize,
        /// The task, input or source that has changed.
        read: T,
    },
    /// A value that the stored run of an earlier process has read is another one now.
    StoredRead {
        /// The task, input or source that differs, if it is in memory.
        read: Option<T>,
        /// The fingerprint of the value that was read then.
        before: Fingerprint,
        /// The fingerprint of the value that it has now, if there is one.
        after: Option<Fingerprint>,
    },
    /// The function is volatile: its bodies run again in each session.
    Volatile,
    /// The value has expired.
    Expired,
    /// The function keeps such a value for its session alone (`keep_if`).
    NotKept,
    /// The value was forgotten.
    Forgotten,
    /// The program said that it is to run again (`invalidate`).
    Invalidated,
    /// The value was dropped to save memory, and the store does not have it.
    Evicted,
    /// The last run has failed.
    Failed,
    /// The last run was cancelled, or is part of a cycle that changed.
    Unfinished,
    /// The task lies on a cycle that is being resolved.
    Cycle,
    /// Another thread computes the task, and waiting for it would never end.
    Apart,
    /// The store has lost what it knew of the task.
    Lost,
}

/// The outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// There was no value to compare with.
    New,
    /// Another value than before.
    Changed,
    /// An equal value: readers are current, as far as this task is concerned.
    CutOff,
    /// A panic or another failure.
    Failed,
    /// The session was cancelled.
    Cancelled,
    /// A value for one round of a cycle, or for one reader.
    Provisional,
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

/// A digest of a value, by which it is recognised in another process. Equal values of most types have equal fingerprints.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u128);

impl Fingerprint {
    pub(crate) fn of(digest: Digest) -> Option<Self> {
        (digest != Digest::default()).then_some(Self(digest.0))
    }
}

/// All 32 digits; `{:.8}` prints the first 8.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        f.write_str(&digits[..f.precision().unwrap_or(32).min(32)])
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:.8}")
    }
}

/// A task, an input or a source, while an observer is told of it. It is printed as a call: `word_count("a b c")`.
#[derive(Clone, Copy)]
pub struct TaskRef<'a> {
    node: NodeRef,
    told: PhantomData<&'a ()>,
}

impl TaskRef<'_> {
    /// The caller sees to it that the node lives as long as the reference is used: a session is open, or the gate held.
    pub(crate) fn to(node: NodeRef) -> Self {
        Self { node, told: PhantomData }
    }

    pub(crate) fn node(&self) -> NodeRef {
        self.node
    }

    fn site(&self) -> &'static Site {
        &self.node.task_fn.site
    }

    /// The name of the function.
    #[must_use]
    pub fn function(&self) -> &'static str {
        self.site().name
    }

    /// The module path and name of the function.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.site().path
    }

    /// Whether it is an input or a source.
    #[must_use]
    pub fn is_leaf(&self) -> bool {
        self.node.task_fn.is_leaf() || self.node.task_fn.observe.is_some()
    }

    /// Whether its body is an `async fn`.
    #[must_use]
    pub fn is_async(&self) -> bool {
        self.node.task_fn.is_async()
    }

    /// Returns the fingerprint of its value, if that is stored.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        Persisted::of(self.node).and_then(|persisted| Fingerprint::of(persisted.fingerprint))
    }

    /// Returns a name of it to keep. Prints its arguments: runs their `Debug`.
    #[must_use]
    pub fn id(&self) -> TaskId {
        TaskId { task_fn: self.node.task_fn, hash: self.node.hash, text: self.to_string().into() }
    }
}

impl fmt::Display for TaskRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.node, f)
    }
}

impl fmt::Debug for TaskRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for TaskRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}
impl Eq for TaskRef<'_> {}

impl Hash for TaskRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.node.hash(state);
    }
}

/// The name of a task, an input or a source: its function and its arguments. It keeps nothing in memory but itself, and stays what it is
/// when the task is dropped and made again.
///
/// Two are equal if they are of the same function, and their arguments have the same hash and are printed alike.
#[derive(Clone)]
pub struct TaskId {
    task_fn: &'static RawTaskFn,
    hash: u64,
    text: Arc<str>,
}

impl TaskId {
    /// The name of the function.
    #[must_use]
    pub fn function(&self) -> &'static str {
        self.task_fn.site.name
    }

    /// The module path and name of the function.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.task_fn.site.path
    }

    /// The task as a call: `word_count("a b c")`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is an input or a source.
    #[must_use]
    pub fn is_leaf(&self) -> bool {
        self.task_fn.is_leaf() || self.task_fn.observe.is_some()
    }

    /// Whether its body is an `async fn`.
    #[must_use]
    pub fn is_async(&self) -> bool {
        self.task_fn.is_async()
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for TaskId {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.task_fn.is(other.task_fn) && self.text == other.text
    }
}
impl Eq for TaskId {}

impl Hash for TaskId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

/// By their text, then by function and arguments.
impl Ord for TaskId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (&self.text, self.path(), self.hash).cmp(&(&other.text, other.path(), other.hash))
    }
}
impl PartialOrd for TaskId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
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
        let Self { task, cause, outcome, thread, start, end, before, after } = self;
        Ran {
            task: task.id(),
            cause: cause.to_owned(),
            outcome: *outcome,
            thread: *thread,
            start: *start,
            end: *end,
            before: *before,
            after: *after,
        }
    }
}

impl Cause<TaskRef<'_>> {
    fn to_owned(&self) -> Cause<TaskId> {
        match self {
            Self::First => Cause::First,
            Self::Read { position, read } => Cause::Read { position: *position, read: read.id() },
            Self::StoredRead { read, before, after } => {
                Cause::StoredRead { read: read.as_ref().map(TaskRef::id), before: *before, after: *after }
            }
            Self::Volatile => Cause::Volatile,
            Self::Expired => Cause::Expired,
            Self::NotKept => Cause::NotKept,
            Self::Forgotten => Cause::Forgotten,
            Self::Invalidated => Cause::Invalidated,
            Self::Evicted => Cause::Evicted,
            Self::Failed => Cause::Failed,
            Self::Unfinished => Cause::Unfinished,
            Self::Cycle => Cause::Cycle,
            Self::Apart => Cause::Apart,
            Self::Lost => Cause::Lost,
        }
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
