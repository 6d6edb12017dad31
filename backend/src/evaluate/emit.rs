//! Emitted values: what tasks say beside their results (diagnostics), kept with their nodes and collected on request.

use std::any::{Any, TypeId};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::context::local::Local;
use crate::context::outside::outside_of_session;
use crate::evaluate::cycle;
use crate::evaluate::demand::demand;
use crate::evaluate::execute::rehearse;
use crate::evaluate::stored::{Collected, Finding, Search};
use crate::graph::edges::Edge;
use crate::graph::emitted::{AnyEmitted, Channels, Emitted, EmittedValue, value_of};
use crate::graph::flags::Flags;
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::graph::reason::Reason;
use larder_storage::Digest;

/// Emits a value from the task that runs now. Outside of a task (directly in a session) it goes nowhere.
///
/// A hit replays what the task emitted when it ran; see [`collect`](crate::collect). Values of a type without serde stay in memory, and
/// are for transient tasks: see [`Emitted`].
///
/// # Panics
/// Outside of a session.
#[track_caller]
pub fn emit<D: Emitted>(value: D) {
    let Some(local) = Local::current() else {
        outside_of_session(format_args!("`emit` was called outside of a session"), format_args!(""))
    };
    if local.is_recording() {
        local.emit(Arc::new(value));
    }
}

/// All values of type `D` that `root` and what it depends on emitted, each task's once, dependencies first, in the order
/// of the reads. Recorded: the body that runs now depends on all of them, and on no task's value.
///
/// Values that are *taken* are dealt with by the body: its task does not pass them on to collectors of its own. For example, `main` collects
/// from `report`, which takes from `check`, whose body emits, and from which `main` then gets nothing; if `main` calls `check` as well, it gets
/// that by this other way. So what a task takes cuts, for values of one type, the edges from it to the call that it takes from.
pub(crate) fn collect<D: Emitted>(local: &Local, root: NodeRef, how: Collect) -> Vec<D> {
    let mut rehearsed = HashMap::new();
    let of = TypeId::of::<D>();
    let values = loop {
        let mut collecting = Collecting::new(local, root, of, &rehearsed);
        match collecting.collect() {
            Ok(values) => break values,
            Err(Lost { behind }) => {
                rehearsed.insert(behind, Rehearsed::run(local, behind));
            }
        }
    };
    if local.is_recording() {
        let taken = (how == Collect::Takes).then_some(of);
        local.emit(Arc::new(HasCollected { root, taken }));
    }
    values
}

/// Whether a task passes on what it collects.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collect {
    /// Yes.
    PassesOn,
    /// No: it has dealt with it.
    Takes,
}

/// Notes, among the emitted values of a run, that it has collected from a call. No collector gets it. A run with such a note is
/// not stored.
struct HasCollected {
    /// The run has read its effects, so it is there as long as the run's reads are.
    root: NodeRef,
    /// The type of the values, if they were taken.
    taken: Option<TypeId>,
}

impl AnyEmitted for HasCollected {
    fn equals(&self, other: &dyn AnyEmitted) -> bool {
        let other: &dyn Any = other;
        other.downcast_ref::<Self>().is_some_and(|other| (self.root, self.taken) == (other.root, other.taken))
    }
    fn encode(&self, _: Channels, _: &mut Vec<u8>) -> Result<Digest, Reason> {
        Err(Reason::Collects)
    }
}

/// The reads by which a fresh node passes on values of a type, if it has taken any of that type; not for restored nodes.
fn passed_on(node: NodeRef, of: TypeId) -> Option<Vec<NodeRef>> {
    let emitted = node.extra()?.emitted.lock().clone();
    let notes = || emitted.iter().filter_map(|value| (&**value as &dyn Any).downcast_ref::<HasCollected>());
    let taken: Vec<NodeRef> = notes().filter(|note| note.taken == Some(of)).map(|note| note.root).collect();
    if taken.is_empty() {
        return None;
    }
    // A part of a value comes from where the value does.
    let is_taken = |node: NodeRef| {
        taken.contains(&node)
            || node.task_fn.part.is_some_and(|part| {
                // SAFETY: the descriptor is the node's.
                unsafe { (part.source)(node) }.is_some_and(|source| taken.contains(&source))
            })
    };
    // Effects of what lies behind a call were read to collect from that call, so the call leads to them.
    let leads_on = |edge: &Edge| {
        !edge.reads_effects() || notes().any(|note| note.taken != Some(of) && note.root == edge.node())
    };
    // SAFETY: the node is fresh.
    let reads = unsafe { node.deps() }.as_slice().iter();
    Some(reads.filter(|edge| leads_on(edge) && !is_taken(edge.node())).map(|edge| edge.node()).collect())
}

