//! Larder, one call: hits inside a running task, so that the dependency is recorded, and first calls.

use crate::allocation::allocations;
use crate::crowd::{Meeting, Stint, crowd};
use crate::lane::{Lane, Sample, footprint, hits_per_sample, in_turn, repeated_hits, timed};
use crate::work::{List, Shape, Work, body, body_str, next, strings};
use larder::{Input, Runtime};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

#[larder::task_fn(transient)]
fn plain(key: u32) -> u64 {
    body(key)
}

#[larder::task_fn(transient)]
fn named(name: &str) -> u64 {
    body_str(name)
}

#[larder::task_fn(transient)]
async fn awaited(key: u32) -> u64 {
    std::future::ready(body(key)).await
}

/// The object that is called through `dyn Trait`.
trait Bodied {
    fn body(&self, key: u32) -> u64;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Trivial;

impl Bodied for Trivial {
    #[larder::task_fn(transient)]
    fn body(&self, key: u32) -> u64 {
        body(key)
    }
}

/// The work of a sitting inside of its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sitting {
    Value,
    Name,
    Handle,
    Object,
}

thread_local! {
    /// The measurement of the last sitting on this thread.
    static MEASURED: Cell<Option<Sample>> = const { Cell::new(None) };
    /// The measurement of the crowd's task on this thread, and where it has to meet the others.
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
        Sitting::Object => {
            let object: Box<dyn Bodied> = black_box(Box::new(Trivial));
            repeated_hits(keys, |key| object.body(key))
        }
    };
    MEASURED.set(Some(sample));
    number
}

/// Runs the sitting in an async task, with each hit awaited.
#[larder::task_fn(transient)]
#[allow(dead_code, reason = "asked by its handle only")]
async fn sit_async(number: u64, keys: u32) -> u64 {
    let count = hits_per_sample(keys);
    awaited_in_turn(keys, keys).await;
    let before = allocations();
    let start = Instant::now();
    awaited_in_turn(keys, count).await;
    let elapsed = start.elapsed();
    let allocations = allocations() - before;
    MEASURED.set(Some(Sample {
        cost: elapsed.as_nanos() as f64 / f64::from(count),
        allocations: allocations as f64 / f64::from(count),
        cold: None,
    }));
    number
}

async fn awaited_in_turn(keys: u32, count: u32) {
    let mut key = 0;
    for _ in 0..count {
        black_box(awaited(black_box(key)).await);
        key = next(key, keys);
    }
}

/// A number that no sitting has had.
pub(super) fn next_number() -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

pub(super) fn enter(work: Work) -> Option<Lane> {
    match work {
        Work::Hit { keys } => sittings(Sitting::Value, keys),
        Work::HitStr { keys } => sittings(Sitting::Name, keys),
        Work::HitList { inputs, how } => lists(inputs, how),
        Work::HitShape(Shape::Sync) => sittings(Sitting::Value, 100),
        Work::HitShape(Shape::Borrowed) => sittings(Sitting::Name, 100),
        Work::HitShape(Shape::Handle) => sittings(Sitting::Handle, 100),
        Work::HitShape(Shape::DynTrait) => sittings(Sitting::Object, 100),
        Work::HitShape(Shape::Async) => async_sittings(100),
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

/// The inputs of a list, as an input holds them.
type Inputs = Arc<[Input<u64>]>;

#[larder::task_fn(transient)]
fn first_of(list: &[Input<u64>]) -> u64 {
    list[0].get()
}

#[larder::task_fn(transient)]
fn first_held(list: &Input<Inputs>) -> u64 {
    list.with(|list| list[0].get())
}

/// A sample takes this many hits of a list: a slice of 10,000 takes tens of microseconds.
const LIST_HITS: u32 = 50;

fn lists(inputs: u32, how: List) -> Option<Lane> {
    let runtime = Runtime::new();
    let list: Inputs =
        (0..inputs).map(|number| runtime.input(&format!("{number}"), u64::from(number))).collect();
    let held = runtime.input("list", Arc::clone(&list));
    Some(Box::new(move || {
        runtime.run(|| {
            let hit = || match how {
                List::Slice => first_of(black_box(&list)),
                List::Held => first_held(black_box(&held)),
            };
            hit();
            timed(LIST_HITS, || {
                for _ in 0..LIST_HITS {
                    black_box(hit());
                }
            })
        })
    }))
}

fn sittings(sitting: Sitting, keys: u32) -> Option<Lane> {
    let runtime = Runtime::new();
    Some(Box::new(move || {
        runtime.run(|| sit(next_number(), sitting, keys));
        MEASURED.take().expect("a new sitting always runs")
    }))
}

/// A thread that reads the handle of an async task drives it, so no executor is needed.
fn async_sittings(keys: u32) -> Option<Lane> {
    let runtime = Runtime::new();
    Some(Box::new(move || {
        runtime.run(|| sit_async::task(next_number(), keys).get());
        MEASURED.take().expect("a new sitting always runs, on the thread that drives it")
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
