//! Inputs: values that the user sets, by a name that is stable across processes. Updates set them (`update.rs`).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use rustc_hash::FxHasher;

use crate::call::args::{ByVal, Store};
use crate::call::exact::{same_by_sign, same_known, same_value};
use crate::call::print::Print;
use crate::call::slot::StackMagicAnySlot;
use crate::call::storable::PersistInput;
use crate::context::engine::Engine;
use crate::context::local::Local;
use crate::evaluate::handle::Task;
use crate::graph::claim::{Phase, StateWord};
use crate::graph::flags::Leaving;
use crate::graph::node::{Header, NodeRef, replace_value};
use crate::graph::task_fn::{Site, TaskFn, type_id};
use crate::persist::recognised;

/// A type that an input can hold.
///
/// A value that is equal to the one before is no change. Floats and paths are compared by their representation: `-0.0` is not
/// `0.0`. So it is with those in a type that is not `Eq`, if the type is `Serialize`; any other `==` is taken at its word.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of an input",
    label = "not `Clone + PartialEq + Send + Sync + 'static`",
    note = "derive `Clone` and `PartialEq`: setting an equal value must be seen to be no change"
)]
pub trait InputValue: Clone + PartialEq + Send + Sync + 'static {}
#[diagnostic::do_not_recommend]
impl<T: Clone + PartialEq + Send + Sync + 'static> InputValue for T {}

/// A value that the user sets, and tasks read.
///
/// Cheap to clone; equal and hashed by identity, so that it can be an argument of task functions.
pub struct Input<T> {
    pub(crate) task: Task<T>,
    pub(super) name: Arc<str>,
}

struct InputId<T>(PhantomData<T>);

impl<T: InputValue> Input<T> {
    pub(super) const TASK_FN: &'static TaskFn<(String,), T> = &TaskFn::leaf(
        type_id::<InputId<T>>(),
        Site { name: "input", path: "larder::Input", file: file!(), line: line!() },
    )
    .cutoff(Some(same_value::<T>))
    .describe(Some(<(String,)>::print));

    /// Returns the value. The task that runs now depends on it from here on.
    ///
    /// # Panics
    /// Outside of a session of the input's runtime; if the input has been removed.
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn get(&self) -> T {
        self.task.get()
    }

    /// Lends the value to `read` instead of cloning it.
    ///
    /// # Panics
    /// See [`Input::get`].
    #[inline]
    #[track_caller]
    pub fn with<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        self.task.with(read)
    }

    /// Fails to compile: it exists for its error, which says how an input is set.
    #[doc(hidden)]
    pub fn set(&self, _value: T)
    where
        Self: SetOutsideOfUpdate,
    {
    }

    /// Returns the name that it was made with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Holds for no type.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "an input is set in an update",
    label = "this is no update",
    note = "write `runtime.update(|update| update.set(&input, value))`: what depends on the input is then current again before \
            anything reads it"
)]
pub trait SetOutsideOfUpdate {}

impl<T> Clone for Input<T> {
    fn clone(&self) -> Self {
        Self { task: self.task.clone(), name: self.name.clone() }
    }
}
impl<T> PartialEq for Input<T> {
    fn eq(&self, other: &Self) -> bool {
        self.task == other.task
    }
}
impl<T> Eq for Input<T> {}
impl<T> Hash for Input<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.task.hash(state);
    }
}
/// By its name, by which it is the same in every process.
impl<T> serde::Serialize for Input<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (engine, node) = self.task.place();
        let local = Local::current().filter(|local| local.engine_id() == engine);
        if local.is_some() && node.has(Leaving::NAMELESS) {
            return Err(serde::ser::Error::custom("the input has been removed"));
        }
        serializer.serialize_str(&self.name)
    }
}
/// In a session of the runtime that has the input.
impl<'de, T: InputValue> serde::Deserialize<'de> for Input<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let input = Local::current().and_then(|local| {
            let node = *local.engine().inputs.lock().get(&*name)?;
            node.task_fn
                .is(Self::TASK_FN.raw())
                .then(|| Self { task: Task::to(local.engine(), node), name: name.as_str().into() })
        });
        input.ok_or_else(|| {
            serde::de::Error::custom(format_args!("there is no input {name:?} of this type here"))
        })
    }
}
impl<T> fmt::Debug for Input<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "input({:?})", self.name)
    }
}

