//! A component that has been resolved, as its members keep it.

use rustc_hash::FxHashMap;

use crate::graph::edges::Edge;
use crate::graph::node::NodeRef;

/// A component that has been resolved.
pub(crate) struct Resolved {
    pub(crate) members: Vec<NodeRef>,
    /// The number of each member, and how many of its reads were made in round 1.
    pub(crate) index: FxHashMap<NodeRef, (usize, usize)>,
    /// The reads of each value of round 0 that has read anything.
    pub(crate) initial_reads: FxHashMap<NodeRef, Vec<Edge>>,
    /// Nodes that were read in later rounds only, in order.
    pub(crate) later: Vec<Edge>,
}

impl Resolved {
    /// How many of its reads a member has made in round 1.
    pub(crate) fn first_reads(&self, member: NodeRef) -> usize {
        self.index.get(&member).map_or(0, |(_, first_reads)| *first_reads)
    }

    /// Of members, each with the number of its reads in round 1.
    pub(crate) fn new(
        members: impl Iterator<Item = (NodeRef, usize)>,
        initial_reads: FxHashMap<NodeRef, Vec<Edge>>,
        later: Vec<Edge>,
    ) -> Self {
        let index: FxHashMap<_, _> =
            members.enumerate().map(|(number, (node, reads))| (node, (number, reads))).collect();
        let mut members: Vec<_> = index.keys().copied().collect();
        members.sort_unstable_by_key(|node| index[node].0);
        Self { members, index, initial_reads, later }
    }
}
