//! Entry: the functions that generated code and the `larder` crate call.
//!
//! - The only folder that is public as a whole. It has types where the engine below has erased them.
//! - A call outside of a session is told apart here, before anything else: a mistake, a question (`question`), or a call that is made later.

pub(crate) mod ask;
pub(crate) mod question;
pub(crate) mod untracked;
pub(crate) mod part;
pub(crate) mod keyed;
pub(crate) mod activity;
pub(crate) mod around;
pub(crate) mod memory;
pub(crate) mod explanation;
pub(crate) mod explain;
pub(crate) mod stats;
pub(crate) mod abilities;
pub(crate) mod store;
pub(crate) mod identity;
pub(crate) mod call;
