//! `TaskFn`: the static descriptor of a task function. Differences between task functions are data in it.
//!
//! The typed descriptor ([`TaskFn`]) is made in generated code, in a constant; the engine works with the type-erased
//! one inside ([`RawTaskFn`]). A descriptor of a generic function may exist several times in a program, so identity is
//! the `TypeId` of a marker type that the generated code declares, and equal addresses are only the fast way to see it.

mod shims;
mod stored;

use std::any::{Any, TypeId};
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::base::stack::on_enough_stack;
use crate::call::args::Key;
use crate::graph::node::{Node, NodeRef, Ops};

use self::shims::{
    call_body, describe, expires, initial, is_uncached, key_returns, resolve, run, run_into_twin, run_leaf,
    same, weigh,
};
pub(crate) use self::shims::{put, resolved_key};
pub use self::stored::{Leaf, Look, Observer, Seen, Stored};
pub(crate) use self::stored::{Put, RawLeaf, RawStored, RecallKey, Replaced};

/// Where a task function stands in the source.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// The function's name, for people.
    pub name: &'static str,
    /// The module path and name: half of the persistent identity.
    pub path: &'static str,
    /// The source file.
    pub file: &'static str,
    /// The line in it.
    pub line: u32,
}

/// Where a function that may be stored was defined.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// The package: its name, the part of its version that tells it from others of the name, and the binary.
    pub package: &'static str,
    /// Returns an address in the object file (the program or a library) that the defining crate was linked into. The
    /// descriptor may stand in another one: it is made anew in each crate that asks for it.
    pub home: fn() -> &'static u8,
}

/// Tells a function with a declared version from others, where its name does not.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// A digest of the function's tokens.
    pub tokens: u64,
    /// The compiler's identity of the function and its type arguments, if another one than the descriptor's knows them.
    pub instance: Option<TypeId>,
}

/// A function pointer whose type the descriptor's constructor has forgotten and its shims remember.
#[derive(Clone, Copy)]
pub(crate) struct Erased(pub(crate) unsafe fn());

/// The type-erased descriptor of a task function.
pub struct RawTaskFn {
    pub(crate) id: TypeId,
    pub(crate) site: Site,
    pub(crate) ops: &'static Ops,
    pub(crate) run: unsafe fn(&RawTaskFn, NodeRef, &mut dyn FnMut(Ran)),
    pub(crate) run_into_twin: unsafe fn(&RawTaskFn, NodeRef) -> NodeRef,
    pub(crate) body: Option<Erased>,
    pub(crate) cutoff: Option<Erased>,
    pub(crate) describe: Option<Erased>,
    pub(crate) describe_shim: unsafe fn(Erased, NodeRef, &mut fmt::Formatter<'_>) -> fmt::Result,
    pub(crate) resolve: Option<Erased>,
    pub(crate) uncached_if: Option<Erased>,
    pub(crate) uncached_shim: unsafe fn(Erased, NodeRef) -> bool,
    pub(crate) key_returns: Option<Erased>,
    pub(crate) key_shim: unsafe fn(Erased, NodeRef) -> bool,
    pub(crate) returns: Option<Erased>,
    pub(crate) cycle: Option<Cycle>,
    pub(crate) initial_shim: unsafe fn(Erased, NodeRef) -> NodeRef,
    pub(crate) same_shim: unsafe fn(Erased, NodeRef, NodeRef) -> bool,
    pub(crate) same_stamp: Option<Erased>,
    /// For a source: looks again.
    pub(crate) observe: Option<Observe>,
    /// For an async function: makes the box of a call, with its execution (`evaluate/call_box.rs` knows its type).
    pub(crate) book: Option<Erased>,
    pub(crate) full_name: Option<fn() -> &'static str>,
    /// How results are stored, if they are.
    pub(crate) stored: Option<RawStored>,
    /// How a task is made from its encoded arguments, if that is possible.
    pub(crate) recall: Option<RecallKey>,
    /// For a source: how it appears to a store.
    pub(crate) leaf: Option<RawLeaf>,
    pub(crate) volatile: bool,
    pub(crate) heavy: bool,
    pub(crate) definition: Option<Definition>,
    pub(crate) version: Option<u32>,
    pub(crate) written: Option<Written>,
    /// How long an output may be used.
    pub(crate) ttl: Option<fn() -> Duration>,
    /// The same, said by the output.
    pub(crate) expires: Option<Erased>,
    pub(crate) expires_shim: unsafe fn(Erased, NodeRef) -> Option<Duration>,
    /// How much hangs on an output.
    pub(crate) weight: Option<Erased>,
    pub(crate) weight_shim: unsafe fn(Erased, NodeRef) -> usize,
    /// Whether outputs stay in memory whatever its cap is.
    pub(crate) stays: bool,
    /// How many outputs stay in memory.
    pub(crate) most: Option<usize>,
    /// Whether outputs are weighed or counted.
    pub(crate) is_bounded: bool,
}

/// Looks at a source again: `session::source::observe` for its types.
type Observe = unsafe fn(&RawTaskFn, NodeRef) -> Option<Box<dyn LeafChange>>;

/// How a function on a cycle is resolved.
pub(crate) struct Cycle {
    initial: Erased,
    rounds: u32,
}

/// The effect of a run on the node's value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ran {
    /// There was no value before.
    First,
    /// The value differs from the one before.
    Changed,
    /// The value equals the one before, which was kept.
    Equal,
    /// Nothing: the node lies on a cycle that is being resolved, and this twin holds the value for now.
    Provisional(NodeRef),
}

