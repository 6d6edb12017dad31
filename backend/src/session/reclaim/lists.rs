//! Lists: the nodes on their way out, and one slice of what is done about them.

mod purge;
mod search;

use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;
use rustc_hash::FxHashSet;

use self::purge::Purge;
use self::search::Search;
use super::keyed::Keyed;
use super::rings::{Rings, may_lie_on_one};
use super::sweep::Sweep;
use super::{Garbage, LOOKS, NODES};
use crate::context::engine::Engine;
use crate::evaluate::cycle;
use crate::graph::claim::Phase;
use crate::graph::edges::Deps;
use crate::graph::flags::{Flags, Keeping, Leaving};
use crate::graph::footprint;
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::graph::stale_reads;

#[derive(Default)]
pub(super) struct Lists {
    /// Nodes that may have to go, LISTED.
    candidates: Vec<NodeRef>,
    /// Nodes that would go, if marks could not name them. LISTED.
    origins: Vec<NodeRef>,
    search: Option<Search>,
    /// The fewest tasks that there have been since the last search began.
    fewest: usize,
    pub(super) rings: Rings,
    /// Retired, in LIMBO.
    limbo: Vec<NodeRef>,
    /// Whether some have been retired in this slice.
    has_departures: bool,
    /// Whether a source is among those in limbo.
    has_sources: bool,
    /// Whether a node on probation is.
    has_new: bool,
    purge: Option<Purge>,
    /// Nothing names them any more.
    freed: Vec<NodeRef>,
    /// Inputs that were removed, and are read or held.
    nameless: FxHashSet<NodeRef>,
    /// Tasks whose arguments hold them.
    pub(super) keyed: Keyed,
    pub(super) sweep: Sweep,
    /// While a task is forgotten with all that it alone has read: what that is.
    forsaken: Option<Vec<NodeRef>>,
}

impl Lists {
    /// One slice. Returns whether there is something left to do at once.
    pub(super) fn slice(&mut self, engine: &Engine, garbage: &mut Garbage) -> bool {
        if cfg!(debug_assertions) {
            self.check_sum(engine);
        }
        let mut is_unfinished = self.go_on(engine, garbage);
        if let Some(persistence) = engine.persistence() {
            persistence.drop_orphans();
            persistence.drop_victims();
            is_unfinished |= persistence.has_victims();
        }
        self.tell(engine);
        if std::mem::take(&mut self.has_departures) {
            // Relaxed: the gate orders it with sessions.
            engine.departures.renew(Relaxed);
        }
        is_unfinished
    }

    fn go_on(&mut self, engine: &Engine, garbage: &mut Garbage) -> bool {
        let mut left = NODES;
        self.rings.pay();
        if !self.forget(engine, &mut left, garbage) {
            return true;
        }
        // Handles to one input may be released by the thousand, with the tasks whose arguments they were.
        let mut inputs = FxHashSet::default();
        for handle in engine.released.take() {
            let node = handle.into_node();
            if node.has(Leaving::NAMELESS) {
                inputs.insert(node);
            }
            self.list(node);
        }
        inputs.into_iter().for_each(|input| self.look_at_handles(input));
        let has_trimmed = self.trim_recents(engine, &mut left, garbage);
        let has_swept = self.sweep(engine, &mut left, garbage) && has_trimmed;
        let mut looks = LOOKS;
        while self.see_through(engine, &mut left, garbage) {
            if self.search(engine, &mut looks) && self.purge(engine, &mut looks) {
                let take = self.freed.len().min(left);
                garbage.nodes = self.freed.split_off(self.freed.len() - take);
                self.note_freed(&garbage.nodes);
                return !self.freed.is_empty() || !has_swept || self.is_worth_a_purge(engine);
            }
            if looks == 0 || left == 0 {
                break;
            }
        }
        true
    }

    /// Whether nodes have gone that are not freed.
    pub(super) fn is_leaving(&self) -> bool {
        !self.limbo.is_empty() || self.purge.is_some() || !self.freed.is_empty()
    }

    /// These are freed when the gate has been given back.
    fn note_freed(&mut self, nodes: &[NodeRef]) {
        let tasks = nodes.iter().filter(|node| !node.has(Leaving::NAMELESS));
        tasks.for_each(|node| self.sweep.free(*node));
    }

    /// Lists a node that may have to go.
    pub(super) fn list(&mut self, node: NodeRef) {
        if !node.has(Leaving::LISTED | Leaving::LIMBO) {
            node.put_on(Leaving::LISTED);
            self.candidates.push(node);
        }
    }

