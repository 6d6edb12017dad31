//! Larder fanning out: scopes of sync items, opened inside a running task, so that what the items read would be its
//! dependencies.

use super::call::next_number;
use crate::lane::{Lane, Sample, timed};
use crate::peers::crews::{BODIES, cpu_overhead, millisecond};
use crate::work::Work;
use larder::{Runtime, par_map, scope};
use std::cell::Cell;
use std::hint::black_box;

thread_local! {
    /// The cost of the last empty scope on this thread.
    static EMPTY: Cell<Option<Sample>> = const { Cell::new(None) };
}

pub(super) fn enter(work: Work) -> Option<Lane> {
    match work {
        Work::Scope => Some(cpu_overhead(crew(2))),
        Work::ScopeEmpty => Some(empty(runtime(2))),
        Work::ScopeMillis { threads } => {
            let crew = crew(threads);
            Some(Box::new(move || timed(BODIES as u32, || crew(BODIES, millisecond))))
        }
        _ => None,
    }
}

fn runtime(threads: u32) -> Runtime {
    Runtime::builder().threads(threads as usize).build()
}

fn crew(threads: u32) -> impl Fn(u64, fn(u64) -> u64) + 'static {
    let runtime = runtime(threads);
    move |items, body| {
        runtime.run(|| fan_out(next_number(), items, body));
    }
}

/// Its number is new each time, so it always runs.
#[larder::task_fn(transient)]
fn fan_out(number: u64, items: u64, #[skip] body: fn(u64) -> u64) -> u64 {
    par_map(0..items, |item| {
        black_box(body(item));
    });
    number
}

fn empty(runtime: Runtime) -> Lane {
    Box::new(move || {
        runtime.run(|| open_empty(next_number()));
        EMPTY.take().expect("a new number always runs")
    })
}

/// The scope alone is timed, as the task around it is not its cost.
#[larder::task_fn(transient)]
fn open_empty(number: u64) -> u64 {
    EMPTY.set(Some(timed(1, || scope(|_| {}))));
    number
}
