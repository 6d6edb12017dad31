//! Parts: a task that has run again brings its parts up to date itself, still on the strand of its run.
//!
//! For example, `index` has 1,000 parts, each of which one task reads. All of them are stale when a file has changed. `index` runs, then
//! each part is claimed, selected from the new value, compared, and published. A reader that is verified afterwards finds its part
//! current and unchanged. Without this, each part would be verified, and run, on the way to its reader: 1,000 bodies.
//!
//! - A reader that is stale because of an equal part alone is made FRESH at once. It would be, at the cost of a visit, when it is asked for.
//! - A part is settled only if its one read is the source, by its value. Any other is left to those that ask for it.
//! - A selection that panics leaves its part stale. Whatever asks for the part runs it, and meets the panic.
//! - The source is FRESH and its claim has ended: other strands may settle or ask for its parts at the same time.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::base::stack::on_enough_stack;
use crate::context::cancelled::is_to_end;
use crate::context::engine::Engine;
use crate::context::local::Local;
use crate::evaluate::demand::release;
use crate::evaluate::observed::{self, is_observed};
use crate::evaluate::stored::Completion;
use crate::graph::claim::Phase;
use crate::graph::edges::Edge;
use crate::graph::epoch::Epoch;
use crate::graph::flags::{Flags, Keeping, Leaving};
use crate::graph::node::NodeRef;
use crate::graph::stale_reads::{self, StaleReads};
use crate::graph::task_fn::{PartOps, Ran};
use larder_storage::record::Because;

/// How many parts a source settles at most. The rest are left to those that ask for them.
const MOST: usize = 1 << 16;

/// How many of them the processor is to fetch at a time.
const FETCHED: usize = 16;

/// Notes, at what a part has read, that it has parts.
#[inline(never)]
pub(crate) fn note_part(part: NodeRef) {
    if let Some(source) = source_of(part) {
        source.keep(Keeping::HAS_PARTS, true);
    }
}

/// Brings the parts of a source up to date, which has run and is FRESH.
#[inline(never)]
pub(crate) fn settle_parts(local: &Local, source: NodeRef) {
    let parts = parts_of(source);
    let mut rest = &parts[..];
    // A selection that panics is left out; the next round goes on behind it.
    while let Some(left) = in_one_go(|settling| settle_first(local, source, &mut rest, settling)) {
        end(local, left.part, Phase::Stale, left.marks);
    }
}

/// Has the processor fetch parts that are about to be settled, instead of one after the other.
fn fetch(parts: &[NodeRef]) {
    std::hint::black_box(parts.iter().fold(0, |all, part| all ^ part.changed_at.get().bits()));
}

/// Ends a claim that the strand does not list. The node names its owner, so a comparison of the user's that asks for the part is told of the
/// cycle; the selection sees no session.
fn end(local: &Local, node: NodeRef, phase: Phase, marks: StaleReads) {
    stale_reads::put(&node.work, marks);
    node.end_claim(phase, &local.engine().lot);
}

/// A part that is being selected. It goes back to where it was if that panics.
struct Settling {
    part: NodeRef,
    marks: StaleReads,
}

/// Runs `work` on a stack that is deep enough for the user's code. Returns the part at which it panicked.
fn in_one_go(work: impl FnOnce(&mut Option<Settling>)) -> Option<Settling> {
    let mut settling = None;
    let outcome = on_enough_stack(|| catch_unwind(AssertUnwindSafe(|| work(&mut settling))));
    // A panic without a part is that of a value that was replaced: its part is settled.
    drop(outcome);
    settling
}

