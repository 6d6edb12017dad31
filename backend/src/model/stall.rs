//! Stalls: a thread of a pool waits for a task whose owner waits for what lies below on that thread's stack.

use std::sync::Arc;

use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use super::{Nodes, explore, on_threads};
use crate::base::sync::{Condvar, Mutex};
use crate::context::aparts::Aparts;
use crate::context::strand::Gathered;
use crate::graph::claim::Phase;

/// The event that the owner waits for outside of the runtime: rayon's latch, or a queue.
#[derive(Default)]
struct Latch {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Latch {
    fn wait(&self) {
        let mut is_set = self.is_set.lock();
        while !*is_set {
            self.changed.wait(&mut is_set);
        }
    }

    fn set(&self) {
        *self.is_set.lock() = true;
        self.changed.notify_all();
    }
}

struct Stalled {
    nodes: Nodes,
    aparts: Aparts,
    latch: Latch,
    /// Time does not pass in a model: a thread says when it has.
    time_is_up: AtomicBool,
    ran_apart: AtomicUsize,
}

impl Stalled {
    /// Waits for the first node as foreign work does; until a twin is there at most, or else until time is up.
    fn wait_for_first(&self, gives_up: bool) {
        let node = self.nodes.nodes[0];
        let stop = || self.aparts.has_twin(node) || gives_up && self.time_is_up.load(SeqCst);
        node.state.wait(&self.nodes.lot, node.address(), None, stop);
        if node.state.phase() != Phase::Running || self.aparts.has_twin(node) {
            return;
        }
        assert!(gives_up);
        self.aparts.begin(node);
        self.ran_apart.fetch_add(1, SeqCst);
        self.aparts.end(node, Some((self.nodes.nodes[1], Gathered::default())));
        self.nodes.lot.nudge(node.address());
    }
}

/// Thread 0 owns the task and waits for frames on the stack of thread 1, above which a job waits for the task. Thread 2 waits for it
/// as well, and has no time limit: it goes on with the twin. Thread 3 is the clock.
#[test]
fn a_wait_that_never_ends_is_given_up_and_its_twin_reaches_all() {
    explore(|| {
        let stalled = Arc::new(Stalled {
            nodes: Nodes::new(2),
            aparts: Aparts::default(),
            latch: Latch::default(),
            time_is_up: AtomicBool::new(false),
            ran_apart: AtomicUsize::new(0),
        });
        let node = stalled.nodes.nodes[0];
        assert!(node.state.try_claim(Phase::Empty));
        let shared = stalled.clone();
        on_threads(4, move |number| match number {
            0 => {
                shared.latch.wait();
                node.state.publish(Phase::Fresh, &shared.nodes.lot, node.address());
            }
            1 => {
                shared.wait_for_first(true);
                shared.latch.set();
            }
            2 => shared.wait_for_first(false),
            _ => {
                shared.time_is_up.store(true, SeqCst);
                shared.nodes.lot.nudge(node.address());
            }
        });
        assert_eq!(stalled.ran_apart.load(SeqCst), 1);
        assert_eq!(stalled.aparts.under_way(node), 0);
    });
}

/// All threads of a pool wait for a task whose jobs stand in the queue of that pool: one that gives up frees all.
#[test]
fn a_pool_whose_threads_all_wait_goes_on() {
    explore(|| {
        let stalled = Arc::new(Stalled {
            nodes: Nodes::new(2),
            aparts: Aparts::default(),
            latch: Latch::default(),
            time_is_up: AtomicBool::new(true),
            ran_apart: AtomicUsize::new(0),
        });
        let node = stalled.nodes.nodes[0];
        assert!(node.state.try_claim(Phase::Empty));
        let shared = stalled.clone();
        on_threads(4, move |number| {
            if number == 0 {
                shared.latch.wait();
                node.state.publish(Phase::Fresh, &shared.nodes.lot, node.address());
                return;
            }
            shared.wait_for_first(number == 1);
            // The thread takes the next job of the queue.
            shared.latch.set();
        });
        assert_eq!(node.state.phase(), Phase::Fresh);
    });
}