/// The descriptor of a task function from `K` (its owned arguments) to `O`.
#[repr(transparent)]
pub struct TaskFn<K, O> {
    pub(crate) raw: RawTaskFn,
    types: PhantomData<fn(&K) -> O>,
}

/// The identity of a marker type.
pub const fn type_id<T: ?Sized + 'static>() -> TypeId {
    TypeId::of::<T>()
}

/// An identity of any types, borrowing ones too.
pub const fn instance_of<T: ?Sized>() -> TypeId {
    let marker = || ();
    type_id_of(&marker)
}

/// The identity of a value's type: that of a body's closure is unique to the function and its type arguments.
pub const fn type_id_of<T: 'static>(_: &T) -> TypeId {
    TypeId::of::<T>()
}

/// How to get the name of a value's type: for generic functions it carries the type arguments.
pub const fn name_of<T: 'static>(_: &T) -> fn() -> &'static str {
    std::any::type_name::<T>
}

// The bounds stand on `new` alone: on the block, the compiler would say of each function that there is none of this name.
impl<K, O> TaskFn<K, O> {
    /// Describes the function `body`, which captures nothing. `id` is the identity of a marker type that belongs to this
    /// function alone.
    ///
    /// It is taken by its own type, so that what runs it is compiled together with it: bodies nest, and each call less between
    /// one body and the next is a return less that the processor mispredicts.
    pub const fn new<B: Fn(&K) -> O + Copy + 'static>(id: TypeId, site: Site, body: B) -> Self
    where
        K: Key,
        O: Clone + Send + Sync + 'static,
    {
        const { assert!(size_of::<B>() == 0, "a body captures nothing") };
        let _ = body;
        let mut descriptor = Self::leaf(id, site);
        let body: fn(&K) -> O = call_body::<K, O, B>;
        // SAFETY: function pointers have one size; every call casts it back to this type.
        descriptor.raw.body = Some(Erased(unsafe { std::mem::transmute::<fn(&K) -> O, unsafe fn()>(body) }));
        descriptor.raw.run = run::<K, O, B>;
        descriptor
    }

    /// Compares outputs by `equal`: a re-run that returns an equal value leaves its dependents current.
    #[must_use]
    pub const fn cutoff(mut self, equal: Option<fn(&O, &O) -> bool>) -> Self {
        if let Some(equal) = equal {
            // SAFETY: as in `new`.
            let erased = unsafe { std::mem::transmute::<fn(&O, &O) -> bool, unsafe fn()>(equal) };
            self.raw.cutoff = Some(Erased(erased));
        }
        self
    }

