//! The engine of larder. It is synchronous: nothing in it awaits, spawns or names a future. Use the `larder` crate.
//!
//! In reading order: what a call carries, what a task is, how a call is answered, what keeps answers right.

mod base;
mod call;
mod graph;
mod persist;
mod context;
mod evaluate;
mod parallel;
mod session;
mod entry;

#[cfg(all(test, larder_model))]
mod model;

pub use call::{args, slot};
pub use context::engine::{Config, Engine};
pub use context::gate::UpdatePolicy;
pub use context::token::CancelToken;
pub use context::watch::{GateHolder, GateStats, GateWait, GateWaiter, Held};
pub use entry::activity::Activity;
pub use entry::aside::{Ask, ask};
pub use entry::ask::{boxed, collect, forget, is_cached, task, unboxed};
pub use evaluate::asker::{Called, Pending, call_async};
pub use evaluate::emit::{Emitted, emit};
pub use evaluate::flight::{Deferred, block_on};
pub use evaluate::handle::Task;
pub use evaluate::lookup::{call, with};
pub use graph::failure::{CycleError, FixpointError, TaskError};
pub use graph::task_fn;
pub use inventory::submit;
pub use larder_storage::{self as storage, codec};
pub use parallel::carry::{Carried, Stint, current};
pub use parallel::jobs::{Scope, scope};
pub use parallel::scope::{par_each, par_map, try_par_map};
pub use persist::{
    Leaf, Look, Observer, Opened, Persist, PersistInput, PersistKey, Reason, Registered, Seen, StorageConfig,
    StorageStats, Stored, Unstored, stored,
};
pub use session::UpdateError;
pub use session::futures::{AsyncSession, UpdateRequest};
pub use session::input::{Input, InputValue, Update};
pub use session::source::{Refreshed, lose_source};

pub use entry::stats::{FunctionStats, Stats};
pub use graph::task_type::CachedTaskType;

/// The 128-bit digest by which contents are compared. Not for contents that an attacker chooses.
#[must_use]
pub fn digest(bytes: &[u8]) -> u128 {
    xxhash_rust::xxh3::xxh3_128(bytes)
}