/// The node that a twin of the current session stands for, when its owner has finished it.
fn itself(local: &Local, root: NodeRef) -> NodeRef {
    let Some(node) = local.engine().aparts.original(root) else { return root };
    local.needing_nodes(|| demand(local, node)).unwrap_or_else(|stop| stop.throw())
}

/// The emitted values of a task are known when its owner has finished it, and a twin is made where that cannot be waited for.
fn refuse_twin(local: &Local, root: NodeRef, node: NodeRef) {
    if node.flag(Flags::TWIN)
        && let Some(cycle) = cycle::through_own(local, root)
    {
        // It emits what it emits in the last round, which depends on what is collected.
        cycle.throw();
    }
    assert!(
        !node.flag(Flags::TWIN),
        "values emitted by a call of `{}` cannot be collected here: this thread computes it further down on its stack, as part of \
         what a stolen job interrupted; collect them outside of the job",
        node.task_fn.site().name
    );
}

/// A search for emitted values, depth first.
struct Collecting<'a> {
    local: &'a Local,
    /// The call that is asked about. If it fails, so does the caller.
    root: NodeRef,
    /// The type of the values.
    of: TypeId,
    /// Restored tasks whose way to what they read is lost.
    rehearsed: &'a HashMap<NodeRef, Rehearsed>,
    seen: HashSet<NodeRef>,
    seen_stored: HashSet<Digest>,
    /// The nodes of `seen_stored` that were not in memory: their emitted values are told.
    told: HashSet<Digest>,
}

/// The store has lost a task behind this restored one.
struct Lost {
    behind: NodeRef,
}

/// A task on the way, whose reads are looked at before its own values.
struct Passage {
    task: Visited,
    /// Its reads, those that are left last first; those of a plain node are its `Deps`, of which so many are done.
    left: Vec<Read>,
    done: usize,
}

enum Visited {
    /// A fresh node.
    Node(NodeRef),
    /// A fresh node that has taken values of the type, and passes on what some of its reads lead to.
    Taker(NodeRef),
    /// The same; what it read is known to the store alone.
    Restored(NodeRef),
    /// A task that is only stored, with what it emitted.
    Stored(Vec<EmittedValue>),
}

#[derive(Clone, Copy)]
enum Read {
    Node(NodeRef),
    Key(Digest),
}

impl Passage {
    fn new(task: Visited, reads: impl DoubleEndedIterator<Item = Read>) -> Self {
        Self { task, left: reads.rev().collect(), done: 0 }
    }

    fn next_read(&mut self) -> Option<Read> {
        let Visited::Node(node) = self.task else { return self.left.pop() };
        // SAFETY: the node was made fresh before it came on the path.
        let edge = unsafe { node.deps() }.as_slice().get(self.done)?;
        self.done += 1;
        Some(Read::Node(edge.node()))
    }

    /// The same, of a task whose own values are told already.
    fn silent(self) -> Self {
        let reads = |node: NodeRef| {
            // SAFETY: as in `next_read`.
            let reads = unsafe { node.deps() }.as_slice().iter().rev();
            reads.map(|edge| Read::Node(edge.node())).collect()
        };
        let left = if let Visited::Node(node) = self.task { reads(node) } else { self.left };
        Self { task: Visited::Stored(Vec::new()), left, done: 0 }
    }

    fn emitted(&self) -> Arc<[EmittedValue]> {
        match &self.task {
            Visited::Node(node) | Visited::Taker(node) | Visited::Restored(node) => {
                node.extra().map(|extra| extra.emitted.lock().clone()).unwrap_or_default()
            }
            Visited::Stored(emitted) => emitted.as_slice().into(),
        }
    }
}

impl<'a> Collecting<'a> {
    fn new(local: &'a Local, root: NodeRef, of: TypeId, rehearsed: &'a HashMap<NodeRef, Rehearsed>) -> Self {
        let (seen, seen_stored, told) = (HashSet::new(), HashSet::new(), HashSet::new());
        Self { local, root, of, rehearsed, seen, seen_stored, told }
    }

    fn collect<D: Emitted>(&mut self) -> Result<Vec<D>, Lost> {
        let root = self.root;
        let mut found = Vec::new();
        let mut path: Vec<Passage> = self.enter(root)?.into_iter().collect();
        while let Some(visit) = path.last_mut() {
            let next = match visit.next_read() {
                Some(Read::Node(node)) => self.enter(node)?,
                Some(Read::Key(key)) => match self.find(key) {
                    Behind::Task(visit) => visit,
                    Behind::Node(node) => self.enter(node)?,
                    Behind::Lost => return Err(Lost { behind: innermost_restored(&path, root) }),
                },
                None => {
                    found.extend(visit.emitted().iter().filter_map(|value| value_of::<D>(&**value)));
                    path.pop();
                    continue;
                }
            };
            path.extend(next);
        }
        Ok(found)
    }

