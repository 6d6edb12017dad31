//! Flights: where the flights of an engine are found, by their nodes.
//!
//! A flight stands here from before its claim is seen until just before the claim ends: it is put in under the same lock under
//! which the node is claimed. So who sees a node RUNNING and finds no flight waits for a thread, or for a claim that is
//! ending; either way the lot wakes it.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::base::sync::Mutex;
use crate::evaluate::flight::{Fly, Seat};
use crate::graph::node::NodeRef;

const BUCKETS: usize = 64;

type Bucket = Mutex<FxHashMap<usize, Arc<dyn Fly>>>;

/// The flights that are under way.
pub(crate) struct Flights(Box<[Bucket]>);

impl Default for Flights {
    fn default() -> Self {
        Self((0..BUCKETS).map(|_| Bucket::default()).collect())
    }
}

impl Flights {
    fn bucket(&self, node: NodeRef) -> &Bucket {
        &self.0[(node.address() >> 6) % BUCKETS]
    }

    /// The flight of a node, if it has one.
    pub(crate) fn of(&self, node: NodeRef) -> Option<Arc<dyn Fly>> {
        self.bucket(node).lock().get(&node.address()).cloned()
    }

    /// Puts in the flight that `launch` makes, if it succeeds in claiming the node. Returns the first seat in it.
    pub(crate) fn launch(
        &self,
        node: NodeRef,
        launch: impl FnOnce() -> Option<Arc<dyn Fly>>,
    ) -> Option<Seat> {
        let mut bucket = self.bucket(node).lock();
        let flight = launch()?;
        let before = bucket.insert(node.address(), flight.clone());
        debug_assert!(before.is_none(), "a flight is taken out before its claim ends");
        Seat::take(flight)
    }

    /// Takes the flight of a node out.
    pub(crate) fn land(&self, node: NodeRef) -> Option<Arc<dyn Fly>> {
        self.bucket(node).lock().remove(&node.address())
    }

    /// How many are under way.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|bucket| bucket.lock().len()).sum()
    }
}
