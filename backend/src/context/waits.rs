//! The wait graph: which strand waits for which, so that a cycle is an error and never a hang.
//!
//! A *strand* is one sequential thread of control (`strand.rs`). A claimed node names its owner strand (`stale_reads.rs`).
//! Before a strand sleeps (or, if it is a future, before it gives way) it registers here, under one lock, and follows the
//! waits: the node's owner, the nodes for which that owner waits, their owners, and so on. A strand waits
//!
//! * for the nodes that it is registered with: one for a thread, several for a future that joins others;
//! * for all strands that it has started and that work for it (helpers of its scope, carried work): for a strand that is
//!   registered, its lineage says which those are. The tasks that wait for such work are those which were claimed when it was
//!   started: what a thread computes beside the work that it has carried elsewhere does not wait for that.
//! * for the strand that stands above it on its stack, where a thread waits by running other work (`carry.rs`).
//!
//! If the waits lead back to the strand itself, or to one of its lineage, no strand on the way can ever go on. For example, strand 1
//! computes `a` and waits for `b`; strand 2, which computes `b`, is about to wait for `a`. It follows `a` to strand 1, that to `b`, and
//! `b` to itself: `a -> b -> a` is the error.
//!
//! The last strand of a cycle to register sees all others registered and all claims named (a claim is named before
//! its owner can wait), so every cycle is found, at the moment when it closes. A cycle that needs a step of the last kind
//! is no strand's fault: no task depends on itself, and the strand that would close it is told not to wait.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::base::sync::Mutex;
use crate::context::async_runs::{AsyncRuns, DriveAsyncRun};
use crate::context::strand::{Lineage, Link, ancestors};
use crate::graph::claim::Phase;
use crate::graph::node::NodeRef;
use crate::graph::stale_reads;
use crate::graph::strand_id::StrandId;

/// A strand that waits for nodes.
struct Blocked {
    on: Awaited,
    /// The nodes that the strand has claimed, outermost first.
    claimed: Claims,
    lineage: Option<Arc<Lineage>>,
    beneath: Option<Arc<Lineage>>,
}

impl Blocked {
    /// Whether `node`, which `owner` has claimed, waits for this strand's work by links that count.
    fn works_for(&self, owner: StrandId, node: NodeRef, counts: impl Fn(Link) -> bool) -> bool {
        let waiting = Lineage::waiting(self.lineage.as_ref(), self.beneath.as_ref());
        waiting.iter().any(|(lineage, link)| counts(*link) && lineage.waits(owner, node))
    }
}

/// The nodes that a strand has claimed. An async run has claimed one, and most others have few: these need no allocation.
type Claims = SmallVec<[NodeRef; 3]>;

/// The nodes that a strand waits for, and how many times over. Most wait for one node: that needs no allocation.
#[derive(Default)]
struct Awaited {
    one: Option<(NodeRef, usize)>,
    more: FxHashMap<NodeRef, usize>,
}

impl Awaited {
    fn add(&mut self, node: NodeRef) {
        match &mut self.one {
            Some((one, times)) if *one == node => *times += 1,
            None if !self.more.contains_key(&node) => self.one = Some((node, 1)),
            _ => *self.more.entry(node).or_default() += 1,
        }
    }

    fn remove(&mut self, node: NodeRef) {
        if let Some((one, times)) = &mut self.one
            && *one == node
        {
            *times -= 1;
            if *times == 0 {
                self.one = None;
            }
        } else if let Some(times) = self.more.get_mut(&node) {
            *times -= 1;
            if *times == 0 {
                self.more.remove(&node);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.one.is_none() && self.more.is_empty()
    }

    fn nodes(&self) -> impl Iterator<Item = NodeRef> {
        self.one.iter().map(|(node, _)| *node).chain(self.more.keys().copied())
    }
}

/// A strand that is about to wait.
#[derive(Clone, Copy)]
pub(crate) struct Waiter<'a> {
    pub(crate) strand: StrandId,
    /// The nodes that it has claimed, outermost first.
    pub(crate) claimed: &'a [NodeRef],
    pub(crate) lineage: Option<&'a Arc<Lineage>>,
    pub(crate) beneath: Option<&'a Arc<Lineage>>,
}

/// Why a strand must not wait.
pub(crate) enum Refused {
    /// The tasks on the cycle, and that of the waiter's, or of its lineage's, at which it closes.
    Cycle(Vec<NodeRef>, NodeRef),
    /// Its wait would never end, because of whom it stands on.
    Stacked,
}

#[derive(Default)]
struct Graph {
    blocked: FxHashMap<StrandId, Blocked>,
    /// For each strand, the blocked ones that work for it.
    workers: FxHashMap<StrandId, Vec<(StrandId, Link)>>,
    /// How many of the blocked strands stand on others.
    stacked: usize,
}

/// All waiting strands of an engine.
#[derive(Default)]
pub(crate) struct WaitGraph(Mutex<Graph>);

fn owner(node: NodeRef) -> Option<StrandId> {
    match node.state.phase() {
        Phase::Running => stale_reads::owner(&node.work),
        _ => None,
    }
}

impl WaitGraph {
    /// Registers `waiter` as waiting for `on`.
    ///
    /// # Errors
    /// If waiting would close a cycle; nothing is registered then.
    pub(crate) fn block(&self, waiter: Waiter<'_>, on: NodeRef) -> Result<(), Refused> {
        let mut graph = self.0.lock();
        if let Some(way) = graph.way_back(waiter, on, Link::Part) {
            let closes_at = way.last().map_or(on, |(node, _)| *node);
            return Err(Refused::Cycle(cycle(waiter, &way), closes_at));
        }
        if waiter.has_among_its_tasks(on) {
            // The task is being run apart, for this very waiter.
            return Err(Refused::Cycle(from(&chain(waiter.claimed, waiter.lineage), on), on));
        }
        if (graph.stacked > 0 || waiter.is_stacked()) && graph.way_back(waiter, on, Link::Stack).is_some() {
            return Err(Refused::Stacked);
        }
        graph.insert(waiter, on);
        Ok(())
    }

