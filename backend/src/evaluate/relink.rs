//! Relink: what a node has read replaces what it read before, in its own list and in those of the nodes that it has read.
//!
//! A reverse edge names the position of the read. Where a body reads one task more than before, all reads behind that one have moved by
//! one place, and are the same. They are found by a look ahead, and their reverse edges stay with another position. For example, a
//! function is put in at the top of a file, and the task that goes through 1,000 functions has one new read and 1,000 that moved.

use std::sync::atomic::Ordering::Relaxed;

use crate::context::local::Local;
use crate::graph::edges::{Dependent, Deps, Edge};
use crate::graph::flags::{Flags, Leaving};
use crate::graph::footprint;
use crate::graph::node::NodeRef;
use crate::persist::reads_changed;

/// Replaces the reads of a claimed node by those of the current frame. Returns whether those that can emit are others, as [`relink`] does.
pub(crate) fn relink_run(local: &Local, node: NodeRef) -> bool {
    // SAFETY: the claim is held, and nothing is put in place of the reads here.
    let before = unsafe { node.deps() }.as_slice();
    !local.has_followed(before) && local.with_reads(|reads| relink(local, node, reads))
}

/// Replaces the reads of a claimed node and adds the reverse edges that are new. Returns whether those that can emit are
/// others, or in another order: then so may be what is collected through the node.
pub(crate) fn relink(local: &Local, node: NodeRef, reads: &[Edge]) -> bool {
    // SAFETY: the claim is held.
    let before = unsafe { node.deps() }.as_slice();
    if before == reads {
        return false;
    }
    // The reads of a restored run are not known.
    let emitters_changed = node.flag(Flags::RESTORED) || !same_emitters(before, reads);
    reads_changed(node, before.len());
    local
        .add_memory((reads.len().cast_signed() - before.len().cast_signed()) * footprint::EDGE.cast_signed());
    if before.is_empty() {
        reads.iter().enumerate().for_each(|(position, read)| link(local, node, position, *read));
    } else {
        relink_changes(local, node, before, reads);
    }
    // SAFETY: the claim is held, and the old slice is not used any more.
    unsafe { *node.deps.get() = Deps::from_slice(reads) };
    emitters_changed
}

#[inline(never)]
fn relink_changes(local: &Local, node: NodeRef, before: &[Edge], reads: &[Edge]) {
    for change in Changes::between(before, reads) {
        match change {
            Change::New(at) => link(local, node, at, reads[at]),
            Change::Gone(at) => unlink(local, before[at].node()),
            Change::Moved { from, to } => move_link(local, node, from, to, reads[to]),
        }
    }
}

/// Adds the reverse of a read.
#[inline]
fn link(local: &Local, node: NodeRef, position: usize, read: Edge) {
    let reverse = Dependent::new(node, position, read);
    if read.node().with_dependents(|dependents| dependents.push(reverse)) {
        local.engine().queue_tidying(read.node());
    }
}

/// Says in the reverse of a read where that stands now. Where it is not found at once, a new one takes its place.
fn move_link(local: &Local, node: NodeRef, from: usize, to: usize, read: Edge) {
    let (old, new) = (Dependent::new(node, from, read), Dependent::new(node, to, read));
    if old != new && !read.node().with_dependents(|dependents| dependents.replace(old, new)) {
        link(local, node, to, read);
        unlink(local, read.node());
    }
}

/// Whether two lists of reads are the same but for nodes that emit nothing. For example, an input that was removed and made again
/// is another node.
fn same_emitters(before: &[Edge], reads: &[Edge]) -> bool {
    let same = before.iter().zip(reads).take_while(|(before, read)| before == read).count();
    let emits = |read: &&Edge| read.node().task_fn.emits();
    before[same..].iter().filter(emits).eq(reads[same..].iter().filter(emits))
}

/// Notes that a reverse edge out of `read` is dead. It is taken out when enough of them are.
fn unlink(local: &Local, read: NodeRef) {
    let (first, crowded) = read.with_dependents(|dependents| {
        let dead = read.dead.load(Relaxed).saturating_add(1);
        read.dead.store(dead, Relaxed);
        let all = dependents.as_slice().len();
        let live = all.saturating_sub(usize::from(dead));
        ((dead == 1).then_some(all), dead == u16::MAX || usize::from(dead) > live.max(8))
    });
    if read.flag(Flags::SOURCE) {
        read.put_on(Leaving::WAS_READ);
    }
    if let Some(edges) = first {
        local.engine().note_dead_edges(read, edges);
    }
    // One that is not wanted any more may have lost its last reader.
    if crowded || read.has(Leaving::ABANDONED | Leaving::UNREACHABLE) {
        local.engine().queue_tidying(read);
    }
}