/// Settles parts from the first one on, and takes them off the list.
fn settle_first(local: &Local, source: NodeRef, rest: &mut &[NodeRef], settling: &mut Option<Settling>) {
    while let Some((&part, others)) = rest.split_first() {
        *rest = others;
        if others.len().is_multiple_of(FETCHED) {
            fetch(&others[..others.len().min(FETCHED)]);
        }
        if others.len() % 64 == 63 && is_to_end(local) {
            *rest = &[];
            return;
        }
        let may_be_settled = !part.flag(Flags::MUST_RUN | Flags::RESOLVED) && !is_leaving(part);
        if !(may_be_settled && part.state.try_claim(Phase::Stale)) {
            continue;
        }
        let marks = stale_reads::take_for(&part.work, local.strand.get());
        let Some(PartOps { select, .. }) = selection(part, source) else {
            end(local, part, Phase::Stale, marks);
            continue;
        };
        *settling = Some(Settling { part, marks });
        // SAFETY: 1. the claim is held; 2. the source is FRESH in the open session, and the one read of the part.
        unsafe {
            select(part, source, &mut |ran| {
                *settling = None;
                publish(local, part, source, ran);
                end(local, part, Phase::Fresh, StaleReads::None);
                if ran == Ran::Equal {
                    confirm_readers(local, part);
                }
            });
        }
    }
}

/// Makes readers of a part FRESH that are stale because of it alone. It has turned out equal.
fn confirm_readers(local: &Local, part: NodeRef) {
    // Most parts have one reader.
    let (mut one, mut more) = (None, Vec::new());
    part.with_dependents(|dependents| match dependents.as_slice() {
        [] => {}
        [only] => one = Some(*only),
        many => more.extend_from_slice(many),
    });
    for dependent in one.into_iter().chain(more).filter(|dependent| !dependent.reads_effects()) {
        let reader = dependent.reader();
        let is_marked_once = stale_reads::single(&reader.work).is_some();
        let may_be_confirmed = is_marked_once && !reader.task_fn.is_async() && !is_leaving(reader);
        if may_be_confirmed && reader.state.try_claim(Phase::Stale) {
            confirm_reader(local, reader, part);
        }
    }
}

/// Ends the claim of a reader, which was taken for this alone: as FRESH if the part was all that was stale about it.
fn confirm_reader(local: &Local, reader: NodeRef, part: NodeRef) {
    let engine = local.engine();
    let marks = stale_reads::take_for(&reader.work, local.strand.get());
    let read = Edge::value_of(part);
    let is_current = match &marks {
        StaleReads::One(single) => {
            // SAFETY: the claim is held.
            let reads = unsafe { reader.deps() }.as_slice();
            single.place().exactly().and_then(|at| reads.get(at)) == Some(&read)
                && !reader.flag(Flags::MUST_RUN | Flags::RESTORED | Flags::RESOLVED)
                && part.state.is_fresh()
                && part.changed_at.get() <= reader.verified_at.get()
        }
        _ => false,
    };
    if !is_current || engine.persistence().is_some_and(|persistence| persistence.is_live_member(reader)) {
        return end(local, reader, Phase::Stale, marks);
    }
    if let Some(persistence) = engine.persistence() {
        persistence.verified(local, reader, [read]);
    }
    reader.verified_at.set(engine.epoch());
    local.counters.of(reader.function).verified.add(1);
    if is_observed(local) {
        observed::verified_at_once(local, reader, Some(part));
    }
    reader.clear_flag(Flags::AHEAD);
    end(local, reader, Phase::Fresh, StaleReads::None);
}

/// Brings a claimed part up to date if its source is FRESH. Returns whether it did: the claim has ended then.
#[inline(never)]
pub(crate) fn settle_claimed(local: &Local, part: NodeRef) -> bool {
    let source = source_of(part).filter(|source| source.state.is_fresh());
    !part.flag(Flags::MUST_RUN | Flags::RESOLVED) && source.is_some_and(|source| settle(local, part, source))
}

/// Returns the one read of a claimed part, if the graph knows it.
fn source_of(part: NodeRef) -> Option<NodeRef> {
    // SAFETY: the claim is held, or the gate exclusively.
    match unsafe { part.deps() }.as_slice() {
        [only] if !only.reads_effects() => Some(only.node()),
        _ => None,
    }
}

/// Returns the parts among the readers of a node. Some of them may not read it any more.
fn parts_of(source: NodeRef) -> Vec<NodeRef> {
    source.with_dependents(|dependents| {
        let readers = dependents.as_slice().iter().map(|dependent| dependent.reader());
        readers.filter(|reader| reader.task_fn.part.is_some()).take(MOST).collect()
    })
}

