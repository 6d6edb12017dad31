//! Scopes: many items of one task, worked on by the calling thread and the crew.
//!
//! * The items are divided as `share.rs` says; a waiting participant runs nothing.
//! * Each item's panic is caught. At the end the one of the lowest number is thrown: the one that a sequential loop would throw.
//! * The caller holds the session's gate for as long as the scope lasts; helpers do not take it.
//! * Each participant, the caller among them, works as a strand of its own under the caller's (`strand.rs`): it starts with
//!   no claims, as part of the caller's demand. So a claim of the caller's tells whether it was made by the task itself, which
//!   waits for all items, or by one of the items, for which others may wait.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;

use crate::context::local::Local;
use crate::context::outside::outside_of_session;
use crate::context::strand::Gathered;
use crate::graph::stop::Stop;
use crate::parallel::outcomes::Failed;
use crate::parallel::share::{Ended, Finished, OnFailure, Share};

/// Maps `items` by `f` on several threads; the results are in the order of the items.
///
/// Works inside a task's body and directly in a session. `f` may borrow, call tasks and open scopes of its own; what it
/// reads and emits belongs to the task that called `par_map`, in the order of the items, whichever thread ran them. Items
/// are handed out in batches; a single item runs in place. In work that was carried to a pool ([`Carried::run`](crate::Carried::run)) all
/// run in place: a helper that needs the pool, and the pool's thread that waits for the helper, would never end.
///
/// Cost: up to 25 ns per item, and a few microseconds to wake helpers.
///
/// # Panics
/// Outside of a session. If `f` panics: all other items run, then the panic of the first such item goes on. If the session
/// is cancelled: no further item is begun.
#[track_caller]
pub fn par_map<T: Send, R: Send>(items: impl IntoIterator<Item = T>, f: impl Fn(T) -> R + Sync) -> Vec<R> {
    let local = inside("par_map");
    let slots = Slots::new(items);
    if slots.0.len() <= 1 {
        return slots.into_items().map(f).collect();
    }
    let run = |index: usize| {
        // SAFETY: the share gives each number out once.
        unsafe { slots.run(index, &f) };
        Ended::Well
    };
    let share = Share::new(local, slots.0.len(), &run, OnFailure::GoOn);
    let failure = share.work_through(local);
    rethrow(local, failure);
    slots.into_results().collect()
}

