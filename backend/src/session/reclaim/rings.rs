//! Rings: tasks that read each other, so that none of them is ever without a reader. Failed tasks can be such, and members of a
//! component. They go together, when nothing else reads or holds any of them.
//!
//! # In linear time
//! Nodes that may lie on a ring wait until all other candidates have been looked at. Then one search goes from them to their readers,
//! depth first, and looks at each node and edge once, however many wait: it finds the groups of nodes that read each other (Tarjan's
//! strongly connected components, a group after those that read it). A group goes if nothing stays that reads it.
//!
//! A search that meets a node that stays has found out at once that all nodes stay that it has not done with: each of these is read by
//! one on the way to that node. For example: the ring `a <- b <- c <- a`, and `b` has a handle. The search from `a` comes to `b`, and
//! ends: `a` and `b` stay. The one from `c` comes to `a`, and ends, too.
//!
//! # In vain
//! Nothing remembers from one search to the next why a ring stays, so each handle of a large ring that is dropped in a session of its
//! own would have it searched for nothing. Looks that were in vain are a *debt*: no search begins before slices have paid it off.

use std::collections::hash_map::Entry;

use rustc_hash::{FxHashMap, FxHashSet};

use super::lists::{is_held, is_unwanted};
use super::{LOOKS, NODES};
use crate::graph::flags::{Flags, Leaving};
use crate::graph::node::NodeRef;

/// How many looks in vain a slice pays for.
const PAID: usize = NODES / 4;

/// The largest ring that goes: it goes in one slice.
const LARGEST: usize = 1 << 18;

/// Nodes that may lie on a ring.
#[derive(Default)]
pub(super) struct Rings {
    /// Unwanted nodes that are read.
    waiting: FxHashSet<NodeRef>,
    /// How many looks have been in vain, and are not paid for.
    debt: usize,
}

/// Whether a node may be among those that read each other: tasks of a cycle have failed, or were members of a component.
pub(super) fn may_lie_on_one(node: NodeRef) -> bool {
    node.flag(Flags::FAILED | Flags::MUST_RUN) || node.has(Leaving::MEMBER)
}

impl Rings {
    pub(super) fn wait(&mut self, node: NodeRef) {
        self.waiting.insert(node);
    }

    /// A node is about to go.
    pub(super) fn forget(&mut self, node: NodeRef) {
        if !self.waiting.is_empty() {
            self.waiting.remove(&node);
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether a search is due.
    pub(super) fn is_due(&self) -> bool {
        self.is_waiting() && self.debt < PAID
    }

    /// Another slice begins.
    pub(super) fn pay(&mut self) {
        self.debt = self.debt.saturating_sub(PAID);
    }

    /// Origins have been found not to be named by marks any more: the next search may have another outcome.
    pub(super) fn remit(&mut self) {
        self.debt = 0;
    }

    /// Searches from those that wait, as far as a slice goes. Returns those that go, and how many looks that took. Of those that
    /// marks may name, `waits_as_origin` sees to it that they are listed again.
    pub(super) fn search(
        &mut self,
        mut waits_as_origin: impl FnMut(NodeRef) -> bool,
    ) -> (Vec<NodeRef>, usize) {
        let mut search = Search::default();
        let waiting = std::mem::take(&mut self.waiting);
        let mut waiting = waiting.into_iter();
        while search.looks < LOOKS
            && let Some(node) = waiting.next()
        {
            let before = search.looks;
            search.go_from(node, &mut waits_as_origin);
            if search.seen.get(&node) != Some(&Seen::Goes) {
                self.debt += search.looks - before;
            }
        }
        self.waiting.extend(waiting);
        (search.going, search.looks)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Not done with: its place among these.
    Open(usize),
    Stays,
    Goes,
}

#[derive(Default)]
struct Search {
    seen: FxHashMap<NodeRef, Seen>,
    /// The way from where the search began.
    way: Vec<Step>,
    /// The nodes that are not done with. Each of these is read, directly or not, by one on the way that came before it, or is on it.
    open: Vec<NodeRef>,
    going: Vec<NodeRef>,
    looks: usize,
}

/// A node on the way.
struct Step {
    node: NodeRef,
    /// Its place among the open ones.
    place: usize,
    /// The first of the open ones that is known to read it.
    low: usize,
    /// How many of its readers have been looked at.
    done: usize,
    /// Whether it stays, for now, and with it all that it reads.
    stays: bool,
}

impl Search {
    fn go_from(&mut self, node: NodeRef, waits_as_origin: &mut impl FnMut(NodeRef) -> bool) {
        self.looks += 1;
        if self.seen.contains_key(&node) || !self.enter(node, waits_as_origin) {
            return;
        }
        while let Some(step) = self.way.last_mut() {
            let node = step.node;
            // SAFETY: the gate is held exclusively, and the edges do not change during a search.
            let Some(edge) = unsafe { node.dependents_exclusively() }.as_slice().get(step.done).copied()
            else {
                self.leave();
                continue;
            };
            step.done += 1;
            self.looks += 1;
            // SAFETY: the gate is held exclusively.
            if unsafe { edge.position_of(node) }.is_none() {
                continue;
            }
            let reader = edge.reader();
            let stays = match self.seen.get(&reader) {
                Some(Seen::Open(place)) => {
                    step.low = step.low.min(*place);
                    false
                }
                Some(Seen::Goes) => false,
                Some(Seen::Stays) => true,
                None => !self.enter(reader, waits_as_origin),
            };
            if stays {
                return self.give_up();
            }
        }
    }

    /// Goes on to a node that has not been seen. `false` if it stays whatever reads it.
    fn enter(&mut self, node: NodeRef, waits_as_origin: &mut impl FnMut(NodeRef) -> bool) -> bool {
        let may_go = may_lie_on_one(node) && is_unwanted(node) && !is_held(node) && self.open.len() < LARGEST;
        if !may_go {
            self.seen.insert(node, Seen::Stays);
            return false;
        }
        let place = self.open.len();
        self.open.push(node);
        self.seen.insert(node, Seen::Open(place));
        // The search goes on: all of a ring that marks may name are to be looked at together.
        let stays = waits_as_origin(node);
        self.way.push(Step { node, place, low: place, done: 0, stays });
        true
    }

    /// All readers of the last node on the way have been looked at.
    fn leave(&mut self) {
        let Some(step) = self.way.pop() else { return };
        if step.low == step.place {
            let group = self.open.split_off(step.place);
            let seen = if step.stays { Seen::Stays } else { Seen::Goes };
            self.settle(&group, seen);
            if !step.stays {
                self.going.extend(group);
            }
        }
        if let Some(read) = self.way.last_mut() {
            read.low = read.low.min(step.low);
            read.stays |= step.stays;
        }
    }

    /// A reader of the last node on the way stays.
    fn give_up(&mut self) {
        self.way.clear();
        let open = std::mem::take(&mut self.open);
        self.settle(&open, Seen::Stays);
    }

    fn settle(&mut self, nodes: &[NodeRef], seen: Seen) {
        for node in nodes {
            if let Entry::Occupied(mut entry) = self.seen.entry(*node) {
                entry.insert(seen);
            }
        }
    }
}
