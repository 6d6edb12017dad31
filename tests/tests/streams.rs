//! Streams: bounded, as completed, nothing taken before there is room, nothing left behind.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use larder::{Input, Runtime, stream, task_fn};
use smol::Timer;

fn runs(rt: &Runtime, name: &str) -> u64 {
    rt.stats().get(name).map_or(0, |function| function.runs)
}

#[test]
fn at_most_the_limit_runs_at_once_and_items_are_taken_when_there_is_room() {
    let (running, most, taken) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let items = (0..50usize).inspect(|_| {
        taken.fetch_add(1, SeqCst);
        assert!(running.load(SeqCst) < 4, "an item was taken although there was no room");
    });
    let all = smol::block_on(
        stream(items, 4, async |n| {
            most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
            Timer::after(Duration::from_micros(n as u64 % 5 * 100)).await;
            running.fetch_sub(1, SeqCst);
            n
        })
        .collect(),
    );
    assert_eq!(all, (0..50).collect::<Vec<_>>());
    assert_eq!((most.load(SeqCst), taken.load(SeqCst)), (4, 50));
}

#[test]
fn results_come_as_they_complete_and_a_straggler_holds_nobody_up() {
    let mut order = Vec::new();
    let handed_out = &AtomicUsize::new(0);
    smol::block_on(async {
        let mut results = stream(0..20u64, 5, async |n| {
            // The straggler ends when all others have been handed out.
            while n == 0 && handed_out.load(SeqCst) < 19 {
                Timer::after(Duration::from_millis(1)).await;
            }
            Timer::after(Duration::from_millis(2)).await;
            n
        });
        while let Some((item, n)) = results.next().await {
            assert_eq!(item as u64, n);
            order.push(n);
            handed_out.fetch_add(1, SeqCst);
        }
        assert_eq!(results.next().await, None);
    });
    assert_eq!(*order.last().unwrap(), 0);
    assert_eq!(order.len(), 20);
}

#[task_fn(transient)]
async fn fetched(input: Input<u64>) -> u64 {
    Timer::after(Duration::from_micros(300)).await;
    input.get()
}

#[task_fn(transient)]
async fn total(inputs: Vec<Input<u64>>) -> u64 {
    let mut all = stream(inputs, 8, fetched);
    let mut sum = 0;
    while let Some((_, n)) = all.next().await {
        sum += n;
    }
    sum
}

#[test]
fn what_a_stream_reads_is_a_dependency_of_its_task() {
    let rt = Runtime::new();
    let inputs: Vec<_> = (0..100).map(|n| rt.input(&format!("in{n}"), n)).collect();
    let sum = || smol::block_on(rt.run_async(async { total(inputs.clone()).await }));
    assert_eq!(sum(), 4950);
    for at in [0, 50, 99] {
        rt.update(|u| u.set(&inputs[at], 1000)).unwrap();
        sum();
    }
    assert_eq!(sum(), 4950 + 3000 - 149);
    assert_eq!((runs(&rt, "total"), runs(&rt, "fetched")), (4, 103));
}

#[test]
fn dropping_a_stream_ends_what_it_runs() {
    #[task_fn(transient)]
    async fn endless(n: u64, #[skip] live: Arc<AtomicUsize>) -> u64 {
        struct Live(Arc<AtomicUsize>);
        impl Drop for Live {
            fn drop(&mut self) {
                self.0.fetch_sub(1, SeqCst);
            }
        }
        live.fetch_add(1, SeqCst);
        let _live = Live(live.clone());
        std::future::pending::<()>().await;
        n
    }
    let (rt, live) = (Runtime::new(), Arc::<AtomicUsize>::default());
    let input = rt.input("in", 1);
    smol::block_on(rt.run_async(async {
        let mut all = stream(0..100, 10, |n| endless(n, live.clone()));
        assert!(smol::future::poll_once(all.next()).await.is_none());
        assert_eq!(live.load(SeqCst), 10);
    }));
    assert_eq!(live.load(SeqCst), 0);
    rt.update(|u| u.set(&input, 2)).unwrap();
}

#[test]
fn a_stream_goes_on_after_a_panic() {
    let mut numbers = Vec::new();
    let mut all = stream(0..10, 3, async |n: u32| {
        smol::future::yield_now().await;
        assert_ne!(n, 4, "not four");
        n
    });
    let mut panics = 0;
    loop {
        match catch_unwind(AssertUnwindSafe(|| smol::block_on(all.next()))) {
            Ok(Some((_, n))) => numbers.push(n),
            Ok(None) => break,
            Err(_) => panics += 1,
        }
    }
    numbers.sort_unstable();
    assert_eq!((panics, numbers), (1, vec![0, 1, 2, 3, 5, 6, 7, 8, 9]));
}
