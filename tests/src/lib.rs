//! Shared by several tests of larder: random programs of task functions, and the two ways to evaluate them.
//!
//! * [`program`]: a program as data, and how one expression of it is evaluated.
//! * [`naive`]: evaluates everything from scratch; what the engine must agree with.
//! * [`kleene`]: the same for programs with cycles that have initial values.
//! * [`world`]: evaluates by task functions on a runtime.
//! * [`ledger`]: watches which bodies run, and whether they had a reason to.
//! * [`traces`]: the same over a store, where tasks are restored, by what they read.
//! * `suspended`: the bodies of async nodes.
//! * [`deadline`]: makes a hang a failure.
//! * [`executor`]: runs a future on this thread.
//! * [`generate`]: random programs, and what is done to them.

pub mod deadline;
pub mod executor;
pub mod generate;
pub mod kleene;
pub mod ledger;
pub mod naive;
pub mod program;
pub mod settled;
mod suspended;
pub mod traces;
pub mod world;
