//! Purge: dead reverse edges are taken out of the lists that they stand in, so that the nodes they name can be freed.

use std::sync::atomic::Ordering::{Relaxed, Release};

use super::Lists;
use crate::context::engine::Engine;
use crate::graph::flags::Leaving;
use crate::graph::node::NodeRef;
use crate::session::reclaim::NODES;

/// A purge of all nodes that have dead reverse edges, for those that leave.
pub(super) struct Purge {
    pub(super) leaving: Vec<NodeRef>,
    /// To be purged; the last one first.
    reads: Vec<NodeRef>,
    /// Of the last one, how many edges are still to be looked at, if it has been begun.
    edges: Option<usize>,
}

impl Lists {
    /// Goes on with the purge, or begins it if it is worth it. Returns whether none is under way.
    pub(super) fn purge(&mut self, engine: &Engine, looks: &mut usize) -> bool {
        if self.purge.is_none() && self.is_worth_a_purge(engine) {
            self.begin_purge(engine);
        }
        let Some(purge) = &mut self.purge else { return true };
        while let Some(read) = purge.reads.last().copied() {
            if purge.edges.is_none() && read.dead.swap(0, Relaxed) == 0 {
                purge.reads.pop();
                continue;
            }
            let edges = read.with_dependents(|readers| {
                let end = purge.edges.unwrap_or(usize::MAX).min(readers.as_slice().len());
                let start = end.saturating_sub(*looks);
                // SAFETY: the gate is held exclusively.
                readers.retain_among(start..end, |reader| unsafe { reader.position_of(read) }.is_some());
                *looks = looks.saturating_sub(end - start);
                start
            });
            if edges > 0 {
                purge.edges = Some(edges);
                return false;
            }
            purge.edges = None;
            purge.reads.pop();
            if read.has(Leaving::ABANDONED | Leaving::UNREACHABLE)
                && !read.has(Leaving::LISTED | Leaving::LIMBO)
            {
                read.put_on(Leaving::LISTED);
                self.candidates.push(read);
            }
            if *looks == 0 {
                return false;
            }
        }
        let leaving = self.purge.take().map(|purge| purge.leaving).unwrap_or_default();
        self.freed.extend(leaving);
        // Release: pairs with the Acquire in `Local::enter`; thread caches must not find the nodes.
        engine.generation.renew(Release);
        self.candidates.is_empty()
    }

    pub(super) fn is_worth_a_purge(&self, engine: &Engine) -> bool {
        let gone = self.limbo.len();
        if gone == 0 {
            return false;
        }
        let sources = if self.has_sources { engine.sources.lock().len() } else { 0 };
        engine.dead_edges_to_look_at() + sources <= gone * 4 + NODES
            || gone * 8 >= engine.table.len()
            || self.sweep.calls_for_purge(engine)
    }

    fn begin_purge(&mut self, engine: &Engine) {
        let leaving = std::mem::take(&mut self.limbo);
        if std::mem::take(&mut self.has_sources) {
            engine.sources.lock().retain(|node| !node.has(Leaving::LIMBO));
        }
        engine.untidy.lock().retain(|node| !node.has(Leaving::LIMBO));
        engine.volatiles.lock().retain(|node| !node.has(Leaving::LIMBO));
        engine.recents.forget_leaving();
        if std::mem::take(&mut self.has_new) {
            engine.probation.lock().retain(|node| !node.has(Leaving::LIMBO));
        }
        self.purge = Some(Purge { leaving, reads: engine.take_dead_edges(), edges: None });
    }
}
