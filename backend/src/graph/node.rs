//! A node: one allocation that holds a task's header, its arguments and the place of its output.
//!
//! ```text
//!   Node<K, O>   ┌ Header ─ state, task function, hash, edges, epochs ┐  the type-erased engine sees this
//!                │ key: K          written once, before the node is visible
//!                └ value: O        initialised iff `HAS_VALUE`
//! ```
//!
//! Which strand may touch which field:
//! * `state` is the protocol of `claim.rs`; it is the only field that a hit reads beside `key` and `value`.
//! * `value`, `deps` and the fields under "claim" belong to the strand that holds the claim (state RUNNING); while the state
//!   is FRESH they do not change and every strand may read them; while the engine holds the gate exclusively, they are its.
//! * `dependents` is under `lock`, a byte-sized mutex of the node.
//! * A `NodeRef` may be kept in the table, in edges, in thread caches of the current generation and in handles;
//!   `reclaim.rs` takes it out of all of these before it frees the node, and only with the gate held exclusively.

mod typed;

use std::any::Any;
use std::cell::UnsafeCell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU16, Ordering::Relaxed};

use lock_api::RawMutex as _;
use parking_lot::Mutex;

use crate::base::once_box::OnceBox;
use crate::base::stack::on_enough_stack;
use crate::call::args::ArgsSlot;
use crate::graph::claim::{Lot, Phase, StateWord};
use crate::graph::edges::{Dependents, Deps};
use crate::graph::epoch::AtomicEpoch;
use crate::graph::extra::{Beside, Extra};
use crate::graph::flags::{self, Flags, Keeping, Leaving};
use crate::graph::persisted::Persisted;
use crate::graph::task_fn::RawTaskFn;

pub(crate) use self::typed::{Node, Ops, replace_value};

/// The type-erased part of a node.
#[repr(C)]
pub(crate) struct Header {
    // Fields that marking, verifying and running touch.
    /// Claim: what the last run read, in order.
    pub(crate) deps: UnsafeCell<Deps>,
    /// STALE: which reads are stale (`stale_reads.rs`). RUNNING: the owner's strand. Otherwise 0.
    pub(crate) work: AtomicPtr<()>,
    /// Under `lock`: the readers of this node.
    dependents: UnsafeCell<Dependents>,
    /// The node's part in the store, and parts that few nodes need: a handle, emitted values, a failure.
    beside: OnceBox<Beside>,
    /// The epoch in which the value last changed.
    pub(crate) changed_at: AtomicEpoch,
    /// The epoch in which the node was last known to be current.
    pub(crate) verified_at: AtomicEpoch,
    /// The epoch in which the emitted values or the set of reads last changed.
    pub(crate) effects_at: AtomicEpoch,
    /// The epoch of the pass that last marked the node (see `invalidate.rs`).
    pub(crate) marked_at: AtomicEpoch,
    /// Under `lock`: how many entries of `dependents` are known to be dead.
    pub(crate) dead: AtomicU16,
    flags: AtomicU16,
    lock: parking_lot::RawMutex,
    /// See [`Keeping`].
    keeping: AtomicU8,
    /// About how many bytes hang on the value (`footprint.rs`).
    pub(crate) weight: AtomicU8,
    leaving: AtomicU8,
    pub(crate) hash: u64,
    // Fields that a hit reads, next to the key and the value that it reads, too.
    pub(crate) state: StateWord,
    /// Index of the task function in its engine's registry.
    pub(crate) function: u32,
    pub(crate) task_fn: &'static RawTaskFn,
}

/// A pointer to a live node. See the module documentation for where one may be kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub(crate) struct NodeRef(NonNull<Header>);

// SAFETY: 1. keys and outputs are `Send + Sync` (bounds of `TaskFn::new`); 2. all other shared fields are atomics, or
// follow the claim, the node's lock or the gate as the module documentation says.
unsafe impl Send for NodeRef {}
// SAFETY: as above.
unsafe impl Sync for NodeRef {}

