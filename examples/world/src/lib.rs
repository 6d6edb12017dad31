//! Typesets documents out of a world of files and fonts: what a program of comemo's kind is in larder.
//!
//! [`typeset`] is plain code. [`program`] puts task functions around it, and has the world as one input, of which each paragraph
//! reads parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub mod program;
pub mod typeset;

/// All that a document can ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct World {
    /// The texts of files, by path.
    pub files: BTreeMap<String, Arc<str>>,
    /// The fonts, by name.
    pub fonts: BTreeMap<String, Font>,
    /// The date, as it is printed.
    pub today: String,
}

/// A font in which all letters are equally wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Font {
    /// The width of a letter.
    pub width: usize,
}
