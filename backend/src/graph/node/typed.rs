//! A node with its types: how it is allocated and freed, and where its key and output are.

use std::any::{Any, TypeId};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use super::{Header, NodeRef};
use crate::call::args::{ArgsSlot, Key};
use crate::graph::claim::{Phase, StateWord};
use crate::graph::flags::Flags;
use crate::graph::held::Seeker;
use crate::graph::stale_reads;

/// A node with its types.
#[repr(C)]
pub(crate) struct Node<K, O> {
    header: Header,
    key: K,
    value: UnsafeCell<MaybeUninit<O>>,
}

impl NodeRef {
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
}

/// The operations on a node that need its types: data of the descriptor, one set per pair of types.
pub(crate) struct Ops {
    pub(crate) key_offset: usize,
    pub(crate) value_offset: usize,
    /// The bytes of a node.
    pub(crate) size: usize,
    pub(crate) value_type: fn() -> TypeId,
    pub(super) allocate: unsafe fn(Header, &mut ArgsSlot<'_>) -> NodeRef,
    pub(super) free: unsafe fn(NodeRef),
    pub(super) free_twin: unsafe fn(NodeRef),
    pub(super) take_value: unsafe fn(NodeRef) -> Box<dyn Any + Send>,
    /// Whether an output holds anything beside its own bytes.
    pub(crate) value_needs_drop: bool,
    /// Feeds the key to a search for handles. Runs the user's `Hash`.
    pub(crate) seek_handles: unsafe fn(NodeRef, &mut Seeker<'_>),
    pub(super) adopt: unsafe fn(NodeRef, NodeRef),
}

impl<K: Key, O: Send + Sync + 'static> Node<K, O> {
    pub(crate) const OPS: &'static Ops = &Ops {
        key_offset: std::mem::offset_of!(Self, key),
        value_offset: std::mem::offset_of!(Self, value),
        size: size_of::<Self>(),
        value_type: TypeId::of::<O>,
        allocate: Self::allocate,
        free: Self::free,
        free_twin: Self::free_twin,
        take_value: Self::take_value,
        value_needs_drop: std::mem::needs_drop::<O>(),
        seek_handles: Self::seek_handles,
        adopt: Self::adopt,
    };

    unsafe fn seek_handles(node: NodeRef, seeker: &mut Seeker<'_>) {
        // SAFETY: the node is of this type; a key never changes.
        unsafe { node.key::<K, O>() }.hash_key(seeker);
    }

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
            drop(stale_reads::take(&node.work));
            let mut node = Box::from_raw(node.0.as_ptr().cast::<Self>());
            if node.header.flag(Flags::HAS_VALUE) {
                node.value.get_mut().assume_init_drop();
            }
            drop(node);
        }
    }

    /// A node without a key that holds `value`, for readers of `node` that cannot wait for it (`apart.rs`).
    pub(crate) fn twin(node: NodeRef, value: O) -> NodeRef {
        let header = Header::new(node.task_fn, node.function, node.hash, StateWord::new(Phase::Fresh));
        header.set_flag(Flags::TWIN | Flags::HAS_VALUE);
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
            if (*place).header.flag(Flags::HAS_VALUE) {
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
            if node.flag(Flags::HAS_VALUE) {
                ptr::swap(place, other);
            } else {
                ptr::copy_nonoverlapping(other, place, 1);
                twin.clear_flag(Flags::HAS_VALUE);
                node.set_flag(Flags::HAS_VALUE);
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
    if node.flag(Flags::HAS_VALUE) {
        // SAFETY: the flag says that it is initialised.
        Some(std::mem::replace(unsafe { place.assume_init_mut() }, new))
    } else {
        place.write(new);
        node.set_flag(Flags::HAS_VALUE);
        None
    }
}