/// Maps `items` by `f` on several threads until one fails: returns the error of the first item, in their order, that does.
///
/// The outcome is that of a sequential loop: items before the failing one all run, and only reads up to it are recorded.
/// Later items may have run, or not.
///
/// # Errors
/// The first item's that fails.
///
/// # Panics
/// Runs `f` over items as [`par_map`] does; a panic ends the loop as an error does.
#[track_caller]
pub fn try_par_map<T: Send, R: Send, E: Send>(
    items: impl IntoIterator<Item = T>,
    f: impl Fn(T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let local = inside("try_par_map");
    let slots = Slots::new(items);
    if slots.0.len() <= 1 {
        return slots.into_items().map(f).collect();
    }
    let run = |index: usize| {
        // SAFETY: the share gives each number out once.
        match unsafe { slots.run(index, &f) } {
            Ok(_) => Ended::Well,
            Err(_) => Ended::Badly,
        }
    };
    let share = Share::new(local, slots.0.len(), &run, OnFailure::Stop);
    let failure = share.work_through(local);
    let end = share.limit.load(Relaxed);
    rethrow(local, failure);
    // The results before the first failure are all there; collecting stops at it.
    slots.into_results().take(end.saturating_add(1)).collect()
}

/// Runs `f` on `items` on several threads, and hands each result to `done` as soon as it is there, with the item's number.
///
/// `done` runs on the calling thread, between items of its own. Its reads are recorded after those of the items. Because the
/// order of its calls depends on time, a task whose result depends on that order is not a function of what it read.
///
/// # Panics
/// Panics as [`par_map`] does. If `done` panics, no further item is begun, and its panic goes on.
#[track_caller]
pub fn par_each<T: Send, R: Send>(
    items: impl IntoIterator<Item = T>,
    f: impl Fn(T) -> R + Sync,
    mut done: impl FnMut(usize, R),
) {
    let local = inside("par_each");
    let slots = Slots::new(items);
    if slots.0.len() <= 1 {
        return slots.into_items().map(f).for_each(|result| done(0, result));
    }
    let finished = Finished::default();
    let run = |index: usize| {
        let _finish = finished.guard(index);
        // SAFETY: the share gives each number out once.
        unsafe { slots.run(index, &f) };
        Ended::Well
    };
    let mut share = Share::new(local, slots.0.len(), &run, OnFailure::GoOn);
    share.finished = Some(&finished);
    let mut by_callback = Gathered::default();
    let mut deliver = |index: usize| {
        // SAFETY: `finished` names each number once, after its item has ended.
        if let Some(result) = unsafe { slots.take_result(index) } {
            let frame = local.begin_frame(&[], local.is_recording());
            let outcome = catch_unwind(AssertUnwindSafe(|| done(index, result)));
            share.left.keep_sink(local, 0);
            by_callback.append(local.take_gathered());
            local.end_frame(frame);
            outcome.map_err(|payload| share.left.fail(local, 0, Stop::caught(payload))).is_ok()
        } else {
            true
        }
    };
    let failure = share.work_through_and(local, &finished, &mut deliver);
    local.record_gathered(by_callback);
    rethrow(local, failure);
}

#[track_caller]
fn inside(what: &str) -> &'static Local {
    let Some(local) = Local::current() else {
        outside_of_session(format_args!("`{what}` was called outside of a session"), format_args!(""))
    };
    local
}

fn rethrow(local: &Local, failure: Option<Failed>) {
    if let Some(failed) = failure {
        failed.go_on(local);
    }
}

enum Slot<T, R> {
    Item(T),
    Gone,
    Result(R),
}

/// One place per item, first for the item, then for its result.
struct Slots<T, R>(Box<[UnsafeCell<Slot<T, R>>]>);

// SAFETY: a place is touched by one thread at a time: by the participant that took its number out of the share, then by the caller.
unsafe impl<T: Send, R: Send> Sync for Slots<T, R> {}

impl<T, R> Slots<T, R> {
    fn new(items: impl IntoIterator<Item = T>) -> Self {
        Self(items.into_iter().map(|item| UnsafeCell::new(Slot::Item(item))).collect())
    }

    /// Runs one item and keeps its result, which is returned by reference.
    ///
    /// # Safety
    /// No other thread touches the place of `index` now.
    unsafe fn run(&self, index: usize, f: &impl Fn(T) -> R) -> &R {
        let place = self.0[index].get();
        // SAFETY: the caller vouches for the place. No reference to it is held while `f` runs.
        if let Slot::Item(item) = unsafe { place.replace(Slot::Gone) } {
            let result = f(item);
            // SAFETY: as above.
            unsafe { *place = Slot::Result(result) };
        }
        // SAFETY: as above.
        match unsafe { &*place } {
            Slot::Result(result) => result,
            _ => unreachable!("an item runs once"),
        }
    }

    /// # Safety
    /// See [`Slots::run`].
    unsafe fn take_result(&self, index: usize) -> Option<R> {
        // SAFETY: the caller vouches for the place.
        match unsafe { self.0[index].get().replace(Slot::Gone) } {
            Slot::Result(result) => Some(result),
            _ => None,
        }
    }

    fn into_items(self) -> impl Iterator<Item = T> {
        self.0.into_vec().into_iter().filter_map(|slot| match slot.into_inner() {
            Slot::Item(item) => Some(item),
            _ => None,
        })
    }

    fn into_results(self) -> impl Iterator<Item = R> {
        self.0.into_vec().into_iter().filter_map(|slot| match slot.into_inner() {
            Slot::Result(result) => Some(result),
            _ => None,
        })
    }
}
