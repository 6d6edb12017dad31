//! A graph that is larger than memory: with a store, the reads of stored tasks go as well.

use std::cell::RefCell;

use larder::storage::MemoryStorage;
use larder::{Input, Runtime, Task, task_fn};

use super::runs_of;

const INPUTS: u32 = 100;
const WIDTH: u32 = 500;
const READS: u32 = 10;

thread_local! {
    static TEXTS: RefCell<Vec<Input<u64>>> = const { RefCell::new(Vec::new()) };
}

/// A task of a layer reads ten of the layer below, and those of the lowest one read an input each.
#[task_fn]
fn cell(layer: u32, at: u32) -> u64 {
    if layer == 0 {
        return TEXTS.with_borrow(|texts| texts[(at % INPUTS) as usize].get()) / 16;
    }
    read_by(at).fold(layer.into(), |sum, below| mixed(sum, cell(layer - 1, below)))
}

#[task_fn]
fn all(layer: u32) -> u64 {
    (0..WIDTH).fold(0, |sum, at| mixed(sum, cell(layer, at)))
}

fn read_by(at: u32) -> impl Iterator<Item = u32> {
    (0..READS).map(move |read| (at * 7 + read * 31) % WIDTH)
}

fn mixed(sum: u64, value: u64) -> u64 {
    sum.wrapping_mul(31).wrapping_add(value) % 1_000_003
}

/// All layers, without a cache.
fn from_scratch(texts: &[u64], layers: u32) -> Vec<Vec<u64>> {
    let lowest = (0..WIDTH).map(|at| texts[(at % INPUTS) as usize] / 16).collect();
    let mut made: Vec<Vec<u64>> = vec![lowest];
    for layer in 1..layers {
        let below = &made[layer as usize - 1];
        let of = |at| read_by(at).fold(layer.into(), |sum, read| mixed(sum, below[read as usize]));
        let next = (0..WIDTH).map(of).collect();
        made.push(next);
    }
    made
}

/// A runtime over the graph, with a handle to its root.
struct Graph {
    runtime: Runtime,
    texts: Vec<Input<u64>>,
    root: Task<u64>,
    layers: u32,
}

impl Graph {
    fn new(cap: Option<usize>, layers: u32, values: &[u64]) -> Self {
        let builder = Runtime::builder();
        let builder = if let Some(cap) = cap { builder.memory_cap(cap) } else { builder };
        let runtime = builder.storage(MemoryStorage::new()).build();
        let input = |(at, value): (usize, &u64)| runtime.input(&format!("text {at}"), *value);
        let texts = values.iter().enumerate().map(input).collect();
        let root = runtime.run(|| all::task(layers - 1));
        Self { runtime, texts, root, layers }
    }

    /// The root, and how many bodies have run for it.
    fn ask(&self) -> (u64, u64) {
        TEXTS.set(self.texts.clone());
        let before = self.runtime.stats().runs();
        let value = self.runtime.run(|| self.root.get());
        let runs = self.runtime.stats().runs() - before;
        self.runtime.flush().expect("nothing is wrong with the store");
        // One session finds that all is committed, and in the next one it goes.
        (0..2).for_each(|_| self.runtime.run(|| ()));
        (value, runs)
    }

    fn set(&self, at: u32, value: u64) {
        let set = self.runtime.update(|update| update.set(&self.texts[at as usize], value));
        set.expect("no session is open");
    }

    /// Asks for every task, in sessions of a layer each.
    fn check_all(&self, values: &[u64]) {
        for (layer, cells) in from_scratch(values, self.layers).iter().enumerate() {
            self.runtime.run(|| {
                for (at, value) in cells.iter().enumerate() {
                    assert_eq!(cell(layer as u32, at as u32), *value, "{layer} {at}");
                }
            });
            self.check_cap();
        }
    }

    fn check_cap(&self) {
        self.runtime.flush().expect("nothing is wrong with the store");
        (0..2).for_each(|_| self.runtime.run(|| ()));
        let memory = self.runtime.memory();
        assert!(memory.bytes <= memory.cap.unwrap_or(usize::MAX), "{memory}");
    }
}

fn check(layers: u32) {
    let mut values: Vec<u64> = (0..u64::from(INPUTS)).map(|at| at * 100).collect();
    let whole = Graph::new(None, layers, &values);
    let root = |values: &[u64]| {
        let top = &from_scratch(values, layers)[layers as usize - 1];
        top.iter().fold(0, |sum, value| mixed(sum, *value))
    };
    assert_eq!(whole.ask().0, root(&values));
    let cap = whole.runtime.memory().bytes / 10;
    let part = Graph::new(Some(cap), layers, &values);
    assert_eq!(part.ask().0, root(&values));
    part.check_cap();
    // The root is held, and with it was all of the graph.
    assert!(part.runtime.stats().tasks < whole.runtime.stats().tasks / 5, "{}", part.runtime.memory());
    part.check_all(&values);
    let edits = [
        (3, 301, "stays what it was"),
        (3, 7777, "reaches nearly all"),
        (3, 300, "goes back"),
        (50, 9, "again"),
    ];
    for (at, value, what) in edits {
        values[at as usize] = value;
        whole.set(at, value);
        part.set(at, value);
        let (expected, runs) = whole.ask();
        assert_eq!(expected, root(&values), "{what}");
        assert_eq!(part.ask(), (expected, runs), "{what}: the same value by the same number of bodies");
        part.check_cap();
    }
    let runs = runs_of(&part.runtime, "cell");
    part.check_all(&values);
    assert_eq!(runs_of(&part.runtime, "cell"), runs, "all of it is in the store");
}

#[test]
fn a_session_over_a_graph_of_ten_times_the_cap_keeps_values_and_runs_no_more_bodies() {
    check(20);
}

/// 100,000 tasks with ten reads each: minutes without optimization.
#[test]
#[ignore = "takes long; run it after a change of sweeps or of what is restored"]
fn a_graph_of_100_000_tasks_and_a_million_reads() {
    check(200);
}