    /// Prints arguments by `describe`, in cycle paths and explanations.
    #[must_use]
    pub const fn describe(
        mut self,
        describe: Option<fn(&K, &mut fmt::Formatter<'_>) -> fmt::Result>,
    ) -> Self {
        if let Some(describe) = describe {
            type Describe<K> = fn(&K, &mut fmt::Formatter<'_>) -> fmt::Result;
            // SAFETY: as in `new`.
            let erased = unsafe { std::mem::transmute::<Describe<K>, unsafe fn()>(describe) };
            self.raw.describe = Some(Erased(erased));
        }
        self
    }

    /// Keeps outputs of which `uncached` says yes for the session in which they were computed only.
    #[must_use]
    pub const fn uncached_if(mut self, uncached: fn(&O) -> bool) -> Self {
        // SAFETY: as in `new`.
        let erased = unsafe { std::mem::transmute::<fn(&O) -> bool, unsafe fn()>(uncached) };
        self.raw.uncached_if = Some(Erased(erased));
        self
    }

    /// Resolves cycles through this function by iteration from `initial`; the value of a task may change in `rounds` rounds
    /// at most.
    #[must_use]
    pub const fn cycle(mut self, initial: fn(&K) -> O, rounds: u32) -> Self {
        assert!(rounds > 0, "`cycle_rounds` has to leave at least one round");
        // SAFETY: as in `new`.
        let initial = Erased(unsafe { std::mem::transmute::<fn(&K) -> O, unsafe fn()>(initial) });
        self.raw.cycle = Some(Cycle { initial, rounds });
        self
    }

    /// Lets a source be a leaf in a store.
    #[must_use]
    pub const fn stored_leaf<L: Leaf<Key = K, Output = O>>(mut self) -> Self {
        self.raw.leaf = Some(RawLeaf::of::<L>());
        self
    }

    /// Runs `resolve` before the body, if there is one: it computes the handles among the arguments that are still pending.
    #[must_use]
    pub const fn resolve(mut self, resolve: Option<fn(&K)>) -> Self {
        if let Some(resolve) = resolve {
            // SAFETY: as in `new`.
            self.raw.resolve = Some(Erased(unsafe { std::mem::transmute::<fn(&K), unsafe fn()>(resolve) }));
        }
        self
    }
}

impl<K: Key, O: Send + Sync + 'static> TaskFn<K, O> {
    /// Runs the body on a key, with no node. None if it is an async one, or there is none.
    pub(crate) fn run_plain(&self, key: &K) -> Option<O> {
        let Erased(body) = self.raw.body.filter(|_| !self.raw.is_async())?;
        // SAFETY: it is the key's type.
        unsafe { resolve(&self.raw, key) };
        // SAFETY: erased from this type in `new`, as the function is not async.
        Some(unsafe { std::mem::transmute::<unsafe fn(), fn(&K) -> O>(body)(key) })
    }

    /// Describes a leaf: a node that has a value but no body (an input, a source).
    pub(crate) const fn leaf(id: TypeId, site: Site) -> Self {
        let raw = RawTaskFn {
            id,
            site,
            ops: Node::<K, O>::OPS,
            run: run_leaf,
            run_into_twin: run_into_twin::<K, O>,
            body: None,
            cutoff: None,
            describe: None,
            describe_shim: describe::<K, O>,
            resolve: None,
            uncached_if: None,
            uncached_shim: is_uncached::<K, O>,
            key_returns: None,
            key_shim: key_returns::<K, O>,
            returns: None,
            cycle: None,
            initial_shim: initial::<K, O>,
            same_shim: same::<K, O>,
            same_stamp: None,
            observe: None,
            book: None,
            full_name: None,
            stored: None,
            recall: None,
            leaf: None,
            volatile: false,
            heavy: false,
            definition: None,
            version: None,
            written: None,
            ttl: None,
            expires: None,
            expires_shim: expires::<K, O>,
            weight: None,
            weight_shim: weigh::<K, O>,
            stays: false,
            most: None,
            is_bounded: false,
        };
        Self { raw, types: PhantomData }
    }
}

impl<K, O> TaskFn<K, O> {
    /// Says how to get the full name, type arguments included.
    #[must_use]
    pub const fn named(mut self, name: fn() -> &'static str) -> Self {
        self.raw.full_name = Some(name);
        self
    }

    /// Lets outputs be stored.
    #[must_use]
    pub const fn stored(mut self, stored: Stored<K, O>) -> Self {
        self.raw.stored = Some(stored.raw());
        self
    }

