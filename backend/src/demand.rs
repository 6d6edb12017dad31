//! Demand: make a node fresh. Verifies a stale one by its stale reads only, without recursion; runs what must run.
//!
//! Verification of a claimed node looks at its stale reads in the order in which they were recorded: a read that comes
//! later may exist only because of the value of an earlier one. A stale read is verified first (its own visit goes on
//! top of the stack of visits), an empty one is run. At the first read whose value changed since the node was
//! last verified, its body runs; if there is none, the node is fresh again.
//!
//! Invariant: if a node is not FRESH, every node that has a live edge to it is not FRESH either and has a mark for that
//! edge, unless the node is EMPTY and unmarked (forgotten or failed, with unchanged reads). `mark.rs` establishes
//! it, and it is why unmarked reads need no look.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::apart::run_apart;
use crate::claim::Phase;
use crate::cycle;
use crate::edges::Edge;
use crate::execute::{Payload, execute};
use crate::failure::{CycleError, TaskError};
use crate::flight::{drive, try_launch_here};
use crate::local::Local;
use crate::mark::is_in_wave_of;
use crate::marks::{self, Marks, Single};
use crate::node::{MUST_RUN, NodeRef, ON_CYCLE, RESOLVED, RESTORED};
use crate::persist::{self, Check, Progress, Restored};
use crate::token::CancelToken;
use crate::waits::{Refused, Waiter};

/// Makes `node` fresh, and returns it: or else a twin that holds the value, if waiting for its owner would never end.
///
/// # Errors
/// The payload of the panic, cycle or cancellation that kept it from becoming so.
pub(crate) fn demand(local: &Local, node: NodeRef) -> Result<NodeRef, Payload> {
    match demand_once(local, node) {
        Ok(holder) => Ok(holder),
        Err(payload) => cycle::resume(local, node, payload),
    }
}

/// As [`demand`], but for what `cycle.rs` makes of a failure.
pub(crate) fn demand_once(local: &Local, node: NodeRef) -> Result<NodeRef, Payload> {
    if local.begins_demand() {
        local.begin_demand();
    }
    // A flight that was launched here ends with this demand, if nobody else waits for it.
    let mut seat = None;
    loop {
        match node.state.phase() {
            Phase::Fresh => return Ok(node),
            Phase::Empty if node.task_fn.is_leaf() => return Err(Box::new(removed(node))),
            phase @ (Phase::Empty | Phase::Stale) => {
                if let Some(error) = failed_in_this_demand(local, node) {
                    return Err(Box::new(error));
                }
                check_cancelled(local)?;
                if node.flag(RESOLVED) {
                    if cycle::verify_resolved(local, node)? == Waited::Never {
                        return run_apart(local, node);
                    }
                } else if node.task_fn.is_async() {
                    // As a flight, so that others can take it over, and this thread can leave it.
                    seat = try_launch_here(local, node, phase).or(seat);
                } else if let Some(marks) = claim(local, node, phase) {
                    return verify(local, Visit::new(node, phase, marks)).map(|()| node);
                }
            }
            Phase::Running => {
                if let Some(outcome) = cycle::read_claimed(local, node) {
                    return outcome;
                }
                if wait_for(local, node)? == Waited::Never {
                    return run_apart(local, node);
                }
                if let Some(error) = failed_meanwhile(local, node) {
                    return Err(Box::new(error));
                }
            }
        }
    }
}

#[cold]
fn removed(node: NodeRef) -> TaskError {
    TaskError::Panicked { task: format!("{node:?}"), message: "the input has been removed".to_owned() }
}

/// Whether the session of the current strand is to end.
#[inline(always)]
fn is_to_end(local: &Local) -> bool {
    local.engine().gate.is_cancelling()
        || local.token.borrow().as_ref().is_some_and(CancelToken::is_cancelled)
}

