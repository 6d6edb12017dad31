//! Edits of wide graphs, with a store and without one in turn.

use super::stored::{folder, open};
use larder::{Input, Runtime};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

/// The inputs of one graph. Not part of any key: each runtime has one graph of a kind.
#[derive(Clone)]
struct Cells(Arc<[Input<u64>]>);

impl Cells {
    fn new(runtime: &Runtime, cells: u32) -> Self {
        Self((0..cells).map(|number| runtime.input(&format!("cell {number}"), u64::from(number))).collect())
    }

    fn set(&self, runtime: &Runtime, cell: u32, value: u64) {
        let set = runtime.update(|update| update.set(&self.0[cell as usize], value));
        set.expect("no session is open");
    }
}

#[larder::task_fn]
fn sum_of_all(#[skip] cells: &Cells) -> u64 {
    cells.0.iter().map(Input::get).sum()
}

#[larder::task_fn]
fn reader(#[skip] cells: &Cells, number: u32) -> u64 {
    cells.0[0].get() + u64::from(number)
}

#[larder::task_fn]
fn sum_of_readers(#[skip] cells: &Cells, readers: u32) -> u64 {
    (0..readers).map(|number| reader(cells, number)).sum()
}

/// Seconds of one edit: the update, and the root asked again.
pub struct Edit {
    /// Without a store.
    pub without: f64,
    /// With one. Writing behind goes on meanwhile, as it does for a user.
    pub with: f64,
}

/// Edits of a task that reads `reads` inputs, of which one changes.
pub fn many_reads(reads: u32) -> Vec<Edit> {
    edits(20, reads, |cells, runtime, edit| {
        cells.set(runtime, (edit * 7919) % reads, 1 << 40 | u64::from(edit));
        runtime.run(|| sum_of_all(cells))
    })
}

/// Edits of an input that `readers` tasks read.
pub fn many_readers(readers: u32) -> Vec<Edit> {
    edits(8, 1, |cells, runtime, edit| {
        cells.set(runtime, 0, 1 << 40 | u64::from(edit));
        runtime.run(|| sum_of_readers(cells, readers))
    })
}

/// So many edits after two that are not counted, each in both runtimes.
fn edits(count: u32, cells: u32, edit: impl Fn(&Cells, &Runtime, u32) -> u64) -> Vec<Edit> {
    let folder = folder();
    let runtimes = [Runtime::new(), open(&folder.path().join("store"))];
    let both = runtimes.map(|runtime| (Cells::new(&runtime, cells), runtime));
    let seconds = |number: u32| {
        both.each_ref().map(|(cells, runtime)| {
            let start = Instant::now();
            let value = black_box(edit(cells, runtime, number));
            (start.elapsed().as_secs_f64(), value)
        })
    };
    let rounds = (0..count + 2).map(|number| {
        let [(without, expected), (with, value)] = seconds(number);
        assert_eq!(value, expected, "a wrong value");
        Edit { without, with }
    });
    rounds.skip(2).collect()
}
