//! `world` as a program of comemo: the world is tracked, and its methods are what results depend on.

use std::cell::Cell;
use std::sync::Arc;

use crate::Ran;
use comemo::{Track as _, Tracked};
use world::typeset::{self, Frame};
use world::{Ask, Font, World};

/// A world whose methods are tracked.
pub struct TrackedWorld(pub World);

#[comemo::track]
impl TrackedWorld {
    /// Returns the text of a file.
    fn file(&self, path: &str) -> Option<Arc<str>> {
        self.0.files.get(path).cloned()
    }

    /// Returns a font.
    fn font(&self, name: &str) -> Option<Font> {
        self.0.fonts.get(name).copied()
    }

    /// Returns the date.
    fn today(&self) -> String {
        self.0.today.clone()
    }
}

/// The tracked world, as the plain code asks it.
struct Asked<'w>(Tracked<'w, TrackedWorld>);

impl Ask for Asked<'_> {
    fn file(&self, path: &str) -> Option<Arc<str>> {
        count_selection();
        self.0.file(path)
    }

    fn font(&self, name: &str) -> Option<Font> {
        count_selection();
        self.0.font(name)
    }

    fn today(&self) -> String {
        count_selection();
        self.0.today()
    }
}

thread_local! {
    static RAN: Cell<Ran> = const { Cell::new(Ran { bodies: 0, selections: 0 }) };
}

/// Returns what has run on this thread since this was asked last. Calls of tracked methods by a body are counted, and those by
/// which comemo compares are not.
pub fn take_ran() -> Ran {
    RAN.take()
}

fn count_body() {
    let ran = RAN.get();
    RAN.set(Ran { bodies: ran.bodies + 1, ..ran });
}

fn count_selection() {
    let ran = RAN.get();
    RAN.set(Ran { selections: ran.selections + 1, ..ran });
}

#[comemo::memoize]
fn paragraph(world: Tracked<'_, TrackedWorld>, text: &str) -> Arc<Frame> {
    count_body();
    Arc::new(typeset::paragraph(&Asked(world), text))
}

#[comemo::memoize]
fn document(world: Tracked<'_, TrackedWorld>, path: &str) -> Option<Arc<Vec<Arc<Frame>>>> {
    count_body();
    let text = Asked(world).file(path)?;
    Some(Arc::new(typeset::paragraphs(&text).map(|text| paragraph(world, text)).collect()))
}

/// A document, set; `None` if there is no such file.
pub fn set(world: &TrackedWorld, path: &str) -> Option<Arc<Vec<Arc<Frame>>>> {
    document(world.track(), path)
}
