//! The engine of larder. It is synchronous: nothing in it awaits, spawns or names a future. Use the `larder` crate.
//!
//! In reading order: what a call carries, what a task is, how a call is answered, what keeps answers right.

// What a call carries.
pub mod args;
pub mod slot;
pub mod task_fn;
mod task_type;

// What a task is.
mod edges;
mod extra;
mod marks;
mod node;
mod thin;

// How a call is answered.
mod local;
mod threads;
mod thread_cache;
mod lookup;
mod table;
mod claim;
mod stack;
mod demand;
mod execute;
mod waits;
mod cycle;
mod strand;
mod crew;
mod left;
mod share;
mod scope;
mod jobs;
mod carry;
mod wakes;
mod flight;
mod flights;
mod heavy;
mod asker;
mod booking;
mod session_async;
mod token;
mod apart;
mod stall;

// What keeps answers right.
mod engine;
mod gate;
mod alarm;
mod watch;
mod session;
mod input;
mod source;
mod mark;
mod expiry;
mod chores;
mod reclaim;

// What else one can ask.
mod counters;
mod emit;
mod failure;
mod handle;
mod held;
mod ask;
mod aside;
mod activity;
mod persist;
mod stats;
mod sync;

#[cfg(all(test, larder_model))]
mod model;

pub use activity::Activity;
pub use aside::{Ask, ask};
pub use ask::{boxed, collect, forget, is_cached, task, unboxed};
pub use asker::{Called, Pending, call_async};
pub use carry::{Carried, Stint, current};
pub use emit::{Emitted, emit};
pub use engine::{Config, Engine};
pub use failure::{CycleError, FixpointError, TaskError};
pub use flight::{Deferred, block_on};
pub use gate::UpdatePolicy;
pub use handle::Task;
pub use input::{Input, InputValue, Update};
pub use inventory::submit;
pub use jobs::{Scope, scope};
pub use larder_storage::{self as storage, codec};
pub use lookup::{call, with};
pub use persist::{
    Leaf, Look, Observer, Opened, Persist, PersistInput, PersistKey, Reason, Registered, Seen, StorageConfig,
    StorageStats, Stored, Unstored, stored,
};
pub use scope::{par_each, par_map, try_par_map};
pub use session::UpdateError;
pub use session_async::{AsyncSession, UpdateRequest};
pub use source::{Refreshed, lose_source};
pub use token::CancelToken;
pub use watch::{GateHolder, GateStats, GateWait, GateWaiter, Held};

pub use stats::{FunctionStats, Stats};
pub use task_type::CachedTaskType;

/// The 128-bit digest by which contents are compared. Not for contents that an attacker chooses.
#[must_use]
pub fn digest(bytes: &[u8]) -> u128 {
    xxhash_rust::xxh3::xxh3_128(bytes)
}
