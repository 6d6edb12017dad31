//! Updates: inputs are set all at once.
//!
//! The values that an update sets are gathered first, compared with those that are there when its closure has returned, and put in place only then. A panic in
//! the closure or in a comparison changes nothing.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::base::stack::on_enough_stack;
use crate::call::storable::PersistInput;
use crate::context::engine::Engine;
use crate::context::gate::UpdatePolicy;
use crate::context::token::CancelToken;
use crate::context::watch::UpdateError;
use crate::evaluate::handle::Task;
use crate::evaluate::parts::{is_settled, settle_exclusively};
use crate::graph::claim::Phase;
use crate::graph::flags::{Flags, Keeping, Leaving};
use crate::graph::held::Held;
use crate::graph::invalidate::Marking;
use crate::graph::node::{NodeRef, name_of, replace_value};
use crate::graph::task_fn::{LeafChange, TaskFn};
use crate::persist::{Bereft, Moved, Persistence, Touched};
use crate::session::input::{Durable, Input, InputValue};
use crate::session::observed::Applying;
use crate::session::reclaim::Garbage;

impl Engine {
    /// Changes inputs: what `change` sets takes effect when it returns, all at once.
    ///
    /// # Errors
    /// [`UpdateError::InSession`] if this thread has a session of this engine open; [`UpdateError::Cancelled`] if `token` is
    /// cancelled while it waits.
    pub fn update<R>(
        self: &Arc<Self>,
        policy: UpdatePolicy,
        token: Option<&CancelToken>,
        change: impl FnOnce(&mut Update) -> R,
    ) -> Result<R, UpdateError> {
        if let Some(token) = token {
            token.serves(self);
        }
        on_enough_stack(|| {
            // These outlive the exclusive hold: should `change` or a comparison panic, the values are dropped without it.
            let mut gathered = Gathered::new(self);
            let (result, garbage) = self.exclusively(policy, token, |_| gathered.change(self, change))?;
            drop(garbage);
            Ok(result)
        })
    }

    /// Changes inputs as [`Engine::update`] does, by a caller that holds the gate exclusively already; gives it back.
    pub(crate) fn update_exclusively<R>(self: &Arc<Self>, change: impl FnOnce(&mut Update) -> R) -> R {
        on_enough_stack(|| {
            let mut gathered = Gathered::new(self);
            let (result, garbage) = self.while_exclusive(|_| gathered.change(self, change));
            drop(garbage);
            result
        })
    }

    /// Checks that no two inputs come to have one name.
    ///
    /// # Panics
    /// If an input that was removed is set, and there is a new one of its name.
    fn check_names(&self, changes: &[Box<dyn LeafChange>]) {
        let revived =
            changes.iter().filter(|change| !change.removes() && change.node().has(Leaving::NAMELESS));
        let mut names = FxHashSet::default();
        let inputs = self.inputs.lock();
        for change in revived {
            let name = name_of(change.node());
            let is_free = inputs
                .get(name)
                .is_none_or(|other| changes.iter().any(|change| change.removes() && change.node() == *other));
            assert!(
                is_free && names.insert(name),
                "the input {name:?} was removed, and there is another one of its name now: set that one"
            );
        }
    }

    /// Takes the name of an input that has been removed. Returns whether it had one: if not, it was removed before.
    fn take_name(&self, node: NodeRef) -> bool {
        if node.has(Leaving::NAMELESS) {
            return false;
        }
        let mut inputs = self.inputs.lock();
        if inputs.get(name_of(node)) == Some(&node) {
            inputs.remove(name_of(node));
        }
        true
    }

    /// Gives an input that has been set its name back, in case it was removed before.
    fn give_name_back(&self, node: NodeRef) {
        if node.has(Leaving::NAMELESS) {
            self.inputs.lock().insert(name_of(node).into(), node);
            self.reclaim.revive_input(node);
        }
    }

