//! Entry: functions that generated code and the `larder` crate call.

pub(crate) mod ask;
pub(crate) mod aside;
pub(crate) mod activity;
pub(crate) mod stats;
