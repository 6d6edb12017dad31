//! Settled: what was asked for in a state of the world has been stored, so that no body runs when the world is back in that state, in whichever
//! process. This goes by whole states, so it needs no model of what a cycle has read.

use std::collections::{BTreeSet, VecDeque};

use crate::generate::End;
use crate::program::FILES;

/// States that are looked back to. The store keeps the last eight runs of a task.
const KEPT: usize = 4;

/// All that tasks can read, but for what is outside.
pub type World = (Vec<Option<i64>>, [i64; FILES]);

#[derive(Clone, Debug)]
struct Settled {
    world: World,
    /// The nodes that have come to values there, over tasks that are all stored.
    nodes: BTreeSet<usize>,
}

/// The last states, and what is stored of each.
#[derive(Debug, Default)]
pub struct States {
    /// The most recent one first.
    states: VecDeque<Settled>,
    durable: VecDeque<Settled>,
}

impl States {
    /// Nodes are asked for in a state. Returns whether all that is needed for them is stored.
    #[must_use]
    pub fn ask(&mut self, world: &World, nodes: &[usize]) -> bool {
        let at = self.states.iter().position(|state| state.world == *world);
        let state = at.and_then(|at| self.states.remove(at));
        let state = state.unwrap_or_else(|| Settled { world: world.clone(), nodes: BTreeSet::new() });
        let is_settled = nodes.iter().all(|node| state.nodes.contains(node));
        self.states.push_front(state);
        self.states.truncate(KEPT);
        is_settled
    }

    /// A node has come to its value in the state that was last asked about.
    pub fn has_come(&mut self, node: usize) {
        if let Some(state) = self.states.front_mut() {
            state.nodes.insert(node);
        }
    }

    /// Something was dropped, or may have been.
    pub fn forget(&mut self) {
        self.states.clear();
        self.durable.clear();
    }

    /// All that has been handed to the store is durable.
    pub fn flushed(&mut self) {
        self.durable.clone_from(&self.states);
    }

    /// Another process goes on with the store.
    pub fn restarted(&mut self, end: End) {
        match end {
            End::Dropped => self.flushed(),
            End::Crashed => self.states.clone_from(&self.durable),
        }
    }
}
