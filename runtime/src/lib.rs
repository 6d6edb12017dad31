//! Larder: a memoizing, incremental function cache.
//!
//! Annotate plain functions with [`task_fn`]; from then on each call is answered from memory, and a body runs again only
//! when something that it actually read has really changed.

mod runtime;

pub mod env;
pub mod fs;
mod source_error;
mod stored;

/// Stores, and the trait that makes one.
pub mod storage {
    pub use larder_backend::storage::{
        BackingStorage, Damage, Faults, FlushError, FunctionSize, MemoryStorage, NoStorage, Operation,
        Rejected, RejectedCounts, StorageError, StoreReport, Table, Visit, Write, WriteBehindStats, Writes,
        conformance,
    };
    #[cfg(feature = "redb")]
    pub use larder_backend::storage::{RedbOptions, RedbStorage, SetAside};
}

pub use larder_backend::{
    CycleError, Emitted, FunctionStats, Input, InputValue, Opened, Persist, PersistInput, PersistKey, Reason,
    Refreshed, Stats, StorageStats, Task, TaskError, Unstored, Update, UpdateError, emit,
};
pub use larder_macros::task_fn;
pub use runtime::{Builder, Runtime};
pub use source_error::SourceError;
pub use stored::{OpenError, StoredBuilder};

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

/// The README's example runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
