//! Graph: nodes, their edges and states, and the table that finds them. It knows no thread and no session.

pub(crate) mod task_type;
pub(crate) mod task_fn;
pub(crate) mod node;
pub(crate) mod edges;
pub(crate) mod extra;
pub(crate) mod held;
pub(crate) mod failure;
pub(crate) mod claim;
pub(crate) mod mark;
pub(crate) mod marks;
pub(crate) mod expiry;
pub(crate) mod table;
pub(crate) mod reason;
pub(crate) mod emitted;
pub(crate) mod persisted;
pub(crate) mod resolved;
pub(crate) mod stop;
