//! Visit: a claimed node, one or all of whose stale reads are looked at, as far as that goes without going further down.

use smallvec::SmallVec;

use super::{Waited, claim, end_restored, failed_in_this_demand, failed_meanwhile, release, wait_for};
use crate::context::cancelled::check_cancelled;
use crate::context::local::Local;
use crate::context::spans::Ends;
use crate::evaluate::async_run::try_launch_here;
use crate::evaluate::cycle;
use crate::evaluate::observed::{self, Looking, Why};
use crate::evaluate::stored::{self, Check, Progress, Restored};
use crate::graph::claim::Phase;
use crate::graph::edges::Edge;
use crate::graph::flags::Flags;
use crate::graph::invalidate::is_in_wave_of;
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::graph::stale_reads::StaleReads;
use crate::graph::stop::Stop;
use crate::persist::Persistence;

/// A claimed node whose stale reads are being looked at.
pub(crate) struct Visit {
    pub(crate) node: NodeRef,
    phase: Phase,
    marks: StaleReads,
    /// The stale positions in order, once they are looked at one by one.
    positions: Option<SmallVec<[u32; 4]>>,
    next: usize,
    /// A read has turned out changed already.
    runs: bool,
    store: Store,
    /// Present if it is observed.
    look: Option<Box<Looking>>,
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
    Abort(Stop),
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
        let marks = std::mem::replace(&mut self.marks, StaleReads::None);
        if self.node.flag(Flags::ON_CYCLE) {
            cycle::give_up(local, self.node);
        }
        if self.phase == Phase::Empty
            && let Some(extra) = self.node.extra()
        {
            // It may be from before a change: strands that waited for this claim must not take it for why there is no value.
            extra.failure.lock().take();
        }
        release(local, self.node, self.phase, marks);
        cycle::after_release(local);
    }

    /// The node is current.
    pub(crate) fn confirm(&mut self, local: &Local) {
        self.node.verified_at.set(local.engine().epoch());
        local.counters.of(self.node.function).verified.add(1);
        let origin = self.origin();
        if let Some(look) = &mut self.look {
            observed::verified(local, self.node, look, origin);
        }
        release(local, self.node, Phase::Fresh, StaleReads::None);
    }

    /// The node has got its value from the store.
    pub(crate) fn end_restored(&mut self, local: &Local) {
        local.counters.of(self.node.function).verified.add(1);
        self.end_look(Ends::Restored);
        end_restored(local, self.node);
    }

    /// Goes on with the visit on this thread, as its observers see it.
    #[inline]
    pub(crate) fn enter(&mut self) {
        if let Some(look) = &mut self.look {
            look.enter();
        }
    }

    /// Leaves the visit on this thread.
    #[inline]
    pub(crate) fn exit(&mut self) {
        if let Some(look) = &mut self.look {
            look.exit();
        }
    }

    /// The body must run.
    #[inline]
    pub(crate) fn end_stale(&mut self) {
        self.end_look(Ends::Stale);
    }

    #[inline]
    fn end_look(&mut self, how: Ends<'_>) {
        if let Some(look) = &mut self.look {
            look.ends(how);
        }
    }

    /// The task that this visit had to await has failed. If that is a read of the node, the body has to run, whatever the other reads
    /// are. The origin of the node's wave is no read: a task between may have caught the failure, so the reads decide.
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

    pub(super) fn new(local: &Local, node: NodeRef, phase: Phase, marks: StaleReads) -> Self {
        let mut look = Looking::if_observed(local);
        if let Some(look) = look.as_mut().filter(|_| phase == Phase::Stale) {
            look.open_spans(local, node);
        }
        Self { node, phase, marks, positions: None, next: 0, runs: false, store: Store::NotAsked, look }
    }

    /// A node without a value that the store has answers for.
    pub(super) fn asking(local: &Local, node: NodeRef, check: Check) -> Self {
        let mut visit = Self::new(local, node, Phase::Empty, StaleReads::None);
        visit.store = Store::Asked(Box::new(check));
        if let Some(look) = &mut visit.look {
            look.open_spans(local, node);
        }
        visit
    }

    /// Returns the origin of the node's wave, if all its staleness came from there.
    fn origin(&self) -> Option<NodeRef> {
        match &self.marks {
            StaleReads::One(single) => single.origin(),
            _ => None,
        }
    }

    /// Whether an observer is told of it.
    pub(crate) fn is_observed(&self) -> bool {
        self.look.is_some()
    }

    /// Returns the visit's part of the cause for which the body must run.
    #[cold]
    pub(crate) fn why(&self, local: &Local) -> Why {
        if self.node.flag(Flags::ON_CYCLE) {
            return Why::Cycle;
        }
        if let Some(position) = self.changed_position() {
            return Why::Read(position);
        }
        match (&self.store, local.engine().persistence()) {
            (Store::Asked(check), Some(_)) => check.differs().map_or(Why::Flags, Why::Stored),
            _ => Why::Flags,
        }
    }

    /// Returns the place of the first read that has changed, once it is found.
    fn changed_position(&self) -> Option<usize> {
        let knows_reads = self.phase == Phase::Stale && !self.node.flag(Flags::MUST_RUN | Flags::RESTORED);
        let position = self.positions.as_ref().filter(|_| knows_reads)?.get(self.next)?;
        Some(*position as usize)
    }

    /// Returns the first read that has changed, once it is found.
    fn changed(&self) -> Option<Edge> {
        // SAFETY: the claim is held.
        let reads = unsafe { self.node.deps() }.as_slice();
        reads.get(self.changed_position()?).copied()
    }

    pub(crate) fn step(&mut self, local: &Local, patience: Patience) -> Step {
        let step = self.step_by_itself(local, patience);
        let Some(persistence) = local.engine().persistence() else { return step };
        let is_on_cycle = self.node.flag(Flags::ON_CYCLE);
        if matches!(step, Step::Run)
            && !is_on_cycle
            && let Err(stop) = stored::check_after_waiting(local, persistence)
        {
            return Step::Abort(stop);
        }
        // The members of a component that is restored come from there, whatever they would have read by themselves.
        let restored = match step {
            Step::Run if !is_on_cycle => persistence.instead_of_run(local, self.node),
            Step::Current if !is_on_cycle => persistence.by_component(local, self.node),
            _ => None,
        };
        match restored {
            Some(restored) => return Step::Restored(restored),
            None if matches!(step, Step::Current) => self.tell_verified(local, persistence),
            None => {}
        }
        step
    }

    /// Tells the store that the node is current. Not before it is known to be a task by itself: what it has read by itself is no run of a member.
    fn tell_verified(&self, local: &Local, persistence: &Persistence) {
        match (&self.positions, self.origin()) {
            (Some(positions), _) => {
                // SAFETY: the claim is held.
                let reads = unsafe { self.node.deps() }.as_slice();
                let looked_at =
                    positions.iter().filter_map(|position| reads.get(*position as usize).copied());
                persistence.verified(local, self.node, looked_at);
            }
            (None, origin) => {
                persistence.verified(local, self.node, origin.map(Edge::value_of));
            }
        }
    }

    fn step_by_itself(&mut self, local: &Local, patience: Patience) -> Step {
        if self.runs || self.node.flag(Flags::ON_CYCLE) {
            return Step::Run;
        }
        if matches!(self.store, Store::Asked(_)) {
            return self.ask_the_store(local, patience);
        }
        match self.look(local, patience) {
            Step::Run => match stored::consult(local, self.node, self.phase, self.changed()) {
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
            let (node, leaps) = match check.advance(local, persistence) {
                Progress::NotFound => return Step::Run,
                Progress::Found(trace) => {
                    return persistence.put(local, self.node, &trace).map_or(Step::Run, Step::Restored);
                }
                Progress::Needs(node) => (node, false),
                Progress::Leaps(node) => (node, true),
            };
            match self.look_at(local, patience, Edge::value_of(node), leaps) {
                ReadState::Step(step) => {
                    if leaps && matches!(step, Step::Descend(_)) {
                        node.set_flag(Flags::AHEAD);
                    }
                    return step;
                }
                // The reads before do not say anything about the rounds that led to the node's value.
                ReadState::Changed if self.node.flag(Flags::ON_CYCLE) => return Step::Run,
                ReadState::Changed | ReadState::Unchanged => {
                    if !node.state.is_fresh()
                        && let Store::Asked(check) = &mut self.store
                    {
                        check.failed(node);
                    }
                }
            }
        }
    }

    /// Looks at the stale reads.
    fn look(&mut self, local: &Local, patience: Patience) -> Step {
        if self.phase == Phase::Empty || self.node.flag(Flags::MUST_RUN | Flags::RESTORED) {
            return Step::Run;
        }
        // SAFETY: the claim is held.
        let reads = unsafe { self.node.deps() }.as_slice();
        if let (&StaleReads::One(single), None) = (&self.marks, &self.positions)
            && let Some(origin) = single.origin()
            && is_in_wave_of(self.node, origin)
        {
            // A claim that goes straight to a node which the claimant does not read leaves out the tasks between (see `cycle/make_way.rs`).
            let nearby = single.place().range(reads.len());
            let leaps = !reads[nearby].contains(&Edge::value_of(origin));
            match self.look_at(local, patience, Edge::value_of(origin), leaps) {
                // The wave may have been broken when the origin's component was dissolved, by this look or another strand's.
                ReadState::Unchanged
                    if is_in_wave_of(self.node, origin) && is_stored_as_read(local, origin) =>
                {
                    return Step::Current;
                }
                ReadState::Unchanged | ReadState::Changed => {}
                ReadState::Step(step) => {
                    if leaps && matches!(step, Step::Descend(_)) {
                        origin.set_flag(Flags::AHEAD);
                    }
                    return step;
                }
            }
        }
        let positions = self.positions.take().unwrap_or_else(|| self.marks.in_order(reads.len()));
        let step = loop {
            let Some(read) = positions.get(self.next).and_then(|position| reads.get(*position as usize))
            else {
                break Step::Current;
            };
            match self.look_at(local, patience, *read, false) {
                ReadState::Unchanged => self.next += 1,
                ReadState::Changed => break Step::Run,
                ReadState::Step(step) => break step,
            }
        };
        self.positions = Some(positions);
        step
    }

    /// Whether a read has changed since the node was last verified, or what has to be done first to know.
    ///
    /// If it `leaps`, this is no read, but the origin of the node's wave. No visit waits for another strand's work on that: should it
    /// come to wait for this node, the way between the two would not be known. It counts as changed.
    fn look_at(&self, local: &Local, patience: Patience, read: Edge, leaps: bool) -> ReadState {
        let node = read.node();
        let mut seat = None;
        loop {
            match node.state.phase() {
                Phase::Fresh => {
                    let changed = if read.reads_effects() { &node.effects_at } else { &node.changed_at };
                    let is_changed = changed.get() > self.node.verified_at.get();
                    return if is_changed { ReadState::Changed } else { ReadState::Unchanged };
                }
                phase @ (Phase::Empty | Phase::Stale) => {
                    if node.task_fn.is_leaf() || failed_in_this_demand(local, node).is_some() {
                        return ReadState::Changed;
                    }
                    if node.flag(Flags::RESOLVED) {
                        match cycle::verify_resolved(local, node) {
                            Ok(Waited::Over) => continue,
                            Err(stop) if stop.is_given_up() => {
                                return ReadState::Step(Step::Abort(stop));
                            }
                            Ok(Waited::Never) | Err(_) => return ReadState::Changed,
                        }
                    }
                    if patience == Patience::GivesWay && (node.task_fn.is_async() || node.task_fn.heavy) {
                        return ReadState::Step(Step::Await(node));
                    }
                    if let Err(stop) = check_cancelled(local) {
                        return ReadState::Step(Step::Abort(stop));
                    }
                    if node.task_fn.is_async() {
                        seat = try_launch_here(local, node, phase).or(seat);
                    } else if let Some(marks) = claim(local, node, phase) {
                        return ReadState::Step(Step::Descend(Self::new(local, node, phase, marks)));
                    }
                }
                // The body runs, and meets the cycle itself.
                Phase::Running if cycle::is_own(local, node) => return ReadState::Changed,
                Phase::Running if leaps && !node.task_fn.is_async() => return ReadState::Changed,
                Phase::Running if patience == Patience::GivesWay => {
                    return ReadState::Step(Step::Await(node));
                }
                Phase::Running => {
                    match wait_for(local, node) {
                        Ok(Waited::Over) => {}
                        // The body runs, and meets this read itself.
                        Ok(Waited::Never) => return ReadState::Changed,
                        Err(stop) if stop.is_given_up() => return ReadState::Step(Step::Abort(stop)),
                        // A cycle is for the body to meet: released unrun, this node would leave the poison behind.
                        Err(_) => return ReadState::Changed,
                    }
                    if failed_meanwhile(local, node).is_some() {
                        return ReadState::Changed;
                    }
                }
            }
        }
    }
}

/// Whether the records of what has read an unchanged node hold as well, if there is a store: nothing between it and the origin of a wave need be looked
/// at then. If not, each is, so that each is stored as it is now. For example, `tree` is transient and reads a file, `count` reads `tree`, and `report` reads
/// `count`; in place of `tree`, the record of `count` names the file, which has changed.
fn is_stored_as_read(local: &Local, node: NodeRef) -> bool {
    local.engine().persistence().is_none()
        || Persisted::of(node).is_some_and(|persisted| persisted.is_stored && !persisted.has_joined)
}

/// The outcome of a look at one read.
enum ReadState {
    Unchanged,
    Changed,
    Step(Step),
}
