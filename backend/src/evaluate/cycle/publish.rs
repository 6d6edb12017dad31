//! The end of a component: its members get their values, all at once as far as others see, or fail together.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::parting;
use super::rounds::Stopped;
use crate::base::stack::on_enough_stack;
use crate::context::component::{Component, Member};
use crate::context::local::Local;
use crate::evaluate::complete::replace_emitted;
use crate::evaluate::observed::{self, is_observed};
use crate::evaluate::publish::{Changes, changes_value, publish_failure, publish_run};
use crate::evaluate::relink::relink;
use crate::graph::claim::Phase;
use crate::graph::failure::TaskError;
use crate::graph::flags::Flags;
use crate::graph::node::NodeRef;
use crate::graph::resolved::Resolved;
use crate::graph::stale_reads;
use crate::graph::stop::Stop;
use crate::graph::task_fn::Ran;

/// The answers of the user's code about a member's value.
struct Judged {
    ran: Ran,
    lasts: bool,
}

/// Publishes the innermost component of the strand, which has come to its fixpoint, but for the members that leave: these are
/// released, and returned.
///
/// # Errors
/// If the user's code panics; nothing is published then.
pub(super) fn publish(local: &Local) -> Result<Vec<NodeRef>, Stopped> {
    // Code of the user's runs first, so that nothing can fail half-way.
    let values: Vec<(NodeRef, NodeRef)> = {
        let cycles = local.cycles.borrow();
        let component = cycles.last().into_iter().flat_map(|component| &component.members);
        component.filter_map(|member| Some((member.node, member.last.as_ref()?.twin))).collect()
    };
    let mut judged = Vec::with_capacity(values.len());
    for (node, twin) in values {
        match catch_unwind(AssertUnwindSafe(|| judge(node, twin))) {
            Ok(judgement) => judged.push(judgement),
            Err(payload) => {
                let stop = Stop::caught(payload);
                return Err(Stopped::Failed(stop.error(node), Some(stop)));
            }
        }
    }
    let Some(component) = local.cycles.borrow_mut().pop() else { return Err(Stopped::Merged) };
    let Component { members, twins, mut later, leaving, .. } = component;
    let mut leaves = leaving.iter();
    let (judged_left, mut judged): (Vec<_>, Vec<_>) =
        judged.into_iter().partition(|_| leaves.next().copied().unwrap_or_default());
    let (mut members, left) = parting::part(members, &leaving, &mut later);
    // They have come to what they are by what has left, so they last no longer than that: no session, if it expires.
    let left_lasts = judged_left.iter().all(|left| left.lasts)
        && left.iter().all(|member| !member.node.task_fn.may_expire());
    if let Some(first) = judged.first_mut() {
        first.lasts &= left_lasts;
    }
    let with_initial = members.iter_mut().filter(|member| !member.initial_reads.is_empty());
    let initial_reads =
        with_initial.map(|member| (member.node, std::mem::take(&mut member.initial_reads))).collect();
    let first_reads = members.iter().map(|member| (member.node, member.first_reads));
    let resolved = Arc::new(Resolved::new(first_reads, initial_reads, later));
    let lasts = judged.iter().all(|judged| judged.lasts);
    let ran: Vec<Ran> = judged.iter().map(|judged| judged.ran).collect();
    for (member, judged) in members.into_iter().zip(&judged) {
        publish_member(local, member, judged, &resolved);
    }
    if let Some(persistence) = local.engine().persistence() {
        persistence.resolved(&resolved, &ran, lasts);
    }
    // The first is the one that all others are found by: it comes last.
    for (node, ran) in resolved.members.iter().zip(ran).rev() {
        if is_observed(local) {
            observed::resolved(local, *node, ran);
        }
        release(local, *node, Phase::Fresh);
    }
    for member in &left {
        fail_member(local, member, &TaskError::Cancelled);
    }
    free(twins);
    Ok(left.into_iter().map(|member| member.node).collect())
}

fn judge(node: NodeRef, twin: NodeRef) -> Judged {
    let ran = if !node.flag(Flags::HAS_VALUE) {
        Ran::First
    } else {
        // SAFETY: the claim is held and there is a value; the twin's is held by the component. The descriptor is the node's.
        if unsafe { node.task_fn.same(node, twin) } { Ran::Equal } else { Ran::Changed }
    };
    // SAFETY: the twin is this function's, and has an output that no strand changes.
    let keeps = || unsafe { node.task_fn.keeps(twin) };
    Judged { ran, lasts: !node.task_fn.volatile && keeps() }
}

/// Does for a member what `complete::complete` does for a task by itself, but for the end of the claim.
fn publish_member(local: &Local, member: Member, judged: &Judged, resolved: &Arc<Resolved>) {
    let Member { node, last, reads, .. } = member;
    let Some(run) = last else { unreachable!("a component with a value has all members' values") };
    let ran = judged.ran;
    if ran != Ran::Equal {
        // SAFETY: the claim is held; the twin is the component's, and no body runs that could have been lent its value.
        unsafe { node.adopt(run.twin) };
    }
    let reads_changed = relink(local, node, &reads);
    let extra = node.extra_or_insert();
    let emitted_changed = replace_emitted(node, run.emitted);
    node.clear_flag(Flags::RESTORED);
    let changes = Changes { value: changes_value(node, ran), effects: reads_changed || emitted_changed };
    publish_run(local, node, changes, judged.lasts);
    if node.task_fn.may_expire() {
        local.engine().expiries.set(node, node.task_fn.lifetime(node));
    }
    *extra.resolved.lock() = Some(resolved.clone());
    // Broken: that it is what it was before says nothing about the other members, as whose origin it may stand (`resolved.rs`).
    node.set_flag(Flags::RESOLVED | Flags::BROKEN);
    if ran == Ran::Equal {
        local.counters.of(node.function).cut_off.add(1);
    }
}

/// All members of the innermost component fail with `error`; if that is a cancellation, they are as if they had not been asked for.
pub(super) fn fail_all(local: &Local, error: &TaskError) {
    let Some(component) = local.cycles.borrow_mut().pop() else { return };
    let Component { members, twins, .. } = component;
    for member in members.into_iter().filter(|member| !member.has_left) {
        fail_member(local, &member, error);
    }
    let frame = local.begin_frame(&[], false);
    free(twins);
    local.end_frame(frame);
}

/// Does for a member what `complete::fail` does for a task by itself.
fn fail_member(local: &Local, member: &Member, error: &TaskError) {
    let node = member.node;
    let extra = node.extra_or_insert();
    if matches!(error, TaskError::Cancelled) {
        extra.failure.lock().take();
    } else {
        publish_failure(local, node, &member.reads, error.clone(), None);
    }
    node.set_flag(Flags::MUST_RUN | Flags::BROKEN);
    node.clear_flag(Flags::ON_CYCLE);
    release(local, node, Phase::Empty);
}

fn release(local: &Local, node: NodeRef, phase: Phase) {
    drop(stale_reads::take(&node.work));
    node.end_claim(phase, &local.engine().lot);
}

/// Frees twins of a component. No body that could have been lent their values runs any more.
pub(super) fn free(twins: impl IntoIterator<Item = NodeRef>) {
    on_enough_stack(|| free_here(twins));
}

fn free_here(twins: impl IntoIterator<Item = NodeRef>) {
    for twin in twins {
        // SAFETY: 1. the component alone has handed the twin out, to bodies of its members, and these have ended; 2. it is in no
        // list any more. A value whose drop panics is gone all the same.
        drop(catch_unwind(AssertUnwindSafe(|| unsafe { twin.free_twin() })));
    }
}
