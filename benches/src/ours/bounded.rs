//! Larder under a cap on memory.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use larder::{Input, Runtime, task_fn};

use crate::allocation::LiveBytes;
use crate::lane::{Lane, timed};
use crate::work::{cpu_time, text_of};

/// The misses of one session.
const SESSION: u64 = 1000;

/// A result of two hundred bytes.
#[task_fn(transient)]
fn page(key: u64) -> String {
    text_of(key)
}

#[task_fn(transient)]
fn reads_hub(key: u64, hub: Input<u64>) -> u64 {
    key + hub.get()
}

/// The bytes of one `page` task, by the runtime's own account.
fn bytes_of_a_page() -> usize {
    let runtime = Runtime::new();
    runtime.run(|| (0..1000).for_each(|key| _ = page(key)));
    runtime.memory().bytes / 1000
}

/// The greatest ratio of live bytes, at the beginning of a session, to the cap, while ten times the cap goes through.
#[must_use]
pub fn live_against_cap(cap: usize) -> f64 {
    let sessions = (10 * cap / bytes_of_a_page()) as u64 / SESSION;
    let live = LiveBytes::begin();
    let runtime = Runtime::builder().memory_cap(cap).build();
    let most = (0..sessions).map(|session| {
        runtime.run(|| {
            let bytes = live.now();
            (session * SESSION..(session + 1) * SESSION).for_each(|key| _ = black_box(page(key)));
            bytes
        })
    });
    let most = most.max().unwrap_or(0);
    most as f64 / cap as f64
}

/// First calls in sessions of a thousand: in a runtime that has reached its cap, or in one without.
#[must_use]
pub fn misses(capped: bool) -> Lane {
    let pages = 50_000;
    let make = move || match capped {
        true => Runtime::builder().memory_cap(pages * bytes_of_a_page()).build(),
        false => Runtime::new(),
    };
    let mut key = 0;
    let mut session = move |runtime: &Runtime| {
        runtime.run(|| {
            for _ in 0..SESSION {
                _ = black_box(page(black_box(key)));
                key += 1;
            }
        });
    };
    let mut runtime = make();
    let mut before = 0;
    Box::new(move || {
        // Without a cap it is as full as the other one on the average.
        if before == 0 || !capped && runtime.stats().tasks > pages * 3 / 2 {
            runtime = make();
            (0..pages as u64 * if capped { 2 } else { 1 } / 2 / SESSION).for_each(|_| session(&runtime));
            before = 1;
        }
        timed(SESSION as u32 * 10, || (0..10).for_each(|_| session(&runtime)))
    })
}

/// A race of hits with a cap that is set and not reached, or without one.
#[must_use]
pub fn hits(keys: u32, capped: bool) -> Lane {
    let builder = Runtime::builder();
    let runtime = if capped { builder.memory_cap(1 << 40).build() } else { builder.build() };
    runtime.run(|| (0..u64::from(keys)).for_each(|key| _ = hit(key)));
    Box::new(move || {
        let count = keys.max(100_000);
        runtime.run(|| {
            (0..keys).for_each(|key| _ = black_box(hit(u64::from(key))));
            timed(count, || {
                let mut key = 0;
                for _ in 0..count {
                    black_box(hit(black_box(u64::from(key))));
                    key = if key + 1 == keys { 0 } else { key + 1 };
                }
            })
        })
    })
}

#[task_fn(transient)]
fn hit(key: u64) -> u64 {
    key
}

/// First calls without eviction: with a cap that is not reached, or without one.
#[must_use]
pub fn builds(capped: bool) -> Lane {
    Box::new(move || {
        let builder = Runtime::builder();
        let runtime = if capped { builder.memory_cap(1 << 40).build() } else { builder.build() };
        runtime.run(|| timed(20_000, || (0..20_000).for_each(|key| _ = black_box(hit(black_box(key))))))
    })
}

/// The CPU nanoseconds that it takes to free a task, of which 100,000 read one input.
#[must_use]
pub fn freeing() -> f64 {
    let runtime = Runtime::new();
    let hub = runtime.input("hub", 1);
    runtime.run(|| {
        (0..200_000).for_each(|key| _ = hit(key));
        (0..100_000).for_each(|key| _ = reads_hub(key, hub.clone()));
    });
    let start = cpu_time();
    let swept = runtime.shrink_to(0).expect("no session is open");
    (cpu_time() - start) / swept.freed as f64
}

/// The longest that a slice has held the gate while a million tasks were freed, and sessions of another thread went on, in milliseconds.
#[must_use]
pub fn longest_pause() -> f64 {
    let runtime = Runtime::new();
    let hub = runtime.input("hub", 1);
    runtime.run(|| {
        (0..900_000).for_each(|key| _ = hit(key));
        (0..100_000).for_each(|key| _ = reads_hub(key, hub.clone()));
    });
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ends.load(Relaxed) {
                runtime.run(|| ());
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        runtime.shrink_to(0).expect("no session is open");
        ends.store(true, Relaxed);
    });
    runtime.memory().longest_slice.as_secs_f64() * 1e3
}

/// The share of hits on a trace of keys, in sessions of a hundred, with room for so many results.
#[must_use]
pub fn hit_ratio(trace: &[u64], room: usize) -> f64 {
    let runtime = Runtime::builder().memory_cap(room * bytes_of_a_page()).build();
    for keys in trace.chunks(100) {
        runtime.run(|| keys.iter().for_each(|key| _ = page(*key)));
    }
    let runs = runtime.stats().get("page").map_or(0, |function| function.runs);
    1.0 - runs as f64 / trace.len() as f64
}
