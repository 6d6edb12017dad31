//! Handles: `Task<T>`, a memoized call that may not have run yet.
//!
//! All handles to one node share a cell, which pins the node while there are any (`held.rs`).

use std::any::TypeId;
use std::cell::Cell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use crate::context::engine::Engine;
use crate::context::local::Local;
use crate::context::outside::outside_of_session;
use crate::evaluate::demand::demand;
use crate::evaluate::emit::{Collect, collect};
use crate::evaluate::lookup::hand_out;
use crate::evaluate::node_wait::{Called, Pending};
use crate::graph::emitted::Emitted;
use crate::graph::failure::TaskError;
use crate::graph::flags::Leaving;
use crate::graph::held::{Held, Shared};
use crate::graph::node::NodeRef;
use crate::graph::stop::Stop;
use larder_storage::Digest;

/// A memoized call of a task function that returns `T`. It may not have run yet.
///
/// Cheap to clone (one reference count), equal and hashed by identity: two handles are equal iff they are to the same call
/// in the same runtime. A handle can be an argument of other task functions; the callee, not the caller, then depends
/// on its value. A handle keeps its task: one that was forgotten goes with its last handle.
pub struct Task<T> {
    pub(crate) cell: Held,
    output: PhantomData<fn() -> T>,
}

impl<T: Clone + Send + Sync + 'static> Task<T> {
    /// The handle to a node of an engine. The node's output type must be `T`.
    pub(crate) fn to(engine: &Engine, node: NodeRef) -> Self {
        assert_eq!(
            (node.task_fn.ops.value_type)(),
            std::any::TypeId::of::<T>(),
            "a handle is of its task's output type"
        );
        let mut place = node.extra_or_insert().handle.lock();
        let cell = match &*place {
            Some(shared) => shared.hold(),
            None => {
                let (shared, cell) =
                    Shared::new(engine.id, &engine.released, node, node.has(Leaving::ABANDONED));
                *place = Some(shared);
                cell
            }
        };
        Self { cell, output: PhantomData }
    }

    /// Returns the value: from memory, from the store, or by running the task. Hashes nothing.
    ///
    /// # Panics
    /// Panics as a call of the task function does.
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn get(&self) -> T {
        self.with(T::clone)
    }

    /// Lends the value to `read` instead of cloning it.
    ///
    /// # Panics
    /// Panics as a call of the task function does.
    #[inline]
    #[track_caller]
    pub fn with<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        let node = self.demand();
        // SAFETY: 1. a handle's type is its node's (`to` checks it); 2. `demand` has seen the node FRESH in the session that is
        // open on this thread; 3. that cannot end while `read` runs.
        read(unsafe { node.value_by_type::<T>() })
    }

    /// Returns the value if it is in memory, or else a wait for it. `get_async` is made of it.
    ///
    /// # Panics
    /// Outside of a session of the handle's runtime.
    #[doc(hidden)]
    #[track_caller]
    pub fn call(&self) -> Called<T> {
        let (local, node) = self.local();
        let known = local
            .predicted(|predicted| predicted == node)
            .or_else(|| local.cached(node.hash, |cached| cached == node));
        if let Some(node) = known {
            // SAFETY: as in `with`; the clone ends here.
            return Called::Hit(unsafe { node.value_by_type::<T>() }.clone());
        }
        local.counters.memory_hit(node.function);
        Called::Miss(Pending::new(local, node, Some(self.cell.clone())))
    }

    /// Returns the value, or why there is none.
    ///
    /// # Errors
    /// If the task panicked, is on a cycle, or the session was cancelled.
    ///
    /// # Panics
    /// Outside of a session of the handle's runtime.
    #[track_caller]
    pub fn try_get(&self) -> Result<T, TaskError> {
        let (local, _) = self.local();
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.demand())) {
            // SAFETY: as in `with`.
            Ok(node) => Ok(unsafe { node.value_by_type::<T>() }.clone()),
            Err(payload) => Err(local.take_failure(&Stop::caught(payload))),
        }
    }

    /// Computes the task if it is pending, without depending on it. A failure is left for the readers of the value.
    pub(crate) fn resolve(&self) {
        if let Some(local) = Local::current()
            && local.engine_id() == self.cell.engine
        {
            // The failure, if there is one, is thrown again to every call that asks for the value.
            let _ = demand(local, self.cell.node);
        }
    }

    /// Returns all values of type `D` that this call and what it depends on emitted.
    ///
    /// # Panics
    /// Panics as a call of the task function does.
    #[must_use]
    #[track_caller]
    pub fn collect<D: Emitted>(&self) -> Vec<D> {
        let (local, node) = self.local();
        collect(local, node, Collect::PassesOn)
    }

    /// Returns all values of type `D` that this call and what it depends on emitted, to be dealt with by the task that runs now: it does not pass
    /// them on to what collects from it. Values of other types, and those that it does not take, are passed on.
    ///
    /// A collector that comes to the values by another way, on which no task took them, gets them. Directly in a session it is as
    /// [`Task::collect`].
    ///
    /// # Panics
    /// Panics as a call of the task function does.
    #[must_use]
    #[track_caller]
    pub fn take<D: Emitted>(&self) -> Vec<D> {
        let (local, node) = self.local();
        collect(local, node, Collect::Takes)
    }

    #[inline]
    #[track_caller]
    fn demand(&self) -> NodeRef {
        let (local, node) = self.local();
        if let Some(node) = local.predicted(|predicted| predicted == node) {
            return node;
        }
        if let Some(node) = local.cached(node.hash, |cached| cached == node) {
            return node;
        }
        let outcome = demand(local, node);
        local.counters.memory_hit(node.function);
        hand_out(local, node, outcome, false)
    }

    #[inline]
    #[track_caller]
    fn local(&self) -> (&'static Local, NodeRef) {
        match Local::current() {
            Some(local) if local.engine_id() == self.cell.engine => (local, self.cell.node),
            _ => misplaced(),
        }
    }
}