/// A difference between two lists of reads, by positions in the new one, the old one, or both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    New(usize),
    Gone(usize),
    Moved { from: usize, to: usize },
}

/// The differences between two lists of reads, in order. Reads at equal positions are none.
struct Changes<'a, T> {
    before: &'a [T],
    now: &'a [T],
    from: usize,
    to: usize,
    /// How many comparisons may still be spent on looking ahead. Lists that have nothing in common cost a few for each read.
    looks: usize,
    /// The read of the new list at `to` takes the place of one of the old list.
    replaces: bool,
}

impl<'a, T: PartialEq> Changes<'a, T> {
    /// How far one list may be ahead of the other where they are the same again.
    const FARTHEST: usize = 32;

    fn between(before: &'a [T], now: &'a [T]) -> Self {
        Self { before, now, from: 0, to: 0, looks: 64 + 4 * (before.len() + now.len()), replaces: false }
    }

    /// Returns by how much the one list or the other is ahead from here on.
    fn look_ahead(&mut self) -> Option<(usize, usize)> {
        let (before, now) = (&self.before[self.from..], &self.now[self.to..]);
        for ahead in 1..=Self::FARTHEST.min(self.looks / 2) {
            self.looks -= 2;
            if now.get(ahead) == Some(&before[0]) {
                return Some((0, ahead));
            }
            if before.get(ahead) == Some(&now[0]) {
                return Some((ahead, 0));
            }
        }
        None
    }
}

impl<T: PartialEq> Iterator for Changes<'_, T> {
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        loop {
            let (from, to) = (self.from, self.to);
            match (self.before.get(from), self.now.get(to)) {
                (None, None) => return None,
                (Some(_), None) => {
                    self.from += 1;
                    return Some(Change::Gone(from));
                }
                (None, Some(_)) => {
                    self.to += 1;
                    return Some(Change::New(to));
                }
                (Some(_), Some(_)) if self.replaces => {
                    self.replaces = false;
                    self.to += 1;
                    return Some(Change::New(to));
                }
                (Some(old), Some(new)) if old == new => {
                    (self.from, self.to) = (from + 1, to + 1);
                    if from != to {
                        return Some(Change::Moved { from, to });
                    }
                }
                (Some(_), Some(_)) => match self.look_ahead() {
                    Some((0, _)) => {
                        self.to += 1;
                        return Some(Change::New(to));
                    }
                    Some(_) => {
                        self.from += 1;
                        return Some(Change::Gone(from));
                    }
                    None => {
                        // The other half of the change comes next.
                        self.from += 1;
                        self.replaces = self.from < self.before.len();
                        return Some(Change::Gone(from));
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Change, Changes};

    /// The positions that reverse edges name when the changes have been made, and how many moved.
    fn relinked(before: &[u32], now: &[u32]) -> (BTreeSet<(u32, usize)>, usize) {
        let mut edges: BTreeSet<_> = before.iter().copied().zip(0..).collect();
        let (mut moved, mut put) = (0, Vec::new());
        for change in Changes::between(before, now) {
            match change {
                Change::Gone(at) => assert!(edges.remove(&(before[at], at)), "{before:?} {now:?}"),
                Change::New(at) => put.push((now[at], at)),
                Change::Moved { from, to } => {
                    assert_eq!(before[from], now[to]);
                    assert!(edges.remove(&(before[from], from)));
                    put.push((now[to], to));
                    moved += 1;
                }
            }
        }
        for edge in put {
            assert!(edges.insert(edge), "{before:?} {now:?}");
        }
        (edges, moved)
    }

    #[test]
    fn reads_behind_one_that_is_put_in_are_moved() {
        let before: Vec<u32> = (0..1000).collect();
        let mut now = before.clone();
        now.insert(0, 5000);
        now.pop();
        assert_eq!(relinked(&before, &now).1, 999);
    }

    #[test]
    fn whatever_the_lists_are_the_changes_lead_from_one_to_the_other() {
        let mut state = 1_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for _ in 0..if cfg!(miri) { 20 } else { 5000 } {
            let before: Vec<u32> = (0..random(20)).map(|_| random(8) as u32).collect();
            let mut now = before.clone();
            for _ in 0..random(5) {
                match random(3) {
                    0 => {
                        let at = random(now.len() + 1);
                        now.insert(at, random(8) as u32);
                    }
                    1 if !now.is_empty() => {
                        let at = random(now.len());
                        now.remove(at);
                    }
                    _ => {
                        let by = random(now.len() + 1);
                        now.rotate_left(by);
                    }
                }
            }
            let expected: BTreeSet<_> = now.iter().copied().zip(0..).collect();
            assert_eq!(relinked(&before, &now).0, expected, "{before:?} {now:?}");
        }
    }
}
