//! The rounds of a component, from the second on, until one changes nothing.
//!
//! Only what has to run runs: a member whose last run read a fixpoint task that has changed in the round before, or another member
//! that has come to another value in this round. A run that is left out would have returned what the one before did.
//!
//! The component is the last one of the strand while its rounds run, or has become a part of another one; then its rounds
//! are void. No borrow of it is held while the user's code runs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{publish, read, run_beside};
use crate::context::component::{Component, ComponentId, Member, RoundRun, Run};
use crate::context::local::Local;
use crate::evaluate::execute::gather_beside;
use crate::evaluate::timer::timed_as_part;
use crate::graph::failure::{CycleError, TaskError};
use crate::graph::node::NodeRef;
use crate::graph::stop::Stop;
use crate::graph::task_fn::Stepped;

/// Why rounds do not go on.
pub(super) enum Halt {
    /// A task has joined: they begin again.
    Grown,
    /// The component has become part of another one.
    Merged,
    /// A member has failed, or the session was cancelled.
    Failed,
}

/// Resolves the innermost component of the strand, whose head's body has ended, and publishes its members.
///
/// Returns those that have left it.
///
/// # Errors
/// The reason why it was not resolved; or [`Stop::Parked`], if it has become part of another component.
pub(super) fn resolve(local: &Local) -> Result<Vec<NodeRef>, Stop> {
    let Some(id) = local.cycles.borrow_mut().begin_rounds() else {
        unreachable!("the head of a component has ended")
    };
    // The reads of comparisons and drops belong to no task.
    let frame = local.begin_frame(&[], false);
    let rounds = Rounds { local, id };
    let outcome = match rounds.go_through().and_then(|()| publish::publish(local)) {
        Ok(left) => Ok(left),
        Err(Stopped::Merged) => Err(Stop::Parked),
        Err(Stopped::Failed(error, stop)) => {
            publish::fail_all(local, &error);
            Err(stop.unwrap_or_else(|| error.into()))
        }
    };
    local.end_frame(frame);
    outcome
}

/// Why a component was not resolved.
pub(super) enum Stopped {
    Merged,
    Failed(TaskError, Option<Stop>),
}

/// The value in this round of a member that is no fixpoint task, for the body of another that runs in it.
///
/// # Errors
/// The reason to throw into that body.
pub(super) fn evaluated(local: &Local, id: ComponentId, number: usize) -> Result<NodeRef, Stop> {
    let rounds = Rounds { local, id };
    let twin = rounds.evaluate(number).and_then(|()| {
        rounds
            .with(|component| component.members[number].last.as_ref().map(|run| run.twin))?
            .ok_or(Halt::Grown)
    });
    twin.map_err(|halt| {
        let failed = match halt {
            Halt::Failed => rounds.with(|component| component.failure()).ok().flatten(),
            Halt::Grown | Halt::Merged => None,
        };
        match failed {
            Some(error) => error.into(),
            None => Stop::Restart,
        }
    })
}

pub(super) struct Rounds<'a> {
    local: &'a Local,
    id: ComponentId,
}

