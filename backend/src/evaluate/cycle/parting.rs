//! Parting: what does not settle leaves a component, if nothing that has settled reads it any more.
//!
//! In the round in which a value has changed too often, a member *does not settle* if its last run reads a fixpoint task that has
//! changed in this round, or another member that does not settle; and such a fixpoint task itself. All others would read in each
//! further round what they have read in this one: they have come to their fixpoint, and are published. Those that do not settle
//! are released, as if they had not been asked for. Asked again, they are resolved without the others, which have values now;
//! or fail, once nothing is left that has settled. The rounds are the same whichever task was asked first, and so is this.
//!
//! A value may be what it is because of what only an early round has read. So a member that stays, and has read some that leave, has
//! what these have read among its reads, in their place.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::context::component::{Component, Member};
use crate::graph::edges::Edge;
use crate::graph::node::NodeRef;

/// Whether each member, by number, does not settle.
pub(super) fn unsettled(component: &Component) -> Vec<bool> {
    let count = component.members.len();
    let mut readers = vec![Vec::new(); count];
    for number in 0..count {
        for read in component.read_members(number) {
            readers[read].push(number);
        }
    }
    let has_changed = |member: &Member| member.is_fixpoint() && member.changed == component.round;
    let mut unsettled: Vec<_> = component.members.iter().map(has_changed).collect();
    let mut work: Vec<_> = (0..count).filter(|number| unsettled[*number]).collect();
    while let Some(number) = work.pop() {
        for reader in &readers[number] {
            if !std::mem::replace(&mut unsettled[*reader], true) {
                work.push(*reader);
            }
        }
    }
    unsettled
}

/// Members of a component that has come to an end, those that stay and those that leave. The reads of the former are those that would
/// have been read without the latter as tasks.
pub(super) fn part(
    members: Vec<Member>,
    leaving: &[bool],
    later: &mut Vec<Edge>,
) -> (Vec<Member>, Vec<Member>) {
    let mut leaving = leaving.iter();
    let leaves = |_: &Member| leaving.next().copied().unwrap_or_default();
    let (left, mut stay): (Vec<_>, Vec<_>) = members.into_iter().partition(leaves);
    if left.is_empty() {
        return (stay, left);
    }
    let parting = Parting { left: left.iter().map(|member| (member.node, member)).collect() };
    later.retain(|read| !parting.has_left(*read));
    let reads_of_left = || left.iter().flat_map(|member| &member.reads);
    let others: Vec<Edge> = reads_of_left().copied().filter(|read| !parting.has_left(*read)).collect();
    for member in &mut stay {
        if member.reads.iter().any(|read| parting.has_left(*read)) {
            parting.replace_reads(member, &others);
        }
    }
    (stay, left)
}

struct Parting<'a> {
    left: FxHashMap<NodeRef, &'a Member>,
}

impl Parting<'_> {
    fn has_left(&self, read: Edge) -> bool {
        self.left.contains_key(&read.node())
    }

    fn replace_reads(&self, member: &mut Member, others: &[Edge]) {
        let (first, later) = member.reads.split_at(member.first_reads);
        let mut reads = self.in_place(first);
        let first_reads = reads.len();
        reads.extend(later.iter().copied().filter(|read| !self.has_left(*read)));
        // The reads that the leaving members made in later rounds, or for others: it has come to this one by their values.
        reads.extend_from_slice(others);
        let mut seen = FxHashSet::default();
        let mut number = 0;
        member.first_reads = 0;
        reads.retain(|read| {
            number += 1;
            let is_new = seen.insert(*read);
            member.first_reads += usize::from(is_new && number <= first_reads);
            is_new
        });
        member.reads = reads;
    }

    /// Reads of round 1, with those of tasks that leave in the place of each, as bodies come to them.
    fn in_place(&self, reads: &[Edge]) -> Vec<Edge> {
        let mut entered = FxHashSet::default();
        let mut found = Vec::new();
        let mut path = vec![reads];
        while let Some(reads) = path.last_mut() {
            let Some((read, rest)) = reads.split_first() else {
                path.pop();
                continue;
            };
            *reads = rest;
            match self.left.get(&read.node()) {
                None => found.push(*read),
                Some(left) if entered.insert(left.node) => path.push(&left.reads[..left.first_reads]),
                Some(_) => {}
            }
        }
        found
    }
}
