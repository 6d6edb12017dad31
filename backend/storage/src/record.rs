//! The meaning of the records of each table. Payloads only: the envelope around them is [`Guarded`](super::Guarded)'s.
//!
//! Payloads are laid out by hand and read in place: a probe takes the output out of a record without decoding, or
//! allocating for, anything else (10 to 20 ns, where a codec takes 150). Every layout is in `docs/storage-format.md`.
//!
//! # Which task is valid
//! A stored task is valid if its record says so: it is not marked stale. That is only right because of three rules,
//! which [`WriteBehind`](super::WriteBehind) and the engine keep together:
//! 1. When a source or input is stored with a new stamp or value, all stored tasks that depend on it, directly or not,
//!    are marked stale **in the same batch**. A crash before it leaves the old stamp, and the change is found again.
//! 2. Batches are committed in the order in which they were handed over, and none is left out: what the store holds
//!    is always what it held at one moment of some run.
//! 3. The walk that marks knows when it may have missed something: every task, source and input has a record of its
//!    dependents from the moment it is stored, with their count and sum, and the set of sources has one too. A record
//!    that is missing or damaged says so, and nothing stored is then used before its reads have been verified.

mod cause;
mod chunks;
mod component;
mod dependents;
mod foreign;
mod function;
mod leaves;
mod merge;
mod meta;
mod source;
mod stamp;
mod task;
mod trace;
mod wide;

pub use self::cause::{Because, CauseRecord, read_cause};
pub use self::chunks::{Chunk, NewChunks, WIDE};
pub use self::chunks::{decode as decode_reads, ends as ends_chunk, nth as nth_read};
pub use self::component::{
    COMPONENT_PATH, ComponentMember, MemberRead, component_function, component_key, members_of,
};
pub(super) use self::dependents::EdgeWriter;
pub use self::dependents::{Incomplete, read_dependents};
pub(super) use self::dependents::{Swept, dependents_count, is_target_stored, sweep_dependents};
pub use self::foreign::{ForeignLeaf, ForeignTask, ForeignTrace, is_below_base};
pub use self::function::FunctionRecord;
pub use self::function::{good_key, local_key, lossy_key, shared_key};
pub(super) use self::function::{is_good_key, is_lossy_key, is_sharing_key};
pub use self::leaves::{Leaf, read_leaves};
pub(super) use self::merge::{Merged, TaskOp, drop_expired, merge_task};
pub use self::meta::{
    MetaRecord, PulledRecord, SinceRecord, for_each_pulled, read_pulled, read_since, stored_build,
};
pub(super) use self::meta::{PULLED, SINCE, SOURCES, STORE, SourceSet, pulled_key};
pub use self::source::{InputRecord, SourceKind, SourceRecord, source_key};
pub use self::stamp::Stamp;
pub use self::task::claim;
pub use self::task::{NewTask, OlderTrace, TaskRecord, probe};
pub use self::trace::{
    Emitted, INLINE_OUTPUT, NewReads, NewTrace, Output, OutputPlace, Read, Trace, TraceSearch, find_trace,
    output,
};

pub(super) use super::wire::Malformed;

/// A payload whose checksum held is not what its table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotARecord;

impl std::fmt::Display for NotARecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not a record of this table")
    }
}

impl std::error::Error for NotARecord {}

impl From<Malformed> for NotARecord {
    fn from(_: Malformed) -> Self {
        Self
    }
}