    /// Returns the async runs that have waiters.
    pub(crate) fn awaited(&self, async_runs: &AsyncRuns) -> Vec<Arc<dyn DriveAsyncRun>> {
        // Under the lock: every waiter is in an open session, so the nodes are there.
        let graph = self.0.lock();
        graph
            .blocked
            .values()
            .flat_map(|blocked| blocked.on.nodes())
            .filter_map(|node| async_runs.of(node))
            .collect()
    }

    /// How many strands wait.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().blocked.len()
    }

    /// Takes out one registration of `strand` with `on`.
    pub(crate) fn unblock(&self, strand: StrandId, on: NodeRef) {
        self.0.lock().remove(strand, on);
    }
}

impl Waiter<'_> {
    fn has_among_its_tasks(&self, node: NodeRef) -> bool {
        self.claimed.contains(&node) || ancestors(self.lineage).any(|above| above.claimed.contains(&node))
    }

    fn is_stacked(&self) -> bool {
        Lineage::waiting(self.lineage, self.beneath).iter().any(|(_, link)| *link == Link::Stack)
    }
}

/// One step of a way through the graph: the tasks of a strand, from the one waited for to the innermost.
type Way = Vec<(NodeRef, Vec<NodeRef>)>;

impl Graph {
    fn insert(&mut self, waiter: Waiter<'_>, on: NodeRef) {
        let Waiter { strand, claimed, lineage, beneath } = waiter;
        let blocked = self.blocked.entry(strand).or_insert_with(|| {
            for (waiting, link) in Lineage::waiting(lineage, beneath) {
                self.stacked += usize::from(link == Link::Stack);
                self.workers.entry(waiting.strand).or_default().push((strand, link));
            }
            Blocked {
                on: Awaited::default(),
                claimed: Claims::from_slice(claimed),
                lineage: lineage.cloned(),
                beneath: beneath.cloned(),
            }
        });
        blocked.on.add(on);
    }

    fn remove(&mut self, strand: StrandId, on: NodeRef) {
        let Some(blocked) = self.blocked.get_mut(&strand) else { return };
        blocked.on.remove(on);
        if !blocked.on.is_empty() {
            return;
        }
        let Some(blocked) = self.blocked.remove(&strand) else { return };
        for (waiting, link) in Lineage::waiting(blocked.lineage.as_ref(), blocked.beneath.as_ref()) {
            self.stacked -= usize::from(link == Link::Stack);
            if let Some(workers) = self.workers.get_mut(&waiting.strand) {
                workers.retain(|(worker, _)| *worker != strand);
                if workers.is_empty() {
                    self.workers.remove(&waiting.strand);
                }
            }
        }
    }

    /// The way from `on` back to the waiter, or to one that waits for it, by links of kind `Part` or, with `Stack`, of both
    /// kinds: each step's node and the tasks that lie on the way.
    fn way_back(&self, waiter: Waiter<'_>, on: NodeRef, links: Link) -> Option<Way> {
        let counts = |link: Link| links == Link::Stack || link == Link::Part;
        let waiting = Lineage::waiting(waiter.lineage, waiter.beneath);
        let ends_at = |owner: StrandId, node: NodeRef| {
            owner == waiter.strand
                || waiting.iter().any(|(end, link)| counts(*link) && end.waits(owner, node))
        };
        // The usual case: the owner is running, and waits for none.
        let first = owner(on)?;
        if !ends_at(first, on) && !self.blocked.contains_key(&first) && !self.workers.contains_key(&first) {
            return None;
        }
        let mut seen: FxHashSet<(StrandId, NodeRef)> = FxHashSet::default();
        let mut steps: Vec<(NodeRef, Option<usize>, Vec<NodeRef>)> = vec![(on, None, Vec::new())];
        let mut next = 0;
        while next < steps.len() {
            let node = steps[next].0;
            if let Some(owner) = owner(node) {
                if ends_at(owner, node) {
                    return Some(way(&steps, next));
                }
                // Not all of its claims wait for all that works for it.
                if seen.insert((owner, node)) {
                    let workers = self.workers.get(&owner).map_or(&[][..], |workers| workers);
                    let workers = workers.iter().filter(|(_, link)| counts(*link)).map(|(worker, _)| worker);
                    for waiting in std::iter::once(&owner).chain(workers) {
                        let Some(blocked) = self.blocked.get(waiting) else { continue };
                        if *waiting != owner && !blocked.works_for(owner, node, counts) {
                            continue;
                        }
                        let tasks = chain(&blocked.claimed, blocked.lineage.as_ref());
                        steps.extend(blocked.on.nodes().map(|on| (on, Some(next), from(&tasks, node))));
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

fn cycle(waiter: Waiter<'_>, way: &Way) -> Vec<NodeRef> {
    let own = chain(waiter.claimed, waiter.lineage);
    let closing = way.last().map(|(node, _)| *node);
    let mut tasks: Vec<NodeRef> = way.iter().flat_map(|(_, tasks)| tasks.iter().copied()).collect();
    tasks.extend(closing.map(|node| from(&own, node)).unwrap_or_default());
    tasks
}
