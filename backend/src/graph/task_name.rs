//! Names of tasks, inputs and sources for code outside of the engine, lent or to keep; and fingerprints of their values.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::graph::task_fn::{RawTaskFn, Site};
use larder_storage::record::{SourceKind, source_key};
use larder_storage::{Digest, Fingerprints};

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

    /// Returns the name of the function.
    #[must_use]
    pub fn function(&self) -> &'static str {
        self.site().name
    }

    /// Returns the module path and name of the function.
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
        TaskId { of: Of::TaskFn(self.node.task_fn), hash: self.node.hash, text: self.to_string().into() }
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
    of: Of,
    hash: u64,
    text: Arc<str>,
}

/// Stands for the thing that a name is of.
#[derive(Clone, Copy)]
enum Of {
    TaskFn(&'static RawTaskFn),
    /// A source or an input that only the store knows.
    Stored(&'static str),
}

impl Of {
    fn is(self, other: Self) -> bool {
        match (self, other) {
            (Self::TaskFn(own), Self::TaskFn(other)) => own.is(other),
            (Self::Stored(own), Self::Stored(other)) => own == other,
            _ => false,
        }
    }
}

impl TaskId {
    /// The name of a source or an input that only the store knows: as it is printed when it is in memory.
    pub(crate) fn of_stored(kind: SourceKind, name: &[u8]) -> Self {
        let text = String::from_utf8_lossy(name);
        let (function, argument) = match kind {
            SourceKind::Input => ("input", &*text),
            SourceKind::File => ("file", &*text),
            SourceKind::Directory => ("dir", &*text),
            SourceKind::Environment => ("env", &*text),
            SourceKind::Deadline => ("deadline", ""),
            _ => match text.split_once(' ') {
                Some(("glob", argument)) => ("glob", argument),
                Some(("kind", argument)) => ("kind", argument),
                Some(("meta", argument)) => ("metadata", argument),
                Some(("real", argument)) => ("canonicalize", argument),
                _ => ("source", &*text),
            },
        };
        let text = format!("{function}({argument:?})").into();
        Self { of: Of::Stored(function), hash: source_key(Fingerprints::Xxh3, kind, name).0 as u64, text }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether a node of the same hash is likely what this is the name of. Runs none of the user's code, so arguments are not compared.
    pub(crate) fn is_of(&self, node: NodeRef) -> bool {
        matches!(self.of, Of::TaskFn(task_fn) if task_fn.is(node.task_fn))
    }

    /// Returns the name of the function.
    #[must_use]
    pub fn function(&self) -> &'static str {
        match self.of {
            Of::TaskFn(task_fn) => task_fn.site.name,
            Of::Stored(function) => function,
        }
    }

    /// Returns the module path and name of the function.
    #[must_use]
    pub fn path(&self) -> &'static str {
        match self.of {
            Of::TaskFn(task_fn) => task_fn.site.path,
            Of::Stored(function) => function,
        }
    }

    /// Returns the task as a call: `word_count("a b c")`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is an input or a source.
    #[must_use]
    pub fn is_leaf(&self) -> bool {
        match self.of {
            Of::TaskFn(task_fn) => task_fn.is_leaf() || task_fn.observe.is_some(),
            Of::Stored(_) => true,
        }
    }

    /// Whether its body is an `async fn`.
    #[must_use]
    pub fn is_async(&self) -> bool {
        matches!(self.of, Of::TaskFn(task_fn) if task_fn.is_async())
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
        self.hash == other.hash && self.of.is(other.of) && self.text == other.text
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