    /// Compares outputs by `equal` with what their encoding decodes to, to find types whose encoding leaves something out.
    #[must_use]
    pub const fn returns(mut self, equal: Option<fn(&O, &O) -> bool>) -> Self {
        if let Some(equal) = equal {
            // SAFETY: as in `new`; `comparison_of_returns` casts it back.
            let erased = unsafe { std::mem::transmute::<fn(&O, &O) -> bool, unsafe fn()>(equal) };
            self.raw.returns = Some(Erased(erased));
        }
        self
    }

    /// Finds arguments whose encoding decodes to others.
    #[must_use]
    pub const fn key_returns(mut self, returns: fn(&K) -> bool) -> Self {
        // SAFETY: as in `returns`; the shim casts it back.
        self.raw.key_returns =
            Some(Erased(unsafe { std::mem::transmute::<fn(&K) -> bool, unsafe fn()>(returns) }));
        self
    }

    /// Lets a task that is only stored be made from its encoded arguments, if they can be decoded.
    #[must_use]
    pub const fn recalled(mut self, recall: Option<RecallKey>) -> Self {
        self.raw.recall = recall;
        self
    }

    /// Says where the function was defined.
    #[must_use]
    pub const fn defined(mut self, definition: Definition) -> Self {
        self.raw.definition = Some(definition);
        self
    }

    /// Runs the body again once per session.
    #[must_use]
    pub const fn volatile(mut self) -> Self {
        self.raw.volatile = true;
        self
    }

    /// Says that the body is long: async callers move it off the executor's threads.
    #[must_use]
    pub const fn heavy(mut self) -> Self {
        self.raw.heavy = true;
        self
    }

    /// Declares the code identity: what is stored stays valid while the version does.
    #[must_use]
    pub const fn version(mut self, version: u32) -> Self {
        self.raw.version = Some(version);
        self
    }

    /// Says how the function is written, which a declared version does not.
    #[must_use]
    pub const fn written(mut self, written: Written) -> Self {
        self.raw.written = Some(written);
        self
    }

    /// Lets results expire after what `ttl` says when they are computed, judged at the start of a session.
    #[must_use]
    pub const fn ttl(mut self, ttl: fn() -> Duration) -> Self {
        self.raw.ttl = Some(ttl);
        self
    }

    /// Lets a result expire after what `expires` says of it, if it says anything.
    #[must_use]
    pub const fn expires(mut self, expires: fn(&O) -> Option<Duration>) -> Self {
        // SAFETY: as in `returns`; the shim casts it back.
        let erased = unsafe { std::mem::transmute::<fn(&O) -> Option<Duration>, unsafe fn()>(expires) };
        self.raw.expires = Some(Erased(erased));
        self
    }

    /// Weighs outputs by `weight`, if there is one: the bytes that hang on one, beside its own.
    #[must_use]
    pub const fn weight(mut self, weight: Option<fn(&O) -> usize>) -> Self {
        if let Some(weight) = weight {
            // SAFETY: as in `returns`; the shim casts it back.
            let erased = unsafe { std::mem::transmute::<fn(&O) -> usize, unsafe fn()>(weight) };
            self.raw.weight = Some(Erased(erased));
            self.raw.is_bounded = true;
        }
        self
    }

    /// Keeps outputs in memory whatever its cap is.
    #[must_use]
    pub const fn stays(mut self) -> Self {
        self.raw.stays = true;
        self
    }

    /// Keeps so many outputs in memory, about those that were used last.
    #[must_use]
    pub const fn lru(mut self, most: usize) -> Self {
        self.raw.most = Some(most);
        self.raw.is_bounded = true;
        self
    }

    /// The type-erased descriptor.
    #[inline(always)]
    pub const fn raw(&'static self) -> &'static RawTaskFn {
        &self.raw
    }
}

impl RawTaskFn {
    /// Where the function stands in the source.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Whether both describe the same function.
    #[inline(always)]
    pub(crate) fn is(&'static self, other: &'static Self) -> bool {
        std::ptr::eq(self, other) || self.id == other.id
    }

    /// The bytes that hang on the output of a claimed node, which has one. A weight that panics is none.
    pub(crate) fn weigh(&self, node: NodeRef) -> usize {
        let Some(weight) = self.weight else { return 0 };
        // SAFETY: this is the node's task function, whose types the shim was made for; the callers hold the claim.
        let weigh = || unsafe { (self.weight_shim)(weight, node) };
        on_enough_stack(|| catch_unwind(AssertUnwindSafe(weigh))).unwrap_or(0)
    }

