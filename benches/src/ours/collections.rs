//! Larder's collections: folds after a change.

use crate::lane::{self, Lane, Sample};
use crate::work::{COARSE, Fold, Work};
use larder::{Input, Keys, Runtime};
use std::hint::black_box;

#[larder::task_fn(transient)]
fn leaf(input: &Input<u64>) -> u64 {
    input.get() >> COARSE
}

#[larder::task_fn(transient)]
fn flat(keys: &Keys<Input<u64>>) -> u64 {
    keys.iter().map(leaf).sum()
}

#[larder::task_fn(transient)]
fn tree(keys: &Keys<Input<u64>>) -> u64 {
    larder::transient_fold(keys, 0, leaf, |a, b| a + b)
}

pub(super) fn enter(work: Work) -> Option<Lane> {
    match work {
        Work::FoldEdit { leaves, how } => edits(leaves, how),
        Work::FoldFootprint { leaves, how } => Some(Box::new(move || footprint(leaves, how))),
        _ => None,
    }
}

fn fold(keys: &Keys<Input<u64>>, how: Fold) -> u64 {
    match how {
        Fold::Flat => flat(keys),
        Fold::Tree => tree(keys),
    }
}

fn keys(runtime: &Runtime, leaves: u32) -> Keys<Input<u64>> {
    (0..leaves).map(|number| runtime.input(&format!("leaf {number}"), u64::from(number) << COARSE)).collect()
}

/// One edit after another of one of the leaves.
fn edits(leaves: u32, how: Fold) -> Option<Lane> {
    let runtime = Runtime::new();
    let keys = keys(&runtime, leaves);
    let edited = keys.iter().nth(leaves as usize / 2)?.clone();
    runtime.run(|| fold(&keys, how));
    let mut value = u64::from(leaves) << COARSE;
    lane::edits(move || {
        value += 1 << COARSE;
        runtime.update(|update| update.set(&edited, value)).expect("no session is open");
        black_box(runtime.run(|| fold(&keys, how)));
    })
}

fn footprint(leaves: u32, how: Fold) -> Sample {
    let runtime = Runtime::new();
    let keys = keys(&runtime, leaves);
    let (_, bytes) = crate::allocation::live_bytes_of(|| {
        // On a thread that ends, since what a thread keeps for itself does not grow with the graph.
        std::thread::scope(|scope| {
            scope.spawn(|| runtime.run(|| black_box(fold(&keys, how))));
        });
        runtime.run(|| ());
    });
    Sample { cost: bytes as f64 / f64::from(leaves), ..Sample::default() }
}
