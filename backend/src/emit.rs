//! Emitted values: what tasks say beside their results (diagnostics), kept with their nodes and collected on request.

use std::any::Any;
use std::collections::HashSet;
use std::panic::resume_unwind;
use std::sync::Arc;

use crate::demand::{demand, is_cancelled};
use crate::edges::Edge;
use crate::failure::TaskError;
use crate::local::Local;
use crate::node::{NodeRef, RESTORED};
use crate::persist::{self, Collected, Finding, Persist, Reason, Search, StoredEmitted};
use crate::storage::Digest;

/// A type whose values tasks may emit.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be emitted by a task",
    label = "not `Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static`",
    note = "derive `Clone`, `PartialEq`, `serde::Serialize` and `serde::Deserialize`: emitted values are compared after a \
            re-run, and replayed on a hit, also in a later process"
)]
pub trait Emitted: Clone + PartialEq + Persist + Send + Sync + 'static {}
#[diagnostic::do_not_recommend]
impl<T: Clone + PartialEq + Persist + Send + Sync + 'static> Emitted for T {}

/// An emitted value of some type.
pub(crate) type EmittedValue = Arc<dyn AnyEmitted>;

/// The type-erased side of [`Emitted`].
pub(crate) trait AnyEmitted: Any + Send + Sync {
    fn equals(&self, other: &dyn AnyEmitted) -> bool;
    /// Appends the encoded value; returns the channel that stands for its type in a store.
    fn encode(&self, out: &mut Vec<u8>) -> Result<Digest, Reason>;
}

/// The value, if it is of type `D`, as it was emitted or out of the store.
fn value_of<D: Emitted>(emitted: &dyn AnyEmitted) -> Option<D> {
    let any: &dyn Any = emitted;
    match any.downcast_ref::<D>() {
        Some(value) => Some(value.clone()),
        None => any.downcast_ref::<StoredEmitted>()?.decode(),
    }
}

impl<T: Emitted> AnyEmitted for T {
    fn equals(&self, other: &dyn AnyEmitted) -> bool {
        value_of::<T>(other).as_ref() == Some(self)
    }
    fn encode(&self, out: &mut Vec<u8>) -> Result<Digest, Reason> {
        persist::encode(self, out)
    }
}

/// Emits a value from the task that runs now. Outside of a task (directly in a session) it goes nowhere.
///
/// A hit replays what the task emitted when it ran; see [`collect`].
///
/// # Panics
/// Outside of a session.
#[track_caller]
pub fn emit<D: Emitted>(value: D) {
    let Some(local) = Local::current() else {
        panic!("`emit` was called outside of a session; call it in a task function that runs inside `runtime.run(..)`")
    };
    if local.is_recording() {
        local.emit(Arc::new(value));
    }
}

/// All values of type `D` that `root` and what it depends on emitted, each task's once, dependencies first, in the order
/// of the reads. Recorded: the body that runs now depends on all of them.
pub(crate) fn collect<D: Emitted>(local: &Local, root: NodeRef) -> Vec<D> {
    let mut collecting = Collecting { local, seen: HashSet::from([root]), seen_stored: HashSet::new() };
    let mut found = Vec::new();
    local.record(Edge::effects_of(root), true);
    let mut path: Vec<Visit> = collecting.visit(root).into_iter().collect();
    while let Some(visit) = path.last_mut() {
        match visit.next_read() {
            Some(Read::Edge(edge)) => path.extend(collecting.enter(edge.node())),
            Some(Read::Key(key)) => match collecting.find(key) {
                Ok(visit) => path.extend(visit),
                Err(Lost) => collecting.run_again(&path),
            },
            None => {
                found.extend(visit.emitted().iter().filter_map(|value| value_of::<D>(&**value)));
                path.pop();
            }
        }
    }
    found
}

struct Collecting<'a> {
    local: &'a Local,
    seen: HashSet<NodeRef>,
    seen_stored: HashSet<Digest>,
}

/// A task on the way, whose reads are looked at before its own values.
enum Visit {
    /// A node, fresh, and how many of its reads have been looked at.
    Node(NodeRef, usize),
    /// A node whose reads the store knows, and those that are left, last first.
    Restored(NodeRef, Vec<Digest>),
    /// A task that is only stored.
    Stored(Vec<EmittedValue>, Vec<Digest>),
}