    /// Whether outputs may expire.
    pub(crate) fn may_expire(&self) -> bool {
        self.ttl.is_some() || self.expires.is_some()
    }

    /// Returns how long the output of a claimed node may be used. If what says so panics, not beyond this session.
    pub(crate) fn lifetime(&self, node: NodeRef) -> Option<Duration> {
        let lifetime = || {
            let ttl = self.ttl.map(|ttl| ttl());
            // SAFETY: this is the node's task function, whose types the shim was made for; the callers hold the claim.
            let own = self.expires.and_then(|expires| unsafe { (self.expires_shim)(expires, node) });
            ttl.into_iter().chain(own).min()
        };
        let judged = on_enough_stack(|| catch_unwind(AssertUnwindSafe(lifetime)));
        judged.unwrap_or(Some(Duration::ZERO))
    }

    /// Whether it depends on an output if that is kept beyond its session.
    pub(crate) fn judges(&self) -> bool {
        self.uncached_if.is_some()
    }

    /// Whether the output of a node may be used in later sessions.
    ///
    /// # Safety
    /// This is the node's task function, the claim of the node is held, and it has an output.
    pub(crate) unsafe fn keeps(&self, node: NodeRef) -> bool {
        match self.uncached_if {
            // SAFETY: passed on to the caller; the shim was made for the types that `uncached_if` was erased from.
            Some(uncached_if) => !unsafe { (self.uncached_shim)(uncached_if, node) },
            None => true,
        }
    }

    /// Whether the key of a node, encoded and decoded again, is not known to be another key. Runs code of the user's.
    ///
    /// # Safety
    /// `node` is alive, and this is its task function.
    pub(crate) unsafe fn key_returns(&self, node: NodeRef) -> bool {
        // SAFETY: passed on to the caller; the shim was made for the types that `key_returns` was erased from.
        self.key_returns.is_none_or(|returns| unsafe { (self.key_shim)(returns, node) })
    }

    /// How outputs are compared with what their encoding decodes to, if they can be.
    ///
    /// # Safety
    /// `O` is the type of the outputs.
    pub(crate) unsafe fn comparison_of_returns<O>(&self) -> Option<fn(&O, &O) -> bool> {
        // SAFETY: erased from this type in `returns`.
        self.returns
            .map(|Erased(equal)| unsafe { std::mem::transmute::<unsafe fn(), fn(&O, &O) -> bool>(equal) })
    }

    /// Whether two values of the leaf's type are the same.
    ///
    /// # Safety
    /// `O` is the type of the leaf's values.
    pub(crate) unsafe fn same_values<O>(&self, one: &O, other: &O) -> bool {
        self.cutoff.is_some_and(|Erased(cutoff)| {
            // SAFETY: erased from this type in `cutoff`.
            unsafe { std::mem::transmute::<unsafe fn(), fn(&O, &O) -> bool>(cutoff)(one, other) }
        })
    }

    /// Whether the body runs in pieces.
    pub(crate) fn is_async(&self) -> bool {
        self.book.is_some()
    }

    pub(crate) fn is_leaf(&self) -> bool {
        self.body.is_none()
    }

    /// Whether what it emits counts: leaves emit nothing, and neither do sources, which have a body.
    pub(crate) fn emits(&self) -> bool {
        !self.is_leaf() && self.observe.is_none()
    }

    /// Whether a cycle through this function has a value to begin with.
    pub(crate) fn has_initial(&self) -> bool {
        self.cycle.is_some()
    }

    /// In how many rounds the value of a task on a cycle may change; none if it has no initial value.
    pub(crate) fn rounds(&self) -> Option<u32> {
        self.cycle.as_ref().map(|cycle| cycle.rounds)
    }

    /// A twin of a node that holds its initial value, if it has one. Runs code of the user's.
    ///
    /// # Safety
    /// `node` is alive, and this is its task function.
    pub(crate) unsafe fn initial(&self, node: NodeRef) -> Option<NodeRef> {
        // SAFETY: passed on to the caller; the shim was made for the types that `initial` was erased from.
        self.cycle.as_ref().map(|cycle| unsafe { (self.initial_shim)(cycle.initial, node) })
    }

