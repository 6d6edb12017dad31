//! The wait graph: who waits for whom, so that a cycle is an error and never a hang.
//!
//! A *strand* is one sequential thread of control (`strand.rs`). A claimed node names its owner strand (`marks.rs`).
//! Before a strand sleeps (or, if it is a future, before it gives way) it registers here, under one lock, and follows the
//! waits: the node's owner, the nodes for which that owner waits, their owners, and so on. A strand waits
//!
//! * for the nodes that it is registered with: one for a thread, several for a future that joins others;
//! * for all strands that it has started and that work for it (helpers of its scope, carried work): for a strand that is
//!   registered, its lineage says who those are.
//!
//! If the waits lead back to the strand itself, or to one of its lineage, nobody on the way can ever go on.
//!
//! The last strand of a cycle to register sees all others registered and all claims named (a claim is named before
//! its owner can wait), so every cycle is found, at the moment when it closes.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::claim::Phase;
use crate::failure::CycleError;
use crate::marks;
use crate::node::NodeRef;
use crate::strand::Lineage;
use crate::sync::Mutex;

/// A strand that waits for nodes.
struct Blocked {
    /// What it waits for, and how many times over.
    on: FxHashMap<NodeRef, usize>,
    /// The nodes that the strand has claimed, outermost first.
    claimed: Vec<NodeRef>,
    lineage: Option<Arc<Lineage>>,
}

/// A cycle: the error, and the addresses of the nodes on it.
pub(crate) struct Cycle {
    pub(crate) error: Arc<CycleError>,
    pub(crate) members: Vec<usize>,
}

#[derive(Default)]
struct Graph {
    blocked: FxHashMap<u64, Blocked>,
    /// For each strand, the blocked ones that work for it.
    workers: FxHashMap<u64, Vec<u64>>,
}

/// All waiting strands of an engine.
#[derive(Default)]
pub(crate) struct WaitGraph(Mutex<Graph>);

fn ancestors(lineage: Option<&Arc<Lineage>>) -> impl Iterator<Item = &Lineage> {
    std::iter::successors(lineage.map(|lineage| &**lineage), |lineage| lineage.parent.as_deref())
}

fn owner(node: NodeRef) -> Option<u64> {
    match node.state.phase() {
        Phase::Running => marks::owner(&node.work),
        _ => None,
    }
}

impl WaitGraph {
    /// Registers `strand`, which has claimed the nodes `claimed`, as waiting for `on`.
    ///
    /// # Errors
    /// The cycle, if waiting would close one; nothing is registered then.
    pub(crate) fn block(
        &self,
        strand: u64,
        claimed: &[NodeRef],
        lineage: Option<&Arc<Lineage>>,
        on: NodeRef,
    ) -> Result<(), Cycle> {
        let mut graph = self.0.lock();
        if let Some(way) = graph.way_back(strand, lineage, on) {
            // Writing the path runs `Debug` of the user's.
            drop(graph);
            return Err(cycle(claimed, lineage, &way));
        }
        graph.insert(strand, claimed, lineage, on);
        Ok(())
    }

    /// Takes out one registration of `strand` with `on`.
    pub(crate) fn unblock(&self, strand: u64, on: NodeRef) {
        self.0.lock().remove(strand, on);
    }
}

/// One step of a way through the graph: the tasks of a strand, from the one waited for to the innermost.
type Way = Vec<(NodeRef, Vec<NodeRef>)>;

impl Graph {
    fn insert(&mut self, strand: u64, claimed: &[NodeRef], lineage: Option<&Arc<Lineage>>, on: NodeRef) {
        let blocked = self.blocked.entry(strand).or_insert_with(|| {
            for ancestor in ancestors(lineage) {
                self.workers.entry(ancestor.strand).or_default().push(strand);
            }
            Blocked { on: FxHashMap::default(), claimed: claimed.to_vec(), lineage: lineage.cloned() }
        });
        *blocked.on.entry(on).or_default() += 1;
    }

    fn remove(&mut self, strand: u64, on: NodeRef) {
        let Some(blocked) = self.blocked.get_mut(&strand) else { return };
        if let Some(times) = blocked.on.get_mut(&on) {
            *times -= 1;
            if *times == 0 {
                blocked.on.remove(&on);
            }
        }
        if !blocked.on.is_empty() {
            return;
        }
        let Some(blocked) = self.blocked.remove(&strand) else { return };
        for ancestor in ancestors(blocked.lineage.as_ref()) {
            if let Some(workers) = self.workers.get_mut(&ancestor.strand) {
                workers.retain(|worker| *worker != strand);
                if workers.is_empty() {
                    self.workers.remove(&ancestor.strand);
                }
            }
        }
    }

    /// The way from `on` back to `strand` or its lineage: each step's node and the tasks that lie on the way.
    fn way_back(&self, strand: u64, lineage: Option<&Arc<Lineage>>, on: NodeRef) -> Option<Way> {
        let mut seen: FxHashSet<u64> = FxHashSet::default();
        let mut steps: Vec<(NodeRef, Option<usize>, Vec<NodeRef>)> = vec![(on, None, Vec::new())];
        let mut next = 0;
        while next < steps.len() {
            let node = steps[next].0;
            if let Some(owner) = owner(node) {
                if owner == strand || ancestors(lineage).any(|ancestor| ancestor.strand == owner) {
                    return Some(way(&steps, next));
                }
                if seen.insert(owner) {
                    let workers = self.workers.get(&owner).map_or(&[][..], |workers| workers);
                    for waiting in std::iter::once(&owner).chain(workers) {
                        let Some(blocked) = self.blocked.get(waiting) else { continue };
                        let tasks = chain(&blocked.claimed, blocked.lineage.as_ref());
                        steps.extend(blocked.on.keys().map(|on| (*on, Some(next), from(&tasks, node))));
                    }
                }
            }
            next += 1;
        }
        None
    }
}

/// The tasks of a strand and of those that wait for it, outermost first.
fn chain(claimed: &[NodeRef], lineage: Option<&Arc<Lineage>>) -> Vec<NodeRef> {
    let mut parts: Vec<&[NodeRef]> = ancestors(lineage).map(|ancestor| &*ancestor.claimed).collect();
    parts.reverse();
    parts.push(claimed);
    parts.concat()
}

/// The tasks from `node` on.
fn from(tasks: &[NodeRef], node: NodeRef) -> Vec<NodeRef> {
    let start = tasks.iter().position(|task| *task == node).unwrap_or(0);
    tasks[start..].to_vec()
}

/// Follows the steps from `last` back to the first. A step holds the tasks of the strand that the step came from.
fn way(steps: &[(NodeRef, Option<usize>, Vec<NodeRef>)], last: usize) -> Way {
    let mut way = vec![];
    let mut at = Some(last);
    while let Some(step) = at {
        let (node, before, tasks) = &steps[step];
        way.push((*node, tasks.clone()));
        at = *before;
    }
    way.reverse();
    way
}

fn cycle(claimed: &[NodeRef], lineage: Option<&Arc<Lineage>>, way: &Way) -> Cycle {
    let own = chain(claimed, lineage);
    let closing = way.last().map(|(node, _)| *node);
    let mut tasks: Vec<NodeRef> = way.iter().flat_map(|(_, tasks)| tasks.iter().copied()).collect();
    tasks.extend(closing.map(|node| from(&own, node)).unwrap_or_default());
    let error = CycleError { path: tasks.iter().map(|node| format!("{node:?}")).collect() };
    Cycle { error: Arc::new(error), members: tasks.iter().map(|node| node.address()).collect() }
}
