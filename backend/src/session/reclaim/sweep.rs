//! Sweep: tasks and outputs that go because memory is short, or because nothing has asked for them for long.
//!
//! New tasks are *on probation*: in a queue of its own, and out of it when they make up more than a tenth of all tasks. They go then, unless
//! they were used again meanwhile. Only if that is not enough, a hand goes round the table, slice by slice, and stops when there is room:
//! ```text
//!   the node was used since            one use is taken off, and it stays             (`Header::note_use`)
//!   nothing reads or holds it          it goes, and so does, in turn, what it alone has read and was not used
//!   it is read                         stays; if a whole round has found nothing else to do, its output goes, the heaviest of a slice
//!                                      first. One that is stored comes back by its fingerprint, another one by its body
//!   it is stored                       if a further round has found nothing else to do, its reads go (`sweep/reads.rs`)
//! ```
//! So what is asked for once goes before what is asked for again: a scan of many keys does not push out what is in use. (This is S3-FIFO with
//! the table as its main queue; `docs/decisions` has the figures.) An output whose readers were used lately counts as used: predicted reads
//! do not tell.
//!
//! A task that goes is *evicted*: readers stay FRESH, and reads that are not marked mean "unchanged", as for what is forgotten. It differs in
//! that the store keeps its records. A node whose records are not committed yet stays: the edges that lead to it would be found neither in
//! memory nor in the store.
//!
//! For example, a cap of 8 MiB, and 100,000 lookups of keys that are asked for once, 500 of others again and again. At 8 MiB the oldest of the
//! new tasks go until 7.5 MiB are left, but for those of the 500 keys among them.
//!
//! A *collection* is one round that takes what was not asked for since the last one, however much room there is.

mod components;
mod reads;

use std::sync::atomic::Ordering::Relaxed;

use super::lists::{Lists, is_held, is_read};
use super::rings::may_lie_on_one;
use super::{Garbage, NODES};
use crate::context::engine::Engine;
use crate::context::memory::Due;
use crate::graph::claim::Phase;
use crate::graph::flags::{Flags, Keeping, Leaving};
use crate::graph::footprint;
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::graph::table::Place;
use larder_storage::TaskKey;

/// How many places of the table are looked at together.
const PLACES: usize = 128;

/// The readers that are looked at for uses of a node.
const READERS: usize = 8;

/// A sweep of the table, or none.
#[derive(Default)]
pub(super) struct Sweep {
    hand: Place,
    round: Option<Round>,
    /// The bytes of nodes that are on their way out.
    leaving: usize,
    /// Reads of nodes that have gone, to be looked at in this slice.
    lost_readers: Vec<NodeRef>,
    /// Nodes on their way out are to be freed at once.
    purges: bool,
    /// Some have stayed in the sweep that the program has called for, and would go if what is known of them were committed.
    awaits_commit: bool,
    /// Bytes and tasks that have gone in this slice: the engine is told at its end.
    gone: (usize, u64),
}

/// A sweep under way.
struct Round {
    due: Due,
    /// It ends when no more than this is used.
    target: usize,
    /// Whether all of what is new may go, however little it is.
    takes_new: bool,
    /// Whether outputs go that are read.
    takes_outputs: bool,
    /// Whether reads go that the store knows.
    takes_reads: bool,
    /// Whether this round has found something to do so far.
    has_done: bool,
    /// Some would go if what is known of them were committed.
    awaits_commit: bool,
    /// The hand has come to where the round began. It began at the start of the table, unless it is the first one.
    rounds: u32,
}

impl Sweep {
    /// A node leaves the table, and is freed some time later.
    pub(super) fn retire(&mut self, node: NodeRef) {
        self.leaving += footprint::fixed(node);
    }

    /// A node is about to be freed.
    pub(super) fn free(&mut self, node: NodeRef) {
        let bytes = footprint::fixed(node);
        self.leaving = self.leaving.saturating_sub(bytes);
        self.take_bytes(bytes);
    }

    /// A node has lost what may have been the last of its readers.
    pub(super) fn lose_readers(&mut self, read: NodeRef) {
        if self.round.is_some() && read.keeping().uses() == 0 {
            self.lost_readers.push(read);
        }
    }

    /// Whether so much is on its way out that it is worth looking at the edges of what that has read.
    pub(super) fn calls_for_purge(&self, engine: &Engine) -> bool {
        // In the middle of a sweep it waits for more: each purge looks at all readers of what many have read.
        let calls = self.round.is_none() || self.leaving > self.kept(engine);
        self.purges && calls || engine.memory.cap().is_some_and(|cap| self.leaving > cap / 32)
    }

