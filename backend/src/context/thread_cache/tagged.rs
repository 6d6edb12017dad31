//! A node and a part of its hash in one word.

use std::cell::Cell;
use std::ptr;

use crate::graph::node::{Header, NodeRef};

/// Above a node's address stands the upper part of its hash. Where an address is of 32 bits, that leaves room for no node, and the
/// table answers.
const TAG_SHIFT: u32 = usize::BITS - 16;
const ADDRESS: usize = (1 << TAG_SHIFT) - 1;

/// A tagged node, or none.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Tagged(*mut Header);

/// The part of a hash that stands above the address. It is never zero, so that no node is of no hash.
#[inline(always)]
fn tag(hash: u64) -> usize {
    hash as usize & !ADDRESS | 1 << TAG_SHIFT
}

impl Tagged {
    pub(super) const NONE: Self = Self(ptr::null_mut());

    /// A node whose address leaves no room for a tag is none.
    pub(super) fn of(node: NodeRef) -> Self {
        if node.address() & !ADDRESS != 0 {
            return Self::NONE;
        }
        Self(node.as_ptr().map_addr(|address| address | tag(node.hash)))
    }

    /// Whether the node's hash may be this one.
    #[inline(always)]
    pub(super) fn may_be_of(self, hash: u64) -> bool {
        (self.0.addr() ^ tag(hash)) >> TAG_SHIFT == 0
    }

    /// The node, if its hash may be this one.
    #[inline(always)]
    pub(super) fn node_of(self, hash: u64) -> Option<NodeRef> {
        self.may_be_of(hash).then(|| {
            // SAFETY: 1. with a tag there is an address below it, which is a node's (`of`); 2. all places of these are cleared
            // before the first session after a node has been freed, so the node is alive.
            unsafe { NodeRef::from_ptr(self.0.map_addr(|address| address & ADDRESS)) }
        })
    }

    pub(super) fn is_none(self) -> bool {
        self.0.is_null()
    }

    #[inline]
    pub(super) fn is(self, node: NodeRef) -> bool {
        self.0.addr() & ADDRESS == node.address()
    }
}

/// The place of one.
pub(super) type TaggedCell = Cell<Tagged>;
