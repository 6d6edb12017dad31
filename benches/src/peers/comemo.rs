//! comemo 0.5: constrained memoization over one tracked argument. It keeps no graph: a change is found by replaying
//! what a call read. Its memory is global; old entries are evicted between samples, by hand, as its users do.

use super::on_a_deep_stack;
use crate::crowd::{Meeting, crowd};
use crate::lane::{self, Contestant, Lane, Sample, hits, misses, timed};
use crate::work::{COARSE, Nest, Work, body, body_str, strings};
use comemo::{Track, Tracked, memoize, track};
use std::hint::black_box;

/// comemo 0.5.
pub const COMEMO: Contestant = Contestant { name: "comemo", enter };

#[memoize]
fn plain(key: u32) -> u64 {
    body(key)
}

#[memoize]
fn plain_str(key: &str) -> u64 {
    body_str(key)
}

/// The inputs.
struct Sheet {
    fields: Vec<u64>,
}

#[track]
impl Sheet {
    fn field(&self, number: u32) -> u64 {
        self.fields[number as usize]
    }

    fn size(&self) -> u32 {
        self.fields.len() as u32
    }
}

#[memoize]
fn coarse(sheet: Tracked<'_, Sheet>, number: u32) -> u64 {
    sheet.field(number) >> COARSE
}

#[memoize]
fn sum_of_coarse(sheet: Tracked<'_, Sheet>) -> u64 {
    (0..sheet.size()).map(|number| coarse(sheet, number)).sum()
}

#[memoize]
fn sum_of_fields(sheet: Tracked<'_, Sheet>) -> u64 {
    (0..sheet.size()).map(|number| sheet.field(number)).sum()
}

#[memoize]
fn link(sheet: Tracked<'_, Sheet>, number: u32) -> u64 {
    match number {
        0 => sheet.field(0),
        _ => link(sheet, number - 1) + 1,
    }
}

#[memoize]
fn link_over_coarse(sheet: Tracked<'_, Sheet>, number: u32) -> u64 {
    match number {
        0 => coarse(sheet, 0),
        _ => link_over_coarse(sheet, number - 1) + 1,
    }
}

#[memoize]
fn grid(x: u32, y: u32) -> u64 {
    let left = if x > 0 { grid(x - 1, y) } else { 1 };
    let above = if y > 0 { grid(x, y - 1) } else { 1 };
    left.wrapping_add(above)
}

#[memoize]
fn tree(number: u32, tasks: u32) -> u64 {
    let below = [2 * number + 1, 2 * number + 2];
    below.into_iter().filter(|child| *child < tasks).fold(1, |sum, child| sum + tree(child, tasks))
}

fn enter(work: Work) -> Option<Lane> {
    match work {
        Work::Hit { keys } => hits(keys, plain),
        Work::HitStr { keys } => {
            let names = strings(keys);
            hits(keys, move |key| plain_str(&names[key as usize]))
        }
        Work::HitThreads { keys, threads } => {
            crowd(threads, move || move |meeting: &Meeting| meeting.hits(keys, plain))
        }
        Work::Miss { keys } => misses(keys, || {
            comemo::evict(0);
            plain
        }),
        Work::EditLeaf { leaves } => edits(leaves, |value| value + (1 << COARSE), sum_of_coarse),
        Work::EditEqual { leaves } => edits(leaves, |value| value + 1, sum_of_coarse),
        Work::EditWide { inputs } => edits(inputs, |value| value + 1, sum_of_fields),
        Work::Chain { links } => edits(1, |value| value + 1, move |sheet| link(sheet, links - 1)),
        Work::ChainCutoff { links } => {
            edits(1, |value| value + 1, move |sheet| link_over_coarse(sheet, links - 1))
        }
        Work::Build(nest) => Some(Box::new(move || {
            comemo::evict(0);
            on_a_deep_stack(move || build(nest))
        })),
        _ => None,
    }
}

/// One edit after another. Every sample stores a value that was never there: comemo remembers old states, and would run nothing.
fn edits(
    fields: u32,
    change: impl Fn(u64) -> u64 + 'static,
    ask: impl Fn(Tracked<'_, Sheet>) -> u64 + 'static,
) -> Option<Lane> {
    let mut sheet = Sheet { fields: (0..fields).map(|number| u64::from(number) << COARSE).collect() };
    let middle = fields as usize / 2;
    ask(sheet.track());
    let mut lane = lane::edits(move || {
        sheet.fields[middle] = change(sheet.fields[middle]);
        black_box(ask(sheet.track()));
    })?;
    // Evicting also empties the accelerator of comemo, so it goes before the untimed edit.
    Some(Box::new(move || {
        comemo::evict(2);
        lane()
    }))
}

fn build(nest: Nest) -> Sample {
    let sheet = Sheet { fields: vec![0] };
    timed(nest.tasks(), || {
        black_box(match nest {
            Nest::Chain(links) => link(sheet.track(), links - 1),
            Nest::Grid(side) => grid(side - 1, side - 1),
            Nest::Tree(tasks) => tree(0, tasks),
        });
    })
}
