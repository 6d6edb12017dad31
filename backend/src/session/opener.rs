//! A session that is about to open, and does chores if it is alone.

use std::time::Instant;

use crate::context::engine::Engine;
use crate::context::gate::{Alone, Work};
use crate::session::reclaim::Garbage;

/// A session that is about to open.
pub(crate) struct Opener<'a> {
    engine: &'a Engine,
    /// The garbage to drop when the gate's lock has been given back.
    pub(crate) garbage: Option<Garbage>,
}

impl<'a> Opener<'a> {
    pub(crate) fn of(engine: &'a Engine) -> Self {
        Self { engine, garbage: None }
    }
}

impl Opener<'_> {
    /// Whether another slice of the chores has something to do at once.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.garbage.as_ref().is_some_and(Garbage::is_unfinished)
    }
}

impl Opener<'_> {
    /// Whether to come again, after so many slices: there is more to do, or there may be when what goes has been dropped. Values whose
    /// `Drop` makes garbage of their own do not keep an opener for ever.
    pub(crate) fn comes_again(&self, slices: &mut u32) -> bool {
        const MOST: u32 = 1 << 14;
        *slices += 1;
        *slices < MOST && self.garbage.as_ref().is_some_and(Garbage::calls_for_more)
    }
}

impl Alone for Opener<'_> {
    fn due_since(&self) -> Option<Instant> {
        if self.engine.released.any() {
            // A thread that drops the last handle of a task does not tell when.
            self.engine.chores.list_tidying();
        }
        if self.engine.memory.due().is_some() || self.engine.has_victims() {
            self.engine.chores.list_tidying();
        }
        let listed = self.engine.chores.due_since();
        match (listed, self.engine.expiries.due_since()) {
            (Some(listed), Some(expired)) => Some(listed.min(expired)),
            (listed, expired) => listed.or(expired),
        }
    }

    fn work(&mut self) -> Work {
        self.garbage = Some(self.engine.chores_of_opener());
        if self.is_unfinished() { Work::Unfinished } else { Work::Done }
    }
}
