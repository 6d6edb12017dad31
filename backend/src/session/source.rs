//! Sources: leaves that the runtime observes itself (files, directories, environment variables).
//!
//! A source is a task function whose body observes the world and whose descriptor has a cheap test for "nothing can have
//! changed" (a stamp). A source is observed once, and again only by [`Engine::refresh`]: whose stamp differs is
//! observed anew; whose value differs, too, makes its dependents stale. So within a session, and between refreshes,
//! the world stands still.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::base::stack::on_enough_stack;
use crate::call::args::{Args, Key};
use crate::context::engine::Engine;
use crate::context::gate::UpdatePolicy;
use crate::context::generation::Generation;
use crate::context::local::Local;
use crate::context::token::CancelToken;
use crate::context::watch::{GLANCE, UpdateError};
use crate::evaluate::lookup::known;
use crate::graph::claim::Phase;
use crate::graph::flags::Flags;
use crate::graph::invalidate::mark_dependents;
use crate::graph::node::{NodeRef, replace_value};
use crate::graph::task_fn::{Erased, LeafChange, Outside, RawTaskFn, TaskFn};
use crate::persist::{Moved, deadline};
use larder_storage::Digest;

/// The findings of a refresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refreshed {
    /// Sources looked at.
    pub checked: usize,
    /// Sources whose stamp had changed, so that they were observed anew.
    pub observed: usize,
    /// Sources whose value had changed: what depends on them is stale now.
    pub changed: usize,
}

impl Engine {
    /// Looks at all sources and makes stale what depends on those that changed.
    ///
    /// Cost: one stamp per source (for a file, a `stat`), one observation per changed stamp.
    ///
    /// # Errors
    /// [`UpdateError::InSession`] if this thread has a session of this engine open; [`UpdateError::Cancelled`] if `token` is
    /// cancelled while it waits.
    pub fn refresh(
        self: &Arc<Self>,
        policy: UpdatePolicy,
        token: Option<&CancelToken>,
    ) -> Result<Refreshed, UpdateError> {
        // Looking takes time, so it is done while sessions may be open; putting in place is short.
        self.check_no_session()?;
        if let Some(token) = token {
            token.serves(self);
        }
        self.check_token(token)?;
        let _one_at_a_time = loop {
            if let Some(alone) = self.refreshing.try_lock_for(GLANCE) {
                break alone;
            }
            self.check_token(token)?;
        };
        loop {
            if let Some(refreshed) = on_enough_stack(|| self.try_refresh(policy, token))? {
                return Ok(refreshed);
            }
        }
    }

    /// Looks at all sources, and puts in place what was seen. `None` if nodes were freed between looking and putting in place: some of
    /// those looked at may be among them.
    fn try_refresh(
        self: &Arc<Self>,
        policy: UpdatePolicy,
        token: Option<&CancelToken>,
    ) -> Result<Option<Refreshed>, UpdateError> {
        let mut looked = Looked::default();
        let departures = match self.catch(token, || self.look(&mut looked)) {
            Ok(departures) => departures,
            Err(failed) => {
                self.check_token(token)?;
                failed.throw()
            }
        };
        let Looked { checked, mut changes, failed, moved } = looked;
        let mut refreshed =
            Refreshed { checked, observed: changes.len() + moved.len(), ..Refreshed::default() };
        let garbage = self.exclusively(policy, token, |_| {
            if self.departures.get(Relaxed) != departures {
                return None;
            }
            refreshed.changed = changes.iter().filter(|change| change.differs()).count();
            if let Some(persistence) = self.persistence() {
                refreshed.changed += moved.iter().filter(|moved| moved.differs(persistence)).count();
            }
            let epoch = if failed.is_empty() { self.epoch() } else { self.advance() };
            for node in failed {
                if node.state.phase() == Phase::Empty && !node.flag(Flags::MARKED) {
                    node.set_flag(Flags::MARKED);
                    mark_dependents(node, epoch);
                }
            }
            let mut garbage = self.apply(&mut changes, moved, &[]);
            garbage.join(self.reclaim.drop_unread_sources(self));
            Some(garbage)
        })?;
        Ok(garbage.map(|garbage| {
            drop(garbage);
            refreshed
        }))
    }

    /// Looks at all sources, in a session. Returns the generation of departures: those looked at are there as long as it stays.
    fn look(&self, looked: &mut Looked) -> Generation {
        let sources = self.sources.lock().clone();
        looked.checked = sources.len();
        for node in sources {
            match node.state.phase() {
                Phase::Fresh => {
                    let Some(observe) = node.task_fn.observe else { continue };
                    // SAFETY: 1. the node was seen FRESH in this session; 2. `observe` was made for its types.
                    looked.changes.extend(unsafe { observe(node.task_fn, node) });
                }
                _ => looked.failed.push(node),
            }
        }
        if let Some(persistence) = self.persistence() {
            let (more, found) = persistence.look();
            looked.checked += more;
            looked.moved = found;
        }
        self.departures.get(Relaxed)
    }
}