impl std::ops::Deref for NodeRef {
    type Target = Header;
    #[inline(always)]
    fn deref(&self) -> &Header {
        // SAFETY: a `NodeRef` is kept only where reclamation removes it before the node is freed.
        unsafe { self.0.as_ref() }
    }
}

impl Header {
    /// Whether any of `flags` is set.
    pub(crate) fn flag(&self, flags: Flags) -> bool {
        self.flags.load(Relaxed) & flags.bits() != 0
    }
    pub(crate) fn set_flag(&self, flags: Flags) {
        self.flags.fetch_or(flags.bits(), Relaxed);
    }
    pub(crate) fn clear_flag(&self, flags: Flags) {
        if self.flag(flags) {
            self.flags.fetch_and(!flags.bits(), Relaxed);
        }
    }
    /// Whether store and queue hold its current value and what it read.
    pub(crate) fn is_stored(&self) -> bool {
        self.keeping.load(Relaxed) & Keeping::STORED.bits() != 0
    }
    /// The facts about how the value is kept.
    pub(crate) fn keeping(&self) -> Keeping {
        Keeping::from_bits_retain(self.keeping.load(Relaxed))
    }
    /// Sets or clears some of these facts.
    pub(crate) fn keep(&self, facts: Keeping, set: bool) {
        if set && !self.keeping().contains(facts) {
            self.keeping.fetch_or(facts.bits(), Relaxed);
        } else if !set && self.keeping().intersects(facts) {
            self.keeping.fetch_and(!facts.bits(), Relaxed);
        }
    }
    /// Notes that the node was used. Past a few uses it writes nothing.
    #[inline]
    pub(crate) fn note_use(&self) {
        if self.keeping().uses() < Keeping::MOST_USES {
            self.note_another_use();
        }
    }
    #[cold]
    fn note_another_use(&self) {
        let _ = self.keeping.fetch_update(Relaxed, Relaxed, |keeping| {
            let keeping = Keeping::from_bits_retain(keeping);
            (keeping.uses() < Keeping::MOST_USES).then(|| keeping.bits() + Keeping::USE)
        });
    }
    /// Takes a use off. Returns whether there was one.
    pub(crate) fn take_use(&self) -> bool {
        let used = self.keeping().uses() > 0;
        if used {
            self.keeping.fetch_sub(Keeping::USE, Relaxed);
        }
        used
    }
    /// Whether reclaim has any of these bits on the node.
    #[inline]
    pub(crate) fn has(&self, flags: Leaving) -> bool {
        self.leaving.load(Relaxed) & flags.bits() != 0
    }
    pub(crate) fn put_on(&self, flags: Leaving) {
        self.leaving.fetch_or(flags.bits(), Relaxed);
    }
    /// Puts these on, by the thread that holds the gate exclusively: a load and a store.
    pub(crate) fn put_on_exclusively(&self, flags: Leaving) {
        self.leaving.store(self.leaving.load(Relaxed) | flags.bits(), Relaxed);
    }
    pub(crate) fn take_off(&self, flags: Leaving) {
        if self.has(flags) {
            self.leaving.fetch_and(!flags.bits(), Relaxed);
        }
    }
    /// Returns the place for what is stored of the node, if it has one.
    pub(crate) fn persisted(&self) -> Option<&Mutex<Option<Persisted>>> {
        Some(&self.beside.get()?.persisted)
    }
    /// The place for what is stored of the node, made with `persisted` in it if there is none yet.
    pub(crate) fn persisted_or_insert(&self, persisted: Option<Persisted>) -> &Mutex<Option<Persisted>> {
        let beside = || Beside { persisted: Mutex::new(persisted), ..Beside::default() };
        &self.beside.get_or_insert(beside).persisted
    }
    pub(crate) fn extra(&self) -> Option<&Extra> {
        self.beside.get()?.extra.get()
    }
    pub(crate) fn extra_or_insert(&self) -> &Extra {
        self.beside.get_or_insert(Beside::default).extra.get_or_insert(Extra::default)
    }
    /// Runs `read` with the reverse edges, under the node's lock. `read` takes no other lock.
    pub(crate) fn with_dependents<R>(&self, read: impl FnOnce(&mut Dependents) -> R) -> R {
        struct Unlock<'a>(&'a parking_lot::RawMutex);
        impl Drop for Unlock<'_> {
            fn drop(&mut self) {
                // SAFETY: the lock was taken by the function that made this guard.
                unsafe { self.0.unlock() }
            }
        }
        self.lock.lock();
        let _unlock = Unlock(&self.lock);
        // SAFETY: `dependents` is touched under `lock` only, which is held here.
        read(unsafe { &mut *self.dependents.get() })
    }
}

