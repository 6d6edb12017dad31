//! Call: the arguments of a call, borrowed on the caller's stack or owned in a node.

pub mod args;
pub mod slot;
