//! What hits, misses and lost races allocate, counted by the allocator.
#![allow(dead_code, reason = "task functions used by their companions only seem unused to the compiler")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::Barrier;

use larder::{Runtime, Task, task_fn};

/// Counts what each thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// The size of allocations that are counted by themselves, and how many there were.
    static OF_SIZE: Cell<(usize, usize)> = const { Cell::new((usize::MAX, 0)) };
}

fn count(layout: Layout) {
    // Fails while a thread ends, when nobody counts any more.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
    let _ = OF_SIZE.try_with(|of| {
        let (size, count) = of.get();
        of.set((size, count + usize::from(layout.size() >= size)));
    });
}

// SAFETY: passes everything on to the system's allocator; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout);
        // SAFETY: passed on to the caller.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: passed on to the caller.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout);
        // SAFETY: passed on to the caller.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How often this thread allocates during `work`.
fn allocations<R>(work: impl FnOnce() -> R) -> usize {
    let before = ALLOCATIONS.get();
    black_box(work());
    ALLOCATIONS.get() - before
}

#[task_fn(transient)]
fn sum(a: u64, b: u64) -> u64 {
    a + b
}

#[task_fn(transient)]
fn length(text: &str) -> usize {
    text.len()
}

#[task_fn(transient)]
fn of_slice(items: &[u32], offset: Option<u8>) -> usize {
    items.len() + usize::from(offset.unwrap_or(0))
}

#[task_fn(transient)]
fn list(n: usize) -> Vec<u8> {
    vec![0; n]
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Square(u32);

trait Shape {
    fn area(&self, scale: u32) -> u32;
}

impl Shape for Square {
    #[task_fn(transient)]
    fn area(&self, scale: u32) -> u32 {
        self.0 * self.0 * scale
    }
}

impl Square {
    #[task_fn(transient)]
    fn side(&self) -> u32 {
        self.0
    }
}

/// Many keys, so that some are found in the thread's cache and some in the table only.
fn check_hits<R>(name: &str, call: impl Fn(u32) -> R) {
    for keys in [1, 100, 20_000] {
        (0..keys).for_each(|key| drop(call(key)));
        let hits = allocations(|| (0..keys * 2).for_each(|key| drop(black_box(call(key % keys)))));
        assert_eq!(hits, 0, "{name} with {keys} keys");
    }
}

/// Calls made by a task: their reads are recorded, in a list that has grown before.
#[task_fn(transient, volatile)]
fn hits_inside(text: &str) -> usize {
    (0..100).for_each(|n| _ = (sum(n, n), length(text)));
    allocations(|| (0..200).for_each(|n| _ = (sum(n % 100, n % 100), length(text))))
}

#[test]
fn a_hit_allocates_nothing() {
    let text = "borrowed ".repeat(4000);
    let objects: Vec<Box<dyn Shape>> = vec![Box::new(Square(3)), Box::new(Square(4))];
    let runtime = Runtime::new();
    runtime.run(|| {
        check_hits("a call by value", |n| sum(n.into(), 1));
        check_hits("a borrowed str", |n| length(&text[..n as usize]));
        check_hits("a borrowed slice", |n| of_slice(&[n, 1, 2], Some(1)));
        check_hits("a method", |n| Square(n % 50).side());
        check_hits("a method through dyn Trait", |n| objects[n as usize % 2].area(n));
        check_hits("a borrowed output", |n| list::with(n as usize % 64, Vec::len));
        check_hits("asking whether a call is cached", |n| sum::is_cached(n.into(), 1));
        let handles: Vec<Task<u64>> = (0..20_000).map(|n| sum::task(n, 2)).collect();
        check_hits("a handle", |n| handles[n as usize].get());
        check_hits("a handle, cloned", |n| handles[n as usize].clone());
    });
    // With a thread cache that has room. The list of reads grows in the first runs; a later one is predicted by its
    // predecessor.
    let runtime = Runtime::new();
    runtime.run(|| hits_inside(&text));
    runtime.run(|| hits_inside(&text));
    runtime.run(|| assert_eq!(hits_inside(&text), 0));
}

#[test]
fn a_true_miss_allocates_its_node_and_owned_arguments() {
    const MISSES: usize = 10_000;
    // The table and the thread's lists grow now and then; amortised, that is less than this.
    const GROWTH: usize = MISSES / 20;
    let runtime = Runtime::new();
    let texts: Vec<String> = (0..MISSES).map(|n| format!("text number {n}")).collect();
    runtime.run(|| {
        (0..100).for_each(|n| _ = (sum(n, 3), length(&format!("{n}"))));
        let by_value = allocations(|| (0..MISSES as u64).for_each(|n| _ = sum(n, 4)));
        assert!(by_value <= MISSES + GROWTH, "{by_value} for {MISSES} misses by value");
        let borrowed = allocations(|| texts.iter().for_each(|text| _ = length(text)));
        assert!(borrowed <= MISSES * 2 + GROWTH, "{borrowed} for {MISSES} misses by str");
    });
}

/// So large that its node is told from all else by size.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Large([u64; 512]);

#[task_fn(transient)]
fn of_large(of: Large) -> u64 {
    std::thread::sleep(std::time::Duration::from_millis(1));
    of.0[0]
}

#[test]
fn a_lost_race_boxes_nothing() {
    const THREADS: usize = 4;
    const ROUNDS: u64 = 50;
    let runtime = Runtime::new();
    let barrier = Barrier::new(THREADS);
    let race = || {
        // What a thread makes once is large, too.
        runtime.run(|| sum(1, 1));
        OF_SIZE.set((size_of::<Large>(), 0));
        for round in 0..ROUNDS {
            barrier.wait();
            runtime.run(|| of_large(Large([round; 512])));
        }
        OF_SIZE.get().1
    };
    let boxed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(race)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
    });
    // One node per round, whichever thread wins, and the table's growth.
    assert!((50..55).contains(&boxed), "{boxed} large allocations for {ROUNDS} tasks");
}

const LOOPED: u64 = 30_000;

#[task_fn(transient)]
fn loops(rounds: u64) -> u64 {
    (0..LOOPED).for_each(|n| _ = sum(n, 9));
    // From here on nothing is read that has not been noted. Each round, noted anew, would need room for as much again.
    OF_SIZE.set((LOOPED as usize * 8 * 4, 0));
    (0..rounds).for_each(|_| (0..LOOPED).for_each(|n| _ = sum(n, 9)));
    rounds
}

#[test]
fn a_body_that_reads_the_same_again_and_again_takes_no_more_memory() {
    let runtime = Runtime::new();
    runtime.run(|| loops(20));
    assert_eq!(OF_SIZE.get().1, 0, "allocations that could hold four rounds of reads");
}
