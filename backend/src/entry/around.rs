//! Around: what a task in memory has read, and what has read it, for a look at the graph while the program runs.
//!
//! A look enters the gate beside the open sessions, past all that wait there, so it waits for nothing. If it is alone in the gate, it holds it
//! exclusively while it follows edges; otherwise the reads of a task that is not current may change under it, and are left out. The look then
//! goes on as a session, so that no node goes while its name is printed by the user's code.
//!
//! A look is bounded: so many nodes, and so many edges of each. A node with more says how many it has.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::thread;
use std::time::Duration;

use crate::context::engine::Engine;
use crate::context::local::Naming;
use crate::entry::activity::Survey;
use crate::entry::explain::state_of;
use crate::entry::explanation::State;
use crate::graph::edges::Edge;
use crate::graph::flags::Flags;
use crate::graph::node::NodeRef;
use crate::graph::task_name::{TaskId, TaskRef};

/// How often a look is begun anew, to find the gate free.
const TRIES: u32 = 50;
/// Between two of these.
const PAUSE: Duration = Duration::from_millis(1);
/// Edges of one node that one look follows, from where it begins.
const LOOKED_AT: usize = 10_000;
/// A node with more neighbours in one direction has them told by function.
const FAN: usize = 12;
/// Neighbours of each function that stand by themselves then.
const BY_THEMSELVES: usize = 2;

/// The direction of an edge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// To what the task has read.
    Reads,
    /// To what has read the task.
    Readers,
}

/// How much is known of the reads of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ReadsKnown {
    /// All of them.
    Yes,
    /// None: the task is being computed, or is not current while sessions are open.
    NotNow,
    /// None in memory: the store has them.
    Stored,
}

/// A task in memory.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AroundTask {
    /// Its name.
    pub task: TaskId,
    /// How things are with its value.
    pub state: State,
    /// Whether its reads are known.
    pub known: ReadsKnown,
    /// How many reads its last run has made, as far as these are known.
    pub reads: usize,
    /// How many tasks have read it, about: some of them may not read it any more.
    pub readers: usize,
}

/// Neighbours of a task that are of one function, and do not stand by themselves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AroundGroup {
    /// The place of the task.
    pub of: usize,
    /// Whether the neighbours are reads or readers of the task.
    pub direction: Direction,
    /// The path of their function; empty for those that were not looked at.
    pub function: &'static str,
    /// How many there are.
    pub count: usize,
}

/// Tasks in memory around one of them, and the reads between them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Around {
    /// The tasks. The first is the one that was asked about.
    pub tasks: Vec<AroundTask>,
    /// Reader and what it has read, by their places in `tasks`.
    pub edges: Vec<(usize, usize)>,
    /// Neighbours that are told by their number.
    pub groups: Vec<AroundGroup>,
    /// Whether there is more than was asked for.
    pub is_cut: bool,
}

/// One page of the neighbours of a task in memory.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Neighbours {
    /// The task.
    pub task: AroundTask,
    /// Its neighbours on this page.
    pub page: Vec<AroundTask>,
    /// Where the next page begins, if there is more.
    pub next: Option<usize>,
}

/// Edges of a node.
struct Page {
    nodes: Vec<NodeRef>,
    next: Option<usize>,
}

/// A node that a look has met, in which no node goes.
struct Met {
    node: NodeRef,
    known: ReadsKnown,
    reads: usize,
}

/// A look at the graph.
struct Sight {
    /// Nothing else is in the gate.
    is_alone: bool,
}

/// The gate, held exclusively in the middle of a look.
struct Alone<'a>(&'a Engine);

impl<'a> Alone<'a> {
    fn begin(engine: &'a Engine) -> Option<Self> {
        engine.gate.upgrade().then(|| Self(engine))
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.gate.downgrade();
    }
}

