//! Context: the engine that the sessions of a runtime share, and the record that each thread keeps of it.
//!
//! - A thread touches its own record (`local`) without a lock, and no other thread's; counters are read by all.
//! - Every wait for a task is registered in `waits` before it begins, so that each cycle is found when it closes.
//! - The gate is held shared by a session for its whole life, and exclusively by an update. While it is held exclusively, no body runs.
//! - It imports `base`, `call`, `graph` and `persist`. `engine` alone names `session`, for what is on its way out (`ci/layers.sh`).

pub(crate) mod generation;
pub(crate) mod engine;
pub(crate) mod threads;
pub(crate) mod local;
pub(crate) mod outside;
pub(crate) mod thread_cache;
pub(crate) mod strand;
pub(crate) mod async_runs;
pub(crate) mod waits;
pub(crate) mod stall;
pub(crate) mod gate;
pub(crate) mod watch;
pub(crate) mod event;
pub(crate) mod observers;
pub(crate) mod subscription;
pub(crate) mod token;
pub(crate) mod session_data;
pub(crate) mod spans;
pub(crate) mod chores;
pub(crate) mod memory;
pub(crate) mod aparts;
pub(crate) mod runners;
pub(crate) mod sink;
pub(crate) mod component;
pub(crate) mod cancelled;