    /// A value that has expired is of use to readers alone, as what they have seen. Its task goes if there are none, unless the value may be
    /// handed out once more.
    pub(super) fn expire(&mut self, node: NodeRef) {
        if node.task_fn.last_good {
            return;
        }
        abandon(node);
        self.list(node);
    }

    pub(super) fn remove_input(&mut self, node: NodeRef) {
        self.nameless.insert(node);
        node.put_on(Leaving::NAMELESS);
        abandon(node);
        self.list(node);
        let mut live = Vec::new();
        node.with_dependents(|readers| {
            // SAFETY: the gate is held exclusively.
            let readers =
                readers.as_slice().iter().filter(|reader| unsafe { reader.position_of(node) }.is_some());
            live.extend(readers.map(|reader| reader.reader()));
        });
        self.abandon_readers(&live);
    }

    /// Whatever else the readers of a removed input have read, they would have to run if they were asked for. So nothing is lost
    /// with those that nothing reads or holds; and by their arguments they are mostly out of reach.
    pub(super) fn abandon_readers(&mut self, readers: &[NodeRef]) {
        for reader in readers.iter().filter(|reader| !reader.state.is_fresh()) {
            abandon(*reader);
            Persisted::change(*reader, |persisted| persisted.is_orphan = true);
            self.list(*reader);
        }
    }

    /// Sources that tasks have read before, and none does any more, go. Should one read them again, they are observed then: a
    /// refresh has come in between.
    pub(super) fn drop_unread(&mut self, sources: &[NodeRef], garbage: &mut Garbage) {
        for node in
            sources.iter().copied().filter(|node| node.has(Leaving::WAS_READ) && !node.has(Leaving::LIMBO))
        {
            if is_read(node) {
                node.take_off(Leaving::WAS_READ);
            } else if !is_held(node) {
                abandon(node);
                node.state.set_exclusively(Phase::Empty);
                self.take_value(node, garbage);
                self.list(node);
            }
        }
    }

    pub(super) fn revive_input(&mut self, node: NodeRef) {
        self.nameless.remove(&node);
        self.keyed.forget_input(node);
        node.take_off(Leaving::NAMELESS | Leaving::ABANDONED);
    }

    pub(super) fn take_all(&mut self) -> Vec<NodeRef> {
        let Self { limbo, purge, freed, nameless, .. } = std::mem::take(self);
        let leaving = purge.into_iter().flat_map(|purge| purge.leaving);
        limbo.into_iter().chain(leaving).chain(freed).chain(nameless).collect()
    }

    /// Takes the outputs of nodes that were forgotten. Returns whether that was all of them.
    fn forget(&mut self, engine: &Engine, left: &mut usize, garbage: &mut Garbage) -> bool {
        let (nodes, is_all) = some_of(&engine.drops, *left);
        self.forget_these(engine, nodes, left, garbage);
        let (nodes, is_all_deep) = some_of(&engine.deep_drops, *left);
        self.forsaken = Some(Vec::new());
        self.forget_these(engine, nodes, left, garbage);
        let mut is_done = is_all && is_all_deep;
        for read in self.forsaken.take().unwrap_or_default() {
            if !read.task_fn.is_leaf() && read.task_fn.observe.is_none() && !is_held(read) && !is_read(read) {
                engine.queue_deep_drop(read);
                is_done = false;
            }
        }
        is_done
    }

    fn forget_these(
        &mut self,
        engine: &Engine,
        mut nodes: Vec<NodeRef>,
        left: &mut usize,
        garbage: &mut Garbage,
    ) {
        // Some may have been forgotten before, as members of a component.
        nodes.retain(|node| node.flag(Flags::DROP_QUEUED));
        cycle::whole_components(&mut nodes);
        if let Some(persistence) = engine.persistence().filter(|_| !nodes.is_empty()) {
            persistence.whole_components(&mut nodes);
            persistence.forget(&nodes);
        }
        *left = left.saturating_sub(nodes.len());
        for node in nodes {
            node.clear_flag(Flags::DROP_QUEUED);
            node.keep(Keeping::EVICTED, false);
            note_given_up(engine, node);
            self.drop_output(engine, node, garbage);
        }
    }

    /// Takes the value out of a node whose state says that there is none.
    fn take_value(&mut self, node: NodeRef, garbage: &mut Garbage) {
        self.sweep.take_bytes(footprint::unweigh(node));
        // SAFETY: the gate is held exclusively.
        garbage.values.extend(unsafe { node.take_value() });
    }

