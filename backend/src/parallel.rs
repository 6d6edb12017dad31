//! Parallel: work of one task on several threads.

pub(crate) mod scope;
pub(crate) mod share;
pub(crate) mod left;
pub(crate) mod jobs;
pub(crate) mod carry;
