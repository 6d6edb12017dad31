//! Call: the arguments of a call, borrowed on the caller's stack or owned in a node.

pub mod args;
pub mod slot;
pub(crate) mod exact;
pub(crate) mod print;
pub(crate) mod storable;
