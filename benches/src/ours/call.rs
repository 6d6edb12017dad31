//! Larder, one call: hits inside a running task, so that the dependency is recorded, and first calls.

use crate::crowd::{Meeting, Stint, crowd};
use crate::lane::{Lane, Sample, footprint, in_turn, repeated_hits, timed};
use crate::work::{Shape, Work, body, body_str, strings};
use larder::Runtime;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[larder::task_fn(transient)]
fn plain(key: u32) -> u64 {
    body(key)
}

#[larder::task_fn(transient)]
fn named(name: &str) -> u64 {
    body_str(name)
}

/// What a sitting does inside of its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sitting {
    Value,
    Name,
    Handle,
}

thread_local! {
    /// What the last sitting on this thread measured.
    static MEASURED: Cell<Option<Sample>> = const { Cell::new(None) };
    /// What the crowd's task on this thread measured, and where it has to meet the others.
    static STINT: Cell<Option<Stint>> = const { Cell::new(None) };
    static MEETING: Cell<Option<*const Meeting>> = const { Cell::new(None) };
}

/// Hits from within a task. Its number is new each time, so it always runs; what it measures leaves by a side door,
/// since a task's own value must not depend on the clock.
#[larder::task_fn(transient)]
fn sit(number: u64, sitting: Sitting, keys: u32) -> u64 {
    let sample = match sitting {
        Sitting::Value => repeated_hits(keys, plain),
        Sitting::Name => {
            let names = strings(keys);
            repeated_hits(keys, |key| named(&names[key as usize]))
        }
        Sitting::Handle => {
            let handles: Vec<_> = (0..keys).map(plain::task).collect();
            repeated_hits(keys, |key| handles[key as usize].get())
        }
    };
    MEASURED.set(Some(sample));
    number
}

/// A number that no sitting has had.
fn next_number() -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

pub(super) fn enter(work: Work) -> Option<Lane> {
    match work {
        Work::Hit { keys } => sittings(Sitting::Value, keys),
        Work::HitStr { keys } => sittings(Sitting::Name, keys),
        Work::HitShape(Shape::Sync) => sittings(Sitting::Value, 100),
        Work::HitShape(Shape::Borrowed) => sittings(Sitting::Name, 100),
        Work::HitShape(Shape::Handle) => sittings(Sitting::Handle, 100),
        // To be written with the trait methods of the macro, and with the async tasks.
        Work::HitShape(Shape::DynTrait | Shape::Async) => None,
        Work::HitThreads { keys, threads } => {
            let runtime = Arc::new(Runtime::new());
            crowd(threads, move || {
                let runtime = Arc::clone(&runtime);
                move |meeting: &Meeting| runtime.run(|| crowd_hits(meeting, keys))
            })
        }
        Work::Miss { keys } => Some(Box::new(move || {
            let runtime = Runtime::new();
            runtime.run(|| timed(keys, || in_turn(keys, keys, plain)))
        })),
        Work::Footprint { keys } => footprint(keys, move || {
            let runtime = Runtime::new();
            runtime.run(|| in_turn(keys, keys, plain));
            runtime
        }),
        _ => None,
    }
}

fn sittings(sitting: Sitting, keys: u32) -> Option<Lane> {
    let runtime = Runtime::new();
    Some(Box::new(move || {
        runtime.run(|| sit(next_number(), sitting, keys));
        MEASURED.take().expect("a new sitting always runs")
    }))
}

#[larder::task_fn(transient)]
fn sit_in_crowd(number: u64, keys: u32) -> u64 {
    let meeting = MEETING.get().expect("the crowd has set its meeting");
    // SAFETY: `crowd_hits` set it from a reference that outlives the call which runs this body, on this thread.
    let meeting = unsafe { &*meeting };
    STINT.set(Some(meeting.hits(keys, plain)));
    number
}

fn crowd_hits(meeting: &Meeting, keys: u32) -> Stint {
    MEETING.set(Some(std::ptr::from_ref(meeting)));
    sit_in_crowd(next_number(), keys);
    MEETING.set(None);
    STINT.take().expect("a new sitting always runs, on the thread that asks for it")
}
