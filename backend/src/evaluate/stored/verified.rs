//! Verified: a stale node has been found current in memory, by looking at what it read.

use crate::context::local::Local;
use crate::graph::edges::Edge;
use crate::graph::node::NodeRef;
use crate::graph::persisted::Persisted;
use crate::persist::{PendingChange, Persistence, wide};
use larder_storage::TaskKey;

impl Persistence {
    /// A claimed node has been found current, by looking at `looked_at`, which are all of its reads that were stale, or the
    /// origin of all its staleness. The store is told. If one of them is not stored, the node's record may have read something that lies
    /// behind that, and is written anew, if it can be; and so it is if one has another fingerprint as a member of a component, or had.
    pub(crate) fn verified(&self, local: &Local, node: NodeRef, looked_at: impl IntoIterator<Item = Edge>) {
        let Some(mut persisted) = Persisted::of(node) else { return };
        let (Some(key), true) = (persisted.key, persisted.is_stored) else { return };
        let is_stored = |edge: Edge| {
            let persisted = Persisted::of(edge.node());
            persisted.is_some_and(|persisted| persisted.is_stored && !persisted.has_joined)
        };
        if !looked_at.into_iter().all(is_stored) {
            if self.record_anew(local, node) {
                return;
            }
            wide::forget(node);
            persisted.is_stored = false;
            self.nodes.explore_anew();
        } else if persisted.is_marked {
            let mut group = self.group();
            group.fresh(TaskKey(key));
            persisted.is_marked = !self.hand_over(&mut group, [(key, PendingChange::Fresh)]);
        }
        persisted.is_orphan = false;
        persisted.put(node);
    }
}
