//! Answers about a store, as JSON: for the page and for the `larder` command. Not for people: it changes without notice.

mod error;
mod explain;
mod graph;
mod last_run;
mod names;
mod show;
mod stats;
mod text;

pub use self::error::LookError;
pub use self::explain::Explained;
pub use self::graph::{Direction, Graph, neighbours, node_json};
pub use self::names::{Functions, arguments, contains, kind, leaf_json, leaf_line, leaves, short, task};
pub use self::show::Shown;
pub use self::stats::stats_json;
pub use self::text::{count, escaped};
