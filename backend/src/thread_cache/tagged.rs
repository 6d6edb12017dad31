//! A node and a part of its hash in one word.

use std::cell::Cell;
use std::ptr;

use crate::node::{Header, NodeRef};

/// Above a node's address stands the upper part of its hash.
const TAG_SHIFT: u32 = 48;
const ADDRESS: usize = (1 << TAG_SHIFT) - 1;

/// The place of one node.
#[repr(transparent)]
pub(super) struct Tagged(Cell<*mut Header>);

/// What of a hash stands above the address. It is never zero, so that an empty place is of no hash.
#[inline(always)]
fn tag(hash: u64) -> usize {
    hash as usize & !ADDRESS | 1 << TAG_SHIFT
}

impl Tagged {
    pub(super) const NONE: Self = Self(Cell::new(ptr::null_mut()));

    /// Whether the node's hash may be this one.
    #[inline(always)]
    pub(super) fn may_be_of(&self, hash: u64) -> bool {
        (self.0.get().addr() ^ tag(hash)) >> TAG_SHIFT == 0
    }

    /// The node, if its hash may be this one.
    #[inline(always)]
    pub(super) fn node_of(&self, hash: u64) -> Option<NodeRef> {
        self.may_be_of(hash).then(|| {
            // SAFETY: 1. with a tag there is an address below it, which is a node's (`put`); 2. all places are cleared before
            // the first session after a node has been freed, so the node is alive.
            unsafe { NodeRef::from_ptr(self.0.get().map_addr(|address| address & ADDRESS)) }
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.get().is_null()
    }

    /// A node whose address leaves no room for a tag is not kept.
    pub(super) fn put(&self, node: NodeRef) {
        if node.address() & !ADDRESS == 0 {
            self.0.set(node.as_ptr().map_addr(|address| address | tag(node.hash)));
        }
    }

    #[inline]
    pub(super) fn is(&self, node: NodeRef) -> bool {
        self.0.get().addr() & ADDRESS == node.address()
    }

    pub(super) fn clear(&self) {
        self.0.set(ptr::null_mut());
    }
}
