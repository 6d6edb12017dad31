//! `Beside`, behind one pointer of the header: what is stored of a node, and `Extra`, which only few nodes need, behind another.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;

use crate::base::once_box::OnceBox;
use crate::graph::emitted::EmittedValue;
use crate::graph::epoch::AtomicEpoch;
use crate::graph::failure::{CycleHead, TaskError};
use crate::graph::held::Shared;
use crate::graph::persisted::{Persisted, WideTrace};
use crate::graph::resolved::Resolved;
use crate::graph::strand_id::DemandId;
use crate::graph::trail::Trail;

/// The part of a node that is needed with a store. Transient tasks without a handle have none.
#[derive(Default)]
pub(crate) struct Beside {
    pub(crate) persisted: Mutex<Option<Persisted>>,
    pub(crate) extra: OnceBox<Extra>,
}

/// The rarely needed part of a node.
#[derive(Default)]
pub(crate) struct Extra {
    /// The cell that all handles to this node share.
    pub(crate) handle: Mutex<Option<Shared>>,
    /// The values that the last run emitted, in order.
    pub(crate) emitted: Mutex<Arc<[EmittedValue]>>,
    /// How the last run failed, and in whose demand. Boxed: inputs have an `Extra` for their handle, and do not fail.
    pub(crate) failure: Mutex<Option<Box<Failure>>>,
    /// The epoch in which the program last said that it is to run again.
    pub(crate) invalidated: AtomicEpoch,
    /// The program has given up the value: it was not dropped to save memory.
    pub(crate) given_up: AtomicBool,
    /// The epoch in which the component of the node was dissolved, for no other reason than that its reads had changed.
    pub(crate) dissolved: AtomicEpoch,
    /// One more than the epoch in which the node was last found not to be leapt to (`evaluate/cycle/make_way.rs`).
    pub(crate) barred: AtomicEpoch,
    /// With a store, of a node with very many reads: the chunks that it was last stored with.
    pub(crate) wide: Mutex<Option<Box<WideTrace>>>,
    /// The component that the task was resolved in, if it lies on a cycle.
    pub(crate) resolved: Mutex<Option<Arc<Resolved>>>,
    /// If causes are recorded, and there is one.
    pub(crate) trail: OnceBox<Mutex<Trail>>,
}

/// A failed run.
#[derive(Clone)]
pub(crate) struct Failure {
    pub(crate) error: TaskError,
    /// The demand (see `Local::demand`) in which it happened: the failure is thrown again within it, not run again.
    pub(crate) demand: DemandId,
    /// Where its cycle closes, if it is on one that leads further out.
    pub(crate) head: Option<CycleHead>,
}
