//! Verification by an async run: it gives way where a thread would wait.
//!
//! An async run that gives way keeps the claim of its own node only. Threads that wait for that one find the async run by it, and drive
//! it; for a node that was claimed on the way they could only sleep, perhaps on the very thread that has to drive the async run.

use std::task::Waker;

use crate::context::local::Local;
use crate::evaluate::cycle;
use crate::evaluate::demand::{Patience, Step, Visit};
use crate::evaluate::execute::{execute_observed, execute_unobserved};
use crate::evaluate::node_wait::{Asked, NodeWait};
use crate::evaluate::observed::Why;
use crate::evaluate::parts::settle_claimed;
use crate::graph::node::NodeRef;
use crate::graph::stop::Stop;

use super::State;

/// The outcome of verification.
pub(super) enum Verified {
    Waits,
    Current,
    Run,
    Failed(Stop),
}

impl State {
    /// Goes on verifying the async run's node; async reads are awaited, others verified and run in place.
    pub(super) fn verify(&mut self, local: &Local, waker: &Waker) -> Verified {
        self.root.enter();
        let verified = self.verify_here(local, waker);
        self.root.exit();
        verified
    }

    fn verify_here(&mut self, local: &Local, waker: &Waker) -> Verified {
        loop {
            if let Some(ended) = self.poll_awaited(local, waker) {
                return ended;
            }
            let is_root = self.visits.is_empty();
            let visit = self.innermost();
            match visit.step(local, Patience::GivesWay) {
                Step::Descend(mut next) => {
                    next.enter();
                    self.visits.push(next);
                }
                Step::Await(node) => {
                    self.awaited = Some(NodeWait::new(node));
                    self.awaits_own_read = is_root;
                }
                Step::Current if is_root => {
                    let this = local.engine().async_runs.land(visit.node);
                    visit.confirm(local);
                    drop(this);
                    return Verified::Current;
                }
                Step::Current => {
                    visit.confirm(local);
                    self.visits.pop();
                }
                Step::Restored(replaced) if is_root => {
                    let this = local.engine().async_runs.land(visit.node);
                    visit.end_restored(local);
                    drop(this);
                    drop(replaced);
                    return Verified::Current;
                }
                Step::Restored(replaced) => {
                    visit.end_restored(local);
                    self.visits.pop();
                    drop(replaced);
                }
                Step::Run if is_root => {
                    let node = visit.node;
                    let is_settled = node.task_fn.part.is_some() && settle_claimed(local, node);
                    return if is_settled { Verified::Current } else { Verified::Run };
                }
                Step::Run => {
                    let node = visit.node;
                    let why = visit.is_observed().then(|| visit.why(local));
                    visit.end_stale();
                    self.visits.pop();
                    if let Some(ended) = self.run_read(local, node, why.as_ref()) {
                        return ended;
                    }
                }
                Step::Abort(_) if self.gives_way(local) => {}
                Step::Abort(stop) => return self.abort(local, stop),
            }
        }
    }

    /// Polls the async read that the verification waits for, if there is one. Returns the outcome if the verification cannot go on.
    fn poll_awaited(&mut self, local: &Local, waker: &Waker) -> Option<Verified> {
        let awaited = self.awaited.as_mut()?;
        match awaited.poll(local, waker, None) {
            Asked::Waits => {
                self.put_back_reads(local);
                return Some(Verified::Waits);
            }
            Asked::Holds(_) => {}
            Asked::Failed(stop) if stop.is_given_up() => return Some(self.abort(local, stop)),
            // A read that failed counts as changed; the body meets the failure itself. A task that read it and was put
            // back meanwhile is looked at anew.
            Asked::Failed(_) if self.awaits_own_read || !self.visits.is_empty() => {
                let failed = awaited.node();
                self.innermost().awaited_failed(failed);
            }
            Asked::Failed(_) => {}
        }
        self.awaited = None;
        None
    }

    /// Runs the body of a task that was read, in place. Returns the outcome if the verification cannot go on.
    fn run_read(&mut self, local: &Local, node: NodeRef, why: Option<&Why>) -> Option<Verified> {
        if node.task_fn.part.is_some() && settle_claimed(local, node) {
            return None;
        }
        let outcome = match why {
            None => execute_unobserved(local, node),
            Some(why) => execute_observed(local, node, why),
        };
        match outcome {
            Err(stop) if stop.is_given_up() && !self.gives_way(local) => Some(self.abort(local, stop)),
            Err(_) | Ok(()) => None,
        }
    }

    fn innermost(&mut self) -> &mut Visit {
        self.visits.last_mut().unwrap_or(&mut self.root)
    }

    /// Whether what was visited had to be given up for another strand that works on the same cycle; it is looked at again.
    fn gives_way(&mut self, local: &Local) -> bool {
        let gives_way = cycle::is_giving_way(local);
        if gives_way {
            self.put_back_reads(local);
        }
        gives_way && cycle::wait_for_way(local).is_ok()
    }

    /// Puts all visited nodes back to where they were.
    pub(super) fn put_back(&mut self, local: &Local) {
        self.put_back_reads(local);
        self.root.put_back(local);
    }

    /// Puts the reads that are being verified back to where they were, to be looked at again later.
    fn put_back_reads(&mut self, local: &Local) {
        while let Some(mut visit) = self.visits.pop() {
            visit.put_back(local);
        }
    }

    /// Ends verification without an outcome: all visited nodes go back to where they were.
    fn abort(&mut self, local: &Local, stop: Stop) -> Verified {
        let this = local.engine().async_runs.land(self.root.node);
        self.put_back(local);
        drop(this);
        Verified::Failed(stop)
    }
}