/// The findings of looking at all sources, before any of them is put in place. Should an observation panic, they are dropped outside of
/// the session.
#[derive(Default)]
struct Looked {
    checked: usize,
    changes: Vec<Box<dyn LeafChange>>,
    /// Sources whose last observation failed.
    failed: Vec<NodeRef>,
    /// Stored sources without a node.
    moved: Vec<Moved>,
}

impl Engine {
    /// Returns the changes that it makes that the moments of these deadlines have passed: of those that are in memory, and of the others.
    ///
    /// The caller holds the gate exclusively.
    pub(crate) fn passed(&self, deadlines: &[Digest]) -> (Vec<Box<dyn LeafChange>>, Vec<Moved>) {
        let (mut changes, mut moved) = (Vec::<Box<dyn LeafChange>>::new(), Vec::new());
        let Some(persistence) = self.persistence() else { return (changes, moved) };
        for key in deadlines {
            match persistence.nodes.get(*key).filter(|node| node.state.phase() == Phase::Fresh) {
                Some(node) => changes.push(Box::new(passed(node))),
                None => moved.extend(persistence.moved(*key, deadline::seen(true))),
            }
        }
        (changes, moved)
    }
}

fn passed(node: NodeRef) -> Observed<bool> {
    // SAFETY: 1. the node is a deadline, whose types these are; 2. it is FRESH, and no session is open.
    let differs = unsafe { !*node.value::<(u128, u64), bool>() };
    Observed { node, value: true, differs, put: replace_value::<(u128, u64), bool> }
}

/// Calls `look` with where and when the session that is open on this thread looks at sources.
pub fn from_outside<R>(look: impl FnOnce(Outside<'_>) -> R) -> R {
    match Local::current() {
        Some(local) => {
            let engine = local.engine();
            look(Outside {
                base: engine.base_dir().map(AsRef::as_ref),
                ahead: engine.clock.ahead(),
                fingerprints: engine.fingerprints(),
            })
        }
        None => look(Outside::default()),
    }
}

/// Notes that the content of a source cannot be had any more as it was observed. A task that has read it, or reads it from here on, is not
/// stored; and the next refresh takes it for changed, even if it is what it was: what was made of its loss must not stay.
pub fn lose_source<A: Args, O: Clone + Send + Sync + 'static>(task_fn: &'static TaskFn<A::Key, O>, args: A) {
    let Some((local, node)) = known(task_fn, args) else { return };
    node.set_flag(Flags::LOST);
    if let Some(persistence) = local.engine().persistence() {
        persistence.lose(node);
    }
}

/// A new observation of a source, compared already.
struct Observed<O> {
    node: NodeRef,
    value: O,
    differs: bool,
    put: unsafe fn(NodeRef, O) -> Option<O>,
}

impl<O: Send + Sync + 'static> LeafChange for Observed<O> {
    fn node(&self) -> NodeRef {
        self.node
    }
    fn differs(&self) -> bool {
        self.differs
    }
    fn put(self: Box<Self>) -> Option<Box<dyn Any + Send>> {
        self.node.clear_flag(Flags::LOST);
        // SAFETY: `put` was made for the node's types; the gate is held exclusively.
        let old = unsafe { (self.put)(self.node, self.value) };
        old.map(|old| Box::new(old) as Box<dyn Any + Send>)
    }
}

/// Looks at a source again; `None` if its stamp says that nothing can have changed.
///
/// # Safety
/// `node` was seen FRESH in the open session; `K` and `O` are the types of `task_fn`, which is its task function.
pub(crate) unsafe fn observe<K: Key, O: Send + Sync + 'static>(
    task_fn: &RawTaskFn,
    node: NodeRef,
) -> Option<Box<dyn LeafChange>> {
    // SAFETY: passed on to the caller.
    let (key, value) = unsafe { (node.key::<K, O>(), node.value::<K, O>()) };
    let lost = node.flag(Flags::LOST);
    let (value, differs) =
        if lost { task_fn.observe_anew(key)? } else { task_fn.observe_again(key, value)? };
    Some(Box::new(Observed { node, value, differs, put: replace_value::<K, O> }))
}

impl<K: Key, O: Clone + Send + Sync + 'static> TaskFn<K, O> {
    /// Makes this a source: a leaf whose body observes the world. It is observed again only by a refresh, and only if
    /// `same_stamp` says of the last observation that something may have changed.
    #[must_use]
    pub const fn source(mut self, same_stamp: fn(&K, &O) -> bool) -> Self {
        // SAFETY: as in `new`.
        let erased = unsafe { std::mem::transmute::<fn(&K, &O) -> bool, unsafe fn()>(same_stamp) };
        self.raw.same_stamp = Some(Erased(erased));
        self.raw.observe = Some(observe::<K, O>);
        self
    }
}
