//! Larder after a change, and nested first builds.

use crate::lane::{self, Lane, Sample, footprint, timed};
use crate::work::{COARSE, Nest, Work, body};
use larder::{Input, Runtime};
use std::hash::{Hash, Hasher};
use std::hint::black_box;

/// The inputs of one graph, as an argument: it is as it was made, and known by its address. Leaked, like the inputs
/// of the peers, which live as long as the program or their database.
#[derive(Clone, Copy)]
struct Sheet(&'static [Input<u64>]);

impl PartialEq for Sheet {
    fn eq(&self, other: &Sheet) -> bool {
        std::ptr::eq(self.0.as_ptr(), other.0.as_ptr())
    }
}

impl Eq for Sheet {}

impl Hash for Sheet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_ptr().hash(state);
    }
}

impl std::fmt::Debug for Sheet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "sheet of {}", self.0.len())
    }
}

impl Sheet {
    fn new(runtime: &Runtime, fields: u32) -> Sheet {
        let field = |number: u32| runtime.input(&format!("field {number}"), u64::from(number) << COARSE);
        Sheet(Vec::leak((0..fields).map(field).collect()))
    }

    fn field(self, number: u32) -> u64 {
        self.0[number as usize].get()
    }

    fn numbers(self) -> std::ops::Range<u32> {
        0..self.0.len() as u32
    }
}

#[larder::task_fn(transient)]
fn coarse(sheet: Sheet, number: u32) -> u64 {
    sheet.field(number) >> COARSE
}

#[larder::task_fn(transient)]
fn sum_of_coarse(sheet: Sheet) -> u64 {
    sheet.numbers().map(|number| coarse(sheet, number)).sum()
}

#[larder::task_fn(transient)]
fn sum_of_fields(sheet: Sheet) -> u64 {
    sheet.numbers().map(|number| sheet.field(number)).sum()
}

#[larder::task_fn(transient)]
fn link(sheet: Sheet, number: u32) -> u64 {
    match number {
        0 => sheet.field(0),
        _ => link(sheet, number - 1) + 1,
    }
}

#[larder::task_fn(transient)]
fn link_over_coarse(sheet: Sheet, number: u32) -> u64 {
    match number {
        0 => coarse(sheet, 0),
        _ => link_over_coarse(sheet, number - 1) + 1,
    }
}

#[larder::task_fn(transient)]
fn leaf_over_base(sheet: Sheet, number: u32) -> u64 {
    sheet.field(0) + body(number)
}

#[larder::task_fn(transient)]
fn group(sheet: Sheet, number: u32) -> u64 {
    (0..1000).fold(0, |sum, leaf| leaf_over_base(sheet, number * 1000 + leaf).wrapping_add(sum))
}

#[larder::task_fn(transient)]
fn sum_of_groups(sheet: Sheet, groups: u32) -> u64 {
    (0..groups).fold(0, |sum, number| group(sheet, number).wrapping_add(sum))
}

#[larder::task_fn(transient)]
fn grid(x: u32, y: u32) -> u64 {
    let left = if x > 0 { grid(x - 1, y) } else { 1 };
    let above = if y > 0 { grid(x, y - 1) } else { 1 };
    left.wrapping_add(above)
}

#[larder::task_fn(transient)]
fn tree(number: u32, tasks: u32) -> u64 {
    let below = [2 * number + 1, 2 * number + 2];
    below.into_iter().filter(|child| *child < tasks).fold(1, |sum, child| sum + tree(child, tasks))
}

#[larder::task_fn(transient)]
fn reader(sheet: Sheet, number: u32, reads: u32) -> u64 {
    (0..reads).fold(u64::from(number), |sum, field| sum + coarse(sheet, field))
}

pub(super) fn enter(work: Work) -> Option<Lane> {
    match work {
        Work::UnrelatedWrite { leaves } => edits(2, 1, 1, move |sheet| sum_of_groups(sheet, leaves / 1000)),
        Work::EditEqual { leaves } => edits(leaves, leaves / 2, 1, sum_of_coarse),
        Work::EditLeaf { leaves } => edits(leaves, leaves / 2, 1 << COARSE, sum_of_coarse),
        Work::EditWide { inputs } => edits(inputs, inputs / 2, 1, sum_of_fields),
        Work::Chain { links } => edits(1, 0, 1, move |sheet| link(sheet, links - 1)),
        Work::ChainCutoff { links } => edits(1, 0, 1, move |sheet| link_over_coarse(sheet, links - 1)),
        Work::Build(nest) => Some(Box::new(move || build(nest))),
        Work::EdgeFootprint { reads } => edges(reads),
        Work::GridFootprint { side } => footprint(side * side, move || {
            let runtime = Runtime::new();
            runtime.run(|| grid(side - 1, side - 1));
            runtime
        }),
        _ => None,
    }
}

/// One edit after another of one of so many inputs: it grows by `step`, then `ask`, in a session of its own.
fn edits(fields: u32, edited: u32, step: u64, ask: impl Fn(Sheet) -> u64 + 'static) -> Option<Lane> {
    let runtime = Runtime::new();
    let sheet = Sheet::new(&runtime, fields);
    let mut value = u64::from(edited) << COARSE;
    runtime.run(|| ask(sheet));
    lane::edits(move || {
        value += step;
        runtime.update(|update| update.set(&sheet.0[edited as usize], value)).expect("no session is open");
        black_box(runtime.run(|| ask(sheet)));
    })
}

fn build(nest: Nest) -> Sample {
    let runtime = Runtime::new();
    let sheet = Sheet::new(&runtime, 1);
    timed(nest.tasks(), || {
        black_box(runtime.run(|| match nest {
            Nest::Chain(links) => link(sheet, links - 1),
            Nest::Grid(side) => grid(side - 1, side - 1),
            Nest::Tree(tasks) => tree(0, tasks),
        }));
    })
}

/// 1,000 readers of `reads` entries each, less the same readers of nothing and the same entries unread: what stays after the
/// session after the one that built them, which tidies up. They are built by a thread that has ended then, since what it
/// kept for itself does not grow with the graph, and an edge is measured to the byte.
fn edges(reads: u32) -> Option<Lane> {
    let graph = move |read: u32| {
        let runtime = Runtime::new();
        let sheet = Sheet::new(&runtime, reads);
        runtime.run(|| {
            (0..reads).for_each(|number| {
                black_box(coarse(sheet, number));
            });
            (0..1000).for_each(|number| {
                black_box(reader(sheet, number, read));
            });
        });
        runtime.run(|| ());
        runtime
    };
    let built = move |read: u32| {
        let builder = std::thread::spawn(move || graph(read));
        builder.join().expect("the bodies do not panic")
    };
    let mut reading = footprint(1, move || built(reads))?;
    let mut idle = footprint(1, move || built(0))?;
    Some(Box::new(move || {
        let bytes = reading().cost - idle().cost;
        Sample { cost: bytes / (1000.0 * f64::from(reads)), ..Sample::default() }
    }))
}
