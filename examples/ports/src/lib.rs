//! The programs of the guide beside programs of other crates that do the same, over the same edits: the values have to be
//! equal, and the bodies that run are counted on both sides.
//!
//! | here | there | how bodies are counted there |
//! |---|---|---|
//! | `calc` | [`calc_in_salsa`], tracked structs and queries | salsa's own events |
//! | `world` | [`world_in_comemo`], tracked methods | a counter in each body |
//! | `service` | [`service_in_cached`], `#[cached]` with expiry by value | a counter in each body |
//!
//! Each is written as its crate recommends, and shares the plain code: parser, checker, typesetting, the slow upstream. Larder's
//! side is counted by [`larder::Stats`]. Selections are counted apart: of parts here, and calls of tracked methods in comemo, which
//! are the same to a reader.
//!
//! There is no program of turbo-tasks here: it is not published in a form that a stable compiler builds.

use larder::{Runtime, Stats};

pub mod calc_in_salsa;
pub mod service_in_cached;
pub mod world_in_comemo;

mod calc_ports;
mod service_ports;
mod world_ports;

/// The work that one edit costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// Bodies of functions.
    pub bodies: u64,
    /// Selections out of larger values: of parts, or by tracked methods.
    pub selections: u64,
}

impl Ran {
    /// Returns what has run here since `before`.
    fn since(before: &Stats, runtime: &Runtime) -> Ran {
        let mut ran = Ran::default();
        for function in runtime.stats().since(before).functions.iter().filter(|function| !function.is_source)
        {
            match function.name {
                "part" => ran.selections += function.runs,
                _ => ran.bodies += function.runs,
            }
        }
        ran
    }

    /// Returns bodies and selections together.
    #[must_use]
    pub fn all(self) -> u64 {
        self.bodies + self.selections
    }
}

/// Bodies that one edit costs, and the question after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The program of the guide.
    pub program: &'static str,
    /// The crate that the other program is written for.
    pub peer: &'static str,
    /// The edit.
    pub edit: &'static str,
    /// The work here.
    pub here: Ran,
    /// The work of the other program.
    pub there: Ran,
}

impl Step {
    /// Whether nothing more runs here than there: no more bodies, and no more of bodies and selections together.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.here.bodies <= self.there.bodies && self.here.all() <= self.there.all()
    }
}

/// Runs all programs over their edits.
///
/// # Panics
/// If two programs that should do the same return different values, or an update is refused.
#[must_use]
pub fn steps() -> Vec<Step> {
    [calc_ports::steps(), world_ports::steps(), service_ports::steps()].concat()
}
