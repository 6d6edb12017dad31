//! Held: what pins a node from outside of the graph. All handles to a node share one cell.
//!
//! # Protocol
//! The cell counts its handles in one word, beside two bits:
//! ```text
//!   bit 0   the node is there: it keeps a reference to the cell, too ([`Shared`])
//!   bit 1   the task is not wanted any more (forgotten, or a removed input): it goes with its last handle
//!   2..     handles ([`Held`])
//! ```
//! Reclaim (`reclaim.rs`) sets bit 1 with the gate held exclusively, and frees no node that has a handle. A handle that is dropped
//! while bit 1 is set, and is the last one, is not counted out but moves to the engine's list ([`Released`]): reclaim takes it
//! from there, and looks at the node. Since count and bit are one word, either reclaim sees that there is no handle left, or the
//! last handle sees the bit. Example: 3 handles, reclaim sets the bit; two drops count down to 1; the third finds "1, not wanted"
//! and is listed; the next session's opener takes it, finds 0 handles, and frees the node.
//!
//! A cell outlives its engine harmlessly: its node is used only inside a session of the engine that it names, and the list is
//! closed when the engine ends.
//!
//! Of a removed input, those handles are *inner* ones that stand in the arguments of tasks that can be reached by no other way
//! (`reclaim/keyed.rs`). A handle counts as the last one when no more than these are left. Their number is set, and a handle to what is not wanted dropped, with the list locked:
//! it stands beside the word, not in it.

use std::hash::Hasher;
use std::ptr::NonNull;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::base::sync::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::base::sync::{AtomicBool, AtomicUsize, Mutex};
use crate::graph::node::NodeRef;

const NODE: usize = 0b01;
const UNWANTED: usize = 0b10;
const HANDLE: usize = 0b100;

/// The cell that all handles to a node share.
pub(crate) struct HandleCell {
    pub(crate) node: NodeRef,
    pub(crate) engine: u64,
    word: AtomicUsize,
    /// How many handles are inner ones.
    inner: AtomicUsize,
    released: Arc<Released>,
}

/// A handle's reference to the cell. It pins the node.
pub(crate) struct Held(NonNull<HandleCell>);

/// The node's own reference to the cell.
pub(crate) struct Shared(NonNull<HandleCell>);

// SAFETY: a reference to a cell gives shared access to it, and all that it holds is `Send` and `Sync`.
unsafe impl Send for Held {}
// SAFETY: as above.
unsafe impl Sync for Held {}
// SAFETY: as above.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

// The word is changed by single atomic steps: a panic leaves none half done.
impl std::panic::UnwindSafe for Held {}
impl std::panic::RefUnwindSafe for Held {}

impl std::ops::Deref for Held {
    type Target = HandleCell;
    #[inline]
    fn deref(&self) -> &HandleCell {
        // SAFETY: the cell lives while its word counts this handle.
        unsafe { self.0.as_ref() }
    }
}

impl Shared {
    /// A cell for a node that has none, with one handle to it.
    pub(crate) fn new(engine: u64, released: &Arc<Released>, node: NodeRef, unwanted: bool) -> (Self, Held) {
        let word = AtomicUsize::new(NODE | HANDLE | if unwanted { UNWANTED } else { 0 });
        let cell = Box::new(HandleCell {
            node,
            engine,
            word,
            inner: AtomicUsize::new(0),
            released: released.clone(),
        });
        let cell = NonNull::from(Box::leak(cell));
        (Self(cell), Held(cell))
    }

    fn cell(&self) -> &HandleCell {
        // SAFETY: the cell lives while its word says that the node is there.
        unsafe { self.0.as_ref() }
    }

    /// One more handle.
    pub(crate) fn hold(&self) -> Held {
        // Relaxed: the node's own reference keeps the cell meanwhile.
        self.cell().word.fetch_add(HANDLE, Relaxed);
        Held(self.0)
    }

    /// How many handles there are.
    pub(crate) fn handles(&self) -> usize {
        self.cell().word.load(Acquire) / HANDLE
    }

    /// An address that is this cell's as long as there is a handle.
    pub(crate) fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }

    /// From here on, a handle is listed that leaves no more than so many. Returns whether there are no more already.
    pub(crate) fn abandon_but(&self, inner: usize) -> bool {
        // With the lock: a drop that has seen the bit compares with the number before, and counts out, or with this one.
        let _list = self.cell().released.list.lock();
        self.cell().inner.store(inner, Relaxed);
        self.abandon();
        self.handles() <= inner
    }

    /// Whether there is a handle. For use with the gate held exclusively: then none is made but from another one.
    pub(crate) fn is_held(&self) -> bool {
        self.cell().word.load(Acquire) >= HANDLE
    }

    /// From here on, the last handle that is dropped is listed.
    pub(crate) fn abandon(&self) {
        // AcqRel: pairs with the exchange in `Held::drop`, whichever comes first.
        self.cell().word.fetch_or(UNWANTED, AcqRel);
    }
}