    /// Puts changes in place and marks what depends on those that differ, and on the stored sources that have `moved`; tasks that are
    /// `invalidated` are to run again. The caller holds the gate exclusively.
    pub(crate) fn apply(
        &self,
        changes: &mut Vec<Box<dyn LeafChange>>,
        moved: Vec<Moved>,
        invalidated: &[Held],
    ) -> Garbage {
        self.check_names(changes);
        let differing: Vec<bool> = changes.iter().map(|change| change.differs()).collect();
        let mut garbage = Garbage::default();
        if differing.is_empty() && moved.is_empty() && invalidated.is_empty() {
            return garbage;
        }
        let differs = differing.contains(&true) || !moved.is_empty() || !invalidated.is_empty();
        let epoch = if differs { self.advance() } else { self.epoch() };
        let number = self.updates.fetch_add(u64::from(differs), Relaxed) + 1;
        let mut applying = (differs && self.observers.any()).then(|| Applying::begin(self));
        let persistence = self.persistence();
        let mut marking = if persistence.is_some() { Marking::noting(epoch) } else { Marking::begin(epoch) };
        let (mut touched, mut removed) = (Vec::new(), Vec::new());
        for (change, differs) in changes.drain(..).zip(differing) {
            let (node, removes) = (change.node(), change.removes());
            if let Some(applying) = applying.as_mut().filter(|_| differs) {
                applying.about_to_change(self, node, removes);
            }
            garbage.values.extend(change.put());
            if let Some(applying) = applying.as_mut().filter(|_| differs) {
                applying.has_changed(self, number, epoch);
            }
            if differs {
                node.changed_at.set(epoch);
                node.effects_at.set(epoch);
                self.mark_readers(node, removes, &mut marking);
            }
            if !removes {
                self.give_name_back(node);
            } else if self.take_name(node) {
                removed.push(node);
            }
            if persistence.is_some() {
                touched.push(Touched { node, differs, removes });
            }
        }
        let invalidated: Vec<NodeRef> = invalidated.iter().map(|held| held.node).collect();
        invalidated.iter().for_each(|node| marking.invalidate(*node));
        let bereft = match persistence {
            Some(persistence) => change_stored(persistence, touched, moved, &invalidated, &mut marking),
            None => Bereft::default(),
        };
        if !removed.is_empty() || self.reclaim.has_unsearched() {
            self.reclaim.remove_inputs(self, &removed, &bereft);
        }
        if let Some(applying) = applying {
            applying.tell(self, number, marking.marked());
        }
        garbage
    }

    /// Marks what has read an input or a source that differs now.
    fn mark_readers(&self, node: NodeRef, removes: bool, marking: &mut Marking) {
        // With a store, its readers are marked there as they are here, so parts are settled when they are asked for.
        if !removes && self.persistence().is_none() && node.keeping().contains(Keeping::HAS_PARTS) {
            let settled = settle_exclusively(self, node, self.epoch());
            settled.into_iter().for_each(|part| marking.mark_dependents(part));
            marking.mark_dependents_but(node, is_settled);
        } else {
            marking.mark_dependents(node);
        }
    }
}

/// Brings changes to the store, and to memory what only the store knows to depend on them. Returns the nodes that depend on an
/// input that was removed, as only the store knows.
fn change_stored(
    persistence: &Persistence,
    mut touched: Vec<Touched>,
    moved: Vec<Moved>,
    invalidated: &[NodeRef],
    marking: &mut Marking,
) -> Bereft {
    // Removals first: another input of the name may be set at once.
    touched.sort_by_key(|touched| !touched.removes);
    let components = persistence.components_of(invalidated);
    let bereft = persistence.changed(&touched, moved, &components, marking);
    persistence.forget(invalidated);
    bereft
}

/// The settings of an update, gathered before any of them is put in place.
struct Gathered {
    update: Update,
    changes: Vec<Box<dyn LeafChange>>,
}

impl Gathered {
    fn new(engine: &Arc<Engine>) -> Self {
        let update =
            Update { engine: engine.clone(), changes: FxHashMap::default(), invalidated: Vec::new() };
        Self { update, changes: Vec::new() }
    }

