//! The budgets of larder, and the peers that they are measured against in the same run.
//!
//! Read in this order: [`work`] says what is measured, one unit of work per variant, the same for all peers;
//! [`lane`] is one contestant ready to take samples; [`peers`] and [`ours`] build lanes; [`race`] runs lanes in turn;
//! [`verdict`] judges the samples; [`budgets`] binds all of it to the names of docs/budgets.md.

pub mod work;

pub mod allocation;
pub mod crowd;
pub mod lane;

pub mod ours;
pub mod peers;

pub mod race;
pub mod verdict;

pub mod budgets;

pub mod busy;
pub mod machine;
pub mod size;