    /// Drops the output of a node, and the node if nothing reads, holds or names it.
    pub(super) fn drop_output(&mut self, engine: &Engine, node: NodeRef, garbage: &mut Garbage) {
        abandon(node);
        if node.state.phase() == Phase::Fresh {
            node.set_flag(Flags::FORGOTTEN);
        }
        drop(stale_reads::take(&node.work));
        node.state.set_exclusively(Phase::Empty);
        if !may_lie_on_one(node) && self.can_go(node) {
            self.retire(engine, node, garbage);
        } else {
            self.take_value(node, garbage);
            self.list(node);
        }
    }

    /// Retires the candidates that can go. Returns whether all candidates have been looked at.
    fn see_through(&mut self, engine: &Engine, left: &mut usize, garbage: &mut Garbage) -> bool {
        loop {
            while *left > 0
                && let Some(node) = self.candidates.pop()
            {
                node.take_off(Leaving::LISTED);
                *left -= 1;
                if !is_unwanted(node) || is_held(node) {
                } else if is_read(node) {
                    if may_lie_on_one(node) {
                        self.rings.wait(node);
                    } else if node.flag(Flags::RESOLVED) {
                        *left = left.saturating_sub(self.dissolve(engine, node, garbage));
                    }
                } else if !self.waits_as_origin(node) {
                    self.retire(engine, node, garbage);
                }
            }
            if *left == 0 || !self.rings.is_due() {
                break;
            }
            self.retire_rings(engine, left, garbage);
        }
        if self.candidates.is_empty() {
            shrink(&mut self.candidates);
            self.keyed.shrink();
            if self.nameless.is_empty() && self.nameless.capacity() > 0 {
                self.nameless = FxHashSet::default();
            }
        }
        self.candidates.is_empty() && !self.rings.is_due()
    }

    /// Drops the outputs of a component, if none of its members is wanted or held. They wait as a ring from then on. Returns how many there are.
    fn dissolve(&mut self, engine: &Engine, node: NodeRef, garbage: &mut Garbage) -> usize {
        let Some(component) = cycle::component_of(node) else { return 0 };
        if component.members.iter().any(|member| !is_unwanted(*member) || is_held(*member)) {
            return 0;
        }
        let mut members = component.members.to_vec();
        cycle::whole_components(&mut members);
        component.members.iter().for_each(|member| self.drop_output(engine, *member, garbage));
        component.members.len()
    }

    /// Retires those that are read by each other only.
    fn retire_rings(&mut self, engine: &Engine, left: &mut usize, garbage: &mut Garbage) {
        let mut rings = std::mem::take(&mut self.rings);
        let (going, looks) = rings.search(|node| self.waits_as_origin(node));
        self.rings = rings;
        *left = left.saturating_sub(going.len() + looks / (LOOKS / NODES));
        // All at once, so that none of them is listed for having lost a reader.
        going.iter().for_each(|node| node.put_on(Leaving::LIMBO));
        going.into_iter().for_each(|node| self.retire(engine, node, garbage));
    }

    /// Whether nothing reads, holds or names a node.
    fn can_go(&mut self, node: NodeRef) -> bool {
        !is_held(node) && !is_read(node) && !self.waits_as_origin(node)
    }

    /// Whether marks may name a node; then it is seen to that it is looked at when they do not.
    pub(super) fn waits_as_origin(&mut self, node: NodeRef) -> bool {
        if node.flag(Flags::ORIGIN) && !node.has(Leaving::LISTED) {
            node.put_on(Leaving::LISTED);
            self.origins.push(node);
        }
        node.flag(Flags::ORIGIN) || node.has(Leaving::SOUGHT)
    }

