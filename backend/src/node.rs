//! A node: one allocation that holds a task's header, its arguments and the place of its output.
//!
//! ```text
//!   Node<K, O>   ┌ Header ─ state, task function, hash, edges, epochs ┐  the type-erased engine sees this
//!                │ key: K          written once, before the node is visible
//!                └ value: O        initialised iff `HAS_VALUE`
//! ```
//!
//! Who may touch what:
//! * `state` is the protocol of `claim.rs`; it is the only field that a hit reads beside `key` and `value`.
//! * `value`, `deps` and the fields under "claim" belong to whoever holds the claim (state RUNNING); while the state
//!   is FRESH they do not change and everybody may read them; while the engine holds the gate exclusively, they are its.
//! * `dependents` is under `lock`, a byte-sized mutex of the node.
//! * A `NodeRef` may be kept in the table, in edges, in thread caches of the current generation and in handles;
//!   `reclaim.rs` takes it out of all of these before it frees the node, and only with the gate held exclusively.

use std::any::{Any, TypeId};
use std::cell::UnsafeCell;
use std::fmt;
use std::mem::MaybeUninit;
use std::panic::{self, AssertUnwindSafe};
use std::ptr::{self, NonNull};
use std::sync::atomic::{
    AtomicPtr, AtomicU16, AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use lock_api::RawMutex as _;

use crate::args::{ArgsSlot, Key};
use crate::claim::{Phase, StateWord};
use crate::edges::{Dependents, Deps};
use crate::extra::Extra;
use crate::marks;
use crate::task_fn::RawTaskFn;

/// The output is initialised.
pub(crate) const HAS_VALUE: u16 = 1;
/// The body has to run, whatever verification would say (volatile, expired, failed half-way).
pub(crate) const MUST_RUN: u16 = 2;
/// An EMPTY node whose dependents have been marked since it was last claimed.
pub(crate) const MARKED: u16 = 4;
/// Waiting to have its dead reverse edges purged, or what memory these have too much given back.
pub(crate) const TIDY_QUEUED: u16 = 8;
/// The output was dropped to save memory or on request; the edges stay.
pub(crate) const FORGOTTEN: u16 = 32;
/// The last run failed: whoever read it saw the failure, so a success counts as a change.
pub(crate) const FAILED: u16 = 64;
/// Listed among the engine's sources.
pub(crate) const SOURCE: u16 = 128;
/// The wave of which this node is the origin is not intact (see `mark.rs`).
pub(crate) const BROKEN: u16 = 256;
/// Marks may name this node as their origin, so it must not be freed (see `mark.rs`).
pub(crate) const ORIGIN: u16 = 512;
/// A node apart from the graph that holds another one's value (`apart.rs`).
pub(crate) const TWIN: u16 = 1024;
/// Listed among the nodes to drop when the gate is next held exclusively.
pub(crate) const DROP_QUEUED: u16 = 16;

/// What the last run read is known to the store alone, not to `deps` (see `persist.rs`).
pub(crate) const RESTORED: u16 = 2048;
/// A source whose content cannot be had any more as it was observed.
pub(crate) const LOST: u16 = 4096;
/// Claimed, and a member of a component that is being resolved: what its body returns is provisional (see `cycle.rs`).
pub(crate) const ON_CYCLE: u16 = 8192;
/// A member of a resolved component, which is verified as one (see `cycle/resolved.rs`).
pub(crate) const RESOLVED: u16 = 16384;
/// Claimed as the origin of a wave, ahead of the tasks between it and whoever verifies (see `demand.rs`).
pub(crate) const AHEAD: u16 = 32768;

/// The type-erased part of a node.
#[repr(C)]
pub(crate) struct Header {
    // What marking, verifying and running touch.
    /// Claim: what the last run read, in order.
    pub(crate) deps: UnsafeCell<Deps>,
    /// STALE: which reads are stale (`marks.rs`). RUNNING: the owner's strand. Otherwise 0.
    pub(crate) work: AtomicPtr<()>,
    /// Under `lock`: who read this node.
    dependents: UnsafeCell<Dependents>,
    /// What few nodes need: a handle, emitted values, a failure.
    extra: AtomicPtr<Extra>,
    /// The epoch in which the value last changed.
    pub(crate) changed_at: AtomicU32,
    /// The epoch in which the node was last known to be current.
    pub(crate) verified_at: AtomicU32,
    /// The epoch in which the emitted values or the set of reads last changed.
    pub(crate) effects_at: AtomicU32,
    /// The epoch of the pass that last marked the node (see `mark.rs`).
    pub(crate) marked_at: AtomicU32,
    /// Under `lock`: how many entries of `dependents` are known to be dead.
    pub(crate) dead: AtomicU16,
    flags: AtomicU16,
    lock: parking_lot::RawMutex,
    pub(crate) hash: u64,
    // What a hit reads, next to the key and the value that it reads, too.
    pub(crate) state: StateWord,
    /// Index of the task function in its engine's registry.
    pub(crate) function: u32,
    pub(crate) task_fn: &'static RawTaskFn,
}

/// A node with its types.
#[repr(C)]
pub(crate) struct Node<K, O> {
    header: Header,
    key: K,
    value: UnsafeCell<MaybeUninit<O>>,
}

/// A pointer to a live node. See the module documentation for who may keep one.
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
    pub(crate) fn flag(&self, flag: u16) -> bool {
        self.flags.load(Relaxed) & flag != 0
    }
    pub(crate) fn set_flag(&self, flag: u16) {
        self.flags.fetch_or(flag, Relaxed);
    }
    pub(crate) fn clear_flag(&self, flag: u16) {
        if self.flag(flag) {
            self.flags.fetch_and(!flag, Relaxed);
        }
    }
    pub(crate) fn extra(&self) -> Option<&Extra> {
        // Acquire: pairs with the Release in `extra_or_insert`.
        let extra = self.extra.load(Acquire);
        // SAFETY: once set, the pointer stays until the header is dropped.
        unsafe { extra.as_ref() }
    }
    pub(crate) fn extra_or_insert(&self) -> &Extra {
        self.extra().unwrap_or_else(|| self.extra_or_insert_with(Extra::default()))
    }
    /// The one that is there, or `extra`.
    pub(crate) fn extra_or_insert_with(&self, extra: Extra) -> &Extra {
        let new = Box::into_raw(Box::new(extra));
        // Release: pairs with the Acquire in `extra`; Acquire: the winner's `Extra` is looked at.
        match self.extra.compare_exchange(ptr::null_mut(), new, AcqRel, Acquire) {
            // SAFETY: in place now, so it stays until the header is dropped.
            Ok(_) => unsafe { &*new },
            Err(winner) => {
                // SAFETY: `new` was never shared; the winner's is in place.
                unsafe {
                    drop(Box::from_raw(new));
                    &*winner
                }
            }
        }
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

    /// The key of a node of this task function.
    ///
    /// # Safety
    /// `K` and `O` must be the types that the node's task function was made for.
    #[inline(always)]
    pub(crate) unsafe fn key<'a, K, O>(self) -> &'a K {
        // SAFETY: 1. the caller vouches for the types; 2. the key is written before the node is visible, and never again.
        unsafe { &(*self.0.as_ptr().cast::<Node<K, O>>()).key }
    }

    /// The output.
    ///
    /// # Safety
    /// 1. `K` and `O` must be the types that the node's task function was made for; 2. the caller has seen the node
    ///    FRESH in the open session (or holds its claim, or the gate, and `HAS_VALUE` is set); 3. the reference is not kept
    ///    beyond that session.
    #[inline(always)]
    pub(crate) unsafe fn value<'a, K, O>(self) -> &'a O {
        // SAFETY: passed on to the caller; a FRESH node has a value, and it does not change before the session ends.
        unsafe { (*(*self.0.as_ptr().cast::<Node<K, O>>()).value.get()).assume_init_ref() }
    }

    /// The output, for a caller that knows its type but not the key's.
    ///
    /// # Safety
    /// As for [`NodeRef::value`].
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

    /// What the last run read.
    ///
    /// # Safety
    /// The caller holds the claim, or has seen the node FRESH in the open session, or holds the gate exclusively.
    pub(crate) unsafe fn deps<'a>(self) -> &'a Deps {
        // SAFETY: passed on to the caller.
        unsafe { &*self.0.as_ref().deps.get() }
    }

    /// Frees the node and all it holds. Runs `Drop` of the user's types.
    ///
    /// # Safety
    /// Nobody may use the node any more.
    pub(crate) unsafe fn free(self) {
        // SAFETY: passed on to the caller.
        unsafe { (self.task_fn.ops.free)(self) }
    }

    /// Frees a twin.
    ///
    /// # Safety
    /// The node was made by [`Node::twin`], and nobody may use it any more.
    pub(crate) unsafe fn free_twin(self) {
        // SAFETY: passed on to the caller.
        unsafe { (self.task_fn.ops.free_twin)(self) }
    }

    /// Moves the value of a twin into its node; what the node held goes to the twin.
    ///
    /// # Safety
    /// The caller holds the claim of the node, `twin` is a twin of it with a value, and nobody else uses that.
    pub(crate) unsafe fn adopt(self, twin: Self) {
        // SAFETY: passed on to the caller.
        unsafe { (self.task_fn.ops.adopt)(self, twin) }
    }

    /// Moves the output out, if there is one.
    ///
    /// # Safety
    /// The caller holds the gate exclusively (no session can see the output).
    pub(crate) unsafe fn take_value(self) -> Option<Box<dyn Any + Send>> {
        if !self.flag(HAS_VALUE) {
            return None;
        }
        self.clear_flag(HAS_VALUE);
        // SAFETY: the flag said that the output is initialised; it is cleared, so it is moved out once.
        Some(unsafe { (self.task_fn.ops.take_value)(self) })
    }
}

impl Drop for Header {
    fn drop(&mut self) {
        let extra = *self.extra.get_mut();
        if !extra.is_null() {
            // SAFETY: it came from `Box::into_raw`, and the header, its only owner, ends here.
            drop(unsafe { Box::from_raw(extra) });
        }
    }
}

impl fmt::Debug for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nodes are named in the middle of protocols, and a `Debug` that panics must not break them.
        match panic::catch_unwind(AssertUnwindSafe(|| Described(*self).to_string())) {
            // The arguments print as the tuple that they are; one alone, as no call is written, with a comma behind it.
            Ok(text) => match text.strip_suffix(",)") {
                Some(one_argument) => write!(f, "{one_argument})"),
                None => f.write_str(&text),
            },
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
            changed_at: AtomicU32::new(0),
            verified_at: AtomicU32::new(0),
            effects_at: AtomicU32::new(0),
            lock: parking_lot::RawMutex::INIT,
            flags: AtomicU16::new(0),
            dead: AtomicU16::new(0),
            marked_at: AtomicU32::new(0),
            extra: AtomicPtr::new(ptr::null_mut()),
        }
    }
}

