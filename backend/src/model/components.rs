//! Strands that resolve cycles together, and make way for each other.

use std::sync::Arc;

use super::{Nodes, explore, on_threads};
use crate::context::waits::{Refused, Waiter};
use crate::graph::claim::Phase;
use crate::graph::node::NodeRef;
use crate::graph::stale_reads;
use crate::graph::strand_id::StrandId;

/// A strand that resolves cycles, as `cycle.rs` and `cycle/make_way.rs` do: it claims what it meets, keeps what depends on a task that it
/// has claimed until that has ended, and makes way for another strand where it would wait for itself.
struct Walk<'a> {
    nodes: &'a Nodes,
    edges: &'static [&'static [usize]],
    strand: StrandId,
    claimed: Vec<NodeRef>,
    /// Members whose bodies have ended, with the depth of their component's head.
    parked: Vec<(NodeRef, usize)>,
    given_up: usize,
}

/// All claims from a depth on are given up; then this node is waited for.
struct GivesUp {
    low: usize,
    on: NodeRef,
}

impl Walk<'_> {
    /// Makes a node fresh, or finds that it depends on the claim at the depth that is returned.
    fn demand(&mut self, number: usize) -> Result<Option<usize>, GivesUp> {
        let node = self.nodes.nodes[number];
        loop {
            match node.state.phase() {
                Phase::Fresh => return Ok(None),
                Phase::Running if stale_reads::owner(&node.work) == Some(self.strand) => {
                    return Ok(self.depth_of(node));
                }
                Phase::Running => self.wait_for(node)?,
                phase => {
                    if node.state.try_claim(phase) {
                        let depth = self.claimed.len();
                        self.claimed.push(node);
                        stale_reads::take_for(&node.work, self.strand);
                        match self.run(number, depth) {
                            Err(GivesUp { low, on }) if low == depth => self.wait_for_way(on)?,
                            outcome => return outcome,
                        }
                    }
                }
            }
        }
    }

    fn run(&mut self, number: usize, depth: usize) -> Result<Option<usize>, GivesUp> {
        let mut low = depth;
        for read in self.edges[number] {
            match self.demand(*read) {
                Ok(reached) => low = low.min(reached.unwrap_or(depth)),
                Err(gives_up) => {
                    self.release(depth, Phase::Empty);
                    return Err(gives_up);
                }
            }
        }
        if low == depth {
            self.release(depth, Phase::Fresh);
            return Ok(None);
        }
        // Whatever is parked further in leads to this task's head, too.
        self.parked.iter_mut().filter(|(_, head)| *head >= low).for_each(|(_, head)| *head = low);
        let node = self.claimed.pop().expect("claimed by the caller");
        self.parked.push((node, low));
        Ok(Some(low))
    }

    fn depth_of(&self, node: NodeRef) -> Option<usize> {
        let parked = self.parked.iter().find(|(other, _)| *other == node).map(|(_, head)| *head);
        parked.or_else(|| self.claimed.iter().position(|other| *other == node))
    }

    /// Ends the innermost claim, which stands at `depth`, and those of the members whose head it is.
    fn release(&mut self, depth: usize, phase: Phase) {
        let node = self.claimed.pop().expect("claimed by the caller");
        let (with_it, others) = self.parked.drain(..).partition(|(_, head)| *head >= depth);
        self.parked = others;
        let with_it: Vec<(NodeRef, usize)> = with_it;
        for node in with_it.into_iter().map(|(node, _)| node).chain([node]) {
            stale_reads::take(&node.work);
            node.state.publish(phase, &self.nodes.lot, node.address());
        }
    }

    fn wait_for(&mut self, node: NodeRef) -> Result<(), GivesUp> {
        let mut claimed = self.claimed.clone();
        claimed.splice(0..0, self.parked.iter().map(|(node, _)| *node));
        let waiter = Waiter { strand: self.strand, claimed: &claimed, lineage: None, beneath: None };
        match self.nodes.waits.block(waiter, node) {
            Ok(()) => {
                node.state.wait(&self.nodes.lot, node.address(), None, || false);
                self.nodes.waits.unblock(self.strand, node);
                Ok(())
            }
            Err(Refused::Cycle(_, closes_at)) => {
                self.given_up += 1;
                let low = self.depth_of(closes_at).expect("it closes at a claim of this strand");
                Err(GivesUp { low, on: node })
            }
            Err(Refused::Stacked) => panic!("nobody stands on another's stack"),
        }
    }

    fn wait_for_way(&mut self, on: NodeRef) -> Result<(), GivesUp> {
        while on.state.phase() == Phase::Running && stale_reads::owner(&on.work) != Some(self.strand) {
            self.wait_for(on)?;
        }
        Ok(())
    }
}

fn check_components(edges: &'static [&'static [usize]], asked: &'static [usize]) {
    explore(move || {
        let nodes = Arc::new(Nodes::new(u32::try_from(edges.len()).expect("a few")));
        let shared = nodes.clone();
        on_threads(asked.len(), move |number| {
            let strand = StrandId::numbered(number as u64 + 1);
            let mut walk =
                Walk { nodes: &shared, edges, strand, claimed: Vec::new(), parked: Vec::new(), given_up: 0 };
            let reached = walk.demand(asked[number]).unwrap_or_else(|_| panic!("nothing is left to give up"));
            assert_eq!(reached, None, "the head of all has ended");
            assert!(walk.claimed.is_empty() && walk.parked.is_empty());
            assert!(shared.nodes[asked[number]].state.is_fresh());
            assert!(walk.given_up <= 2 * edges.len(), "{} times given up", walk.given_up);
        });
        assert!(nodes.nodes.iter().all(|node| node.state.phase() != Phase::Running));
    });
}

#[test]
fn strands_that_enter_a_component_by_different_heads_all_come_to_an_end() {
    check_components(&[&[1], &[0]], &[0, 1]);
    check_components(&[&[1], &[2], &[0]], &[0, 1, 2]);
    check_components(&[&[1], &[0, 2], &[3], &[2, 1]], &[0, 3]);
    check_components(&[&[1, 2], &[3], &[0], &[2, 0]], &[0, 1, 3]);
    // Two components, one behind the other, and a task before both.
    check_components(&[&[1], &[0, 2], &[3], &[2], &[3, 0]], &[4, 2, 1]);
}