impl Held {
    /// Counts the handle out, without listing it. Returns the node.
    pub(crate) fn into_node(self) -> NodeRef {
        let node = self.node;
        let cell = self.0;
        std::mem::forget(self);
        // AcqRel: what was done by the handle comes before the cell is freed, by the last reference.
        let before = word_of(cell).fetch_sub(HANDLE, AcqRel);
        free_if(cell, before - HANDLE);
        node
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// An address that is this cell's as long as it has a handle.
    pub(crate) fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }
}

/// The word of a cell that the caller still has a reference to.
fn word_of<'a>(cell: NonNull<HandleCell>) -> &'a AtomicUsize {
    // SAFETY: the callers have a reference that they have not counted out yet, and do not use this one afterwards.
    unsafe { &cell.as_ref().word }
}

/// Frees a cell that neither the node nor a handle refers to any more.
fn free_if(cell: NonNull<HandleCell>, word: usize) {
    if word & !UNWANTED == 0 {
        // SAFETY: it came from `Box::leak`; the word was brought to this by the last reference, with `AcqRel`.
        drop(unsafe { Box::from_raw(cell.as_ptr()) });
    }
}

impl Clone for Held {
    #[inline]
    fn clone(&self) -> Self {
        // Relaxed: this handle keeps the cell meanwhile.
        self.word.fetch_add(HANDLE, Relaxed);
        Self(self.0)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut word = self.word.load(Relaxed);
        while !is_unwanted(word) {
            // Release and Acquire: as in `into_node`; and pairs with `abandon`.
            match self.word.compare_exchange_weak(word, word - HANDLE, AcqRel, Relaxed) {
                Ok(_) => return free_if(self.0, word - HANDLE),
                Err(now) => word = now,
            }
        }
        let word = self.released.clone().list_or_count_out(self.0);
        free_if(self.0, word);
    }
}

fn is_unwanted(word: usize) -> bool {
    word & (UNWANTED | NODE) == UNWANTED | NODE
}

impl Drop for Shared {
    fn drop(&mut self) {
        let before = word_of(self.0).fetch_and(!NODE, AcqRel);
        free_if(self.0, before & !NODE);
    }
}

/// Counts the handles in a key, as far as its `Hash` shows them: a handle is hashed by the address of its cell.
pub(crate) struct Seeker<'a> {
    /// The cells that are looked for, each with how often it was found.
    found: &'a mut FxHashMap<usize, usize>,
    cells: Vec<usize>,
}

impl<'a> Seeker<'a> {
    pub(crate) fn new(found: &'a mut FxHashMap<usize, usize>) -> Self {
        Self { found, cells: Vec::new() }
    }

    /// The cells that were found.
    pub(crate) fn into_cells(self) -> Vec<usize> {
        self.cells
    }
}

impl Hasher for Seeker<'_> {
    fn write(&mut self, _: &[u8]) {}
    fn write_usize(&mut self, value: usize) {
        if let Some(count) = self.found.get_mut(&value) {
            if *count == 0 {
                self.cells.push(value);
            }
            *count += 1;
        }
    }
    fn finish(&self) -> u64 {
        0
    }
}

/// The last handles of tasks that are not wanted any more.
pub(crate) struct Released {
    /// None when the engine has ended.
    list: Mutex<Option<Vec<Held>>>,
    any: AtomicBool,
}

impl Default for Released {
    fn default() -> Self {
        Self { list: Mutex::new(Some(Vec::new())), any: AtomicBool::new(false) }
    }
}

impl Released {
    /// A handle to a task that is not wanted is dropped. If it is the last one, or the last one that counts, the list takes it over;
    /// else, or if the engine has ended, it is counted out. Returns the word that it leaves.
    #[cold]
    fn list_or_count_out(&self, cell: NonNull<HandleCell>) -> usize {
        let mut list = self.list.lock();
        // SAFETY: the caller's handle is counted until this ends.
        let HandleCell { word, inner, .. } = unsafe { cell.as_ref() };
        let mut now = word.load(Relaxed);
        loop {
            // Relaxed: the lock orders it.
            if let Some(list) = list.as_mut()
                && now / HANDLE <= inner.load(Relaxed) + 1
            {
                list.push(Held(cell));
                // Release: pairs with the Acquire in `take`. A hint, but one that a session's opener must not miss for long.
                self.any.store(true, Release);
                return now;
            }
            // See `Held::drop`. Once it has succeeded, the cell may be gone.
            match word.compare_exchange_weak(now, now - HANDLE, AcqRel, Relaxed) {
                Ok(_) => return now - HANDLE,
                Err(other) => now = other,
            }
        }
    }

    /// Whether there are some.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.any.load(Relaxed)
    }

    /// Takes all that are listed.
    pub(crate) fn take(&self) -> Vec<Held> {
        if !self.any.swap(false, Acquire) {
            return Vec::new();
        }
        self.list.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The engine ends.
    pub(crate) fn close(&self) -> Vec<Held> {
        self.list.lock().take().unwrap_or_default()
    }
}
