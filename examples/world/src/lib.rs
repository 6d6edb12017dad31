//! Typesets documents out of a world of files and fonts: what a program of comemo's kind is in larder.
//!
//! [`typeset`] is plain code. [`program`] puts task functions around it, and has the world as one input, of which each paragraph
//! reads parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use larder::parts;
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

/// The questions that a document asks. Each is a part of an input: what asks one depends on the answer alone.
#[parts(name = Ask)]
impl World {
    /// Returns the text of a file.
    pub fn file(&self, path: &str) -> Option<Arc<str>> {
        self.files.get(path).cloned()
    }

    /// Returns a font.
    pub fn font(&self, name: &str) -> Option<Font> {
        self.fonts.get(name).copied()
    }

    /// Returns the date.
    pub fn today(&self) -> String {
        self.today.clone()
    }
}

/// A font in which all letters are equally wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Font {
    /// The width of a letter.
    pub width: usize,
}
