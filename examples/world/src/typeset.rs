//! Typesetting, as plain code. A paragraph asks the world for one thing at a time.
//!
//! ```text
//! @font mono         the paragraph's font; `text` without it
//! @include tail.txt  the text of a file
//! @today             the date
//! ```

use serde::{Deserialize, Serialize};

use crate::Ask;

/// The width of a page.
const PAGE: usize = 60;

/// A paragraph, set in lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The lines.
    pub lines: Vec<String>,
    /// Files and fonts that were asked for and are not there.
    pub missing: Vec<String>,
}

/// Cuts a document into its paragraphs, which empty lines separate.
pub fn paragraphs(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n\n").map(str::trim).filter(|text| !text.is_empty())
}

/// Sets a paragraph.
pub fn paragraph(world: &dyn Ask, text: &str) -> Frame {
    let mut frame = Frame::default();
    let (mut font, mut words) = ("text", Vec::new());
    for line in text.lines() {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("@font", name) => font = name.trim(),
            ("@include", path) => match world.file(path.trim()) {
                Some(text) => words.extend(text.split_whitespace().map(str::to_owned)),
                None => frame.missing.push(path.trim().to_owned()),
            },
            ("@today", _) => words.push(world.today()),
            _ => words.extend(line.split_whitespace().map(str::to_owned)),
        }
    }
    let width = world.font(font).map(|font| font.width).unwrap_or_else(|| {
        frame.missing.push(font.to_owned());
        1
    });
    let mut line = String::new();
    for word in words {
        if !line.is_empty() && (line.chars().count() + 1 + word.chars().count()) * width > PAGE {
            frame.lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    frame.lines.extend((!line.is_empty()).then_some(line));
    frame
}