    fn change<R>(&mut self, engine: &Engine, change: impl FnOnce(&mut Update) -> R) -> (R, Garbage) {
        let result = change(&mut self.update);
        self.changes.extend(self.update.changes.drain().map(|(_, change)| change));
        (result, engine.apply(&mut self.changes, Vec::new(), &self.update.invalidated))
    }
}

struct Set<T> {
    node: NodeRef,
    value: T,
}

impl<T: InputValue> LeafChange for Set<T> {
    fn node(&self) -> NodeRef {
        self.node
    }
    fn differs(&self) -> bool {
        if !self.node.flag(Flags::HAS_VALUE) {
            return true;
        }
        // SAFETY: 1. `Update::set` took node and value from an `Input<T>`; 2. the gate is held exclusively.
        let old = unsafe { self.node.value_by_type::<T>() };
        // SAFETY: an input's descriptor is one of values of its type.
        !unsafe { self.node.task_fn.same_values(old, &self.value) }
    }
    fn value(&mut self) -> Option<&mut dyn Any> {
        Some(&mut self.value)
    }
    fn put(self: Box<Self>) -> Option<Box<dyn Any + Send>> {
        self.node.state.set_exclusively(Phase::Fresh);
        // SAFETY: as above; an input's key is a `String`.
        let old = unsafe { replace_value::<(String,), T>(self.node, self.value) };
        old.map(|old| Box::new(old) as Box<dyn Any + Send>)
    }
}

struct Remove(NodeRef);

impl LeafChange for Remove {
    fn node(&self) -> NodeRef {
        self.0
    }
    fn removes(&self) -> bool {
        true
    }
    fn differs(&self) -> bool {
        self.0.flag(Flags::HAS_VALUE)
    }
    fn put(self: Box<Self>) -> Option<Box<dyn Any + Send>> {
        self.0.state.set_exclusively(Phase::Empty);
        // SAFETY: the gate is held exclusively.
        unsafe { self.0.take_value() }
    }
}

/// The new value of an input, as its type.
#[track_caller]
fn value_of<'a, T: InputValue>(value: Option<&'a mut dyn Any>, input: &Input<T>) -> &'a mut T {
    let value = value.and_then(|value| value.downcast_mut());
    value.unwrap_or_else(|| panic!("the input {:?} has been removed", input.name))
}

/// A batch of input changes, given to the closure of an update.
pub struct Update {
    engine: Arc<Engine>,
    changes: FxHashMap<usize, Box<dyn LeafChange>>,
    invalidated: Vec<Held>,
}

impl Update {
    /// Sets an input. An equal value is no change.
    ///
    /// # Panics
    /// If the input belongs to another runtime.
    #[track_caller]
    pub fn set<T: InputValue>(&mut self, input: &Input<T>, value: T) {
        let node = self.node(input);
        self.changes.insert(node.address(), Box::new(Set { node, value }));
    }

    /// Removes an input: its value and its name. Tasks that depend on it become stale, and a later
    /// [`Runtime::input`](https://docs.rs/larder) of this name is a new one. A handle that is left is no input any more: to read it is a
    /// panic that says so. Setting it makes it the input of its name again, unless there is a new one by then.
    /// A task that has caught this panic depends on the removed input, not on its name: a new input does not make it stale.
    ///
    /// The input is freed when nothing holds or reads it. Tasks that have read it, or that depend on it and take it as an argument, and that
    /// nothing holds or reads, go with it, and so does what is stored of them, whether or not they are in memory.
    ///
    /// # Panics
    /// If the input belongs to another runtime.
    #[track_caller]
    pub fn remove<T: InputValue>(&mut self, input: &Input<T>) {
        let node = self.node(input);
        self.changes.insert(node.address(), Box::new(Remove(node)));
    }