/// The check at a task boundary.
///
/// # Errors
/// `Cancelled`, if an update wants the open sessions to end, or a token this one.
#[inline]
pub(crate) fn check_cancelled(local: &Local) -> Result<(), Payload> {
    if is_to_end(local) { Err(cancelled(local)) } else { Ok(()) }
}

#[cold]
fn cancelled(local: &Local) -> Payload {
    // Nothing that runs on this thread now may be kept: it has seen an error that is not of its making.
    local.poison_all();
    Box::new(TaskError::Cancelled)
}

/// Makes a node fresh that this strand has just made: from the store, if that turns out to be right, or by running its
/// body. Returns whether it came from the store.
pub(crate) fn make(local: &Local, node: NodeRef, check: Check) -> (Result<(), Payload>, bool) {
    let visit = Visit { store: Store::Asked(Box::new(check)), ..Visit::new(node, Phase::Empty, Marks::None) };
    let runs = local.counters.of(node.function).runs.get();
    let outcome = verify(local, visit);
    // A body that calls its own function counts runs as well; then this one has run, too.
    (outcome, local.counters.of(node.function).runs.get() == runs)
}

/// Ends the claim of a node that has got its value from the store.
pub(crate) fn end_restored(local: &Local, node: NodeRef) {
    release(local, node, Phase::Fresh, Marks::None);
}

/// Claims a node for a strand that is not current, and lists it among its claims when it is. Returns what has to be looked at.
pub(crate) fn try_claim_for(strand: u64, node: NodeRef, from: Phase) -> Option<Visit> {
    node.state.try_claim(from).then(|| Visit::new(node, from, marks::take(&node.work, strand as usize)))
}

pub(crate) fn claim(local: &Local, node: NodeRef, from: Phase) -> Option<Marks> {
    node.state.try_claim(from).then(|| {
        local.claimed.borrow_mut().push(node);
        marks::take(&node.work, local.strand.get() as usize)
    })
}

/// Ends a claim without a run.
pub(crate) fn release(local: &Local, node: NodeRef, phase: Phase, marks: Marks) {
    marks::put(&node.work, marks);
    local.pop_claim(node);
    node.state.publish(phase, &local.engine().lot, node.address());
}

/// Sleeps until `node` is not claimed any more, or drives it until then.
///
/// # Errors
/// The cycle that waiting would close; the panic that ended the node's flight.
pub(crate) fn wait_for(local: &Local, node: NodeRef) -> Result<Waited, Payload> {
    let engine = local.engine();
    check_cancelled(local)?;
    if block(local, node, Patience::Blocks)? == Waited::Never {
        return Ok(Waited::Never);
    }
    let deadline = local.token.borrow().as_ref().and_then(CancelToken::deadline);
    let stop = || check_cancelled(local).is_err();
    let thrown = match engine.flights.of(node) {
        // It may be that nobody else drives it any more.
        Some(flight) if drive(&flight, deadline, stop) => flight.take_failure(),
        _ => {
            node.state.wait(&engine.lot, node.address(), deadline, stop);
            None
        }
    };
    engine.waits.unblock(local.strand.get(), node);
    match thrown {
        Some(thrown) => Err(local.take_over(thrown)),
        None => Ok(Waited::Over),
    }
}

/// What came of a wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The node is not claimed any more, or was not just now.
    Over,
    /// No task depends on itself, but the owner of the node cannot go on before this strand does (see `carry.rs`).
    Never,
}

/// Registers the current strand as waiting for `node`; `waits.unblock` takes it out again.
///
/// # Errors
/// The cycle that waiting would close.
pub(crate) fn block(local: &Local, node: NodeRef, patience: Patience) -> Result<Waited, Payload> {
    let registered = {
        let claimed = cycle::all_claims(local);
        let (lineage, beneath) = (local.lineage.borrow(), local.beneath.borrow());
        let waiter = Waiter {
            strand: local.strand.get(),
            claimed: &claimed,
            lineage: lineage.as_ref(),
            beneath: beneath.as_ref(),
        };
        local.engine().waits.block(waiter, node)
    };
    match registered {
        Ok(()) => Ok(Waited::Over),
        Err(Refused::Stacked) => Ok(Waited::Never),
        Err(Refused::Cycle(path, closes_at)) => {
            if let Some(payload) = cycle::give_way(local, node, &path, closes_at, patience) {
                return Err(payload);
            }
            let cycle = Arc::new(CycleError::new(&path));
            local.poison_cycle(&cycle);
            Err(Box::new(TaskError::Cycle(cycle)))
        }
    }
}

