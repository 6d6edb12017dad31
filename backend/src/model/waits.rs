//! The wait graph: a cycle is found when it closes, and nothing else is called one.

use std::sync::Arc;

use shuttle::sync::atomic::Ordering::SeqCst;
use shuttle::thread;

use super::{Nodes, explore, on_threads};
use crate::context::strand::Lineage;
use crate::context::waits::{Refused, Waiter};
use crate::graph::claim::Phase;
use crate::graph::node::NodeRef;
use crate::graph::stale_reads;
use crate::graph::strand_id::StrandId;

impl Nodes {
    /// Claims the first of `path` and needs the rest, one through the other, as nested calls do.
    fn compute(&self, strand: StrandId, claimed: &mut Vec<NodeRef>, path: &[usize]) {
        let [number, rest @ ..] = path else { return };
        let node = self.nodes[*number];
        loop {
            match node.state.phase() {
                Phase::Fresh => return,
                Phase::Running => {
                    let waiter = Waiter { strand, claimed, lineage: None, beneath: None };
                    if let Err(refused) = self.waits.block(waiter, node) {
                        let Refused::Cycle(cycle, _) = refused else {
                            panic!("nobody stands on another's stack")
                        };
                        assert!(cycle.contains(&node) && claimed.iter().any(|node| cycle.contains(node)));
                        self.cycles.fetch_add(1, SeqCst);
                        return;
                    }
                    node.state.wait(&self.lot, node.address(), None, || false);
                    self.waits.unblock(strand, node);
                }
                phase => {
                    if node.state.try_claim(phase) {
                        claimed.push(node);
                        stale_reads::take_for(&node.work, strand);
                        self.compute(strand, claimed, rest);
                        claimed.pop();
                        stale_reads::take(&node.work);
                        node.state.publish(Phase::Fresh, &self.lot, node.address());
                        return;
                    }
                }
            }
        }
    }
}

fn check_waits(paths: &'static [&'static [usize]], cycles: std::ops::RangeInclusive<usize>) {
    explore(move || {
        let nodes = Arc::new(Nodes::new(4));
        let shared = nodes.clone();
        on_threads(paths.len(), move |number| {
            shared.compute(StrandId::numbered(number as u64 + 1), &mut Vec::new(), paths[number]);
        });
        let found = nodes.cycles.load(SeqCst);
        assert!(cycles.contains(&found), "{found} cycles");
        assert!(nodes.nodes.iter().all(|node| node.state.phase() != Phase::Running));
    });
}

#[test]
fn waits_without_a_cycle_are_never_called_one() {
    check_waits(&[&[0, 1, 2], &[1, 2, 3], &[3], &[2, 3]], 0..=0);
    check_waits(&[&[0, 3], &[1, 3], &[2, 0, 3]], 0..=0);
}

#[test]
fn a_cycle_is_found_when_it_closes_and_nobody_sleeps_for_ever() {
    check_waits(&[&[0, 0], &[1]], 1..=1);
    check_waits(&[&[0, 1, 0], &[1, 0, 1]], 1..=2);
    check_waits(&[&[0, 1, 2, 0], &[1, 2, 0, 1], &[2, 0, 1, 2]], 1..=3);
    check_waits(&[&[0, 1, 0], &[2, 1, 0, 1], &[3, 2]], 1..=2);
}

/// Two tasks, each of which has its items worked on by a helper that asks for the other task.
#[test]
fn a_cycle_through_the_helpers_of_scopes_is_found() {
    explore(|| {
        let nodes = Arc::new(Nodes::new(2));
        let shared = nodes.clone();
        on_threads(2, move |number| {
            let own = shared.nodes[number];
            let other = shared.nodes[1 - number];
            let strand = StrandId::numbered(number as u64 + 1);
            assert!(own.state.try_claim(Phase::Empty));
            stale_reads::take_for(&own.work, strand);
            let lineage = Arc::new(Lineage {
                strand,
                claimed: vec![own],
                parent: None,
                beneath: None,
                demand: None,
                token: None,
                data: None,
                foreign: false,
            });
            let helper = {
                let (shared, lineage) = (shared.clone(), lineage);
                let helper = StrandId::numbered(number as u64 + 100);
                thread::spawn(move || {
                    let waiter =
                        Waiter { strand: helper, claimed: &[], lineage: Some(&lineage), beneath: None };
                    match other.state.phase() {
                        Phase::Running => match shared.waits.block(waiter, other) {
                            Ok(()) => {
                                other.state.wait(&shared.lot, other.address(), None, || false);
                                shared.waits.unblock(helper, other);
                            }
                            Err(_) => {
                                shared.cycles.fetch_add(1, SeqCst);
                            }
                        },
                        _ => {}
                    }
                })
            };
            helper.join().expect("no thread panics");
            stale_reads::take(&own.work);
            own.state.publish(Phase::Fresh, &shared.lot, own.address());
        });
        assert!(nodes.cycles.load(SeqCst) <= 1, "one of the two is told, the other goes on");
    });
}
