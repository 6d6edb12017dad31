//! Reading a task that the reader's own strand has claimed: here cycles are found, and members get provisional values.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::{make_way, rounds, run_beside};
use crate::base::stack::on_enough_stack;
use crate::context::component::{ComponentId, Cycles, Run};
use crate::context::local::Local;
use crate::evaluate::complete::unfinished;
use crate::graph::depth::Depth;
use crate::graph::failure::{CycleError, TaskError};
use crate::graph::flags::Flags;
use crate::graph::node::NodeRef;
use crate::graph::stale_reads;
use crate::graph::stop::Stop;

/// Whether the current strand has claimed a node that is RUNNING.
pub(crate) fn is_own(local: &Local, node: NodeRef) -> bool {
    stale_reads::owner(&node.work) == Some(local.strand.get())
}

/// The failure of a body that needs more of `node` than a provisional value, if it is a member of a component that the current strand is
/// resolving. All of the component fail: none of them has a value without that.
pub(crate) fn through_own(local: &Local, node: NodeRef) -> Option<Stop> {
    if !is_own(local, node) || !node.flag(Flags::ON_CYCLE) {
        return None;
    }
    let path = {
        let (claimed, cycles) = (local.claimed.borrow(), local.cycles.borrow());
        match claimed.iter().rposition(|other| *other == node) {
            Some(low) => claimed[low..].to_vec(),
            // Its body has ended, so the cycle closes at the head.
            None => {
                let low = cycles.of_parked(node)?.low.index();
                claimed.get(low..)?.iter().copied().chain([node]).collect()
            }
        }
    };
    let cycle = Arc::new(CycleError::new(&path));
    local.poison_cycle(&cycle);
    Some(TaskError::Cycle(cycle).into())
}

/// The answer to a reader of a claimed task.
enum Answer {
    /// A twin.
    Holder(NodeRef),
    /// The value of round 0.
    Initial,
    /// The value of round 1, which is not known: its body has begun further down, and has to run once more.
    Nested,
    /// The value of this round, of a member that is part of its readers' bodies.
    Evaluated { component: ComponentId, number: usize },
    /// Nothing: the round begins again.
    Restart,
    /// Nothing: it has failed.
    Failed(TaskError),
    /// Nothing: what has been claimed from this depth on is to be claimed anew, as it has hidden a part of the way.
    ClaimAnew(Depth),
}

/// The outcome of reading a RUNNING node that the current strand has claimed, if it can be resolved.
#[cold]
pub(crate) fn read_claimed(local: &Local, node: NodeRef) -> Option<Result<NodeRef, Stop>> {
    if !is_own(local, node) {
        return None;
    }
    let answer = answer(local, node)?;
    Some(match answer {
        Answer::Holder(twin) => Ok(twin),
        Answer::Initial => initial(local, node),
        Answer::Nested => nested(local, node),
        Answer::Evaluated { component, number } => rounds::evaluated(local, component, number),
        Answer::Restart => Err(Stop::Restart),
        Answer::Failed(error) => Err(Stop::from(error)),
        Answer::ClaimAnew(low) => Err(make_way::clear(local, low)),
    })
}