pub(crate) fn failed_in_this_demand(local: &Local, node: NodeRef) -> Option<TaskError> {
    let failure = node.extra()?.failure.lock().clone()?;
    if failure.demand != local.demand.get() {
        return None;
    }
    local.poison_through(failure.head, &failure.error);
    Some(failure.error)
}

/// After a wait: the failure that the node's owner ended with, if it did and nobody has claimed the node since.
pub(crate) fn failed_meanwhile(local: &Local, node: NodeRef) -> Option<TaskError> {
    if node.state.phase() != Phase::Empty {
        return None;
    }
    let error = node.extra()?.failure.lock().as_ref().map(|failure| failure.error.clone())?;
    if let TaskError::Cycle(cycle) = &error {
        // Another thread found the cycle; the tasks of this one that lie on it have no value either.
        local.poison_cycle(cycle);
    }
    Some(error)
}

/// A claimed node whose stale reads are being looked at.
pub(crate) struct Visit {
    pub(crate) node: NodeRef,
    phase: Phase,
    marks: Marks,
    /// The stale positions in order, once they are looked at one by one.
    positions: Option<Vec<u32>>,
    next: usize,
    /// A read has turned out changed already.
    runs: bool,
    store: Store,
}

/// Whether the store has been asked for an earlier run that holds now.
enum Store {
    NotAsked,
    Asked(Box<Check>),
}

pub(crate) enum Step {
    /// All stale reads have turned out unchanged.
    Current,
    /// The store had what its body would return: it is in place.
    Restored(Restored),
    /// The body must run.
    Run,
    /// This read must be made fresh first.
    Descend(Visit),
    /// This read must be awaited first.
    Await(NodeRef),
    /// Verification cannot go on.
    Abort(Payload),
}

/// Whether verification may keep its thread waiting.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    Blocks,
    /// Async reads, and reads that others compute, are awaited.
    GivesWay,
}

impl Visit {
    /// The node goes back to where it was before it was claimed.
    pub(crate) fn put_back(&mut self, local: &Local) {
        let marks = std::mem::replace(&mut self.marks, Marks::None);
        if self.node.flag(ON_CYCLE) {
            cycle::give_up(local, self.node);
        }
        if self.phase == Phase::Empty
            && let Some(extra) = self.node.extra()
        {
            // It may be from before a change: those who waited for this claim must not take it for why there is no value.
            extra.failure.lock().take();
        }
        release(local, self.node, self.phase, marks);
        cycle::after_release(local);
    }

    /// The node is current.
    pub(crate) fn confirm(&mut self, local: &Local) {
        self.node.verified_at.store(local.engine().epoch(), Relaxed);
        local.counters.of(self.node.function).verified.add(1);
        release(local, self.node, Phase::Fresh, Marks::None);
    }

    /// The node has got its value from the store.
    pub(crate) fn end_restored(&mut self, local: &Local) {
        local.counters.of(self.node.function).verified.add(1);
        end_restored(local, self.node);
    }

    /// What this visit had to await has failed. If that is a read of the node, the body has to run, whatever the other reads
    /// are. The origin of the node's wave is no read: somebody between may have caught the failure, so the reads decide.
    /// Neither is what the store is asked about.
    pub(crate) fn awaited_failed(&mut self, awaited: NodeRef) {
        if let Store::Asked(check) = &mut self.store {
            check.failed(awaited);
        } else if self.positions.is_none() {
            // SAFETY: the claim is held.
            let reads = unsafe { self.node.deps() }.as_slice();
            self.positions = Some(self.marks.in_order(reads.len()));
        } else {
            self.runs = true;
        }
    }

