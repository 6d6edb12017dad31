//! Mark: after a change, make everything stale that depends on it, along live reverse edges.
//!
//! Runs with the gate held exclusively, by one thread. A node that is stale already is not passed again: its
//! dependents were marked when it became so. Nothing that is unaffected is visited. Dead reverse edges met on the
//! way are dropped.

use crate::claim::Phase;
use crate::edges::Dependent;
use crate::marks;
use crate::node::{MARKED, MUST_RUN, NodeRef};

/// Marks what depends on `changed`, transitively.
///
/// The caller holds the gate exclusively.
pub(crate) fn mark_dependents(changed: NodeRef) {
    let mut worklist = Vec::new();
    mark_readers(changed, &mut worklist);
    while let Some(node) = worklist.pop() {
        mark_readers(node, &mut worklist);
    }
}

/// Makes a node stale that has to run again whatever its reads are, and marks what depends on it.
///
/// The caller holds the gate exclusively.
pub(crate) fn mark_must_run(node: NodeRef) {
    match node.state.phase() {
        Phase::Fresh => {
            node.set_flag(MUST_RUN);
            node.state.set_exclusively(Phase::Stale);
            mark_dependents(node);
        }
        Phase::Stale => node.set_flag(MUST_RUN),
        // It failed, and whoever caught that must ask again.
        Phase::Empty if !node.flag(MARKED) => {
            node.set_flag(MARKED);
            mark_dependents(node);
        }
        Phase::Empty => {}
        Phase::Running => unreachable!("nothing runs while the gate is held exclusively"),
    }
}

fn mark_readers(read: NodeRef, worklist: &mut Vec<NodeRef>) {
    // SAFETY: the gate is held exclusively.
    let dependents = unsafe { read.dependents_exclusively() };
    let mut dead = 0;
    for dependent in dependents.as_slice() {
        if !mark_reader(read, *dependent, worklist) {
            dead += 1;
        }
    }
    if dead > 0 {
        purge_dead(read);
    }
}

/// Marks the reader behind one reverse edge; `false` if the edge is dead.
fn mark_reader(read: NodeRef, dependent: Dependent, worklist: &mut Vec<NodeRef>) -> bool {
    // SAFETY: the gate is held exclusively.
    let Some(position) = (unsafe { dependent.position_of(read) }) else { return false };
    let reader = dependent.reader();
    match reader.state.phase() {
        Phase::Fresh => {
            marks::add(&reader.work, position, 1);
            reader.state.set_exclusively(Phase::Stale);
            worklist.push(reader);
        }
        Phase::Stale => {
            // SAFETY: the gate is held exclusively.
            let reads = unsafe { reader.deps() }.as_slice().len();
            marks::add(&reader.work, position, reads);
        }
        Phase::Empty if !reader.flag(MARKED) => {
            reader.set_flag(MARKED);
            worklist.push(reader);
        }
        Phase::Empty => {}
        Phase::Running => unreachable!("nothing runs while the gate is held exclusively"),
    }
    true
}

/// Drops the dead reverse edges of a node.
///
/// The caller holds the gate exclusively.
pub(crate) fn purge_dead(read: NodeRef) {
    read.with_dependents(|dependents| {
        // SAFETY: the gate is held exclusively.
        dependents.retain(|dependent| unsafe { dependent.position_of(read) }.is_some());
        read.dead.store(0, std::sync::atomic::Ordering::Relaxed);
    });
}
