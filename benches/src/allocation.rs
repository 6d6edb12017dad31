//! A counting allocator: allocations of this thread, and live bytes of the process.
//!
//! The library only defines it. A binary that wants figures installs it with `#[global_allocator]`; without that
//! both counters stand still and [`is_counting`] says so.
//!
//! Allocations are counted in a thread-local, so that counting adds no shared write to what is timed. Live bytes
//! are counted, in one shared atomic, only between [`live_bytes_of`]'s begin and end: no timed sample runs there.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

static WEIGHING: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicI64 = AtomicI64::new(0);
/// The most that `LIVE` has been.
static PEAK: AtomicI64 = AtomicI64::new(0);

/// Install it with `#[global_allocator] static ALLOCATOR: Counting = Counting;`.
pub struct Counting;

/// The number of allocations (and reallocations) that this thread has made so far.
#[inline]
pub fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// Whether this binary has installed [`Counting`]; without it no figure here means anything.
pub fn is_counting() -> bool {
    let before = allocations();
    drop(std::hint::black_box(Box::new(0u8)));
    allocations() != before
}

/// Runs `make` and returns what it made with the bytes that are live because of it, over all threads: requested
/// sizes, without the allocator's own rounding. The objects that `make` made must still be alive in its result.
pub fn live_bytes_of<R>(make: impl FnOnce() -> R) -> (R, i64) {
    LIVE.store(0, Relaxed);
    WEIGHING.store(true, Relaxed);
    let made = make();
    WEIGHING.store(false, Relaxed);
    (made, LIVE.load(Relaxed))
}

/// Counts live bytes until it is dropped.
pub struct LiveBytes(());

impl LiveBytes {
    /// Begins at none.
    #[must_use]
    pub fn begin() -> Self {
        LIVE.store(0, Relaxed);
        PEAK.store(0, Relaxed);
        WEIGHING.store(true, Relaxed);
        Self(())
    }

    /// The bytes that are live because of what was done since.
    #[must_use]
    pub fn now(&self) -> i64 {
        LIVE.load(Relaxed)
    }

    /// The most bytes that have been live at a time.
    #[must_use]
    pub fn peak(&self) -> i64 {
        PEAK.load(Relaxed)
    }
}

impl Drop for LiveBytes {
    fn drop(&mut self) {
        WEIGHING.store(false, Relaxed);
    }
}

#[inline(always)]
fn weigh(bytes: i64) {
    if WEIGHING.load(Relaxed) {
        let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
        if bytes > 0 {
            PEAK.fetch_max(live, Relaxed);
        }
    }
}

#[inline(always)]
fn count() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

// SAFETY: every call is forwarded to `System` with its arguments unchanged, so `System`'s guarantees are ours. The
// counting itself cannot allocate, reenter or unwind: a `const` thread-local without a destructor, and two atomics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        weigh(layout.size() as i64);
        // SAFETY: the caller's promises about `layout` are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        weigh(layout.size() as i64);
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        weigh(-(layout.size() as i64));
        // SAFETY: the caller got `ptr` from us with `layout`, that is, from `System` with `layout`.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        weigh(new_size as i64 - layout.size() as i64);
        // SAFETY: as in `dealloc`; `new_size` is passed on under the caller's promises.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}