/// Whether the program does not want the task. Only a call of it says otherwise.
fn is_leaving(node: NodeRef) -> bool {
    node.has(Leaving::ABANDONED | Leaving::UNREACHABLE)
}

/// Selects the value of a claimed part anew, and publishes it. Returns whether that was possible: if not, the part is as it was.
fn settle(local: &Local, part: NodeRef, source: NodeRef) -> bool {
    let Some(PartOps { select, .. }) = selection(part, source) else { return false };
    let mut is_published = false;
    let outcome = on_enough_stack(|| {
        catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: 1. the claim is held; 2. the source is FRESH in the open session, and the one read of the part.
            unsafe {
                select(part, source, &mut |ran| {
                    publish(local, part, source, ran);
                    // A part of an async task is settled by the async run that verifies it.
                    let this =
                        if part.task_fn.is_async() { local.engine().async_runs.land(part) } else { None };
                    release(local, part, Phase::Fresh, StaleReads::None);
                    is_published = true;
                    drop(this);
                });
            }
        }))
    });
    // A panic after that is of what was replaced.
    drop(outcome);
    is_published
}

/// Returns how a claimed part is selected from its source, if the last run of it has ended well, its value is in memory, and it has
/// read the source alone.
fn selection(part: NodeRef, source: NodeRef) -> Option<PartOps> {
    let is_whole = part.flag(Flags::HAS_VALUE)
        && !part.flag(Flags::FAILED | Flags::FORGOTTEN | Flags::RESTORED | Flags::ON_CYCLE)
        && !part.keeping().contains(Keeping::EVICTED);
    // SAFETY: the claim is held, or the gate exclusively.
    let reads_source = unsafe { part.deps() }.as_slice() == [Edge::value_of(source)];
    part.task_fn.part.filter(|_| is_whole && reads_source)
}

/// Publishes the value of a claimed part, in place of a run: it was whole before, and its reads are as they were.
fn publish(local: &Local, part: NodeRef, source: NodeRef, ran: Ran) {
    let engine = local.engine();
    let epoch = engine.epoch();
    if ran == Ran::Changed {
        part.changed_at.set(epoch);
    }
    part.verified_at.set(epoch);
    part.clear_flag(Flags::MARKED | Flags::AHEAD);
    if let Some(persistence) = engine.persistence() {
        drop(persistence.completed(local, part, Completion { ran, because: Because::Read }, true));
    }
    local.counters.of(part.function).settled.add(1);
    if is_observed(local) {
        observed::settled(engine, part, source, ran);
    }
}

/// Brings the parts of an input up to date, whose new value is in place, and returns those that have changed. The caller holds the gate
/// exclusively, and marks no part that was settled in this `epoch` ([`is_settled`]).
pub(crate) fn settle_exclusively(engine: &Engine, input: NodeRef, epoch: Epoch) -> Vec<NodeRef> {
    let mut changed = Vec::new();
    for part in parts_of(input) {
        let Some(PartOps { select, .. }) =
            selection(part, input).filter(|_| part.state.is_fresh() && !is_leaving(part))
        else {
            continue;
        };
        let settled = on_enough_stack(|| {
            let mut settled = None;
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                // SAFETY: the gate is held exclusively, and both have a value.
                unsafe { select(part, input, &mut |ran| settled = Some(ran)) }
            }));
            drop(outcome);
            settled
        });
        if settled == Some(Ran::Changed) {
            part.changed_at.set(epoch);
            changed.push(part);
        }
        if let Some(ran) = settled.filter(|_| engine.observers.any()) {
            observed::settled(engine, part, input, ran);
        }
        if settled.is_some() {
            part.verified_at.set(epoch);
        }
    }
    changed
}

/// Whether a reader of a changed input has been settled in this epoch already.
pub(crate) fn is_settled(reader: NodeRef, epoch: Epoch) -> bool {
    reader.task_fn.part.is_some() && reader.state.is_fresh() && reader.verified_at.get() == epoch
}
