//! Reclaim: what waits until no session is open. Volatile tasks are marked, dead edges purged, outputs and nodes dropped.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::claim::Phase;
use crate::cycle;
use crate::edges::Dependents;
use crate::engine::{Engine, new_generation};
use crate::mark::{Marking, mark_must_run, purge_dead};
use crate::marks::{self, Marks};
use crate::node::{DROP_QUEUED, FORGOTTEN, NodeRef, ORIGIN, TIDY_QUEUED};
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
    let untidy = std::mem::take(&mut *engine.untidy.lock());
    for node in untidy {
        node.clear_flag(TIDY_QUEUED);
        if node.dead.load(Ordering::Relaxed) > 0 {
            purge_dead(node);
        }
        node.with_dependents(Dependents::fit);
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

/// Takes the outputs of `nodes`, and those nodes out of everything on which nothing depends but each other, and to which nobody
/// holds a handle.
fn forget(exclusive: &Exclusive<'_>, nodes: &[NodeRef]) -> Garbage {
    let engine = exclusive.engine;
    let mut unheld = HashSet::new();
    let nodes = cycle::whole_components(nodes);
    for &node in &nodes {
        node.clear_flag(DROP_QUEUED);
        if let Some(persistence) = engine.persistence() {
            persistence.forget(node);
        }
        purge_dead(node);
        if !is_held(node) {
            unheld.insert(node);
        }
    }
    settle_origins(engine, &mut unheld);
    let alone = without_outside_readers(unheld);
    let mut garbage = Garbage::default();
    for &node in nodes.iter().filter(|node| !alone.contains(*node)) {
        if node.state.phase() == Phase::Fresh {
            node.set_flag(FORGOTTEN);
        }
        drop(marks::take(&node.work, 0));
        node.state.set_exclusively(Phase::Empty);
        // SAFETY: the gate is held exclusively, and the state says that there is no value.
        garbage.values.extend(unsafe { node.take_value() });
    }
    garbage.nodes.extend(alone);
    if !garbage.nodes.is_empty() {
        unlink_all(engine, &garbage.nodes);
        // Release: pairs with the Acquire in `Local::enter`; thread caches must not find the nodes.
        engine.generation.store(new_generation(), Ordering::Release);
    }
    garbage
}

/// Marks elsewhere may name an origin after all edges to it have gone, so origins cannot be freed as they are: they are listed.
/// When they are a good part of all tasks, all marks are searched for their names, which costs each of them a few steps; from
/// then on they are nodes like others. Those that are not free to go yet are left out of `unheld`.
fn settle_origins(engine: &Engine, unheld: &mut HashSet<NodeRef>) {
    let mut listed = engine.origins.lock();
    listed.extend(unheld.iter().copied().filter(|node| node.flag(ORIGIN)));
    if listed.len() * 4 < engine.table.len() {
        unheld.retain(|node| !node.flag(ORIGIN));
        return;
    }
    let origins: HashSet<NodeRef> = listed.drain(..).collect();
    for node in engine.table.nodes() {
        if let Some(single) = marks::single(&node.work)
            && let Some(origin) = single.origin()
            && origins.contains(&origin)
        {
            // From here on, its own read is looked at.
            marks::put(&node.work, Marks::One(single.without_origin()));
        }
    }
    for node in origins {
        node.clear_flag(ORIGIN);
        // One that has been computed again since it was forgotten is wanted.
        purge_dead(node);
        if node.state.phase() == Phase::Empty && !is_held(node) {
            unheld.insert(node);
        }
    }
}

/// Those of `nodes` that are read by none but each other: what is on a cycle, and has failed, is read by itself.
fn without_outside_readers(mut nodes: HashSet<NodeRef>) -> HashSet<NodeRef> {
    let is_read_from_outside = |node: &NodeRef| {
        node.with_dependents(|readers| {
            readers.as_slice().iter().any(|reader| !nodes.contains(&reader.reader()))
        })
    };
    let mut staying: Vec<NodeRef> = nodes.iter().copied().filter(is_read_from_outside).collect();
    while let Some(node) = staying.pop() {
        if nodes.remove(&node) {
            // SAFETY: the gate is held exclusively.
            let reads = unsafe { node.deps() }.as_slice();
            staying.extend(reads.iter().map(|read| read.node()).filter(|read| nodes.contains(read)));
        }
    }
    nodes
}

fn is_held(node: NodeRef) -> bool {
    let Some(extra) = node.extra() else { return false };
    extra.handle.lock().as_ref().is_some_and(|cell| Arc::strong_count(cell) > 1)
}

/// Takes nodes that nothing else reads or holds out of the table, the lists and the reverse edges of what they read.
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