impl<T> Task<T> {
    /// The engine's number and the node.
    pub(crate) fn place(&self) -> (u64, NodeRef) {
        (self.cell.engine, self.cell.node)
    }

    /// One more reference to the task.
    pub(crate) fn held(&self) -> Held {
        self.cell.clone()
    }
}

#[cold]
#[track_caller]
fn misplaced() -> ! {
    outside_of_session(
        format_args!("a handle was read outside of a session of its runtime"),
        format_args!(""),
    )
}

impl<T> Clone for Task<T> {
    fn clone(&self) -> Self {
        Self { cell: self.cell.clone(), output: PhantomData }
    }
}
impl<T> PartialEq for Task<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cell.is(&other.cell)
    }
}
impl<T> Eq for Task<T> {}
impl<T> Hash for Task<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.cell.address().hash(state);
    }
}
/// By what its call is called in the store: so it can be an argument of a stored task function.
impl<T> serde::Serialize for Task<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let local = Local::current().filter(|local| local.engine_id() == self.cell.engine);
        let persistence = local.and_then(|local| local.engine().persistence());
        match persistence.and_then(|persistence| persistence.key_of(self.cell.node)) {
            Some(key) => serializer.serialize_bytes(&key.to_bytes()),
            None => Err(serde::ser::Error::custom("the handle is to a call that is not stored")),
        }
    }
}
/// In a session of the runtime whose store has the call: as an argument of a stored task that runs again before it is called.
impl<'de, T: Clone + Send + Sync + 'static> serde::Deserialize<'de> for Task<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = deserializer.deserialize_bytes(KeyBytes)?;
        let found = Local::current().and_then(|local| {
            let node = local.engine().persistence()?.node_of(local, key)?;
            Some((local.engine(), node))
        });
        match found {
            Some((engine, node)) if (node.task_fn.ops.value_type)() == TypeId::of::<T>() => {
                Ok(Self::to(engine, node))
            }
            _ => Err(serde::de::Error::custom("the handle is to a call that is not known here")),
        }
    }
}

/// The key of a call in the store.
struct KeyBytes;

impl serde::de::Visitor<'_> for KeyBytes {
    type Value = Digest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the 16 bytes of a key")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Digest, E> {
        let bytes = bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))?;
        Ok(Digest::from_bytes(bytes))
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Local::of_names() {
            Some(local) if local.engine_id() == self.cell.engine => match Nested::begin() {
                Some(_nested) => write!(f, "Task({:?})", self.cell.node),
                None => f.write_str("Task(..)"),
            },
            _ => f.write_str("Task(..)"),
        }
    }
}

thread_local! {
    static NESTING: Cell<u32> = const { Cell::new(0) };
}

/// A handle that is being printed. Handles nest by the arguments of their tasks, as deep as a program's chains are and
/// with as many branches, so only the outermost ones are printed in full.
struct Nested;

impl Nested {
    const DEEPEST: u32 = 3;

    fn begin() -> Option<Self> {
        let depth = NESTING.get();
        (depth < Self::DEEPEST).then(|| {
            NESTING.set(depth + 1);
            Self
        })
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        NESTING.set(NESTING.get() - 1);
    }
}
