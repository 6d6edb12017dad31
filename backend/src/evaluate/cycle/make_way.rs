//! Making way: what a strand gives up so that one strand resolves the whole of a component.
//!
//! Two strands that have entered a component wait for each other. The one that would close the circle gives up all its claims on
//! it, as if they had been cancelled, waits until the task that it came to is no longer claimed, and then asks again. Meanwhile
//! the other one finds what was given up unclaimed, and resolves the component by itself. A strand that makes way has nothing left
//! on the circle as it was known; should a larger circle close later, the strand that closes it gives up more.
//!
//! It is done within a strand, too
//! * to take back the claims on a resolved component that is being verified (`resolved.rs`), when something that it reads turns out
//!   to be a part of it now;
//! * when a cycle has closed on which there is no fixpoint task, but a node that was claimed as the origin of a wave, ahead of the
//!   tasks in between (`demand.rs`): the way is not known, and has to be gone link by link;
//! * when the head of a component has left it (`parting.rs`): it is asked for again.

use super::read::is_own;
use crate::context::component::Way;
use crate::context::local::Local;
use crate::evaluate::demand::{Patience, wait_for};
use crate::graph::claim::Phase;
use crate::graph::depth::Depth;
use crate::graph::epoch::Epoch;
use crate::graph::flags::Flags;
use crate::graph::node::NodeRef;
use crate::graph::stop::Stop;

/// Waiting for `on` would close a cycle along `path`, at `closes_at`. If it can be resolved, the current strand makes way; the
/// reason that is returned unwinds it.
#[cold]
pub(crate) fn give_way(
    local: &Local,
    on: NodeRef,
    path: &[NodeRef],
    closes_at: NodeRef,
    patience: Patience,
) -> Option<Stop> {
    // A strand does not do again what it was told before; another one goes on when this one has made way.
    let goes_on = |node| !is_own(local, node) && local.beneath.borrow().is_none();
    let epoch = local.engine().epoch();
    let hides = |node| was_leapt_to(node) && (!is_barred(node, epoch) || goes_on(node));
    let may_resolve = path.iter().any(|node| node.task_fn.has_initial() || hides(*node));
    path.iter().for_each(|node| bar_leaps(*node, epoch));
    if !may_resolve || path.iter().any(|node| node.task_fn.is_async()) {
        return None;
    }
    if is_own(local, on) || !is_own(local, closes_at) {
        return None;
    }
    if patience == Patience::GivesWay {
        // The waiting node is verified on behalf of an async run: its body runs, and waits as a thread does.
        return Some(Stop::Parked);
    }
    let low = lowest(local, closes_at)?;
    Some(clear_for(local, low, Some(on)))
}

/// Whether a node has been claimed ahead of tasks that lie between it and the one that claimed it: they are missing in the ways that are
/// told by claims.
pub(super) fn was_leapt_to(node: NodeRef) -> bool {
    node.flag(Flags::AHEAD)
}

/// From now on the way to a node that has been leapt to is gone link by link.
pub(super) fn bar_leaps(node: NodeRef, epoch: Epoch) {
    if was_leapt_to(node) {
        node.set_flag(Flags::BROKEN);
        node.extra_or_insert().barred.set(epoch.next());
    }
}

/// Whether no claim may leap to a node in this epoch. That the wave behind it is broken says only that none does so by that.
pub(crate) fn is_barred(node: NodeRef, epoch: Epoch) -> bool {
    node.extra().is_some_and(|extra| extra.barred.get() == epoch.next())
}

/// The depth from which on all is given up if `node` is.
fn lowest(local: &Local, node: NodeRef) -> Option<Depth> {
    let claimed = local.claimed.borrow();
    let mut cycles = local.cycles.borrow_mut();
    if let Some(component) = cycles.of_parked(node) {
        return Some(component.low);
    }
    let depth = Depth::of(&claimed, node)?;
    if node.flag(Flags::ON_CYCLE) {
        return Some(cycles.innermost(depth).low);
    }
    // The members of a resolved component are claimed together.
    let others = claimed[..depth.index()]
        .iter()
        .rev()
        .take_while(|other| node.flag(Flags::RESOLVED) && other.flag(Flags::RESOLVED));
    Some(Depth::new(depth.index() - others.count()))
}

/// Gives up all claims from a depth on, and waits for none.
pub(super) fn clear(local: &Local, low: Depth) -> Stop {
    clear_for(local, low, None)
}

fn clear_for(local: &Local, low: Depth, wait_for: Option<NodeRef>) -> Stop {
    local.poison_from(low, &Stop::MakesWay);
    let mut cycles = local.cycles.borrow_mut();
    match &mut cycles.way {
        Some(way) if way.low <= low => {}
        way => *way = Some(Way { low, wait_for }),
    }
    Stop::MakesWay
}

/// Whether the claims that are to be given up begin at a depth or further in, and there is nothing to wait for. Then they have
/// been given up.
pub(super) fn is_cleared_from(local: &Local, depth: Depth) -> bool {
    let mut cycles = local.cycles.borrow_mut();
    let is_cleared = cycles.way.as_ref().is_some_and(|way| way.low >= depth && way.wait_for.is_none());
    if is_cleared {
        cycles.way = None;
    }
    is_cleared
}

/// Whether the current strand has given up all that it was to give up, and may ask again.
pub(crate) fn is_giving_way(local: &Local) -> bool {
    let depth = local.next_depth();
    local.cycles.borrow().way.as_ref().is_some_and(|way| depth <= way.low)
}

/// Waits until it makes sense to ask again.
///
/// # Errors
/// If the session is cancelled, or more is to be given up.
pub(crate) fn wait_for_way(local: &Local) -> Result<(), Stop> {
    let way = local.cycles.borrow_mut().way.take();
    let Some(node) = way.and_then(|way| way.wait_for) else { return Ok(()) };
    while node.state.phase() == Phase::Running && !is_own(local, node) {
        match wait_for(local, node) {
            // The owner cannot go on before this strand does.
            Ok(crate::evaluate::demand::Waited::Never) => break,
            Ok(crate::evaluate::demand::Waited::Over) => {}
            Err(stop) if stop.is_given_up() => return Err(stop),
            // The failure is told to the strands that ask for it.
            Err(_) => break,
        }
    }
    Ok(())
}
