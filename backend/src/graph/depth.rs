//! Depths: the places of a strand's claims, counted from the outermost one.

use crate::graph::node::NodeRef;

/// The place of a claim among those of its strand. For example, `a` asks for `b` and `b` for `c`: their claims stand at the depths 0, 1
/// and 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Depth(usize);

impl Depth {
    pub(crate) const fn new(index: usize) -> Self {
        Self(index)
    }

    /// Returns the depth at which the next claim will stand.
    pub(crate) fn of_next(claimed: &[NodeRef]) -> Self {
        Self(claimed.len())
    }

    /// Returns the depth of the innermost claim, if there is one.
    pub(crate) fn of_last(claimed: &[NodeRef]) -> Option<Self> {
        claimed.len().checked_sub(1).map(Self)
    }

    /// Returns the depth of the outermost claim of a node.
    pub(crate) fn of(claimed: &[NodeRef], node: NodeRef) -> Option<Self> {
        claimed.iter().position(|claimed| *claimed == node).map(Self)
    }

    /// Returns the depth of the innermost claim of a node.
    pub(crate) fn of_innermost(claimed: &[NodeRef], node: NodeRef) -> Option<Self> {
        claimed.iter().rposition(|claimed| *claimed == node).map(Self)
    }

    /// Returns its index in the list of claims.
    pub(crate) const fn index(self) -> usize {
        self.0
    }
}