    fn new(node: NodeRef, phase: Phase, marks: Marks) -> Self {
        Self { node, phase, marks, positions: None, next: 0, runs: false, store: Store::NotAsked }
    }

    pub(crate) fn step(&mut self, local: &Local, patience: Patience) -> Step {
        if self.runs || self.node.flag(ON_CYCLE) {
            return Step::Run;
        }
        if matches!(self.store, Store::Asked(_)) {
            return self.ask_the_store(local, patience);
        }
        match self.look(local, patience) {
            Step::Run => match persist::consult(local, self.node, self.phase) {
                Some(check) => {
                    self.store = Store::Asked(Box::new(check));
                    self.ask_the_store(local, patience)
                }
                None => Step::Run,
            },
            step => step,
        }
    }

    /// Goes on looking for an earlier run whose reads have their current values.
    fn ask_the_store(&mut self, local: &Local, patience: Patience) -> Step {
        let Some(persistence) = local.engine().persistence() else { return Step::Run };
        loop {
            let Store::Asked(check) = &mut self.store else { return Step::Run };
            match check.advance(persistence) {
                Progress::NotFound => return Step::Run,
                Progress::Found(trace) => {
                    return persistence.put(local, self.node, &trace).map_or(Step::Run, Step::Restored);
                }
                Progress::Needs(node) => match self.look_at(local, patience, Edge::value_of(node)) {
                    Look::Step(step) => return step,
                    // What the node read before tells nothing of the rounds that led to its value.
                    Look::Changed if self.node.flag(ON_CYCLE) => return Step::Run,
                    Look::Changed | Look::Unchanged => {
                        if !node.state.is_fresh()
                            && let Store::Asked(check) = &mut self.store
                        {
                            check.failed(node);
                        }
                    }
                },
            }
        }
    }

    /// Looks at the stale reads.
    fn look(&mut self, local: &Local, patience: Patience) -> Step {
        if self.phase == Phase::Empty || self.node.flag(MUST_RUN | RESTORED) {
            return Step::Run;
        }
        if let (Marks::One(Single { origin: Some(origin), .. }), None) = (&self.marks, &self.positions)
            && is_in_wave_of(self.node, *origin)
        {
            match self.look_at(local, patience, Edge::value_of(*origin)) {
                Look::Unchanged => {
                    if let Some(persistence) = local.engine().persistence() {
                        persistence.verified(self.node, [Edge::value_of(*origin)]);
                    }
                    return Step::Current;
                }
                Look::Changed => {}
                Look::Step(step) => return step,
            }
        }
        // SAFETY: the claim is held.
        let reads = unsafe { self.node.deps() }.as_slice();
        let positions = self.positions.take().unwrap_or_else(|| self.marks.in_order(reads.len()));
        let step = loop {
            let Some(read) = positions.get(self.next).and_then(|position| reads.get(*position as usize))
            else {
                break Step::Current;
            };
            match self.look_at(local, patience, *read) {
                Look::Unchanged => self.next += 1,
                Look::Changed => break Step::Run,
                Look::Step(step) => break step,
            }
        };
        if let (Step::Current, Some(persistence)) = (&step, local.engine().persistence()) {
            let looked_at = positions.iter().filter_map(|position| reads.get(*position as usize).copied());
            persistence.verified(self.node, looked_at);
        }
        self.positions = Some(positions);
        step
    }