    /// Whether the outputs of two nodes, or of their twins, are equal. Runs code of the user's.
    ///
    /// # Safety
    /// This is the task function of both, both have an output, and no strand changes it meanwhile.
    pub(crate) unsafe fn same(&self, one: NodeRef, other: NodeRef) -> bool {
        // SAFETY: passed on to the caller; the shim was made for the types that `cutoff` was erased from.
        self.cutoff.is_some_and(|cutoff| unsafe { (self.same_shim)(cutoff, one, other) })
    }

    /// Whether a value equals one that was computed earlier. Runs code of the user's.
    ///
    /// # Safety
    /// `O` is the output of this task function.
    pub(crate) unsafe fn is_equal<O>(&self, earlier: &O, now: &O) -> bool {
        self.cutoff.is_some_and(|Erased(cutoff)| {
            // SAFETY: erased from this type in `cutoff`, for the output that the caller vouches for.
            unsafe { std::mem::transmute::<unsafe fn(), fn(&O, &O) -> bool>(cutoff)(earlier, now) }
        })
    }

    /// Runs the body of a claimed node and puts the output in place; calls `done` before the replaced output is dropped.
    ///
    /// # Safety
    /// The caller holds the claim of `node`, whose task function this is, and it is not a leaf.
    pub(crate) unsafe fn run(&self, node: NodeRef, done: &mut dyn FnMut(Ran)) {
        // SAFETY: passed on to the caller.
        unsafe { (self.run)(self, node, done) }
    }

    /// Runs the body on the key of a node and returns a twin of the node that holds the output.
    ///
    /// # Safety
    /// `node` is alive, this is its task function, and it is not a leaf.
    pub(crate) unsafe fn run_into_twin(&self, node: NodeRef) -> NodeRef {
        // SAFETY: passed on to the caller.
        unsafe { (self.run_into_twin)(self, node) }
    }

    /// Observes a source again, whatever its stamp says. The new value counts as another one.
    pub(crate) fn observe_anew<K: Key, O: Send + Sync + 'static>(&self, key: &K) -> Option<(O, bool)> {
        // SAFETY: erased from this type in `new`.
        let body = unsafe { std::mem::transmute::<unsafe fn(), fn(&K) -> O>(self.body?.0) };
        Some((body(key), true))
    }

    /// Observes a source again, unless its stamp is the same. Returns the new value and whether it differs.
    pub(crate) fn observe_again<K: Key, O: Send + Sync + 'static>(
        &self,
        key: &K,
        value: &O,
    ) -> Option<(O, bool)> {
        let (Some(Erased(same_stamp)), Some(Erased(body))) = (self.same_stamp, self.body) else {
            return None;
        };
        // SAFETY: erased from these types in `source` and `new`; `observe` is made together with `same_stamp`.
        let (same_stamp, body) = unsafe {
            (
                std::mem::transmute::<unsafe fn(), fn(&K, &O) -> bool>(same_stamp),
                std::mem::transmute::<unsafe fn(), fn(&K) -> O>(body),
            )
        };
        if same_stamp(key, value) {
            return None;
        }
        let new = body(key);
        let differs = self.cutoff.is_none_or(|Erased(cutoff)| {
            // SAFETY: erased from this type in `cutoff`.
            let equal = unsafe { std::mem::transmute::<unsafe fn(), fn(&O, &O) -> bool>(cutoff) };
            !equal(value, &new)
        });
        Some((new, differs))
    }

    /// Writes the task as a call: `name(arguments)`.
    pub(crate) fn describe(&self, node: NodeRef, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.site.name)?;
        match self.describe {
            // SAFETY: `describe_shim` was made for the types that `describe` was erased from.
            Some(describe) => unsafe { (self.describe_shim)(describe, node, f) },
            None => f.write_str("(..)"),
        }
    }
}

/// A new value for a leaf, not in place yet.
pub(crate) trait LeafChange: Send {
    fn node(&self) -> NodeRef;
    /// Whether the leaf is to go.
    fn removes(&self) -> bool {
        false
    }
    /// The new value; none if the leaf is to go, or is no input.
    fn value(&mut self) -> Option<&mut dyn Any> {
        None
    }
    /// Whether the new value is unequal to the one in place. Runs the user's `PartialEq`.
    fn differs(&self) -> bool;
    /// Puts the new value in place and returns the old one. Runs no code of the user's.
    fn put(self: Box<Self>) -> Option<Box<dyn Any + Send>>;
}