    /// A node that was read, made fresh.
    fn enter(&mut self, node: NodeRef) -> Result<Option<Passage>, Lost> {
        // No collecting task depends on a read that emits nothing.
        if !node.task_fn.emits() || !self.seen.insert(node) {
            return Ok(None);
        }
        // Readers are recorded before what they read: what stands later is verified only if it is still read. A read
        // that fails is recorded, too: it may succeed, and emit, without a change to its reader.
        self.local.record(Edge::effects_of(node), true);
        match self.local.needing_nodes(|| demand(self.local, node)) {
            Ok(holder) => {
                let is_apart = node == self.root && holder.flag(Flags::TWIN);
                refuse_twin(self.local, node, if is_apart { itself(self.local, holder) } else { holder });
                let visit = self.visit(node)?;
                Ok(Some(if self.is_told(node) { visit.silent() } else { visit }))
            }
            Err(stop) if stop.is_given_up() => stop.throw(),
            Err(stop) if node == self.root => stop.throw(),
            // It has emitted nothing that could be kept; its reader coped with that.
            Err(_) => Ok(None),
        }
    }

    /// Whether a node's task was only stored when it was visited: another strand has brought it into memory since.
    fn is_told(&self, node: NodeRef) -> bool {
        let key = || Persisted::of(node).and_then(|persisted| persisted.key);
        !self.told.is_empty() && key().is_some_and(|key| self.told.contains(&key))
    }

    /// A node that is fresh.
    fn visit(&self, node: NodeRef) -> Result<Passage, Lost> {
        if !node.flag(Flags::RESTORED) {
            return Ok(match passed_on(node, self.of) {
                Some(reads) => Passage::new(Visited::Taker(node), reads.into_iter().map(Read::Node)),
                None => Passage::new(Visited::Node(node), std::iter::empty()),
            });
        }
        if let Some(Rehearsed { reads, emitted }) = self.rehearsed.get(&node) {
            return Ok(Passage::new(
                Visited::Stored(emitted.clone()),
                reads.iter().map(|edge| Read::Node(edge.node())),
            ));
        }
        let reads =
            self.local.engine().persistence().and_then(|persistence| persistence.reads_of_restored(node));
        let reads = reads.ok_or(Lost { behind: node })?;
        Ok(Passage::new(Visited::Restored(node), reads.into_iter().map(Read::Key)))
    }

    /// The reads of a restored or stored task. They are not recorded unless they are in memory: a task that depends on the effects of a
    /// restored task runs again whenever something changes behind that.
    fn find(&mut self, key: Digest) -> Behind {
        let Some(persistence) = self.local.engine().persistence().filter(|_| self.seen_stored.insert(key))
        else {
            return Behind::Task(None);
        };
        let mut search = Search::of(key);
        loop {
            match search.advance(self.local, persistence) {
                Finding::Leaf => return Behind::Task(None),
                Finding::Found(Collected::Node(node)) => return Behind::Node(node),
                Finding::Found(Collected::Stored(task)) => {
                    self.told.insert(key);
                    let reads = task.reads.into_iter().map(Read::Key);
                    return Behind::Task(Some(Passage::new(Visited::Stored(task.emitted), reads)));
                }
                Finding::Needs(node) => match demand(self.local, node) {
                    Ok(holder) if holder == node => {}
                    Ok(_) => search.failed(node),
                    Err(stop) if stop.is_given_up() => stop.throw(),
                    Err(_) => search.failed(node),
                },
                Finding::Lost => return Behind::Lost,
            }
        }
    }
}

enum Behind {
    Node(NodeRef),
    /// None if it has been visited, or emits nothing.
    Task(Option<Passage>),
    Lost,
}

fn innermost_restored(path: &[Passage], root: NodeRef) -> NodeRef {
    let restored = path.iter().rev().find_map(|visit| match visit.task {
        Visited::Restored(node) => Some(node),
        Visited::Node(_) | Visited::Taker(_) | Visited::Stored(_) => None,
    });
    restored.unwrap_or(root)
}

/// The body of a restored task, run for nothing but to see what it reads and emits: the store has lost a part of that, and
/// the value, which is right, may be in use.
struct Rehearsed {
    reads: Vec<Edge>,
    emitted: Vec<EmittedValue>,
}

impl Rehearsed {
    #[cold]
    fn run(local: &Local, node: NodeRef) -> Self {
        let frame = local.begin_frame(&[], true);
        let outcome = rehearse(local, node);
        let reads = local.with_reads(<[Edge]>::to_vec);
        let emitted = local.take_emitted();
        local.end_frame(frame);
        match outcome {
            Ok(()) => Self { reads, emitted },
            Err(stop) => stop.throw(),
        }
    }
}
