//! Search: which of the nodes that wait as origins are still named by a mark.

use super::Lists;
use crate::context::engine::Engine;
use crate::graph::flags::{Flags, Leaving};
use crate::graph::node::NodeRef;
use crate::graph::stale_reads::{self, StaleReads};
use crate::session::reclaim::NODES;

/// A search of all marks for the names of origins, one shard of the table after the other. No new mark names one of them: a
/// pass hands on the origins that it has found itself, and these are not reached any more.
pub(super) struct Search {
    pub(super) origins: Vec<NodeRef>,
    /// The shards before this one are done.
    shard: usize,
    /// The rest of the list. None of these is freed meanwhile.
    nodes: Vec<NodeRef>,
}

impl Lists {
    /// Goes on with the search for origins, or begins it if it is worth it. Returns whether none is under way.
    pub(super) fn search(&mut self, engine: &Engine, looks: &mut usize) -> bool {
        let tasks = engine.table.len();
        self.fewest = self.fewest.min(tasks);
        // A single origin may keep any number of tasks that it has read, so what waits is bounded by all tasks, too.
        let is_worth_it =
            self.origins.len() * 4 >= tasks || tasks <= NODES / 4 || tasks >= self.fewest * 2 + NODES / 4;
        if self.search.is_none() && !self.origins.is_empty() && is_worth_it {
            self.fewest = tasks;
            let origins = std::mem::take(&mut self.origins);
            for node in &origins {
                // A pass that reaches it from here on says so again.
                node.clear_flag(Flags::ORIGIN);
                node.put_on(Leaving::SOUGHT);
            }
            self.search = Some(Search { origins, shard: 0, nodes: Vec::new() });
        }
        let Some(search) = &mut self.search else { return true };
        while search.go_on(engine) {
            while let Some(node) = search.nodes.pop() {
                if let Some(single) = stale_reads::single(&node.work)
                    && single.origin().is_some_and(|origin| origin.has(Leaving::SOUGHT))
                {
                    // From here on, its own read is looked at.
                    stale_reads::put(&node.work, StaleReads::One(single.without_origin()));
                }
                *looks = looks.saturating_sub(1);
                if *looks == 0 {
                    return false;
                }
            }
        }
        let found = self.search.take().map(|search| search.origins).unwrap_or_default();
        self.rings.remit();
        for node in found {
            node.take_off(Leaving::SOUGHT | Leaving::LISTED);
            self.list(node);
        }
        false
    }
}

impl Search {
    /// Goes on to the next shard with nodes, unless there are some left. `false` at the end.
    fn go_on(&mut self, engine: &Engine) -> bool {
        while self.nodes.is_empty() {
            if self.shard == engine.table.shards() {
                return false;
            }
            engine.table.nodes_of(self.shard, &mut self.nodes);
            self.shard += 1;
        }
        true
    }
}
