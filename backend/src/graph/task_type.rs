//! `CachedTaskType`: what a task is cached under.
//!
//! A node holds the pair; a call has its components, with the arguments still borrowed. Both have one hash, and tell equal from
//! unequal alike: that is why a call can be looked up before anything is owned.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};

use rustc_hash::FxBuildHasher;

use crate::call::args::{Args, Key};
use crate::graph::task_fn::RawTaskFn;

/// A task function and the owned arguments of a call: the identity of a task. (Called a type in the field, as all runs of one call
/// are of it.)
pub struct CachedTaskType<'a, K> {
    task_fn: &'static RawTaskFn,
    key: &'a K,
}

impl<'a, K: Key> CachedTaskType<'a, K> {
    /// Returns the pair.
    #[inline(always)]
    pub fn new(task_fn: &'static RawTaskFn, key: &'a K) -> Self {
        Self { task_fn, key }
    }

    /// Returns the hash of the pair whose components these are, under which the table keeps it.
    #[inline(always)]
    pub fn hash_from_components<A: Args>(task_fn: &'static RawTaskFn, args: &A) -> u64 {
        let mut state = FxBuildHasher.build_hasher();
        task_fn.id.hash(&mut state);
        args.hash_into(&mut state);
        state.finish()
    }

    /// Whether this is the pair of these components.
    #[inline(always)]
    pub fn eq_components<A: Args<Key = K>>(&self, task_fn: &'static RawTaskFn, args: &A) -> bool {
        self.task_fn.is(task_fn) && args.matches(self.key)
    }
}

impl<K: Key> PartialEq for CachedTaskType<'_, K> {
    fn eq(&self, other: &Self) -> bool {
        self.task_fn.is(other.task_fn) && self.key.eq_key(other.key)
    }
}

impl<K: Key> Eq for CachedTaskType<'_, K> {}

impl<K: Key> Hash for CachedTaskType<'_, K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.task_fn.id.hash(state);
        self.key.hash_key(state);
    }
}

impl<K> fmt::Debug for CachedTaskType<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CachedTaskType({}(..))", self.task_fn.site.name)
    }
}

/// The hash of a call: of the task function's identity and the arguments.
#[inline(always)]
pub(crate) fn hash_of<A: Args>(task_fn: &'static RawTaskFn, args: &A) -> u64 {
    CachedTaskType::<A::Key>::hash_from_components(task_fn, args)
}
