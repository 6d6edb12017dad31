//! Larder's collections: folds after a change.

use crate::lane::{self, Lane, Sample};
use crate::work::{COARSE, Fold, GROUP, Work};
use larder::{Input, InputMap, Keys, Runtime};
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
        Work::GroupBy { rows } => moves(rows),
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
            let builder = scope.spawn(|| runtime.run(|| black_box(fold(&keys, how))));
            builder.join().expect("the bodies do not panic");
        });
        runtime.run(|| ());
    });
    Sample { cost: bytes as f64 / f64::from(leaves), ..Sample::default() }
}

fn counts(rows: &InputMap<u32, u32>, groups: [u32; 2]) -> [Option<u32>; 2] {
    let counts = rows.view().group_by(|_, group| *group).fold(|_, _| 1, |a, b| a + b).results();
    groups.map(|group| counts.get(&group).copied())
}

/// One row goes from group to group.
fn moves(rows: u32) -> Option<Lane> {
    let runtime = Runtime::new();
    let map: InputMap<u32, u32> = runtime.input_map("rows");
    let fill = |update: &mut larder::Update| map.extend(update, (0..rows).map(|row| (row, row / GROUP)));
    runtime.update(fill).expect("no session is open");
    let groups = rows / GROUP;
    let (row, mut group) = (rows / 2, rows / 2 / GROUP);
    runtime.run(|| counts(&map, [group, group + 1]));
    lane::edits(move || {
        let other = (group + 1) % groups;
        runtime.update(|update| map.insert(update, row, other)).expect("no session is open");
        black_box(runtime.run(|| counts(&map, [group, other])));
        group = other;
    })
}
