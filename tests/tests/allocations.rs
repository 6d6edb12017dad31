//! Allocations of hits, misses and lost races, counted by the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};

use larder::{Runtime, Task, task_fn};

/// Counts what each thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// The size of allocations that are counted by themselves, and how many there were.
    static OF_SIZE: Cell<(usize, usize)> = const { Cell::new((usize::MAX, 0)) };
}

fn count(layout: Layout) {
    // Fails while a thread ends, when nothing counts any more.
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

#[task_fn(transient)]
async fn sum_at_once(a: u64, b: u64) -> u64 {
    std::future::ready(a + b).await
}

/// Ready when it is polled again.
#[derive(Default)]
struct Later(bool);

impl Future for Later {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[task_fn(transient)]
async fn sum_later(a: u64, b: u64) -> u64 {
    Later::default().await;
    a + b
}

/// Each waits for the one before, so a miss is counted that waits for a miss, inside of a task.
#[task_fn(transient)]
async fn sum_of_later(n: u64, salt: u64) -> u64 {
    sum_later(n, salt).await
}

/// Polls until there is a value, with a waker that does nothing.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

/// Counts the allocations of `MISSES` misses, divided by them. Tables and lists grow now and then; rounded, that is nothing.
async fn per_miss<F: Future<Output = u64>>(misses: u64, call: impl Fn(u64) -> F) -> f64 {
    let before = ALLOCATIONS.get();
    for n in 0..misses {
        black_box(call(n).await);
    }
    let each = (ALLOCATIONS.get() - before) as f64 / misses as f64;
    (each * 10.0).round() / 10.0
}

#[test]
fn an_async_miss_allocates_its_node_and_one_box() {
    const MISSES: u64 = 10_000;
    let runtime = Runtime::new();
    block_on(runtime.run_async(async {
        for n in 0..100 {
            assert_eq!(sum_at_once(n, 8).await + sum_later(n, 8).await, 2 * (n + 8));
        }
        let at_once = per_miss(MISSES, |n| sum_at_once(n, 9)).await;
        assert!(at_once <= 2.0, "{at_once} for a body that does not wait");
        let later = per_miss(MISSES, |n| sum_later(n, 9)).await;
        assert!(later <= 2.0, "{later} for a body that waits");
        // Two misses, and the outer one's list of reads and the inner one's of readers: their edges.
        let nested = per_miss(MISSES, |n| sum_of_later(n, 10)).await;
        assert!(nested <= 6.0, "{nested} for a body that waits for another one");
    }));
}

#[task_fn(transient, volatile)]
async fn async_hits_inside(salt: u64) -> usize {
    for n in 0..100 {
        sum_at_once(n, salt).await;
    }
    let before = ALLOCATIONS.get();
    for n in 0..200 {
        black_box(sum_at_once(n % 100, salt).await);
    }
    ALLOCATIONS.get() - before
}

#[test]
fn an_async_hit_allocates_nothing() {
    let runtime = Runtime::new();
    block_on(runtime.run_async(async { async_hits_inside(11).await }));
    block_on(runtime.run_async(async { async_hits_inside(11).await }));
    let hits = block_on(runtime.run_async(async { async_hits_inside(11).await }));
    assert_eq!(hits, 0);
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
        // A thread's own record, made once, is large, too.
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
