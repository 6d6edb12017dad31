//! Reclaim: what waits until no session is open. Volatile tasks are marked, dead edges purged, outputs and nodes dropped.
//!
//! It is done in *slices*: each holds the gate exclusively for about as long as a few thousand nodes take, and says whether there
//! is more. Between slices the gate is open, so sessions and updates go on.
//!
//! # How a node goes
//! ```text
//!   forget, a removed input and what has read it, the last handle of one of these, a cancelled first run
//!     │ ABANDONED: the program does not want the task
//!   listed            no value any more, no reader, no handle?                  otherwise it stays until one of these goes
//!     │ ORIGIN: marks may name it. It waits until a quarter of all tasks do, or there are twice as many as before; then all marks
//!     │ are searched for their names
//!   retired           out of the table, of the store's index and of its own reads (its reverse edges are dead from here on); what it
//!     │               alone has read, and is abandoned, too, is listed in turn
//!   limbo             until purging is worth it: reverse edges are pointers, so each node that has dead ones is purged once
//!     │
//!   freed             after the gate has been given back: a `Drop` of the user's may open a session
//! ```
//! For example: `forget` of 10,000 tasks that read one input. The first slice retires 4,096 of them, each of which counts one dead
//! edge at the input; the third one the rest. The input has 10,000 dead edges then, purging them is worth it, and takes a slice;
//! the next ones free the nodes.
//!
//! # Purging is worth it
//! if the edges to be looked at are few for the nodes in limbo, or if these are an eighth of all tasks. So a forgotten task among a
//! million readers of one input does not cost a million looks, and what waits in vain is bounded.
//!
//! # Which thread may touch what
//! [`Reclaim`] is used with the gate held exclusively. Its lists hold nodes that no one else frees; a node is freed only when no list
//! but the last one can name it: candidates and forgotten nodes are seen through before a purge begins or a node is freed.
//! Nodes that have been retired are in thread caches until the engine's generation changes, but have no value, so a cache does
//! not answer with them; `Engine::departures` tells every part that keeps a node between sessions without a handle.

mod keyed;
mod lists;
mod rings;
mod sweep;

use std::any::Any;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::Mutex;

use self::keyed::Findings;
use self::lists::Lists;
use crate::base::stack::on_enough_stack;
use crate::context::engine::Engine;
use crate::graph::edges::Dependents;
use crate::graph::expiry::Expired;
use crate::graph::flags::{Flags, Leaving};
use crate::graph::invalidate::{Marking, mark_must_run, purge_dead};
use crate::graph::node::NodeRef;
use crate::persist::Bereft;
use crate::session::Exclusive;

/// How many nodes a slice forgets, retires or frees, and how many edges or marks it looks at instead.
const NODES: usize = if cfg!(miri) { 16 } else { 4096 };
const LOOKS: usize = NODES * 8;

/// Unreachable nodes and outputs. Dropping them runs the user's `Drop`, so it happens when the gate has been given back.
#[derive(Default)]
pub(crate) struct Garbage {
    pub(crate) values: Vec<Box<dyn Any + Send>>,
    nodes: Vec<NodeRef>,
    twins: Vec<NodeRef>,
    is_unfinished: bool,
}

impl Garbage {
    pub(crate) fn join(&mut self, mut other: Self) {
        self.values.append(&mut other.values);
        self.nodes.append(&mut other.nodes);
        self.twins.append(&mut other.twins);
        self.is_unfinished |= other.is_unfinished;
    }

    /// Takes the nodes that are to be freed.
    #[cfg(all(test, larder_model))]
    pub(crate) fn take_nodes(&mut self) -> Vec<NodeRef> {
        std::mem::take(&mut self.nodes)
    }

    /// Whether another slice has something to do at once.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.is_unfinished
    }

    /// Whether another slice has something to do at once, or may have when this is dropped: what goes lets go of handles.
    pub(crate) fn calls_for_more(&self) -> bool {
        self.is_unfinished || !self.nodes.is_empty() || !self.values.is_empty()
    }
}

impl Drop for Garbage {
    fn drop(&mut self) {
        if !(self.values.is_empty() && self.nodes.is_empty() && self.twins.is_empty()) {
            on_enough_stack(|| self.drop_here());
        }
    }
}

impl Garbage {
    fn drop_here(&mut self) {
        for node in self.nodes.drain(..) {
            // SAFETY: 1. it was retired, so it is in neither the table nor an edge, and all edges to it have been purged; 2. it has no
            // handle; 3. thread caches are cleared by the new generation before any session looks into them.
            unsafe { node.free() };
        }
        for twin in self.twins.drain(..) {
            // SAFETY: twins are used in the sessions that they were made in only, and those are over.
            unsafe { twin.free_twin() };
        }
        self.values.clear();
    }
}