impl Engine {
    /// Returns the tasks that are up to `depth` reads away from one, in both directions, `most` of them at most. Of a task with many neighbours
    /// two of each function stand by themselves. None if it is not in memory, or an update does not end.
    pub fn around(&self, task: &TaskId, depth: usize, most: usize) -> Option<Around> {
        let collect = |sight: &Sight, root| Walk::from(sight, root, (depth, most.max(1)));
        let is_whole = |walk: &Walk| walk.met.iter().all(|met| met.known != ReadsKnown::NotNow);
        let (walk, _survey) = self.look_around(task, collect, is_whole)?;
        let tasks = walk.met.iter().map(Met::named).collect();
        Some(Around { tasks, edges: walk.edges, groups: walk.groups, is_cut: walk.is_cut })
    }

    /// Returns a page of what a task has read, or of what has read it: up to `limit`, from place `from` of the list on. None if it is not in
    /// memory, or an update does not end.
    pub fn neighbours(
        &self,
        task: &TaskId,
        direction: Direction,
        from: usize,
        limit: usize,
    ) -> Option<Neighbours> {
        let collect = |sight: &Sight, node| {
            let page = sight.page(node, direction, from, limit.max(1));
            let Page { nodes, next } = page;
            let page: Vec<_> = nodes.into_iter().map(|node| sight.meet(node)).collect();
            (sight.meet(node), page, next)
        };
        let is_whole = |(met, ..): &(Met, Vec<Met>, Option<usize>)| met.known != ReadsKnown::NotNow;
        let ((met, page, next), _survey) = self.look_around(task, collect, is_whole)?;
        Some(Neighbours { task: met.named(), page: page.iter().map(Met::named).collect(), next })
    }

    /// Collects something around a task, with nothing else in the gate if that can be had soon, or if what is found `is_whole` without.
    fn look_around<T>(
        &self,
        task: &TaskId,
        collect: impl Fn(&Sight, NodeRef) -> T,
        is_whole: impl Fn(&T) -> bool,
    ) -> Option<(T, Survey<'_>)> {
        for tries in 1..=TRIES {
            if let Some(survey) = Survey::begin(self) {
                let node = self.find_named(task)?;
                let alone = Alone::begin(self);
                let found = collect(&Sight { is_alone: alone.is_some() }, node);
                if alone.is_some() || tries == TRIES || is_whole(&found) {
                    return Some((found, survey));
                }
            }
            thread::sleep(PAUSE);
        }
        None
    }

    /// Returns the node of a name, while a session is open.
    fn find_named(&self, task: &TaskId) -> Option<NodeRef> {
        let node = self.table.find(task.hash(), |node| task.is_of(node));
        node.or_else(|| {
            let inputs = self.inputs.lock();
            let mut named = inputs.values().filter(|node| node.hash == task.hash() && task.is_of(**node));
            named.next().copied()
        })
    }
}

impl Met {
    /// Prints the name of the node. Runs the user's `Debug`.
    fn named(&self) -> AroundTask {
        let Self { node, known, reads } = *self;
        let _no_session = Naming::begin();
        let readers = node.with_dependents(|dependents| dependents.as_slice().len());
        AroundTask { task: TaskRef::to(node).id(), state: state_of(node), known, reads, readers }
    }
}

impl Sight {
    fn known(&self, node: NodeRef) -> ReadsKnown {
        let is_stable = self.is_alone || node.state.is_fresh() || node.task_fn.is_leaf();
        match is_stable {
            _ if node.flag(Flags::RESTORED) => ReadsKnown::Stored,
            true => ReadsKnown::Yes,
            false => ReadsKnown::NotNow,
        }
    }

    fn reads(&self, node: NodeRef) -> &[Edge] {
        match self.known(node) {
            // SAFETY: the gate is held exclusively, or the node was seen FRESH in the open session; leaves have no reads.
            ReadsKnown::Yes => unsafe { node.deps() }.as_slice(),
            ReadsKnown::NotNow | ReadsKnown::Stored => &[],
        }
    }

    fn meet(&self, node: NodeRef) -> Met {
        Met { node, known: self.known(node), reads: self.reads(node).len() }
    }

    /// Returns neighbours of a node from a place on: no reads, if these cannot be looked at now.
    fn page(&self, node: NodeRef, direction: Direction, from: usize, limit: usize) -> Page {
        match direction {
            Direction::Reads => {
                let reads = self.reads(node);
                let nodes: Vec<_> = reads.iter().skip(from).take(limit).map(|edge| edge.node()).collect();
                let next = from.saturating_add(nodes.len());
                Page { nodes, next: (next < reads.len()).then_some(next) }
            }
            Direction::Readers => self.readers(node, from, limit),
        }
    }