/// The operations on a node that need its types: data of the descriptor, one set per pair of types.
pub(crate) struct Ops {
    pub(crate) key_offset: usize,
    pub(crate) value_offset: usize,
    pub(crate) value_type: fn() -> TypeId,
    allocate: unsafe fn(Header, &mut ArgsSlot<'_>) -> NodeRef,
    free: unsafe fn(NodeRef),
    free_twin: unsafe fn(NodeRef),
    take_value: unsafe fn(NodeRef) -> Box<dyn Any + Send>,
    adopt: unsafe fn(NodeRef, NodeRef),
}

impl<K: Key, O: Send + Sync + 'static> Node<K, O> {
    pub(crate) const OPS: &'static Ops = &Ops {
        key_offset: std::mem::offset_of!(Self, key),
        value_offset: std::mem::offset_of!(Self, value),
        value_type: TypeId::of::<O>,
        allocate: Self::allocate,
        free: Self::free,
        free_twin: Self::free_twin,
        take_value: Self::take_value,
        adopt: Self::adopt,
    };

    unsafe fn allocate(header: Header, slot: &mut ArgsSlot<'_>) -> NodeRef {
        let mut node: Box<MaybeUninit<Self>> = Box::new_uninit();
        let place = node.as_mut_ptr();
        // SAFETY: 1. `place` is a fresh allocation of the node's layout; 2. the caller vouches that the slot's key is a
        // `K`; 3. the value needs no initialisation. If making the key panics, the allocation is freed as raw memory.
        unsafe {
            slot.take_into((&raw mut (*place).key).cast());
            (&raw mut (*place).header).write(header);
            NodeRef(NonNull::new_unchecked(Box::into_raw(node)).cast())
        }
    }

    unsafe fn free(node: NodeRef) {
        // SAFETY: 1. the caller is the last user; 2. the type is that of the allocation; 3. the value is dropped iff it is
        // initialised.
        unsafe {
            drop(marks::take(&node.work, 0));
            let mut node = Box::from_raw(node.0.as_ptr().cast::<Self>());
            if node.header.flag(HAS_VALUE) {
                node.value.get_mut().assume_init_drop();
            }
            drop(node);
        }
    }

    /// A node without a key that holds `value`, for readers of `node` that cannot wait for it (`apart.rs`).
    pub(crate) fn twin(node: NodeRef, value: O) -> NodeRef {
        let header = Header::new(node.task_fn, node.function, node.hash, StateWord::new(Phase::Fresh));
        header.set_flag(TWIN | HAS_VALUE);
        let mut twin: Box<MaybeUninit<Self>> = Box::new_uninit();
        let place = twin.as_mut_ptr();
        // SAFETY: a fresh allocation of the node's layout. The key stays uninitialised: nothing looks for a twin by its key,
        // and `free_twin` does not drop it.
        unsafe {
            (&raw mut (*place).header).write(header);
            (&raw mut (*place).value).write(UnsafeCell::new(MaybeUninit::new(value)));
            NodeRef(NonNull::new_unchecked(Box::into_raw(twin)).cast())
        }
    }

    unsafe fn free_twin(node: NodeRef) {
        // SAFETY: 1. the caller is the last user; 2. `twin` initialised header and value, and the flag says whether the value is
        // still there; 3. the type is that of the allocation.
        unsafe {
            let twin = node.0.as_ptr().cast::<MaybeUninit<Self>>();
            let place = (*twin).as_mut_ptr();
            if (*place).header.flag(HAS_VALUE) {
                (*place).value.get_mut().assume_init_drop();
            }
            ptr::drop_in_place(&raw mut (*place).header);
            drop(Box::from_raw(twin));
        }
    }

    unsafe fn adopt(node: NodeRef, twin: NodeRef) {
        // SAFETY: 1. the caller holds the claim of the node and is the only user of the twin's value; 2. both are of this type; 3. a
        // value is read where the flag says that there is one, and the flags follow it.
        unsafe {
            let place = UnsafeCell::raw_get(&raw const (*node.0.as_ptr().cast::<Self>()).value);
            let other = UnsafeCell::raw_get(&raw const (*twin.0.as_ptr().cast::<Self>()).value);
            if node.flag(HAS_VALUE) {
                ptr::swap(place, other);
            } else {
                ptr::copy_nonoverlapping(other, place, 1);
                twin.clear_flag(HAS_VALUE);
                node.set_flag(HAS_VALUE);
            }
        }
    }

    unsafe fn take_value(node: NodeRef) -> Box<dyn Any + Send> {
        // SAFETY: the caller has seen `HAS_VALUE`, cleared it, and is alone with the node.
        Box::new(unsafe { (*(*node.0.as_ptr().cast::<Self>()).value.get()).assume_init_read() })
    }
}

/// Puts `new` in place as the output of a claimed node and returns the output that it replaces.
///
/// # Safety
/// The caller holds the claim of `node`; `K` and `O` are the types of its task function.
pub(crate) unsafe fn replace_value<K, O>(node: NodeRef, new: O) -> Option<O> {
    // SAFETY: passed on to the caller; no reader holds a reference, as none sees a claimed node's value.
    let place = unsafe { &mut *(*node.0.as_ptr().cast::<Node<K, O>>()).value.get() };
    if node.flag(HAS_VALUE) {
        // SAFETY: the flag says that it is initialised.
        Some(std::mem::replace(unsafe { place.assume_init_mut() }, new))
    } else {
        place.write(new);
        node.set_flag(HAS_VALUE);
        None
    }
}
