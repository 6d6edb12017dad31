//! Async runs: where the async runs of an engine are found, by their nodes.
//!
//! An async run stands here from before its claim is seen until just before the claim ends: it is put in under the same lock under
//! which the node is claimed. So a thread that sees a node RUNNING and finds no async run waits for a thread, or for a claim that is
//! ending; either way the lot wakes it.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::task::Waker;

use rustc_hash::FxHashMap;

use crate::base::sync::Mutex;
use crate::graph::node::NodeRef;
use crate::graph::stop::Thrown;

const BUCKETS: usize = 64;

type Bucket = Mutex<FxHashMap<usize, Arc<dyn DriveAsyncRun>>>;

/// The async runs that are under way.
pub(crate) struct AsyncRuns(Box<[Bucket]>);

impl Default for AsyncRuns {
    fn default() -> Self {
        Self((0..BUCKETS).map(|_| Bucket::default()).collect())
    }
}

impl AsyncRuns {
    fn bucket(&self, node: NodeRef) -> &Bucket {
        &self.0[(node.address() >> 6) % BUCKETS]
    }

    /// The async run of a node, if it has one.
    pub(crate) fn of(&self, node: NodeRef) -> Option<Arc<dyn DriveAsyncRun>> {
        self.bucket(node).lock().get(&node.address()).cloned()
    }

    /// Puts in the async run that `launch` makes, if it succeeds in claiming the node. Returns the first seat in it.
    pub(crate) fn launch(
        &self,
        node: NodeRef,
        launch: impl FnOnce() -> Option<Arc<dyn DriveAsyncRun>>,
    ) -> Option<Seat> {
        let mut bucket = self.bucket(node).lock();
        let async_run = launch()?;
        let before = bucket.insert(node.address(), async_run.clone());
        debug_assert!(before.is_none(), "a async_run is taken out before its claim ends");
        Seat::take(async_run)
    }

    /// Takes the async run of a node out.
    pub(crate) fn land(&self, node: NodeRef) -> Option<Arc<dyn DriveAsyncRun>> {
        self.bucket(node).lock().remove(&node.address())
    }

    /// How many are under way.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|bucket| bucket.lock().len()).sum()
    }
}

/// An async run, whatever its types.
pub(crate) trait DriveAsyncRun: Send + Sync {
    /// Takes a seat; `None` if the async run is over.
    fn join(&self) -> Option<SeatId>;
    /// Drives the async run, unless another thread does. Returns whether it is over; else `waker` is woken when to come again.
    fn poll(self: Arc<Self>, seat: SeatId, waker: &Waker) -> bool;
    /// Whether a thread goes on with the body now.
    fn is_driven(&self) -> bool;
    /// Wakes all waiters to look again.
    fn wake_waiters(&self);
    /// Gives up a seat. The last one to leave ends the async run.
    fn leave(&self, seat: SeatId);
    /// The panic that ended the async run, for the first to ask, and what it is known by.
    fn take_failure(&self) -> Option<Thrown>;
}

/// Names a seat among those of its async run. The first one is 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
pub(crate) struct SeatId(NonZeroU64);

impl SeatId {
    /// The seat that is taken first.
    pub(crate) const FIRST: Self = Self(NonZeroU64::MIN);

    /// Returns the seat that is taken after this one.
    pub(crate) fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("an async run has fewer than 2^64 waiters"))
    }

    /// Returns how many seats have been taken, up to this one.
    pub(crate) fn taken(self) -> u64 {
        self.0.get()
    }
}

/// A seat in an async run, given up when dropped.
pub(crate) struct Seat {
    pub(crate) async_run: Arc<dyn DriveAsyncRun>,
    pub(crate) seat: SeatId,
}

impl Seat {
    /// Takes a seat; `None` if the async run is over.
    pub(crate) fn take(async_run: Arc<dyn DriveAsyncRun>) -> Option<Self> {
        let seat = async_run.join()?;
        Some(Self { async_run, seat })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.async_run.leave(self.seat);
    }
}