impl NodeRef {
    /// Ends the claim of the node: the one place where it becomes FRESH, STALE or EMPTY while sessions are open.
    #[inline(always)]
    pub(crate) fn end_claim(self, phase: Phase, lot: &Lot) {
        flags::check(phase, Flags::from_bits_retain(self.flags.load(Relaxed)));
        if phase == Phase::Fresh {
            self.keep(Keeping::EVICTED, false);
        }
        self.state.publish(phase, lot, self.address());
    }

    /// Allocates a node for the arguments in `slot`, which are moved into it. Its value is not initialised.
    ///
    /// # Safety
    /// `task_fn` must be the descriptor made for the types of `slot`'s arguments.
    pub(crate) unsafe fn allocate(
        task_fn: &'static RawTaskFn,
        header: Header,
        slot: &mut ArgsSlot<'_>,
    ) -> Self {
        // SAFETY: passed on to the caller.
        unsafe { (task_fn.ops.allocate)(header, slot) }
    }

    /// The address of the header, to tell nodes apart.
    pub(crate) fn address(self) -> usize {
        self.0.as_ptr().addr()
    }

    pub(crate) fn as_ptr(self) -> *mut Header {
        self.0.as_ptr()
    }

    /// # Safety
    /// `pointer` must come from [`NodeRef::as_ptr`] of a live node.
    pub(crate) unsafe fn from_ptr(pointer: *mut Header) -> Self {
        // SAFETY: it came from a `NonNull`.
        Self(unsafe { NonNull::new_unchecked(pointer) })
    }

    /// The key, as an address for `StackMagicAny::matches`.
    pub(crate) fn key_address(self) -> *const () {
        self.0.as_ptr().cast_const().cast::<u8>().wrapping_add(self.task_fn.ops.key_offset).cast()
    }

    /// The output, for a caller that knows its type but not the key's.
    ///
    /// # Safety
    /// See [`NodeRef::value`].
    #[inline(always)]
    pub(crate) unsafe fn value_by_type<'a, O>(self) -> &'a O {
        let place = self.0.as_ptr().cast_const().cast::<u8>().wrapping_add(self.task_fn.ops.value_offset);
        // SAFETY: passed on to the caller; the offset is that of an `O` in this node's type.
        unsafe { &*place.cast::<O>() }
    }

    /// The reverse edges, without the lock.
    ///
    /// # Safety
    /// The caller holds the gate exclusively, and keeps the reference only until it changes them.
    pub(crate) unsafe fn dependents_exclusively<'a>(self) -> &'a Dependents {
        // SAFETY: passed on to the caller.
        unsafe { &*self.0.as_ref().dependents.get() }
    }

    /// Returns the reads of the last run.
    ///
    /// # Safety
    /// The caller holds the claim, or has seen the node FRESH in the open session, or holds the gate exclusively.
    pub(crate) unsafe fn deps<'a>(self) -> &'a Deps {
        // SAFETY: passed on to the caller.
        unsafe { &*self.0.as_ref().deps.get() }
    }

