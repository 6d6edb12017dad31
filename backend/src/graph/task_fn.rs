//! `TaskFn`: the static descriptor of a task function. Differences between task functions are data in it.
//!
//! The typed descriptor ([`TaskFn`]) is made in generated code, in a constant; the engine works with the type-erased
//! one inside ([`RawTaskFn`]). A descriptor of a generic function may exist several times in a program, so identity is
//! the `TypeId` of a marker type that the generated code declares, and equal addresses are only the fast way to see it.

mod raw;
mod part;
mod shims;
mod stored;

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use crate::call::args::Key;
use crate::graph::node::Node;

pub(crate) use self::part::PartOps;
use self::raw::{Cycle, Show, Step};
pub(crate) use self::raw::{Erased, LeafChange, Ran, Stepped};
pub use self::raw::{RawTaskFn, Sharing};
use self::shims::{
    call_body, describe, expires, first_step, initial, is_uncached, key_returns, resolve, run, run_into_twin,
    run_leaf, run_stepped, same, weigh,
};
pub(crate) use self::shims::{put, resolved_key};
pub use self::stored::{Leaf, Look, Observer, Outside, Seen, Stored};
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

/// The descriptor of a task function from `K` (its owned arguments) to `O`.
#[repr(transparent)]
pub struct TaskFn<K, O> {
    pub(crate) raw: RawTaskFn,
    types: PhantomData<fn(&K) -> O>,
}

/// Returns the identity of a marker type.
pub const fn type_id<T: ?Sized + 'static>() -> TypeId {
    TypeId::of::<T>()
}

/// Returns an identity of any types, borrowing ones too.
pub const fn instance_of<T: ?Sized>() -> TypeId {
    let marker = || ();
    type_id_of(&marker)
}

/// Returns the identity of a value's type: that of a body's closure is unique to the function and its type arguments.
pub const fn type_id_of<T: 'static>(_: &T) -> TypeId {
    TypeId::of::<T>()
}

/// Returns how to get the name of a value's type: for generic functions it carries the type arguments.
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

    /// Says which other machines are given its results.
    #[must_use]
    pub const fn sharing(mut self, sharing: Sharing) -> Self {
        self.raw.sharing = sharing;
        self
    }

    /// Hands out the last output that is to be kept in place of one that is not.
    #[must_use]
    pub const fn last_good(mut self) -> Self {
        self.raw.last_good = true;
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
        self.raw.cycle = Some(Cycle { initial, rounds: Some(rounds), step: None, show: None });
        self
    }

    /// Makes the value of a round from the value of the round before, what the body returns, and the round's number. Called
    /// after [`cycle`](Self::cycle).
    #[must_use]
    pub const fn cycle_step(mut self, step: fn(&K, &O, O, u32) -> O) -> Self
    where
        K: Key,
        O: Clone + Send + Sync + 'static,
    {
        // SAFETY: as in `new`.
        let step = Erased(unsafe { std::mem::transmute::<shims::StepFn<K, O>, unsafe fn()>(step) });
        let Some(cycle) = &mut self.raw.cycle else { panic!("a step follows an initial value") };
        cycle.step = Some(Step { step, run: run_stepped::<K, O>, first: first_step::<K, O> });
        self
    }

    /// Prints outputs by `show`, in the failure of a cycle. Called after [`cycle`](Self::cycle).
    #[must_use]
    pub const fn shown(mut self, show: Option<fn(&O, &mut fmt::Formatter<'_>) -> fmt::Result>) -> Self
    where
        K: Key,
        O: Send + Sync + 'static,
    {
        if let (Some(show), Some(cycle)) = (show, &mut self.raw.cycle) {
            // SAFETY: as in `new`.
            let show = Erased(unsafe { std::mem::transmute::<shims::ShowFn<O>, unsafe fn()>(show) });
            cycle.show = Some(Show { show, shim: shims::show::<K, O> });
        }
        self
    }

    /// Gives a task on a cycle the value `fallback`, whatever its body returns there.
    #[must_use]
    pub const fn cycle_fallback(mut self, fallback: fn(&K) -> O) -> Self {
        // SAFETY: as in `new`.
        let initial = Erased(unsafe { std::mem::transmute::<fn(&K) -> O, unsafe fn()>(fallback) });
        self.raw.cycle = Some(Cycle { initial, rounds: None, step: None, show: None });
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

    /// Writes a call of this function as [`RawTaskFn::describe`] does, given its arguments.
    pub(crate) fn print_call(&self, key: &K, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        type Describe<K> = fn(&K, &mut fmt::Formatter<'_>) -> fmt::Result;
        f.write_str(self.raw.site.name)?;
        match self.raw.describe {
            // SAFETY: erased from this type in `describe`.
            Some(Erased(describe)) => unsafe {
                std::mem::transmute::<unsafe fn(), Describe<K>>(describe)(key, f)
            },
            None => f.write_str("(..)"),
        }
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
            last_good: false,
            sharing: Sharing::Build,
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
            part: None,
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

    /// Returns the type-erased descriptor.
    #[inline(always)]
    pub const fn raw(&'static self) -> &'static RawTaskFn {
        &self.raw
    }
}