enum Read {
    Edge(Edge),
    Key(Digest),
}

impl Visit {
    fn next_read(&mut self) -> Option<Read> {
        match self {
            Self::Node(node, next) => {
                // SAFETY: the node was made fresh before it came on the path.
                let edge = unsafe { node.deps() }.as_slice().get(*next).copied()?;
                *next += 1;
                Some(Read::Edge(edge))
            }
            Self::Restored(_, left) | Self::Stored(_, left) => left.pop().map(Read::Key),
        }
    }

    fn emitted(&self) -> Arc<[EmittedValue]> {
        match self {
            Self::Node(node, _) | Self::Restored(node, _) => {
                node.extra().map(|extra| extra.emitted.lock().clone()).unwrap_or_default()
            }
            Self::Stored(emitted, _) => emitted.as_slice().into(),
        }
    }
}

impl Collecting<'_> {
    /// A node that is fresh.
    fn visit(&self, node: NodeRef) -> Option<Visit> {
        if !node.flag(RESTORED) {
            return Some(Visit::Node(node, 0));
        }
        let reads = self.local.engine().persistence().and_then(|persistence| persistence.reads_of_restored(node));
        match reads {
            Some(mut reads) => {
                reads.reverse();
                Some(Visit::Restored(node, reads))
            }
            None => self.run_again(&[Visit::Restored(node, Vec::new())]),
        }
    }

    /// A node that was read.
    fn enter(&mut self, node: NodeRef) -> Option<Visit> {
        // A leaf emits nothing, so that nobody depends on it by collecting.
        if node.task_fn.is_leaf() || !self.seen.insert(node) {
            return None;
        }
        // Readers are recorded before what they read: what stands later is verified only if it is still read. A read
        // that fails is recorded, too: it may succeed, and emit, without a change to its reader.
        self.local.record(Edge::effects_of(node), true);
        match demand(self.local, node) {
            Ok(()) => self.visit(node),
            Err(payload) if is_cancelled(&payload) => resume_unwind(payload),
            // It has emitted nothing that could be kept; its reader coped with that.
            Err(_) => None,
        }
    }

    /// What a restored or stored task read. It is not recorded unless it is in memory: who depends on the effects of a
    /// restored task runs again whenever something changes behind that.
    fn find(&mut self, key: Digest) -> Result<Option<Visit>, Lost> {
        let Some(persistence) = self.local.engine().persistence().filter(|_| self.seen_stored.insert(key)) else {
            return Ok(None);
        };
        let mut search = Search::of(key);
        loop {
            match search.advance(persistence, self.local.engine().epoch()) {
                Finding::Leaf => return Ok(None),
                Finding::Found(Collected::Node(node)) => return Ok(self.enter(node)),
                Finding::Found(Collected::Stored(task)) => {
                    let mut reads = task.reads;
                    reads.reverse();
                    return Ok(Some(Visit::Stored(task.emitted, reads)));
                }
                Finding::Needs(node) => match demand(self.local, node) {
                    Ok(()) => {}
                    Err(payload) if is_cancelled(&payload) => resume_unwind(payload),
                    Err(_) => search.failed(node),
                },
                Finding::Lost => return Err(Lost),
            }
        }
    }

    /// Something on this path is not to be found in the store any more. What was restored on the strength of it runs again
    /// in the next session; in this one, values would be missing.
    #[cold]
    fn run_again(&self, path: &[Visit]) -> ! {
        let engine = self.local.engine();
        let restored = path.iter().filter_map(|visit| match visit {
            Visit::Restored(node, _) => Some(*node),
            Visit::Node(..) | Visit::Stored(..) => None,
        });
        let mut task = None;
        for node in restored {
            engine.volatiles.lock().push(node);
            task = Some(node);
        }
        engine.has_chores();
        TaskError::Panicked {
            task: task.map_or_else(|| "a stored task".to_owned(), |node| format!("{node:?}")),
            message: "what it emitted in an earlier process has been lost with a part of the store; ask again".to_owned(),
        }
        .throw()
    }
}

/// The store has lost a task.
struct Lost;
