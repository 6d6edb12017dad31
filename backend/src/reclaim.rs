//! Reclaim: what waits until no session is open. Volatile tasks are marked, dead edges purged, outputs and nodes dropped.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::claim::Phase;
use crate::cycle;
use crate::engine::Engine;
use crate::mark::{Marking, mark_must_run, purge_dead};
use crate::marks;
use crate::node::{DROP_QUEUED, FORGOTTEN, NodeRef, ORIGIN, PURGE_QUEUED};
use crate::session::Exclusive;

/// What nobody can reach any more. Dropping it runs the user's `Drop`, so it happens when the gate has been given back.
#[derive(Default)]
pub(crate) struct Garbage {
    pub(crate) values: Vec<Box<dyn Any + Send>>,
    nodes: Vec<NodeRef>,
    twins: Vec<NodeRef>,
}

impl Garbage {
    pub(crate) fn join(&mut self, mut other: Self) {
        self.values.append(&mut other.values);
        self.nodes.append(&mut other.nodes);
        self.twins.append(&mut other.twins);
    }
}

impl Drop for Garbage {
    fn drop(&mut self) {
        for node in self.nodes.drain(..) {
            // SAFETY: 1. `unlink_all` took it out of the table and out of all edges, and no handle had it; 2. thread caches
            // are cleared by the new generation before any session looks into them.
            unsafe { node.free() };
        }
        for twin in self.twins.drain(..) {
            // SAFETY: twins are used in the sessions that they were made in only, and those are over.
            unsafe { twin.free_twin() };
        }
    }
}

/// Does what was put off until the gate is held exclusively. Costs one load if there is nothing.
pub(crate) fn do_chores(exclusive: &Exclusive<'_>) -> Garbage {
    let engine = exclusive.engine;
    if !engine.take_chores() {
        return Garbage::default();
    }
    let purges = std::mem::take(&mut *engine.purges.lock());
    for node in purges {
        node.clear_flag(PURGE_QUEUED);
        purge_dead(node);
    }
    let mut volatiles = std::mem::take(&mut *engine.volatiles.lock());
    volatiles.extend(engine.expiries.take_due());
    if !volatiles.is_empty() {
        let epoch = engine.advance();
        for node in volatiles {
            mark_must_run(node, epoch);
        }
    }
    if let Some(persistence) = engine.persistence()
        && persistence.has_queued()
    {
        persistence.mark_queued(&mut Marking::noting(engine.advance()));
    }
    let drops = std::mem::take(&mut *engine.drops.lock());
    let mut garbage = if drops.is_empty() { Garbage::default() } else { forget(exclusive, &drops) };
    garbage.twins = std::mem::take(&mut *engine.twins.lock());
    garbage
}

/// Takes the outputs of `nodes`, and those nodes out of everything that nobody depends on or holds a handle to.
fn forget(exclusive: &Exclusive<'_>, nodes: &[NodeRef]) -> Garbage {
    let mut garbage = Garbage::default();
    for node in cycle::whole_components(nodes) {
        node.clear_flag(DROP_QUEUED);
        if let Some(persistence) = exclusive.engine.persistence() {
            persistence.forget(node);
        }
        purge_dead(node);
        let is_alone = node.with_dependents(|dependents| dependents.is_empty()) && !is_held(node);
        if is_alone && !node.flag(ORIGIN) {
            garbage.nodes.push(node);
            continue;
        }
        if node.state.phase() == Phase::Fresh {
            node.set_flag(FORGOTTEN);
        }
        drop(marks::take(&node.work, 0));
        node.state.set_exclusively(Phase::Empty);
        // SAFETY: the gate is held exclusively, and the state says that there is no value.
        garbage.values.extend(unsafe { node.take_value() });
    }
    if !garbage.nodes.is_empty() {
        unlink_all(exclusive.engine, &garbage.nodes);
        // Release: pairs with the Acquire in `Local::enter`; thread caches must not find the nodes.
        exclusive.engine.generation.fetch_add(1, Ordering::Release);
    }
    garbage
}

fn is_held(node: NodeRef) -> bool {
    let Some(extra) = node.extra() else { return false };
    extra.handle.lock().as_ref().is_some_and(|cell| Arc::strong_count(cell) > 1)
}

/// Takes nodes without dependents and handles out of the table, the lists and the reverse edges of what they read.
fn unlink_all(engine: &Engine, nodes: &[NodeRef]) {
    let mut read_by_them = HashSet::new();
    for &node in nodes {
        if let Some(persistence) = engine.persistence() {
            persistence.disown(node);
        }
        engine.table.remove(node);
        // SAFETY: the gate is held exclusively. With its reads gone, the node's reverse edges are dead everywhere.
        let reads = std::mem::take(unsafe { &mut *node.deps.get() });
        read_by_them.extend(reads.as_slice().iter().map(|read| read.node()));
    }
    // Dead reverse edges of what they read once, and do not read any more, point at them, too.
    read_by_them.extend(engine.take_dead_edges());
    read_by_them.into_iter().for_each(purge_dead);
    let gone: HashSet<NodeRef> = nodes.iter().copied().collect();
    engine.volatiles.lock().retain(|node| !gone.contains(node));
    engine.sources.lock().retain(|node| !gone.contains(node));
    engine.expiries.forget(nodes);
}
