//! Tasks that come and go leave nothing behind: live bytes are counted before and after many equal rounds.
//!
//! A round begins and ends with nothing but the runtime. Lists, tables and thread caches may keep the room that a round took at
//! most, so a few rounds go before the first count; from then on more rounds must not take more memory.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

mod forgotten;
mod inputs;
mod on_disk;
mod store;

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use larder::storage::{MemoryStorage, Table};
use larder::testing::advance_clock;
use larder::{Builder, CancelToken, Input, Runtime, Task, emit, task_fn};
use std::sync::{Mutex, MutexGuard};

/// Counts the bytes that are allocated and not freed.
struct Counting;

static LIVE: AtomicI64 = AtomicI64::new(0);

fn size(layout: Layout) -> i64 {
    i64::try_from(layout.size()).unwrap_or(i64::MAX)
}

// SAFETY: passes everything on to the system's allocator; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(size(layout), Relaxed);
        // SAFETY: passed on to the caller.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(size(layout), Relaxed);
        // SAFETY: passed on to the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// One test at a time, as all of the process is counted.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(|poison| poison.into_inner())
}

/// How many of what comes and goes there are in a round.
const MANY: u64 = 200;

/// Fails if rounds leave something behind, be it a few bytes of each thing. Each round is on a thread of its own, whose caches end
/// with it: these grow and shrink as it suits them.
fn check(name: &str, round: impl Fn(u64) + Sync) {
    let _alone = alone();
    let live = |rounds: std::ops::Range<u64>| {
        for number in rounds {
            std::thread::scope(|scope| {
                let round = scope.spawn(|| round(number));
                round.join().unwrap_or_else(|_| panic!("{name}: round {number} failed"));
            });
        }
        LIVE.load(Relaxed)
    };
    let before = live(0..8);
    let after = live(8..28);
    // A list may have more room than before; but there are hundreds of things in all, mostly thousands.
    let left = after - before;
    if left >= 8192 {
        // A table that has grown for a while has as much room from then on; what stays behind goes on growing.
        let left = live(28..108) - after;
        assert!(left < 16384, "{name}: 80 rounds leave {left} bytes behind");
    }
}

/// Fails if rounds of a runtime leave something behind, in memory or among its tasks.
fn check_in(name: &str, runtime: &Runtime, round: impl Fn(&Runtime, u64) + Sync) {
    let before = runtime.activity().tasks;
    check(name, |number| {
        round(runtime, number);
        // The last one left something to others: values that are dropped let go of further handles.
        (0..3).for_each(|_| runtime.run(|| ()));
    });
    assert_eq!(runtime.activity().tasks, before, "{name}: tasks stay");
}

#[task_fn(transient)]
fn small(n: u64) -> u64 {
    n
}

#[task_fn(transient)]
fn text(n: u64) -> String {
    format!("a text of some length, number {n}")
}

#[task_fn(transient)]
fn length(of: &Input<String>) -> u64 {
    of.with(|text| text.len() as u64)
}

#[task_fn(transient)]
fn twice(of: &Input<String>) -> u64 {
    length(of) * 2
}

#[task_fn(transient)]
fn all(of: &[Input<String>]) -> u64 {
    of.iter().map(twice).sum()
}

#[task_fn(transient)]
fn fails(n: u64) -> u64 {
    if n < u64::MAX {
        // The panic hook would print, and what tests print is kept in memory.
        std::panic::resume_unwind(Box::new("as it should"));
    }
    n
}

#[task_fn(transient)]
fn in_a_ring(n: u64, left: u64) -> u64 {
    if left == 0 { in_a_ring(n, 5) } else { in_a_ring(n, left - 1) + 1 }
}

#[task_fn(transient, cycle_initial = 0)]
fn resolved(n: u64, left: u64) -> u64 {
    if left == 0 { resolved(n, 5).min(7) } else { resolved(n, left - 1) }
}

#[task_fn(transient)]
fn emits(n: u64) -> u64 {
    emit(format!("emitted by {n}"));
    n
}

#[task_fn(transient)]
fn handles(n: u64) -> Vec<Task<u64>> {
    (0..4).map(|k| small::task(n * 4 + k)).collect()
}

#[task_fn(transient)]
fn size_of(path: &Path) -> usize {
    larder::fs::read(path).map_or(0, |bytes| bytes.len())
}

#[task_fn(transient)]
async fn later(n: u64) -> u64 {
    std::future::ready(n).await
}

#[task_fn(transient)]
async fn later_twice(n: u64) -> u64 {
    later(n).await * 2
}

#[test]
fn threads_that_come_and_go_leave_nothing() {
    let runtime = Runtime::new();
    runtime.run(|| (0..2000).map(small).sum::<u64>());
    check_in("threads", &runtime, |runtime, _| {
        for _ in 0..MANY / 20 {
            // One that asks for few tasks, one for as many as take a far part of its cache, one inside of a nested runtime, and
            // one that drives futures.
            std::thread::scope(|scope| {
                let threads = [
                    scope.spawn(|| runtime.run(|| small(1))),
                    scope.spawn(|| {
                        runtime.run(|| (0..2000).map(small).sum::<u64>());
                        runtime.run(|| (0..2000).map(small).sum::<u64>())
                    }),
                    scope.spawn(|| Runtime::new().run(|| runtime.run(|| small(2)))),
                    scope.spawn(|| smol::block_on(runtime.run_async(async { small(3) }))),
                ];
                // The end of a scope does not wait for what threads drop at their end.
                threads.into_iter().for_each(|thread| assert!(thread.join().is_ok()));
            });
        }
    });
}

#[test]
fn runtimes_that_are_dropped_leave_nothing() {
    check("runtimes", |_| {
        for _ in 0..MANY / 20 {
            let runtime = Runtime::new();
            let input = runtime.transient_input("x", "a text".to_owned());
            runtime.run(|| (twice(&input), small(1), text(1), small::task(7).get(), handles(3)));
            runtime.run(|| (text::forget(1), small::forget(1), handles::forget(3)));
            runtime.update(|update| update.remove(&input)).unwrap();
        }
    });
}

fn inputs(runtime: &Runtime, round: u64) -> Vec<Input<String>> {
    (0..MANY).map(|n| runtime.transient_input(&format!("{round} {n}"), "x".repeat(100))).collect()
}

#[test]
fn tokens_and_empty_sessions_leave_nothing() {
    let runtime = Runtime::new();
    check_in("tokens", &runtime, |runtime, _| {
        for n in 0..MANY {
            let token = CancelToken::with_timeout(Duration::from_secs(60 + n));
            runtime.session().token(&token).try_run(|| ()).unwrap();
            let token = CancelToken::new();
            token.cancel();
            runtime.session().token(&token).try_run(|| ()).unwrap_err();
        }
    });
}

#[test]
fn sources_that_are_not_read_any_more_are_not_looked_at_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..10).map(|n| folder.path().join(format!("file {n}"))).collect();
    paths.iter().for_each(|path| std::fs::write(path, "content").unwrap());
    let runtime = Runtime::new();
    check_in("sources", &runtime, |runtime, _| {
        runtime.run(|| paths.iter().map(|path| size_of(path)).sum::<usize>());
        runtime.run(|| paths.iter().for_each(|path| _ = size_of::forget(path)));
        runtime.run(|| ());
        runtime.refresh().unwrap();
        runtime.run(|| ());
        assert_eq!(runtime.refresh().unwrap().checked, 0);
    });
}