fn answer(local: &Local, node: NodeRef) -> Option<Answer> {
    let claimed = local.claimed.borrow();
    let cycles = &mut *local.cycles.borrow_mut();
    let top = Depth::of_last(&claimed)?;
    let round_run = cycles.runs.last().filter(|run| run.depth == top).map(|run| run.component);
    let parked = cycles.of_parked(node).map(|component| (component.id, component.low));
    if let (Some(in_round), Some((id, _))) = (round_run, parked)
        && in_round == id
    {
        return Some(in_round_of(cycles, id, node));
    }
    let low = match parked {
        Some((_, low)) => low,
        None => match Depth::of_innermost(&claimed, node) {
            Some(low) => low,
            None => return cycles.of_member(node)?.failure().map(Answer::Failed),
        },
    };
    let on_the_way = claimed.get(low.index()..)?;
    // The others were looked at when they joined.
    let unjoined = cycles.unjoined(low, Depth::of_next(&claimed));
    let unjoined: Vec<_> = unjoined.iter().map(|range| range.start.index()..range.end.index()).collect();
    let mut new = unjoined.iter().flat_map(|range| range.clone());
    if let Some(depth) = new.find(|depth| claimed[*depth].flag(Flags::RESOLVED)) {
        return Some(Answer::ClaimAnew(Depth::new(depth)));
    }
    let is_fixpoint = |node: &NodeRef| node.task_fn.has_initial();
    // The rounds of a component have a fixpoint task among them, though its body may have ended.
    let can_begin = parked.is_some()
        || is_fixpoint(&node)
        || on_the_way.iter().skip(1).any(is_fixpoint)
        || cycles.has_rounds_above(low);
    let is_plain = |node: &NodeRef| is_own(local, *node) && !node.task_fn.is_async();
    let new = || unjoined.iter().flat_map(|range| &claimed[range.clone()]);
    let is_new = |node: &&NodeRef| !node.flag(Flags::ON_CYCLE);
    debug_assert_eq!(on_the_way.iter().filter(is_new).count(), new().filter(is_new).count());
    if !new().all(is_plain) {
        return None;
    }
    if !can_begin {
        // A fixpoint task may be among those that were leapt over.
        let is_leapt_to =
            |at: &usize| make_way::was_leapt_to(claimed[*at]) && !claimed[..*at].contains(&claimed[*at]);
        let leapt_to = (low.index() + 1..claimed.len()).find(is_leapt_to)?;
        let epoch = local.engine().epoch();
        on_the_way.iter().for_each(|node| make_way::bar_leaps(*node, epoch));
        return Some(Answer::ClaimAnew(Depth::new(leapt_to - 1)));
    }
    join(cycles, &claimed, low, new());
    Some(if round_run.is_some() { Answer::Restart } else { first_of(cycles, node) })
}

/// The value that a body of a round reads of a member of its own component.
fn in_round_of(cycles: &mut Cycles, id: ComponentId, node: NodeRef) -> Answer {
    let Some(component) = cycles.by_id(id).filter(|component| !component.grown) else {
        return Answer::Restart;
    };
    let Some(number) = component.number(node) else { return Answer::Restart };
    let member = &component.members[number];
    match &member.last {
        Some(run) if member.is_fixpoint() => Answer::Holder(run.twin),
        Some(_) => Answer::Evaluated { component: id, number },
        None => Answer::Restart,
    }
}

/// The value that all others read of a member: all first bodies belong to round 1.
fn first_of(cycles: &mut Cycles, node: NodeRef) -> Answer {
    let is_fixpoint = node.task_fn.has_initial();
    // It has just joined the last component, if it was not in there.
    let known = cycles.last().and_then(|component| {
        let member = &component.members[component.number(node)?];
        if is_fixpoint { member.initial } else { member.first.as_ref().map(|run| run.twin) }
    });
    match known {
        Some(twin) => Answer::Holder(twin),
        None if is_fixpoint => Answer::Initial,
        None => Answer::Nested,
    }
}

/// A cycle has closed at depth `low`: all claims from there on become members of one component, of which the `new` ones are in none.
fn join<'a>(cycles: &mut Cycles, claimed: &[NodeRef], low: Depth, new: impl Iterator<Item = &'a NodeRef>) {
    let covered = claimed.get(low.index()).is_some_and(|node| node.flag(Flags::ON_CYCLE));
    let id = cycles.merge(low, covered, Depth::of_next(claimed)).id;
    let is_in_rounds = cycles.runs.iter().any(|run| run.component == id);
    if let Some(component) = cycles.by_id(id) {
        component.grown |= is_in_rounds;
    }
    new.for_each(|node| node.set_flag(Flags::ON_CYCLE));
}

