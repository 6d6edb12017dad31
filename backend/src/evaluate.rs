//! Evaluate: from a call to a fresh node. The one folder whose files call each other in circles.

pub(crate) mod lookup;
pub(crate) mod demand;
pub(crate) mod execute;
pub(crate) mod apart;
pub(crate) mod cycle;
pub(crate) mod flight;
pub(crate) mod heavy;
pub(crate) mod asker;
pub(crate) mod booking;
pub(crate) mod deferred;
pub(crate) mod emit;
pub(crate) mod handle;
pub(crate) mod stored;