    /// Whether a read has changed since the node was last verified, or what has to be done first to know.
    fn look_at(&self, local: &Local, patience: Patience, read: Edge) -> Look {
        let node = read.node();
        let mut seat = None;
        loop {
            match node.state.phase() {
                Phase::Fresh => {
                    let changed = if read.reads_effects() { &node.effects_at } else { &node.changed_at };
                    let is_changed = changed.load(Relaxed) > self.node.verified_at.load(Relaxed);
                    return if is_changed { Look::Changed } else { Look::Unchanged };
                }
                phase @ (Phase::Empty | Phase::Stale) => {
                    if node.task_fn.is_leaf() || failed_in_this_demand(local, node).is_some() {
                        return Look::Changed;
                    }
                    if node.flag(RESOLVED) {
                        match cycle::verify_resolved(local, node) {
                            Ok(Waited::Over) => continue,
                            Err(payload) if is_cancelled(&payload) => {
                                return Look::Step(Step::Abort(payload));
                            }
                            Ok(Waited::Never) | Err(_) => return Look::Changed,
                        }
                    }
                    if patience == Patience::GivesWay && (node.task_fn.is_async() || node.task_fn.heavy) {
                        return Look::Step(Step::Await(node));
                    }
                    if let Err(payload) = check_cancelled(local) {
                        return Look::Step(Step::Abort(payload));
                    }
                    if node.task_fn.is_async() {
                        seat = try_launch_here(local, node, phase).or(seat);
                    } else if let Some(marks) = claim(local, node, phase) {
                        return Look::Step(Step::Descend(Self::new(node, phase, marks)));
                    }
                }
                // The body runs, and meets the cycle itself.
                Phase::Running if cycle::is_own(local, node) => return Look::Changed,
                Phase::Running if patience == Patience::GivesWay => return Look::Step(Step::Await(node)),
                Phase::Running => {
                    match wait_for(local, node) {
                        Ok(Waited::Over) => {}
                        // The body runs, and meets this read itself.
                        Ok(Waited::Never) => return Look::Changed,
                        Err(payload) if is_cancelled(&payload) => return Look::Step(Step::Abort(payload)),
                        // A cycle is for the body to meet: released unrun, this node would leave the poison behind.
                        Err(_) => return Look::Changed,
                    }
                    if failed_meanwhile(local, node).is_some() {
                        return Look::Changed;
                    }
                }
            }
        }
    }
}

/// What a look at one read says.
enum Look {
    Unchanged,
    Changed,
    Step(Step),
}

/// Makes the claimed node of `root` fresh, and whatever of its stale reads that takes.
pub(crate) fn verify(local: &Local, root: Visit) -> Result<(), Payload> {
    let mut visits = Visits { local, stack: vec![root] };
    while let Some(visit) = visits.stack.last_mut() {
        match visit.step(local, Patience::Blocks) {
            Step::Descend(next) => visits.stack.push(next),
            Step::Current => {
                visit.confirm(local);
                visits.stack.pop();
            }
            Step::Restored(replaced) => {
                visit.end_restored(local);
                visits.stack.pop();
                drop(replaced);
            }
            Step::Await(_) => unreachable!("a thread that verifies keeps waiting"),
            Step::Run => {
                let node = visit.node;
                visits.stack.pop();
                let outcome = execute(local, node);
                if visits.stack.is_empty() {
                    return outcome;
                }
                match outcome {
                    Err(payload) if is_cancelled(&payload) => return Err(payload),
                    // A read that failed counts as changed: its reader's body runs, and meets the failure itself.
                    Err(_) | Ok(()) => {}
                }
            }
            Step::Abort(payload) => return Err(payload),
        }
    }
    Ok(())
}

pub(crate) fn is_cancelled(payload: &Payload) -> bool {
    matches!(payload.downcast_ref(), Some(TaskError::Cancelled))
}

/// The stack of visits. What is left on it when it is dropped goes back to where it was.
struct Visits<'a> {
    local: &'a Local,
    stack: Vec<Visit>,
}

impl Drop for Visits<'_> {
    fn drop(&mut self) {
        while let Some(mut visit) = self.stack.pop() {
            visit.put_back(self.local);
        }
    }
}
