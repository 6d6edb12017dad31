//! The world as an input, and a document as task functions.
//!
//! ```text
//! document(world, path) ─┬─ file part of world, by path
//!                        └─ paragraph(world, text) ── file, font and date parts of world
//! ```
//! An edit of the world sets all of it. A part that is equal afterwards is not marked, so that the readers of other parts are not
//! even looked at.

use std::sync::Arc;

use larder::{Digested, Input, task_fn};

use crate::typeset::{self, Frame};
use crate::{Ask, World};

/// A paragraph, set. Its key is its text: one that moves, or comes back, is a hit.
#[task_fn]
fn paragraph(world: &Input<World>, text: &Digested<String>) -> Arc<Frame> {
    Arc::new(typeset::paragraph(world, text))
}

/// A document, set; `None` if there is no such file.
#[task_fn]
pub fn document(world: &Input<World>, path: &str) -> Option<Arc<Vec<Arc<Frame>>>> {
    let text = world.file(path)?;
    let paragraphs = typeset::paragraphs(&text).map(|text| paragraph(world, &Digested::new(text.to_owned())));
    Some(Arc::new(paragraphs.collect()))
}
