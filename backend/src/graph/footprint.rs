//! Footprint: how many bytes of memory a task takes, as far as that is known.
//!
//! ```text
//!   node and its entry in the table     known from the types (`fixed`)
//!   edges                               sixteen bytes for each read: the edge and its reverse
//!   what hangs on the output            weighed when a run has completed, if its type can be weighed; one byte in the node
//! ```
//! A weight is kept as one byte, to a sixteenth exact: for example 1,000 bytes are kept as 1,024. The bytes that are added
//! when a node is made, runs or is read are taken off when it goes, by the same figures: the sum is that over all nodes.

use std::sync::atomic::Ordering::Relaxed;

use crate::graph::flags::Flags;
use crate::graph::node::NodeRef;

/// The bytes of an edge and its reverse.
pub(crate) const EDGE: usize = 2 * size_of::<usize>();

/// The bytes of a pointer in a hash table and its control byte, which is between seven eighths and half full, and in a list of new tasks.
const TABLE_ENTRY: usize = 18;

/// Returns the bytes that a node takes for as long as it exists.
pub(crate) fn fixed(node: NodeRef) -> usize {
    node.task_fn.ops.size + TABLE_ENTRY
}

/// Returns the bytes that hang on the value of a node.
pub(crate) fn weight(node: NodeRef) -> usize {
    unpacked(node.weight.load(Relaxed))
}

/// Returns all bytes that a node takes.
///
/// # Safety
/// The caller may look at the reads of the node (see [`NodeRef::deps`]).
pub(crate) unsafe fn of(node: NodeRef) -> usize {
    // SAFETY: passed on to the caller.
    fixed(node) + unsafe { node.deps() }.as_slice().len() * EDGE + weight(node)
}

/// Weighs the value of a claimed node. Returns by how much that differs from what was known.
pub(crate) fn weigh(node: NodeRef) -> isize {
    let before = weight(node);
    let bytes = if node.flag(Flags::HAS_VALUE) { node.task_fn.weigh(node) } else { 0 };
    node.weight.store(packed(bytes), Relaxed);
    weight(node).cast_signed() - before.cast_signed()
}

/// Notes that the value of a node is gone. Returns its weight.
pub(crate) fn unweigh(node: NodeRef) -> usize {
    // A load and a store: the caller holds the claim, or the gate exclusively.
    let weight = weight(node);
    node.weight.store(0, Relaxed);
    weight
}

/// Steps of sixteen bytes up to 128, then eight steps for each power of two.
fn packed(bytes: usize) -> u8 {
    let units = bytes.saturating_add(8) / 16;
    if units < 8 {
        return units as u8;
    }
    let exponent = units.ilog2() - 3;
    // Rounded; sixteen is the next exponent's eight.
    let mantissa = (units + (1 << exponent >> 1)) >> exponent;
    u8::try_from((exponent as usize) * 8 + mantissa).unwrap_or(u8::MAX)
}

fn unpacked(packed: u8) -> usize {
    let packed = u64::from(packed);
    if packed < 16 {
        return packed as usize * 16;
    }
    let (exponent, mantissa) = (packed / 8 - 1, packed % 8 + 8);
    usize::try_from((mantissa * 16) << exponent).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_kept_to_a_sixteenth() {
        for bytes in (0..5000).chain((5000..100_000_000).step_by(77_777)).chain([1 << 30]) {
            let kept = unpacked(packed(bytes));
            assert!(kept.abs_diff(bytes) <= bytes / 16 + 8, "{bytes} is kept as {kept}");
        }
        assert!(unpacked(packed(usize::MAX)) > 1 << 30);
    }

    #[test]
    fn a_greater_weight_is_not_kept_as_a_smaller_one() {
        let kept: Vec<_> = (0..100_000).map(|bytes| unpacked(packed(bytes))).collect();
        assert!(kept.is_sorted());
    }
}
