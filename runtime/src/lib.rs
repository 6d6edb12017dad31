//! Larder: a memoizing, incremental function cache.
//!
//! Annotate plain functions with [`task_fn`]; from then on each call is answered from memory, and a body runs again only
//! when something that it actually read has really changed. The [`guide`] has a page for each question of the first days.

// Generated code names this crate by its name.
extern crate self as larder;

mod carry;
mod driver;
mod requirements;
mod run_async;
mod runtime;
mod session;
mod stream;
mod task_call;
mod volatile;

pub mod collections;
pub mod around;
pub mod events;
pub mod explain;
pub mod progress;
pub mod trace;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tracing")]
mod tracing_events;
pub mod env;
pub mod fs;
pub mod guide;
mod source_error;
#[cfg(feature = "shared")]
pub mod shared;
mod stored;

/// Stores, and the trait that makes one.
pub mod storage {
    pub use larder_backend::storage::{
        BackingStorage, Damage, Faults, Fingerprints, FlushError, FunctionSize, MemoryStorage, NoStorage,
        Operation, Rejected, RejectedCounts, StorageError, StoreCapStats, StoreReport, Table, Visit, Write,
        WriteBehindStats, Writes, conformance,
    };
    #[cfg(feature = "redb")]
    pub use larder_backend::storage::{RedbOptions, RedbStorage, SetAside};
}

pub use carry::{Carried, current};
pub use collections::{InputMap, Keys, TaskMap, fold, par_fold, transient_fold};
pub use larder_backend::slot::OwnedMagicAny;
pub use larder_backend::{
    Activity, Ask, CancelToken, CodeIdentity, CycleError, Digested, Emitted, FixpointError, FunctionMemory,
    FunctionStats, GateHolder, GateStats, GateWait, GateWaiter, Held, Identity, Input, InputValue, KeyList,
    Keyed, KnownTask, MemoryUse, Opened, PartOf, PartValue, Persist, PersistInput, PersistKey, Reason,
    Refreshed, Scope, Stats, StorageStats, StoredPartOf, Swept, Task, TaskError, Through, Unstored, Update,
    UpdateError, UpdatePolicy, ValueChange, Weigh, ask, emit, par_each, par_map, scope, session_data,
    try_par_map, untracked,
};
pub use larder_macros::{parts, task_fn};
pub use runtime::{Builder, Runtime};
pub use session::{ByClosure, ByFuture, Session, SessionWork, UpdateOptions};
pub use source_error::SourceError;
pub use stored::{OpenError, StoredBuilder};
pub use stream::{Stream, stream};
pub use task_call::{PendingCall, TaskCall, TaskExt};
pub use volatile::volatile;

pub mod select {
    //! Selections for parts: functions to give to [`Input::part`](crate::Input::part), [`Task::part`](crate::Task::part) and
    //! `f::part`.

    pub use larder_backend::{entry, keys};
}

#[doc(hidden)]
#[path = "tools.rs"]
pub mod __tools;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

/// The README's example runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
