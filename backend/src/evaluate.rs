//! Evaluate: from a call to a fresh node.
//!
//! The one folder whose files call each other in circles: a body that runs makes calls. In reading order:
//! ```text
//!   lookup ──► demand ──► execute ──► the body, which calls lookup again; then complete
//!                │  ▲          │
//!                ▼  │          └──► cycle     tasks that depend on each other, by iteration
//!              stored           └─► async run    async executions, driven by any waiter (node wait, call box)
//! ```
//! - A claim is taken in `demand`, `async_run` or `cycle`, and given back by the one that took it, also when a body unwinds.
//! - A body runs at most once at a time for a node, by its claim. A second run is apart from the node, and counted (`apart`).
//! - Bodies nest on a stack that grows; verification and marking do not recurse.
//! - No lock is held while a body runs, but that of its own async execution, which other threads only try.
//! - A thread that waits for a task drives the async executions that it waits for. It runs no other task's body.

pub(crate) mod lookup;
pub(crate) mod demand;
pub(crate) mod execute;
pub(crate) mod complete;
mod timer;
pub(crate) mod publish;
pub(crate) mod observed;
pub(crate) mod determinism;
pub(crate) mod parts;
pub(crate) mod relink;
pub(crate) mod apart;
pub(crate) mod cycle;
pub(crate) mod async_run;
pub(crate) mod heavy;
pub(crate) mod node_wait;
pub(crate) mod call_box;
pub(crate) mod deferred;
pub(crate) mod emit;
pub(crate) mod handle;
pub(crate) mod stored;
