//! Scopes: many items of one task, worked on by the calling thread and the crew.
//!
//! * The items are divided as `share.rs` says; a waiting participant runs nothing.
//! * Each item's panic is caught. At the end the one of the lowest number is thrown: the one that a sequential loop would throw.
//! * The caller holds the session's gate for as long as the scope lasts; helpers do not take it.
//! * Each participant, the caller among them, works as a strand of its own under the caller's (`strand.rs`): it starts with
//!   no claims, as part of the caller's demand. So a claim of the caller's tells whether it was made by the task itself, which
//!   waits for all items, or by one of the items, for which others may wait.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::context::local::Local;
use crate::context::outside::outside_of_session;
use crate::context::strand::Gathered;
use crate::graph::stop::Stop;
use crate::parallel::columns::Columns;
use crate::parallel::outcomes::Failed;
use crate::parallel::share::{Course, Ended, Finished, OnFailure, Share};

/// Maps `items` by `f` on several threads; the results are in the order of the items.
///
/// Works inside a task's body and directly in a session. `f` may borrow, call tasks and open scopes of its own; what it
/// reads and emits belongs to the task that called `par_map`, in the order of the items, whichever thread ran them. Short items
/// are handed out some dozens at a time, long ones one by one; a single item runs in place. In work that was carried to a pool ([`Carried::run`](crate::Carried::run)) all
/// run in place: a helper that needs the pool, and the pool's thread that waits for the helper, would never end.
///
/// Cost: some nanoseconds per item, and some microseconds to wake helpers.
///
/// # Panics
/// Outside of a session. If `f` panics: all other items run, then the panic of the first such item goes on. If the session
/// is cancelled: no further item is begun.
#[track_caller]
pub fn par_map<T: Send, R: Send>(items: impl IntoIterator<Item = T>, f: impl Fn(T) -> R + Sync) -> Vec<R> {
    let local = inside("par_map");
    let columns = Columns::new(items);
    if columns.len() <= 1 {
        return columns.into_items().into_iter().map(f).collect();
    }
    let run = |course: &mut Course<'_>| {
        while let Some(index) = course.next() {
            // SAFETY: the share gives each number out once.
            unsafe { columns.run(index, &f) };
        }
        Ended::Well
    };
    let share = Share::new(local, columns.len(), &run, OnFailure::GoOn);
    let failure = share.work_through(local);
    rethrow(local, failure);
    columns.into_results()
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
    let columns = Columns::new(items);
    if columns.len() <= 1 {
        return columns.into_items().into_iter().map(f).collect();
    }
    let run = |course: &mut Course<'_>| {
        while let Some(index) = course.next() {
            // SAFETY: the share gives each number out once.
            if unsafe { columns.run(index, &f) }.is_err() {
                return Ended::Badly;
            }
        }
        Ended::Well
    };
    let share = Share::new(local, columns.len(), &run, OnFailure::Stop);
    let failure = share.work_through(local);
    let end = share.end();
    rethrow(local, failure);
    // The results before the first failure are all there; collecting stops at it.
    columns.into_results().into_iter().take(end.saturating_add(1)).collect()
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
    let columns = Columns::new(items);
    if columns.len() <= 1 {
        return columns.into_items().into_iter().map(f).for_each(|result| done(0, result));
    }
    let finished = Finished::default();
    let run = |course: &mut Course<'_>| {
        while let Some(index) = course.next() {
            let _finish = finished.guard(index);
            // SAFETY: the share gives each number out once.
            unsafe { columns.run(index, &f) };
        }
        Ended::Well
    };
    let mut share = Share::new(local, columns.len(), &run, OnFailure::GoOn);
    share.finished = Some(&finished);
    let mut by_callback = Gathered::default();
    let mut deliver = |index: usize| {
        // SAFETY: `finished` names each number once, after its item has ended.
        if let Some(result) = unsafe { columns.take_result(index) } {
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