    pub(super) fn retire(&mut self, engine: &Engine, node: NodeRef, garbage: &mut Garbage) {
        node.put_on_exclusively(Leaving::LIMBO);
        self.rings.forget(node);
        drop(stale_reads::take(&node.work));
        node.state.set_exclusively(Phase::Empty);
        if let Some(persistence) = engine.persistence() {
            if self.keyed.has(node) {
                // It may go to save memory, while the program holds the input.
                Persisted::change(node, |persisted| persisted.is_orphan = true);
            }
            persistence.disown(node);
        }
        if node.has(Leaving::NAMELESS) {
            self.nameless.remove(&node);
            self.keyed.forget_input(node);
        } else {
            engine.table.remove(node);
            self.keyed.forget_task(node);
        }
        // SAFETY: the gate is held exclusively. With its reads gone, the node's reverse edges are dead everywhere.
        let reads = std::mem::take(unsafe { &mut *node.deps.get() });
        if !node.has(Leaving::NAMELESS) {
            self.sweep.take_bytes(footprint::unweigh(node));
            self.sweep.retire(node);
        }
        self.lose_reads(engine, &reads);
        if node.task_fn.may_expire() {
            engine.expiries.forget(&[node]);
        }
        self.has_sources |= node.flag(Flags::SOURCE);
        self.has_new |= node.keeping().contains(Keeping::ON_PROBATION);
        if node.task_fn.ops.value_needs_drop {
            // SAFETY: the gate is held exclusively.
            garbage.values.extend(unsafe { node.take_value() });
        }
        self.limbo.push(node);
        self.has_departures = true;
    }

    /// A node has lost these reads: its reverse edges at them are dead.
    pub(super) fn lose_reads(&mut self, engine: &Engine, reads: &Deps) {
        self.sweep.take_bytes(reads.as_slice().len() * footprint::EDGE);
        for read in reads.as_slice() {
            let read = read.node();
            // SAFETY: the gate is held exclusively.
            let edges = unsafe { read.dependents_exclusively() }.as_slice().len();
            let dead = read.dead.load(Relaxed).saturating_add(1);
            read.dead.store(dead, Relaxed);
            if dead == 1 {
                engine.note_dead_edges(read, edges);
            }
            if usize::from(dead) >= edges || dead == u16::MAX {
                self.sweep.lose_readers(read);
            }
            if read.has(Leaving::ABANDONED | Leaving::UNREACHABLE) {
                self.list(read);
            }
            if read.flag(Flags::SOURCE) {
                read.put_on(Leaving::WAS_READ);
            }
            if let Some(forsaken) = &mut self.forsaken {
                forsaken.push(read);
            }
        }
    }
}

/// The program does not want the task any more.
fn abandon(node: NodeRef) {
    node.put_on(Leaving::ABANDONED);
    if let Some(extra) = node.extra()
        && let Some(shared) = &*extra.handle.lock()
    {
        shared.abandon();
    }
}

/// Takes so many nodes off a list, and says whether that was all.
fn some_of(list: &Mutex<Vec<NodeRef>>, most: usize) -> (Vec<NodeRef>, bool) {
    let mut list = list.lock();
    let rest = list.len().saturating_sub(most);
    if rest == 0 { (std::mem::take(&mut *list), true) } else { (list.split_off(rest), false) }
}

pub(super) fn is_unwanted(node: NodeRef) -> bool {
    let is_unwanted =
        node.has(Leaving::UNREACHABLE) || node.has(Leaving::ABANDONED) && !node.state.is_fresh();
    is_unwanted && !node.has(Leaving::LIMBO)
}

pub(super) fn is_held(node: NodeRef) -> bool {
    node.extra().is_some_and(|extra| extra.handle.lock().as_ref().is_some_and(|shared| shared.is_held()))
}

/// Whether a node has live readers. Looks at all of a list only if that can be short or all of it dead.
pub(super) fn is_read(node: NodeRef) -> bool {
    const SHORT: usize = 64;
    // SAFETY: the gate is held exclusively.
    if unsafe { node.dependents_exclusively() }.as_slice().is_empty() {
        return false;
    }
    node.with_dependents(|readers| {
        let (all, dead) = (readers.as_slice().len(), node.dead.load(Relaxed));
        if all > SHORT && usize::from(dead) < all && dead != u16::MAX {
            return true;
        }
        // SAFETY: the gate is held exclusively.
        readers.retain(|reader| unsafe { reader.position_of(node) }.is_some());
        node.dead.store(0, Relaxed);
        !readers.as_slice().is_empty()
    })
}

/// Gives back the room of a list that was long.
fn shrink(list: &mut Vec<NodeRef>) {
    if list.capacity() > NODES {
        *list = Vec::new();
    }
}

/// Notes for explanations that the program does not want the value of a node any more. No memory is taken for that where nothing listens.
fn note_given_up(engine: &Engine, node: NodeRef) {
    let extra = if engine.observers.any() { Some(node.extra_or_insert()) } else { node.extra() };
    if let Some(extra) = extra {
        extra.given_up.store(true, Relaxed);
    }
}
