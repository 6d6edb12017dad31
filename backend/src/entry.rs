//! Entry: functions that generated code and the `larder` crate call.

pub(crate) mod ask;
pub(crate) mod aside;
pub(crate) mod activity;
pub(crate) mod stats;
pub(crate) mod picks;
pub(crate) mod store;
pub(crate) mod call;