impl Rounds<'_> {
    fn go_through(&self) -> Result<(), Stopped> {
        loop {
            match self.begin_at_the_first() {
                Ok(()) => return Ok(()),
                Err(Halt::Grown) => {}
                Err(Halt::Merged) => return Err(Stopped::Merged),
                Err(Halt::Failed) => {
                    let failed = self
                        .with(|component| component.failure().map(|error| (error, component.stop.take())));
                    return Err(match failed {
                        Ok(Some((error, stop))) => Stopped::Failed(error, stop),
                        Ok(None) | Err(_) => Stopped::Merged,
                    });
                }
            }
        }
    }

    /// All rounds, after the first bodies.
    fn begin_at_the_first(&self) -> Result<(), Halt> {
        self.begin()?;
        for round in 2.. {
            let due = self.with(|component| component.begin_round(round))?;
            // A member may fail in a round that another one makes void: so all run before either is acted on.
            for number in &due {
                match self.refresh(*number) {
                    Ok(()) | Err(Halt::Grown | Halt::Failed) => {}
                    Err(Halt::Merged) => return Err(Halt::Merged),
                }
                if self.is_cancelled()? {
                    return Err(Halt::Failed);
                }
            }
            self.check()?;
            if due.is_empty() || self.commit(&due)? {
                return Ok(());
            }
        }
        unreachable!("values change in a bounded number of rounds")
    }

    /// Runs `use_component`, which runs no code of the user's.
    pub(super) fn with<R>(&self, use_component: impl FnOnce(&mut Component) -> R) -> Result<R, Halt> {
        self.local.cycles.borrow_mut().by_id(self.id).map(use_component).ok_or(Halt::Merged)
    }

    pub(super) fn check(&self) -> Result<(), Halt> {
        self.with(|component| match component.grown {
            true => Err(Halt::Grown),
            false if component.failure().is_some() => Err(Halt::Failed),
            false => Ok(()),
        })?
    }

    fn is_cancelled(&self) -> Result<bool, Halt> {
        self.with(|component| matches!(component.failure(), Some(TaskError::Cancelled)))
    }

    /// Brings all members to where the first bodies have left them: these have read round 0 and returned round 1.
    fn begin(&self) -> Result<(), Halt> {
        let fixpoints = self.with(|component| {
            component.grown = false;
            component.leaving.clear();
            let fixpoints = component.members.iter().filter(|member| member.is_fixpoint());
            fixpoints.map(|member| member.node).collect::<Vec<_>>()
        })?;
        for node in fixpoints {
            if read::initial_of(self.local, node).is_err() {
                return Err(Halt::Failed);
            }
        }
        self.check_initial_reads()?;
        self.step_first()?;
        let pairs = self.with(|component| {
            let ends = |member: &Member| {
                let iterates = !member.node.task_fn.falls_back();
                Some((member.initial?, member.first.as_ref()?.twin)).filter(|_| iterates)
            };
            component.members.iter().map(ends).collect::<Vec<_>>()
        })?;
        let same = pairs.iter().map(|pair| pair.map(|(one, other)| self.same(one, other)).transpose());
        let same = same.collect::<Result<Vec<_>, Halt>>()?;
        self.with(|component| {
            for (number, same) in same.iter().enumerate() {
                let member = &mut component.members[number];
                // A member that is no fixpoint task has its value of round 1 in the first bodies that have read it, too.
                let changed = *same == Some(false);
                member.last = member.outcome_of_first();
                member.next = None;
                member.changed = u32::from(changed);
                member.changes = u32::from(changed);
                member.goes_round = false;
                member.checked = 1;
            }
            component.begin_round(1);
            for number in 0..component.members.len() {
                component.note_readers(number);
            }
            for (number, same) in same.iter().enumerate() {
                if *same == Some(false) {
                    component.mark_due(number);
                }
            }
        })?;
        for (number, pair) in pairs.into_iter().enumerate() {
            if let (Some((before, now)), Some(false)) = (pair, same[number]) {
                self.note_change(number, before, now)?;
            }
        }
        Ok(())
    }

    /// A value of round 0 that depends on a member is an error. For some entries there is one, as when the member that it reads has a value of
    /// round 0 which does not depend on it in turn; for others that would have to run first what waits for it.
    fn check_initial_reads(&self) -> Result<(), Halt> {
        self.with(|component| {
            if let Some(circle) = component.circle_of_initial_value() {
                component.fail(TaskError::Cycle(Arc::new(CycleError::new(&circle))), None);
            }
        })?;
        self.check()
    }

    /// Takes the step of round 1 for each member that has one, unless it was taken before the rounds began again.
    fn step_first(&self) -> Result<(), Halt> {
        let members = self.with(|component| component.members.len())?;
        for number in 0..members {
            let due = self.with(|component| {
                let member = &component.members[number];
                let is_due = member.node.task_fn.has_step() && !member.has_stepped;
                is_due.then_some((member.node, member.initial?, member.first.as_ref()?.twin))
            })?;
            if let Some((node, previous, new)) = due {
                self.step_first_of(node, Stepped { previous, round: 1 }, new)?;
            }
        }
        // A step has read a task that depends on a member: it has run on round 0, and is to be counted in.
        if self.with(|component| component.members.len())? == members { Ok(()) } else { Err(Halt::Grown) }
    }

    fn step_first_of(&self, node: NodeRef, stepped: Stepped, new: NodeRef) -> Result<(), Halt> {
        let local = self.local;
        // SAFETY: 1. the node lives as long as the session; 2. of it only the key is touched, which never changes; 3. both twins are held
        // by the component.
        let step =
            || unsafe { node.task_fn.first_step(node, stepped, new) }.expect("the function has a step");
        let (outcome, gathered) = timed_as_part(local, node, || gather_beside(local, node, &[], step));
        local.cycles.borrow_mut().shorten(local.next_depth());
        if let Ok(twin) = outcome {
            read::own(local, node, twin);
        }
        if let Some(component) = local.cycles.borrow_mut().of_member(node) {
            component.note_reads(node, &gathered.reads);
        }
        match outcome {
            Ok(twin) => self.with(|component| component.keep_first_step(node, twin, gathered)),
            Err(stop) => {
                let error = local.name_failure(&stop, node);
                self.with(|component| component.fail(error, Some(stop)))?;
                Err(Halt::Failed)
            }
        }
    }

    /// Brings a member up to the round, by running its body if need be.
    fn refresh(&self, number: usize) -> Result<(), Halt> {
        if !self.with(|component| component.members[number].is_fixpoint())? {
            return self.evaluate(number);
        }
        if !self.has_changed_reads(number)? {
            return self.with(|component| component.members[number].checked = component.round);
        }
        let run = self.run(number)?;
        self.with(|component| {
            component.members[number].next = Some(run);
            component.members[number].checked = component.round;
        })
    }

    /// Brings a member that is no fixpoint task up to the round.
    fn evaluate(&self, number: usize) -> Result<(), Halt> {
        let begun = self.with(|component| {
            component.is_to_be_checked(number).then(|| component.begin_evaluation(number))
        })?;
        match begun {
            None => return Ok(()),
            Some(Ok(())) => {}
            Some(Err(nodes)) => {
                let error = TaskError::Cycle(Arc::new(CycleError::new(&nodes)));
                self.with(|component| component.fail(error, None))?;
                return Err(Halt::Failed);
            }
        }
        let outcome = crate::base::stack::on_enough_stack(|| self.evaluate_once(number));
        self.with(Component::end_evaluation)?;
        outcome
    }

    fn evaluate_once(&self, number: usize) -> Result<(), Halt> {
        if self.has_changed_reads(number)? {
            let run = self.run(number)?;
            let before =
                self.with(|component| component.members[number].last.as_ref().map(|run| run.twin))?;
            let same = before.map(|before| self.same(before, run.twin)).transpose()?;
            if let (Some(before), Some(false)) = (before, same) {
                self.note_change(number, before, run.twin)?;
            }
            self.with(|component| component.keep_last(number, run, same == Some(true)))?;
        }
        self.with(|component| component.members[number].checked = component.round)
    }

    /// Whether the last run of a member read something else than it would read now.
    fn has_changed_reads(&self, number: usize) -> Result<bool, Halt> {
        let falls_back = self.with(|component| component.members[number].node.task_fn.falls_back())?;
        if falls_back {
            return Ok(false);
        }
        let (reads, checked, is_stepped) = self.with(|component| {
            let member = &component.members[number];
            let has_changed = member.changed >= member.checked;
            (component.read_members(number), member.checked, member.node.task_fn.has_step() && has_changed)
        })?;
        if is_stepped {
            return Ok(true);
        }
        for read in reads {
            let is_fixpoint = self.with(|component| component.members[read].is_fixpoint())?;
            if !is_fixpoint {
                self.evaluate(read)?;
            }
            let changed = self.with(|component| component.members[read].changed)?;
            // A run of round n has read what fixpoint tasks had come to in round n - 1, and others in round n.
            if changed > checked || (is_fixpoint && changed == checked) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Runs the body of a member in this round.
    fn run(&self, number: usize) -> Result<Run, Halt> {
        let local = self.local;
        let (node, stepped, before) = self.with(|component| {
            let member = &component.members[number];
            let last = member.last.as_ref();
            let stepped = last.map(|run| Stepped { previous: run.twin, round: component.round });
            (member.node, stepped, last.map_or_else(Vec::new, |run| run.reads.clone()))
        })?;
        let depth = local.next_depth();
        local.cycles.borrow_mut().runs.push(RoundRun { depth, component: self.id });
        // SAFETY: 1. the node lives as long as the session; 2. of it only the key is touched, which never changes; 3. the twin of the
        // round before is held by the component, which frees none while a body runs.
        let (outcome, gathered) = run_beside(local, node, &before, || unsafe {
            match stepped {
                Some(stepped) => node.task_fn.run_stepped(node, stepped),
                None => node.task_fn.run_into_twin(node),
            }
        });
        local.cycles.borrow_mut().runs.pop();
        if let Ok(twin) = outcome {
            read::own(local, node, twin);
        }
        if let Some(component) = local.cycles.borrow_mut().of_member(node) {
            component.note_reads(node, &gathered.reads);
        }
        if self.with(|component| component.grown)? {
            return Err(Halt::Grown);
        }
        match outcome {
            Ok(twin) => Ok(Run { twin, reads: gathered.reads, emitted: gathered.emitted }),
            Err(stop) => {
                let error = local.name_failure(&stop, node);
                self.with(|component| component.fail(error, Some(stop)))?;
                Err(Halt::Failed)
            }
        }
    }

    /// The values of the round come into use. Returns whether it was the last one.
    fn commit(&self, due: &[usize]) -> Result<bool, Halt> {
        let mut changed = Vec::new();
        for number in due {
            let pair = self.with(|component| {
                let member = &component.members[*number];
                Some((member.last.as_ref()?.twin, member.next.as_ref()?.twin))
            })?;
            let Some((before, now)) = pair else { continue };
            let same = self.same(before, now)?;
            let goes_round = !same && self.is_back(*number, now)?;
            if !same {
                self.note_change(*number, before, now)?;
            }
            self.with(|component| {
                component.members[*number].goes_round |= goes_round;
                let Some(run) = component.members[*number].next.take() else { return };
                component.keep_last(*number, run, same);
                changed.extend((!same).then_some(*number));
            })?;
        }
        // Not before all readers of something in this round are known.
        self.with(|component| changed.iter().for_each(|number| component.mark_due(*number)))?;
        let is_last = self.bound(due)?;
        self.sweep()?;
        Ok(is_last)
    }

    /// Drops the values that no later round reads.
    fn sweep(&self) -> Result<(), Halt> {
        let unused = self.with(Component::take_unused)?;
        publish::free(unused);
        Ok(())
    }

    pub(super) fn same(&self, one: NodeRef, other: NodeRef) -> Result<bool, Halt> {
        // SAFETY: both are twins of one node, held by the component, and no strand changes their values.
        match catch_unwind(AssertUnwindSafe(|| unsafe { one.task_fn.same(one, other) })) {
            Ok(same) => Ok(same),
            Err(payload) => {
                let stop = Stop::caught(payload);
                let error = stop.error(one.task_fn.site().name);
                self.with(|component| component.fail(error, Some(stop)))?;
                Err(Halt::Failed)
            }
        }
    }
}
