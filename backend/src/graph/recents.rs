//! Recents: the outputs that functions with `lru = N` have in memory, by function, about the least recently used first.
//!
//! A function's list is a ring with second chances: an output that has been used since goes to the end of it instead of out of memory. For
//! example, with `lru = 2` and the outputs of `a`, `b` and `c`, of which `a` was asked for twice: `b` goes.

use std::collections::VecDeque;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::graph::flags::{Flags, Keeping, Leaving};
use crate::graph::node::NodeRef;

/// The outputs of functions that keep a number of them.
#[derive(Default)]
pub(crate) struct Recents(Mutex<FxHashMap<u32, Ring>>);

struct Ring {
    most: usize,
    nodes: VecDeque<NodeRef>,
}

impl Recents {
    /// Notes that a node with a value is among these. Returns whether there are too many of its function now.
    pub(crate) fn note(&self, node: NodeRef) -> bool {
        if node.keeping().contains(Keeping::RECENT) {
            return false;
        }
        node.keep(Keeping::RECENT, true);
        let mut rings = self.0.lock();
        let ring = rings.entry(node.function).or_insert_with(|| Ring::of(node.task_fn.most));
        ring.nodes.push_back(node);
        ring.nodes.len() > ring.most
    }

    /// Sets how many outputs a function keeps. Returns whether it has more.
    pub(crate) fn set(&self, function: u32, most: usize) -> bool {
        let mut rings = self.0.lock();
        let ring = rings.entry(function).or_insert_with(|| Ring::of(None));
        ring.most = most;
        ring.nodes.len() > most
    }

    /// Takes out those that are too many, as far as `may_go` lets them, with about so many looks. Returns them, and whether those are all.
    ///
    /// The caller holds the gate exclusively.
    pub(crate) fn take(&self, looks: &mut usize, may_go: impl Fn(NodeRef) -> bool) -> (Vec<NodeRef>, bool) {
        let mut taken = Vec::new();
        for ring in self.0.lock().values_mut() {
            // Each use is a look, and what stays is looked at once.
            let mut rounds = ring.nodes.len() * (1 + usize::from(Keeping::MOST_USES));
            while ring.nodes.len() > ring.most && rounds > 0 {
                if *looks == 0 {
                    return (taken, false);
                }
                (*looks, rounds) = (*looks - 1, rounds - 1);
                let Some(node) = ring.nodes.pop_front() else { break };
                if !node.flag(Flags::HAS_VALUE) {
                    node.keep(Keeping::RECENT, false);
                } else if node.take_use() || !may_go(node) {
                    ring.nodes.push_back(node);
                } else {
                    node.keep(Keeping::RECENT, false);
                    taken.push(node);
                }
            }
        }
        (taken, true)
    }

    /// Nodes that are about to be freed leave.
    pub(crate) fn forget_leaving(&self) {
        for ring in self.0.lock().values_mut() {
            ring.nodes.retain(|node| !node.has(Leaving::LIMBO));
        }
    }
}

impl Ring {
    fn of(most: Option<usize>) -> Self {
        Self { most: most.unwrap_or(usize::MAX), nodes: VecDeque::new() }
    }
}
