//! Call: the arguments of a call, borrowed on the caller's stack or owned in a node.
//!
//! - Borrowed and owned arguments have one hash, one equality and one encoding. For example, `&"a"` finds the node that keeps
//!   `"a".to_string()`.
//! - Arguments move to the heap on a true miss only; until then they wait in a `StackMagicAnySlot`.
//! - It imports `base` alone.

pub mod args;
pub mod slot;
pub(crate) mod digested;
pub(crate) mod exact;
pub(crate) mod print;
pub(crate) mod weigh;
pub(crate) mod storable;