    fn readers(&self, node: NodeRef, from: usize, limit: usize) -> Page {
        let some: Vec<_> = node.with_dependents(|dependents| {
            dependents.as_slice().iter().skip(from).take(LOOKED_AT + 1).copied().collect()
        });
        let (mut nodes, mut seen, mut looked_at) = (Vec::new(), HashSet::new(), 0);
        for dependent in some.iter().take(LOOKED_AT) {
            if nodes.len() == limit {
                break;
            }
            looked_at += 1;
            let reader = dependent.reader();
            let is_stable = self.is_alone || reader.state.is_fresh();
            // SAFETY: the gate is held exclusively, or the reader is FRESH: its reads do not change.
            if is_stable && unsafe { dependent.position_of(node) }.is_some() && seen.insert(reader) {
                nodes.push(reader);
            }
        }
        Page { nodes, next: (looked_at < some.len()).then_some(from + looked_at) }
    }
}

/// A breadth-first walk: what is near comes first when there is too much.
struct Walk {
    met: Vec<Met>,
    places: HashMap<NodeRef, usize>,
    edges: Vec<(usize, usize)>,
    groups: Vec<AroundGroup>,
    most: usize,
    is_cut: bool,
}

impl Walk {
    fn from(sight: &Sight, root: NodeRef, (depth, most): (usize, usize)) -> Self {
        let mut walk = Self {
            met: Vec::new(),
            places: HashMap::new(),
            edges: Vec::new(),
            groups: Vec::new(),
            most,
            is_cut: false,
        };
        walk.place(sight, root);
        let directions = [Direction::Reads, Direction::Readers];
        let mut queue: VecDeque<_> = directions.map(|direction| (root, direction, 0)).into();
        while let Some((node, direction, steps)) = queue.pop_front() {
            if steps < depth {
                let next = walk.step(sight, node, direction);
                queue.extend(next.into_iter().map(|node| (node, direction, steps + 1)));
            }
        }
        walk.edges.sort_unstable();
        walk.edges.dedup();
        walk
    }

    /// Adds the neighbours of a node, and returns those that are new and stand by themselves.
    fn step(&mut self, sight: &Sight, node: NodeRef, direction: Direction) -> Vec<NodeRef> {
        let of = self.places[&node];
        let Page { mut nodes, next } = sight.page(node, direction, 0, LOOKED_AT);
        let mut grouped: BTreeMap<&'static str, usize> = BTreeMap::new();
        if nodes.len() > FAN {
            let mut seen: HashMap<&'static str, usize> = HashMap::new();
            nodes.retain(|node| {
                let function = TaskRef::to(*node).path();
                let number = seen.entry(function).or_default();
                *number += 1;
                if *number > BY_THEMSELVES {
                    *grouped.entry(function).or_default() += 1;
                }
                *number <= BY_THEMSELVES
            });
        }
        if let Some(next) = next {
            let all = match direction {
                Direction::Reads => self.met[of].reads,
                Direction::Readers => node.with_dependents(|dependents| dependents.as_slice().len()),
            };
            grouped.insert("", all.saturating_sub(next));
        }
        let groups = grouped.into_iter().filter(|(_, count)| *count > 0);
        self.groups.extend(groups.map(|(function, count)| AroundGroup { of, direction, function, count }));
        let mut new = Vec::new();
        for next in nodes {
            let is_new = !self.places.contains_key(&next);
            let Some(place) = self.place(sight, next) else { continue };
            self.edges.push(match direction {
                Direction::Reads => (of, place),
                Direction::Readers => (place, of),
            });
            if is_new {
                new.push(next);
            }
        }
        new
    }

    fn place(&mut self, sight: &Sight, node: NodeRef) -> Option<usize> {
        if let Some(place) = self.places.get(&node) {
            return Some(*place);
        }
        if self.met.len() == self.most {
            self.is_cut = true;
            return None;
        }
        self.places.insert(node, self.met.len());
        self.met.push(sight.meet(node));
        Some(self.met.len() - 1)
    }
}
