//! Context: the engine that the sessions of a runtime share, and the record that each thread keeps of it.

pub(crate) mod engine;
pub(crate) mod threads;
pub(crate) mod local;
pub(crate) mod outside;
pub(crate) mod thread_cache;
pub(crate) mod strand;
pub(crate) mod flights;
pub(crate) mod waits;
pub(crate) mod stall;
pub(crate) mod gate;
pub(crate) mod watch;
pub(crate) mod token;
pub(crate) mod chores;
pub(crate) mod aparts;
pub(crate) mod runners;
pub(crate) mod sink;
pub(crate) mod component;
pub(crate) mod cancelled;