    fn has_room(&self, engine: &Engine) -> bool {
        let Some(round) = &self.round else { return true };
        round.due != Due::Collection && self.kept(engine) <= round.target
    }

    /// The bytes that are used, without those that are on their way out.
    fn kept(&self, engine: &Engine) -> usize {
        engine.memory.used().saturating_sub(self.leaving + self.gone.0)
    }

    /// Such bytes of a task are used no more, from the end of the slice on.
    pub(super) fn take_bytes(&mut self, bytes: usize) {
        self.gone.0 += bytes;
    }

    /// Tells the engine what has gone.
    fn tell(&mut self, engine: &Engine) {
        let (bytes, tasks) = std::mem::take(&mut self.gone);
        engine.memory.add(-bytes.cast_signed());
        engine.memory.freed.fetch_add(tasks, Relaxed);
    }
}

impl Lists {
    /// Goes on with a sweep, or begins the one that is due, as far as a slice goes. Returns whether none is under way.
    pub(super) fn sweep(&mut self, engine: &Engine, left: &mut usize, garbage: &mut Garbage) -> bool {
        // Some of an earlier slice may have been freed.
        self.sweep.lost_readers.clear();
        if self.sweep.round.is_none() {
            match engine.memory.due() {
                None => return true,
                // It has gone, and is to be freed.
                Some(Due::Cap) if self.sweep.kept(engine) <= engine.memory.cap().unwrap_or(usize::MAX) => {
                    return true;
                }
                Some(due) => self.begin_sweep(engine, due, engine.memory.target()),
            }
        }
        if let Some(persistence) = engine.persistence() {
            persistence.pending.prune(persistence.writer.committed());
        }
        let mut heavy = Vec::new();
        let mut nodes = Vec::new();
        while *left > 0 && !self.sweep.has_room(engine) {
            if self.take_new(engine, left, garbage) {
                continue;
            }
            let next = engine.table.nodes_from(self.sweep.hand, PLACES.min(*left), &mut nodes);
            *left = left.saturating_sub(PLACES);
            self.sweep.hand = next.unwrap_or_default();
            // SAFETY: the gate is held exclusively.
            unsafe { NodeRef::fetch(nodes.iter().copied()) };
            for node in nodes.drain(..) {
                self.look_at(engine, node, &mut heavy, garbage);
                while let Some(read) = self.sweep.lost_readers.pop() {
                    *left = left.saturating_sub(1);
                    self.look_at(engine, read, &mut heavy, garbage);
                }
            }
            if next.is_none() {
                self.take_outputs(engine, std::mem::take(&mut heavy), garbage);
                if self.ends_round(engine) {
                    return true;
                }
            }
        }
        self.take_outputs(engine, heavy, garbage);
        let has_room = self.sweep.has_room(engine);
        if has_room {
            self.end_sweep(engine);
        }
        has_room
    }

    /// Tells the engine what has gone.
    pub(super) fn tell(&mut self, engine: &Engine) {
        self.sweep.tell(engine);
    }

    /// Asserts, if there are few tasks, that what is said to be used is the sum over all of them.
    pub(super) fn check_sum(&self, engine: &Engine) {
        const FEW: usize = 64;
        let tasks = engine.table.nodes();
        if tasks.len() > FEW {
            return;
        }
        // SAFETY: the gate is held exclusively.
        let sum: usize = tasks.into_iter().map(|node| unsafe { footprint::of(node) }).sum();
        assert_eq!(engine.memory.used(), sum + self.sweep.leaving, "the bytes of all tasks");
    }

    /// Drops outputs of functions that keep a number of them. Returns whether there are no more than that.
    pub(super) fn trim_recents(&mut self, engine: &Engine, left: &mut usize, garbage: &mut Garbage) -> bool {
        let may_go = |node| may_be_evicted(node) && !is_held(node) && has_committed(engine, node);
        let (nodes, is_all) = engine.recents.take(left, may_go);
        if !nodes.is_empty() {
            // Uses of the others are counted anew.
            engine.clear_caches();
        }
        for node in nodes {
            let counter = if is_read(node) { &engine.memory.dropped } else { &engine.memory.freed };
            counter.fetch_add(1, Relaxed);
            self.let_go(engine, node, garbage);
        }
        is_all
    }

    /// Begins a sweep that the program has called for, and has what goes freed at once.
    pub(super) fn begin_shrinking(&mut self, engine: &Engine, target: usize) {
        self.end_sweep(engine);
        self.begin_sweep(engine, Due::Call, target);
        self.sweep.purges = true;
    }