/// The value of round 0 of a member.
fn initial(local: &Local, node: NodeRef) -> Result<NodeRef, Stop> {
    let is_initialising =
        with_member(local, node, |member| std::mem::replace(&mut member.is_initialising, true));
    if is_initialising {
        let error = TaskError::Cycle(Arc::new(CycleError::new(&[node])));
        return Err(failed(local, node, error.into()));
    }
    let frame = local.begin_frame(&[], true);
    let outcome = on_enough_stack(|| {
        // SAFETY: the node lives as long as the session, and only its key is touched.
        catch_unwind(AssertUnwindSafe(|| unsafe { node.task_fn.initial(node) }))
    });
    let ended = local.settle_carried();
    let gathered = local.take_gathered();
    local.end_frame(frame);
    with_member(local, node, |member| {
        member.is_initialising = false;
        member.initial_reads = gathered.reads;
        member.initial_emitted = gathered.emitted;
    });
    match outcome {
        Ok(twin) if !ended => {
            twin.into_iter().for_each(|twin| local.engine().keep_twin(twin));
            Err(failed(local, node, unfinished(node).into()))
        }
        Ok(twin) => {
            let twin = twin.expect("only fixpoint tasks are asked for their initial value");
            own(local, node, twin);
            with_member(local, node, |member| member.initial = Some(twin));
            Ok(twin)
        }
        Err(payload) => Err(failed(local, node, Stop::caught(payload))),
    }
}

/// The initial value of a member, for the rounds.
pub(super) fn initial_of(local: &Local, node: NodeRef) -> Result<NodeRef, Stop> {
    match with_member(local, node, |member| member.initial) {
        Some(twin) => Ok(twin),
        None => initial(local, node),
    }
}

/// The value of round 1 of a member whose body has begun further down on the stack, and waits for this.
fn nested(local: &Local, node: NodeRef) -> Result<NodeRef, Stop> {
    // Its entry, which notes what the run reads, and that it fails.
    with_member(local, node, |_| ());
    // SAFETY: 1. the node lives as long as the session; 2. only its key is touched, which never changes.
    let (outcome, gathered) = run_beside(local, node, &[], || unsafe { node.task_fn.run_into_twin(node) });
    if let Some(component) = local.cycles.borrow_mut().of_member(node) {
        component.note_reads(node, &gathered.reads);
    }
    match outcome {
        Ok(twin) => {
            own(local, node, twin);
            let run = Run { twin, reads: gathered.reads, emitted: gathered.emitted };
            let first = with_member(local, node, |member| member.first.get_or_insert(run).twin);
            Ok(first)
        }
        Err(payload) => Err(failed(local, node, payload)),
    }
}

/// Runs `use_member` with the entry of a member, which is made if need be. It runs no code of the user's.
fn with_member<R>(
    local: &Local,
    node: NodeRef,
    use_member: impl FnOnce(&mut crate::context::component::Member) -> R,
) -> R {
    let mut cycles = local.cycles.borrow_mut();
    if cycles.of_member(node).is_some() {
        let component = cycles.of_member(node).expect("just found");
        return use_member(component.member(node));
    }
    let depth = Depth::of_innermost(&local.claimed.borrow(), node);
    let depth = depth.expect("a member without an entry has not ended");
    use_member(cycles.innermost(depth).member(node))
}

/// Keeps a twin of a member as long as its component.
pub(super) fn own(local: &Local, node: NodeRef, twin: NodeRef) {
    match local.cycles.borrow_mut().of_member(node) {
        Some(component) => component.own(twin),
        None => local.engine().keep_twin(twin),
    }
}

/// Notes that a member has failed, and hands out what is to be thrown.
pub(super) fn failed(local: &Local, node: NodeRef, stop: Stop) -> Stop {
    if matches!(stop, Stop::Restart) {
        return stop;
    }
    let error = local.name_failure(&stop, node);
    if let Some(component) = local.cycles.borrow_mut().of_member(node) {
        component.fail(error, None);
    }
    stop
}