    /// Has the processor fetch nodes that are about to be looked at, many at a time instead of one after the other.
    ///
    /// # Safety
    /// The caller holds the gate exclusively.
    pub(crate) unsafe fn fetch(nodes: impl Iterator<Item = Self>) {
        // The first and the last field that are looked at stand in lines of their own.
        // SAFETY: passed on to the caller.
        let looked_at = nodes.map(|node| u64::from(unsafe { node.deps() }.is_empty()) ^ node.hash);
        std::hint::black_box(looked_at.fold(0, |all, one| all ^ one));
    }

    /// Frees the node and all it holds. Runs `Drop` of the user's types.
    ///
    /// # Safety
    /// No code may use the node any more.
    pub(crate) unsafe fn free(self) {
        // SAFETY: passed on to the caller.
        unsafe { (self.task_fn.ops.free)(self) }
    }

    /// Frees a twin.
    ///
    /// # Safety
    /// The node was made by [`Node::twin`], and no code may use it any more.
    pub(crate) unsafe fn free_twin(self) {
        // SAFETY: passed on to the caller.
        unsafe { (self.task_fn.ops.free_twin)(self) }
    }

    /// Moves the value of a twin into its node; what the node held goes to the twin.
    ///
    /// # Safety
    /// The caller holds the claim of the node, `twin` is a twin of it with a value, and no other code uses that.
    pub(crate) unsafe fn adopt(self, twin: Self) {
        // SAFETY: passed on to the caller.
        unsafe { (self.task_fn.ops.adopt)(self, twin) }
    }

    /// Moves the output out, if there is one.
    ///
    /// # Safety
    /// The caller holds the gate exclusively (no session can see the output).
    pub(crate) unsafe fn take_value(self) -> Option<Box<dyn Any + Send>> {
        if !self.flag(Flags::HAS_VALUE) {
            return None;
        }
        self.clear_flag(Flags::HAS_VALUE);
        // SAFETY: the flag said that the output is initialised; it is cleared, so it is moved out once.
        Some(unsafe { (self.task_fn.ops.take_value)(self) })
    }
}

impl fmt::Debug for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nodes are named in the middle of protocols, and a `Debug` that panics must not break them.
        let describe = || panic::catch_unwind(AssertUnwindSafe(|| Described(*self).to_string()));
        match on_enough_stack(describe) {
            Ok(text) => f.write_str(&text),
            Err(_) => write!(f, "{}(<a panic in Debug>)", self.task_fn.site().name),
        }
    }
}

struct Described(NodeRef);

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.task_fn.describe(self.0, f)
    }
}

impl Header {
    pub(crate) fn new(task_fn: &'static RawTaskFn, function: u32, hash: u64, state: StateWord) -> Self {
        Self {
            state,
            function,
            task_fn,
            hash,
            deps: UnsafeCell::new(Deps::default()),
            work: AtomicPtr::new(ptr::null_mut()),
            dependents: UnsafeCell::new(Dependents::default()),
            keeping: AtomicU8::new(Keeping::YOUNG.bits()),
            weight: AtomicU8::new(0),
            changed_at: AtomicEpoch::default(),
            verified_at: AtomicEpoch::default(),
            effects_at: AtomicEpoch::default(),
            lock: parking_lot::RawMutex::INIT,
            leaving: AtomicU8::new(0),
            flags: AtomicU16::new(0),
            dead: AtomicU16::new(0),
            marked_at: AtomicEpoch::default(),
            beside: OnceBox::default(),
        }
    }
}

/// The name of an input, by its node.
pub(crate) fn name_of<'a>(node: NodeRef) -> &'a str {
    // SAFETY: 1. all inputs have such a key, whatever their values are; 2. keys never change, and the callers hold the gate
    // exclusively, so the node stays.
    unsafe { &(*node.key_address().cast::<(String,)>()).0 }
}