    /// Whether that is not done. When it is, nothing is freed at once any more.
    pub(super) fn is_shrinking(&mut self) -> bool {
        let is_shrinking = self.sweep.round.is_some() || self.is_leaving();
        self.sweep.purges &= is_shrinking;
        is_shrinking
    }

    /// Whether more would have gone if all were committed: what expires while the sweep is under way is marked in the store.
    pub(super) fn awaits_commit(&self) -> bool {
        self.sweep.awaits_commit
    }

    /// Begins a sweep down to `target` bytes.
    pub(super) fn begin_sweep(&mut self, engine: &Engine, due: Due, target: usize) {
        // Nodes that threads remember are asked for in the table again, and counted.
        engine.clear_caches();
        if due == Due::Collection {
            self.sweep.hand = Place::default();
        }
        self.sweep.round = Some(Round {
            due,
            target,
            takes_new: false,
            takes_outputs: false,
            takes_reads: false,
            has_done: false,
            awaits_commit: false,
            rounds: 0,
        });
    }

    fn end_sweep(&mut self, engine: &Engine) {
        let Some(round) = self.sweep.round.take() else { return };
        let kept = self.sweep.kept(engine);
        // Those that could not go are committed at once, and it is tried again then.
        let hasten = || engine.persistence().map_or(0, |persistence| persistence.writer.hasten());
        let is_missed = || engine.memory.cap().is_some_and(|cap| kept > cap);
        match round.due {
            Due::Cap if round.awaits_commit && is_missed() => engine.memory.end_sweep(kept, hasten()),
            Due::Cap => engine.memory.end_sweep(kept, 0),
            Due::Collection => engine.memory.end_collection(),
            Due::Call => {
                self.sweep.awaits_commit = round.awaits_commit && kept > round.target;
                engine.memory.forget_misses();
            }
        }
    }

    /// The hand has come to the end of the table. Returns whether the sweep ends with that.
    fn ends_round(&mut self, engine: &Engine) -> bool {
        let Some(round) = &mut self.sweep.round else { return true };
        round.rounds += 1;
        let has_done = std::mem::take(&mut round.has_done) || round.rounds == 1;
        let goes_on = round.due != Due::Collection
            && (has_done
                || !std::mem::replace(&mut round.takes_new, true)
                || !std::mem::replace(&mut round.takes_outputs, true)
                || engine.persistence().is_some() && !std::mem::replace(&mut round.takes_reads, true));
        if !goes_on {
            self.end_sweep(engine);
        }
        !goes_on
    }

    /// Takes some of the oldest of the new nodes off probation. Returns whether there were any to be taken.
    fn take_new(&mut self, engine: &Engine, left: &mut usize, garbage: &mut Garbage) -> bool {
        let Some(round) = &self.sweep.round else { return false };
        if round.due == Due::Collection {
            return false;
        }
        let share = if round.takes_new { 0 } else { engine.table.len() / 10 };
        let oldest: Vec<_> = {
            let mut probation = engine.probation.lock();
            let count = probation.len().saturating_sub(share).min(PLACES).min(*left);
            probation.drain(..count).collect()
        };
        *left = left.saturating_sub(oldest.len());
        // SAFETY: the gate is held exclusively.
        unsafe { NodeRef::fetch(oldest.iter().copied()) };
        let mut done = 0;
        for node in oldest.iter().copied() {
            if self.sweep.has_room(engine) {
                break;
            }
            done += 1;
            node.keep(Keeping::ON_PROBATION, false);
            if !take_uses(node) && may_be_evicted(node) {
                self.free_unread(engine, node, garbage);
            }
        }
        let mut probation = engine.probation.lock();
        oldest[done..].iter().rev().for_each(|node| probation.push_front(*node));
        !oldest.is_empty()
    }

    /// Lets a node go if nothing reads or holds it. Returns whether something reads it, and it might lose its output.
    fn free_unread(&mut self, engine: &Engine, node: NodeRef, garbage: &mut Garbage) -> bool {
        if is_held(node) || is_going(node) {
            return false;
        }
        if !has_committed(engine, node) {
            self.sweep.note_pending();
            return false;
        }
        if is_read(node) {
            return true;
        }
        if let Some(round) = &mut self.sweep.round {
            round.has_done = true;
        }
        self.sweep.gone.1 += 1;
        if may_lie_on_one(node) || self.waits_as_origin(node) {
            self.let_go(engine, node, garbage);
        } else {
            self.retire(engine, node, garbage);
        }
        false
    }

