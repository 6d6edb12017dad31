//! Graph: nodes, their edges and states, and the table that finds them.
//!
//! - It knows no thread and no session: the folders above decide which strand may change what.
//! - Only `table` takes a shard lock; under it no code of the user's runs.
//! - Only `claim` changes a node's state. The one that holds a claim changes the node's value and its reads; others read
//!   them, and only while the node is FRESH.
//! - A node is complete before the table shows it, and is freed only while no session is open.

pub(crate) mod task_type;
pub(crate) mod task_fn;
pub(crate) mod flags;
pub(crate) mod footprint;
pub(crate) mod node;
pub(crate) mod determinism;
pub(crate) mod epoch;
pub(crate) mod depth;
pub(crate) mod edges;
pub(crate) mod extra;
pub(crate) mod held;
pub(crate) mod failure;
pub(crate) mod claim;
pub(crate) mod invalidate;
pub(crate) mod strand_id;
pub(crate) mod stale_reads;
pub(crate) mod expiry;
pub(crate) mod recents;
pub(crate) mod table;
pub(crate) mod reason;
pub(crate) mod emitted;
pub(crate) mod persisted;
pub(crate) mod read_filter;
pub(crate) mod task_name;
pub(crate) mod cause;
pub(crate) mod trail;
pub(crate) mod resolved;
pub(crate) mod stop;