    /// Makes a task run again when it is next asked for, though nothing that it has read has changed: for what the runtime cannot see, such as a
    /// server's answer or a tool that was replaced. Tasks that have read it are verified then: they run again if its new value
    /// differs, and stay as they are if it is equal. Until then it keeps its value to compare with.
    ///
    /// Its record in the store goes, so that it runs again in the next process as well, if this one does not ask for it; after a restart its
    /// readers run, too. `f::invalidate(args)` does the same by a call, inside a session.
    ///
    /// | | the task | its readers | for |
    /// |---|---|---|---|
    /// | `invalidate` | runs again when asked for | run again if its value differs | results that may be wrong |
    /// | `f::forget(args)` | runs again when asked for | stay current | results that are right, and take memory |
    ///
    /// # Panics
    /// If the handle belongs to another runtime.
    #[track_caller]
    pub fn invalidate<T: Clone + Send + Sync + 'static>(&mut self, task: &Task<T>) {
        let (engine, node) = task.place();
        assert_eq!(engine, self.engine.id, "the handle to invalidate belongs to another runtime");
        if let Some(persistence) = self.engine.persistence() {
            // A handle made it, so that it may be known to the store alone.
            persistence.key_of(node);
        }
        self.invalidated.push(task.held());
    }

    /// Lends the value that an input has, or that it gets by this update so far, to `read`.
    ///
    /// # Panics
    /// If the input belongs to another runtime, or has been removed.
    #[track_caller]
    pub fn with<T: InputValue, R>(&mut self, input: &Input<T>, read: impl FnOnce(&T) -> R) -> R {
        let node = self.node(input);
        match self.changes.get_mut(&node.address()) {
            Some(change) => read(value_of(change.value(), input)),
            None => read(self.current(node, input)),
        }
    }

    /// Changes the value of an input in place: the value that it gets by this update so far, or a copy of the one that it has.
    ///
    /// # Panics
    /// If the input belongs to another runtime, or has been removed.
    #[track_caller]
    pub fn modify<T: InputValue, R>(&mut self, input: &Input<T>, change: impl FnOnce(&mut T) -> R) -> R {
        let node = self.node(input);
        if let Some(set) = self.changes.get_mut(&node.address()) {
            return change(value_of(set.value(), input));
        }
        let mut value = self.current(node, input).clone();
        let result = change(&mut value);
        self.changes.insert(node.address(), Box::new(Set { node, value }));
        result
    }

    /// Returns the input called `name`, which holds `value` when this update has ended: a new one, or the one that exists, which is set.
    ///
    /// # Panics
    /// If an input of this name exists and holds another type.
    #[track_caller]
    pub fn input_or_set<T: InputValue + PersistInput>(&mut self, name: &str, value: T) -> Input<T> {
        self.named_input(Durable::<T>::TASK_FN, name, value)
    }

    /// Returns an input like [`Update::input_or_set`] for a type without serde. Tasks that read it are kept in memory only.
    ///
    /// # Panics
    /// If an input of this name exists and holds another type.
    #[track_caller]
    pub fn transient_input_or_set<T: InputValue>(&mut self, name: &str, value: T) -> Input<T> {
        self.named_input(Input::<T>::TASK_FN, name, value)
    }

    #[track_caller]
    fn named_input<T: InputValue>(
        &mut self,
        task_fn: &'static TaskFn<(String,), T>,
        name: &str,
        value: T,
    ) -> Input<T> {
        let mut value = Some(value);
        let make = || value.take().expect("the value is made once");
        let input = self.engine.named_input(task_fn, name, make);
        if let Some(value) = value {
            self.set(&input, value);
        }
        input
    }

    /// The value in place.
    #[track_caller]
    fn current<T: InputValue>(&self, node: NodeRef, input: &Input<T>) -> &T {
        assert!(node.flag(Flags::HAS_VALUE), "the input {:?} has been removed", input.name);
        // SAFETY: 1. the node is that of an `Input<T>`; 2. an update exists while the gate is held exclusively, and changes the value
        // when its closure has ended, so not while this borrow of it lasts.
        unsafe { node.value_by_type::<T>() }
    }

    #[track_caller]
    fn node<T: InputValue>(&self, input: &Input<T>) -> NodeRef {
        let (engine, node) = input.task.place();
        assert_eq!(engine, self.engine.id, "the input {:?} belongs to another runtime", input.name);
        node
    }
}
