//! Base: locks, lists, counters, stacks and threads.
//!
//! - It knows no task: it imports no other folder of the engine.
//! - Protocols name locks and atomics through `sync`, so that the model checker runs the code that ships.
//! - `crew` starts the threads of a runtime, and `alarm` the one that wakes futures. Nothing else in the engine starts a thread.
//! - Time that a test may let pass is asked of `clock`.
//! - Code of the user's runs on a stack that `stack` has found long enough.

pub(crate) mod sync;
pub(crate) mod alarm;
pub(crate) mod clock;
pub(crate) mod wakes;
pub(crate) mod counters;
pub(crate) mod stack;
pub(crate) mod thin_list;
pub(crate) mod once_box;
pub(crate) mod crew;