/// The nodes on their way out of an engine.
#[derive(Default)]
pub(crate) struct Reclaim(Mutex<Lists>);

impl Reclaim {
    /// Inputs have been removed, and what depends on them marked; the `bereft` do so as the store knows.
    pub(crate) fn remove_inputs(&self, engine: &Engine, removed: &[NodeRef], bereft: &Bereft) {
        let Bereft { readers, others } = bereft;
        let dependents = [&readers[..], others].concat();
        let due = self.0.lock().keyed.take_due(removed, !dependents.is_empty());
        // Without the lock, as this runs the user's `Hash`.
        let found = Findings::search(&due, &dependents);
        let mut lists = self.0.lock();
        removed.iter().for_each(|node| lists.remove_input(*node));
        lists.abandon_readers(readers);
        lists.note_keys(found, &due);
        engine.chores.list_tidying();
    }

    /// Whether keys are still to be searched for inputs that were removed.
    pub(crate) fn has_unsearched(&self) -> bool {
        self.0.lock().keyed.has_unsearched()
    }

    /// All sources are being looked at again: those that no task reads any more go instead.
    pub(crate) fn drop_unread_sources(&self, engine: &Engine) -> Garbage {
        let sources = engine.sources.lock().clone();
        let mut garbage = Garbage::default();
        let mut lists = self.0.lock();
        lists.drop_unread(&sources, &mut garbage);
        lists.tell(engine);
        engine.chores.list_tidying();
        garbage
    }

    /// Begins to shrink to so many bytes: chores do it.
    pub(crate) fn begin_shrinking(&self, engine: &Engine, bytes: usize) {
        self.0.lock().begin_shrinking(engine, bytes);
        engine.chores.list_prompt();
    }

    /// Whether that is not done.
    pub(crate) fn is_shrinking(&self) -> bool {
        self.0.lock().is_shrinking()
    }

    /// Whether more would have gone if all were committed.
    pub(crate) fn awaits_commit(&self) -> bool {
        self.0.lock().awaits_commit()
    }

    /// An input that was removed has been set again, by a handle that is left.
    pub(crate) fn revive_input(&self, node: NodeRef) {
        self.0.lock().revive_input(node);
    }

    /// All nodes that are in no other list of the engine, which ends.
    pub(crate) fn take_all(&mut self) -> Vec<NodeRef> {
        self.0.get_mut().take_all()
    }
}

/// Whether a node has so many dead edges that all are worth a look: an unwanted one is listed for each reader that it loses.
fn is_crowded(node: NodeRef) -> bool {
    let all = node.with_dependents(|readers| readers.as_slice().len());
    let dead = node.dead.load(Ordering::Relaxed);
    dead == u16::MAX || usize::from(dead) > all.saturating_sub(usize::from(dead)).max(8)
}

/// Does what was put off until the gate is held exclusively, as far as one slice goes. Costs two loads if there is nothing.
pub(crate) fn do_chores(exclusive: &Exclusive<'_>) -> Garbage {
    let engine = exclusive.engine;
    if !engine.take_chores() {
        return Garbage::default();
    }
    let invalidated = std::mem::take(&mut *engine.to_invalidate.lock());
    let Expired { nodes: expired, deadlines } = engine.expiries.take_due();
    let (mut passed, moved) = engine.passed(&deadlines);
    let mut garbage = engine.apply(&mut passed, moved, &invalidated);
    drop(invalidated);
    let mut lists = engine.reclaim.0.lock();
    let untidy = std::mem::take(&mut *engine.untidy.lock());
    for node in untidy {
        node.clear_flag(Flags::TIDY_QUEUED);
        if is_crowded(node) {
            purge_dead(node);
        }
        node.with_dependents(Dependents::fit);
        if node.has(Leaving::ABANDONED | Leaving::UNREACHABLE) {
            lists.list(node);
        }
    }
    let volatiles = std::mem::take(&mut *engine.volatiles.lock());
    if !(volatiles.is_empty() && expired.is_empty()) {
        let epoch = engine.advance();
        for node in volatiles {
            mark_must_run(node, epoch);
        }
        for node in expired {
            mark_must_run(node, epoch);
            lists.expire(node);
        }
    }
    if let Some(persistence) = engine.persistence()
        && persistence.has_queued()
    {
        persistence.mark_queued(&mut Marking::noting(engine.advance()));
    }
    let start = Instant::now();
    garbage.is_unfinished = lists.slice(engine, &mut garbage);
    engine.memory.note_slice(start.elapsed());
    engine.aparts.clear();
    garbage.twins = std::mem::take(&mut *engine.twins.lock());
    if garbage.is_unfinished {
        engine.chores.list_prompt();
    } else if lists.rings.is_waiting() {
        engine.chores.list_tidying();
    }
    garbage
}
