//! Collections: values of many entries, computed in time proportional to what has changed.
//!
//! A collection is a tree. Its leaves are lists of some dozens of rows, and each node is a *part* of the collection. A result of a
//! part is a task: of the lists by the user's functions, of the others from the parts below. A changed row makes one list stale
//! and the parts above it, about `log n` to the base of 8 or 32; the others are current.
//!
//! | file | holds |
//! |---|---|
//! | `parts` | the trait of a collection and its parts, and the task functions over them |
//! | `kinds` | whether results are stored, as a type |
//! | `keys`, `fold` | a list in memory, cut by content, and folds over it |
//! | `input_map` | a map whose entries are inputs |
//! | `view`, `groups` | maps that are derived from others |
//! | `place` | how collections of hashed keys are divided |
//! | `trie` | results of groups, in versions that share what has not changed |
//!
//! All of it stands on the public engine: task functions, inputs and updates.

pub(crate) mod fold;
mod groups;
pub(crate) mod input_map;
pub(crate) mod keys;
mod kinds;
mod parts;
mod place;
mod trie;
mod view;

pub use fold::{fold, par_fold, transient_fold};
pub use groups::{GroupBy, Groups, Results};
pub use input_map::InputMap;
pub use keys::{Keys, KeysIter};
pub use kinds::{Gets, HashOf, Keeps, Kind, MapKey, Stored, Transient};
pub use parts::{Part, Rows};
pub use view::{Filter, MapValues, Merge, TaskMap};
