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

// Items that programs meet through the `larder` crate, which exports each of them.
pub use base::clock::Clock;
pub use call::digested::Digested;
#[doc(hidden)]
pub use call::digested::fingerprints_of_keys;
pub use call::storable::{Persist, PersistInput, PersistKey};
pub use call::weigh::Weigh;
pub use context::gate::UpdatePolicy;
pub use context::session_data::session_data;
pub use context::token::CancelToken;
pub use context::watch::UpdateError;
pub use context::watch::{GateHolder, GateStats, GateWait, GateWaiter, Held};
pub use entry::activity::Activity;
pub use entry::identity::{CodeIdentity, Identity};
pub use entry::keyed::{KeyList, Keyed};
/// Looks at the graph in memory.
pub mod around {
    pub use crate::entry::around::{Around, AroundGroup, AroundTask, Direction, Neighbours, ReadsKnown};
}
/// Explanations of runs.
pub mod explanation {
    pub use crate::entry::explanation::{
        Confirmation, EarlierRun, Explanation, SharedOrigin, State, Step, Storing,
    };
    pub use crate::graph::cause::Happening;
    pub use larder_storage::inspect::{LastRun, RanBecause, RunStep};
    pub use larder_storage::record::{Because, CauseRecord};
}
pub use entry::memory::{FunctionMemory, KnownTask, MemoryUse, Swept};
pub use entry::part::{PartOf, PartValue, StoredPartOf};
pub use entry::question::{Ask, ask};
pub use entry::stats::{FunctionStats, Stats};
pub use entry::store::{StorageStats, Unstored};
pub use entry::untracked::untracked;
pub use evaluate::emit::emit;
pub use evaluate::handle::Task;
pub use graph::emitted::Emitted;
pub use graph::failure::{CycleError, FixpointError, TaskError, Through, ValueChange};
pub use graph::reason::Reason;
pub use parallel::jobs::{Scope, scope};
pub use parallel::scope::{par_each, par_map, try_par_map};
pub use persist::Opened;
pub use session::input::{Input, InputValue};
pub use session::source::Refreshed;
pub use session::update::Update;

/// Events: what is told of runs, sessions and updates, and to whom.
pub mod events {
    pub use crate::context::event::{
        Changed, Committed, Event, Impure, Ran, Restored, SessionClosed, SessionOpened, Settled, Updated,
        Verified, Waited,
    };
    pub use crate::context::observers::{Observer, Observing};
    pub use crate::context::subscription::{Lost, Subscription};
    pub use crate::graph::cause::{Cause, Outcome};
    pub use crate::graph::task_name::{Fingerprint, TaskId, TaskRef};
}

/// Spans: observed work from its begin to its end.
#[doc(hidden)]
pub mod spans {
    pub use crate::context::spans::{Begins, Ends, OpensSpans, Span};
}

/// Strings of JSON, and times as text.
#[doc(hidden)]
pub mod json {
    pub use crate::entry::explanation::json::Quoted;
    pub use crate::entry::explanation::text::Utc;
}

// Items for the `larder` crate and for generated code. They have no stable interface.
#[doc(hidden)]
pub use call::{args, slot};
#[doc(hidden)]
pub use context::engine::{Config, Engine};
#[doc(hidden)]
pub use context::session_data::{AnyData, with_session_data};
#[doc(hidden)]
pub use entry::ask::{
    boxed, clear, collect, forget, forget_all_of, invalidate, is_cached, take, task, unboxed,
};
#[doc(hidden)]
pub use entry::call::{call, call_async, with};
#[doc(hidden)]
pub use entry::keyed::{Is, entry, keys, keys_of};
#[doc(hidden)]
pub use entry::part::methods as part_methods;
#[doc(hidden)]
pub use entry::part::{part, part_async, transient_part, transient_part_async};
#[doc(hidden)]
pub use evaluate::async_run::{Deferred, block_on};
#[doc(hidden)]
pub use evaluate::node_wait::{Called, Pending};
#[doc(hidden)]
pub use graph::task_fn::{Leaf, Look, Observer, Outside, Seen, Stored};
#[doc(hidden)]
pub use graph::task_type::CachedTaskType;
#[doc(hidden)]
pub use inventory::submit;
#[doc(hidden)]
pub use larder_storage::{self as storage, codec};
#[doc(hidden)]
pub use parallel::carry::{Carried, Stint, current};
#[doc(hidden)]
pub use persist::deadline::OBSERVER as DEADLINES;
#[doc(hidden)]
pub use persist::elsewhere::{Compared, Remote, RemoteStats, Turn};
#[doc(hidden)]
pub use persist::identity::Registered;
#[doc(hidden)]
pub use persist::{StorageConfig, stored};
#[doc(hidden)]
pub use session::failed::Failed;
#[doc(hidden)]
pub use session::futures::{AsyncSession, UpdateRequest};
#[doc(hidden)]
pub use session::source::{from_outside, lose_source};

/// Descriptors of task functions, and what their constructors pick by the abilities of types.
#[doc(hidden)]
pub mod task_fn {
    pub use crate::call::exact::{Exact, same_by_sign};
    pub use crate::call::weigh::{NoWeight, Weight};
    pub use crate::entry::abilities::*;
    pub use crate::graph::task_fn::{
        Definition, RawTaskFn, Sharing, Site, TaskFn, Written, instance_of, name_of, type_id, type_id_of,
    };
}

/// Returns a fast 128-bit digest: where collections are cut. Not for what stands for contents in a store, which others may choose: that is
/// [`Fingerprints`](storage::Fingerprints)'s.
#[doc(hidden)]
#[must_use]
pub fn digest(bytes: &[u8]) -> u128 {
    xxhash_rust::xxh3::xxh3_128(bytes)
}