/// Whether two values of an input are the same, as far as their encoding tells more than `==` does.
fn same_stored<T: InputValue + PersistInput>(one: &T, other: &T) -> bool {
    same_known(one, other).unwrap_or_else(|| same_by_sign(one, other))
}

pub(super) struct Durable<T>(PhantomData<T>);

impl<T: InputValue + PersistInput> Durable<T> {
    /// The task function of [`Input::TASK_FN`], with the means to recognise its value.
    pub(super) const TASK_FN: &'static TaskFn<(String,), T> = &TaskFn::leaf(
        type_id::<InputId<T>>(),
        Site { name: "input", path: "larder::Input", file: file!(), line: line!() },
    )
    .cutoff(Some(same_stored::<T>))
    .describe(Some(<(String,)>::print))
    .stored(recognised::<(Store<ByVal<String>>,), T>());
}

impl Engine {
    /// Returns the input called `name`: a new one that holds `value`, or the one that exists, as it is. With a store, what was
    /// computed from an input of this name in an earlier process is used if the value is the same.
    ///
    /// # Panics
    /// If an input of this name holds another type.
    #[track_caller]
    pub fn input<T: InputValue + PersistInput>(self: &Arc<Self>, name: &str, value: T) -> Input<T> {
        self.input_with(name, || value)
    }

    /// Returns the input of this name, or a new one that holds what `value` makes.
    ///
    /// # Panics
    /// If an input of this name holds another type.
    #[track_caller]
    pub fn input_with<T: InputValue + PersistInput>(
        self: &Arc<Self>,
        name: &str,
        value: impl FnOnce() -> T,
    ) -> Input<T> {
        self.named_input(Durable::<T>::TASK_FN, name, value)
    }

    /// Returns an input whose value cannot be recognised in another process; what reads it is not stored.
    ///
    /// # Panics
    /// If an input of this name holds another type.
    #[track_caller]
    pub fn transient_input<T: InputValue>(self: &Arc<Self>, name: &str, value: T) -> Input<T> {
        self.named_input(Input::<T>::TASK_FN, name, || value)
    }

    #[track_caller]
    pub(super) fn named_input<T: InputValue>(
        &self,
        task_fn: &'static TaskFn<(String,), T>,
        name: &str,
        value: impl FnOnce() -> T,
    ) -> Input<T> {
        let mut inputs = self.inputs.lock();
        if let Some(node) = inputs.get(name) {
            let same = node.task_fn.is(task_fn.raw());
            assert!(same, "the input {name:?} exists already, and holds another type of value");
            return Input { task: Task::to(self, *node), name: name.into() };
        }
        let node = self.new_input(task_fn, name, value());
        inputs.insert(name.into(), node);
        drop(inputs);
        if let Some(persistence) = self.persistence() {
            persistence.adopt_input(node, name);
            if persistence.has_queued() {
                self.chores.list_prompt();
            }
        }
        Input { task: Task::to(self, node), name: name.into() }
    }

    fn new_input<T: InputValue>(
        &self,
        task_fn: &'static TaskFn<(String,), T>,
        name: &str,
        value: T,
    ) -> NodeRef {
        let mut hasher = FxHasher::default();
        name.hash(&mut hasher);
        let function = self.functions.index(task_fn.raw());
        let header = Header::new(task_fn.raw(), function, hasher.finish(), StateWord::new(Phase::Fresh));
        header.changed_at.set(self.epoch());
        let mut slot = StackMagicAnySlot::new((ByVal(name.to_owned()),));
        // SAFETY: the slot's key is the descriptor's: a `String`.
        let node = unsafe { NodeRef::allocate(task_fn.raw(), header, &mut slot) };
        // SAFETY: 1. no other thread knows the node yet; 2. its types are those of `task_fn`.
        unsafe { replace_value::<(String,), T>(node, value) };
        node
    }
}
