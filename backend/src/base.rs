//! Base: locks, lists, counters, stacks and threads. It knows nothing of tasks.

pub(crate) mod sync;
pub(crate) mod alarm;
pub(crate) mod wakes;
pub(crate) mod counters;
pub(crate) mod stack;
pub(crate) mod thin;
pub(crate) mod crew;
