//! The wait graph: who waits for whom, so that a cycle is an error and never a hang.
//!
//! A *strand* is one sequential thread of control: a thread's stack inside a session, later also an async execution or an
//! item of a scope. A claimed node names its owner strand (`marks.rs`). Before a strand sleeps it registers here, under
//! one lock, and follows the chain: the node's owner, the node which that owner waits for, its owner, and so on.
//! If the chain leads back to itself, nobody on it can ever go on.
//!
//! The last strand of a cycle to register sees all others registered and all claims named (a claim is named before
//! its owner can wait), so every cycle is found, at the moment when it closes.

use std::collections::HashMap;

use crate::claim::Phase;
use crate::marks;
use crate::node::NodeRef;
use crate::sync::Mutex;

/// A sleeping strand.
struct Blocked {
    on: NodeRef,
    /// The nodes that the strand has claimed, outermost first.
    claimed: Vec<NodeRef>,
}

/// The tasks of one strand that lie on a cycle: from the node waited for to the innermost.
fn stretch(claimed: &[NodeRef], from: NodeRef) -> &[NodeRef] {
    let start = claimed.iter().position(|node| *node == from).unwrap_or(0);
    &claimed[start..]
}

/// All sleeping strands of an engine.
#[derive(Default)]
pub(crate) struct WaitGraph {
    blocked: Mutex<HashMap<u64, Blocked>>,
}

impl WaitGraph {
    /// Registers `strand`, which has claimed the nodes `claimed`, as waiting for `on`.
    ///
    /// # Errors
    /// The cycle, if waiting would close one; nothing is registered then. (It is named after the lock is given back: that
    /// runs code of the user's.)
    pub(crate) fn block(&self, strand: u64, claimed: &[NodeRef], on: NodeRef) -> Result<(), Vec<NodeRef>> {
        let mut blocked = self.blocked.lock();
        let mut cycle = Vec::new();
        let mut node = on;
        while let (Phase::Running, Some(owner)) = (node.state.phase(), marks::owner(&node.work)) {
            if owner == strand {
                cycle.extend(stretch(claimed, node));
                return Err(cycle);
            }
            let Some(next) = blocked.get(&owner) else { break };
            cycle.extend(stretch(&next.claimed, node));
            node = next.on;
        }
        blocked.insert(strand, Blocked { on, claimed: claimed.to_vec() });
        Ok(())
    }

    /// Takes `strand` out again, after it woke up.
    pub(crate) fn unblock(&self, strand: u64) {
        self.blocked.lock().remove(&strand);
    }
}