    fn look_at(
        &mut self,
        engine: &Engine,
        node: NodeRef,
        heavy: &mut Vec<(usize, NodeRef)>,
        garbage: &mut Garbage,
    ) {
        if node.flag(Flags::RESOLVED) {
            return self.look_at_component(engine, node, garbage);
        }
        let Some(round) = &mut self.sweep.round else { return };
        if !may_be_evicted(node) || node.keeping().contains(Keeping::ON_PROBATION) && round.due == Due::Cap {
            return;
        }
        match round.due {
            Due::Cap | Due::Call if node.take_use() => {
                round.has_done = true;
                return;
            }
            Due::Collection if is_asked_for(node) => return,
            Due::Cap | Due::Call | Due::Collection => {}
        }
        let (takes_outputs, takes_reads) = (round.takes_outputs, round.takes_reads);
        if self.free_unread(engine, node, garbage)
            && takes_outputs
            && footprint::weight(node) > 0
            && !is_read_lately(node)
        {
            heavy.push((footprint::weight(node), node));
        }
        if takes_reads {
            self.take_reads(engine, node);
        }
    }

    /// Takes outputs until there is room, the heaviest first.
    fn take_outputs(&mut self, engine: &Engine, mut heavy: Vec<(usize, NodeRef)>, garbage: &mut Garbage) {
        heavy.sort_unstable_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        for (_, node) in heavy.into_iter().take(NODES) {
            if self.sweep.has_room(engine) {
                return;
            }
            // It may have lost its readers, and gone, meanwhile.
            if !node.has(Leaving::LIMBO) && footprint::weight(node) > 0 {
                engine.memory.dropped.fetch_add(1, Relaxed);
                self.let_go(engine, node, garbage);
                if let Some(round) = &mut self.sweep.round {
                    round.has_done = true;
                }
            }
        }
    }

    /// Evicts a node: it goes if nothing reads it; else it loses its output.
    fn let_go(&mut self, engine: &Engine, node: NodeRef, garbage: &mut Garbage) {
        if node.flag(Flags::HAS_VALUE) {
            node.keep(Keeping::EVICTED, node.is_stored() && !node.flag(Flags::FAILED));
            if let Some(extra) = node.extra() {
                extra.given_up.store(false, Relaxed);
            }
        }
        self.drop_output(engine, node, garbage);
    }
}

/// Whether a task may go, or lose its output, if nothing holds it and it was not used.
fn may_be_evicted(node: NodeRef) -> bool {
    let task_fn = node.task_fn;
    let stays = task_fn.is_leaf() || task_fn.observe.is_some() || task_fn.stays;
    !stays
        && !node.has(Leaving::LIMBO | Leaving::MEMBER)
        && !node.flag(Flags::RESOLVED | Flags::DROP_QUEUED | Flags::SOURCE)
        && node.state.phase() != Phase::Running
}

/// Whether there is nothing left of a node but itself, which goes as soon as marks cannot name it, or those that read it go.
fn is_going(node: NodeRef) -> bool {
    node.has(Leaving::ABANDONED) && node.state.phase() == Phase::Empty && !node.flag(Flags::HAS_VALUE)
}

/// Whether a task was made, or asked for, since the last collection came by. The next one is told apart from now on.
fn is_asked_for(node: NodeRef) -> bool {
    let is_young = node.keeping().contains(Keeping::YOUNG);
    node.keep(Keeping::YOUNG, false);
    take_uses(node) || is_young
}

/// Takes all uses off a node. Returns whether there were any.
fn take_uses(node: NodeRef) -> bool {
    let is_used = node.take_use();
    while node.take_use() {}
    is_used
}

/// Whether some of those that read a node were used lately.
fn is_read_lately(node: NodeRef) -> bool {
    node.with_dependents(|readers| {
        // Edges of readers that go are among these, too: nodes are freed only when no edge names them.
        readers.as_slice().iter().take(READERS).any(|reader| reader.reader().keeping().uses() > 0)
    })
}

/// Whether nothing of a node waits to be committed. One of which something does stays, with its output: without that it might go later,
/// with the readers that it has now.
fn has_committed(engine: &Engine, node: NodeRef) -> bool {
    let Some(persistence) = engine.persistence() else { return true };
    let key = Persisted::of(node).and_then(|persisted| persisted.key);
    key.is_none_or(|key| !persistence.pending.concerns(TaskKey(key)))
}
