//! A body that runs again is expected to read what it read before. Whatever it reads instead, its reads are what it has read: a change
//! in one of them runs it, and a change in another runs nothing.
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::thread;

use larder::{Input, Runtime, current, task_fn};
use tokio::task::yield_now;

/// More than the near part of the thread cache surely holds apart, and few enough to be drawn twice.
const CELLS: u32 = 40;

/// Cells by number, each as often as it is read.
type Order = Vec<u32>;

#[task_fn(transient)]
fn cell(input: &Input<u64>) -> u64 {
    input.get()
}

fn sum(cells: &[Input<u64>], order: &[u32]) -> u64 {
    order.iter().map(|number| cell(&cells[*number as usize])).sum()
}

#[task_fn(transient)]
fn plain(cells: &[Input<u64>], order: &Input<Order>) -> u64 {
    sum(cells, &order.get())
}

#[task_fn(transient)]
fn backwards(cells: &[Input<u64>], order: &Input<Order>) -> u64 {
    let order: Order = order.get().into_iter().rev().collect();
    sum(cells, &order)
}

/// Another body runs in the middle, which is expected to read something, too.
#[task_fn(transient)]
fn around_another(cells: &[Input<u64>], order: &Input<Order>) -> u64 {
    let order_now = order.get();
    let (first, rest) = order_now.split_at(order_now.len() / 2);
    let first = sum(cells, first);
    first + sum(cells, rest) + (backwards(cells, order) - backwards(cells, order))
}

/// The second half is read by another thread.
#[task_fn(transient)]
fn carried(cells: &[Input<u64>], order: &Input<Order>) -> u64 {
    let order = order.get();
    let (first, rest) = order.split_at(order.len() / 2);
    let carried = current();
    let rest = thread::scope(|s| s.spawn(|| carried.run(|| sum(cells, rest))).join().unwrap());
    rest + sum(cells, first)
}

#[task_fn(transient)]
async fn suspended(cells: &[Input<u64>], order: &Input<Order>) -> u64 {
    let order = order.get();
    let (first, rest) = order.split_at(order.len() / 2);
    let first = sum(cells, first);
    yield_now().await;
    first + sum(cells, rest)
}

/// The body fails behind its reads; what it has read still decides when it runs again.
#[task_fn(transient)]
fn fails(cells: &[Input<u64>], order: &Input<Order>) -> Result<u64, u64> {
    Err(sum(cells, &order.get()))
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(end)).unwrap()
    }
}

/// Returns an order of reads after an edit by a user.
fn edited(order: &[u32], random: &mut Random) -> Order {
    let mut order = order.to_vec();
    let at = random.below(u32::try_from(order.len()).unwrap() + 1) as usize;
    match random.below(9) {
        0 => order.truncate(at),
        1 => drop(order.drain(..at)),
        2 => order.rotate_left(at),
        3 => order.reverse(),
        4 => order.extend_from_within(..),
        5 => order.insert(at, random.below(CELLS)),
        6 => order = (0..random.below(CELLS)).map(|_| random.below(CELLS)).collect(),
        7 => order.dedup(),
        _ => {}
    }
    order.truncate(4 * CELLS as usize);
    order
}

/// Asks for one function over one order after another, with a change of a cell after each.
fn follow(name: &str, seed: u64, ask: impl Fn(&Runtime, &[Input<u64>], &Input<Order>) -> u64) {
    let mut random = Random(seed);
    let runtime = Runtime::new();
    let cells: Vec<_> = (0..CELLS).map(|n| runtime.input(&format!("cell {n}"), u64::from(n))).collect();
    let mut values: Vec<u64> = (0..u64::from(CELLS)).collect();
    let mut order: Order = (0..CELLS).collect();
    let input = runtime.input("order", order.clone());
    let runs = || runtime.stats().get(name).map_or(0, |function| function.runs);
    for step in 0..60 {
        let next = edited(&order, &mut random);
        let is_other = next != order || step == 0;
        order = next;
        let before = runs();
        runtime.update(|update| update.set(&input, order.clone())).unwrap();
        let expected = |values: &[u64]| order.iter().map(|n| values[*n as usize]).sum::<u64>();
        assert_eq!(ask(&runtime, &cells, &input), expected(&values), "seed {seed}, step {step}: {order:?}");
        assert_eq!(runs() - before, u64::from(is_other), "seed {seed}, step {step}: {order:?}");

        let changed = random.below(CELLS);
        values[changed as usize] += 1000;
        let before = runs();
        runtime.update(|update| update.set(&cells[changed as usize], values[changed as usize])).unwrap();
        assert_eq!(ask(&runtime, &cells, &input), expected(&values), "seed {seed}, step {step}: {order:?}");
        let is_read = order.contains(&changed);
        assert_eq!(
            runs() - before,
            u64::from(is_read),
            "seed {seed}, step {step}: {changed} changed, read were {order:?}"
        );
    }
}

#[test]
fn reads_in_any_order_are_the_reads() {
    for seed in 0..20 {
        follow("plain", seed, |runtime, cells, order| runtime.run(|| plain(cells, order)));
        follow("around_another", seed, |runtime, cells, order| runtime.run(|| around_another(cells, order)));
        follow("carried", seed, |runtime, cells, order| runtime.run(|| carried(cells, order)));
        follow("fails", seed, |runtime, cells, order| runtime.run(|| fails(cells, order)).unwrap_err());
    }
}

#[test]
fn reads_on_both_sides_of_a_suspension_are_the_reads() {
    let executor = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for seed in 100..120 {
        follow("suspended", seed, |runtime, cells, order| {
            executor.block_on(runtime.run_async(async { suspended(cells, order).await }))
        });
    }
}
