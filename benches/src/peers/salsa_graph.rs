//! salsa 0.28 after a change, and nested first builds.
//!
//! Chains are asked for by handle or by plain arguments, whichever measured faster: see the note at each.

use super::on_a_deep_stack;
use crate::lane::{self, Contestant, Lane, Sample, footprint, timed};
use crate::work::{COARSE, Nest, Work, body};
use salsa::{Durability, Setter};
use std::hint::black_box;

/// salsa 0.28 over a graph.
pub const SALSA: Contestant = Contestant { name: "salsa", enter };

type Db = salsa::DatabaseImpl;

/// An input that a leaf reads.
#[salsa::input]
struct Field {
    #[returns(copy)]
    value: u64,
}

/// All of them, for the tasks that read many.
#[salsa::input]
struct Sheet {
    #[returns(ref)]
    fields: Vec<Field>,
}

#[salsa::tracked(returns(copy))]
fn coarse(db: &dyn salsa::Database, field: Field) -> u64 {
    field.value(db) >> COARSE
}

#[salsa::tracked(returns(copy))]
fn sum_of_coarse(db: &dyn salsa::Database, sheet: Sheet) -> u64 {
    sheet.fields(db).iter().map(|field| coarse(db, *field)).sum()
}

#[salsa::tracked(returns(copy))]
fn sum_of_fields(db: &dyn salsa::Database, sheet: Sheet) -> u64 {
    sheet.fields(db).iter().map(|field| field.value(db)).sum()
}

#[salsa::tracked(returns(copy))]
fn link(db: &dyn salsa::Database, field: Field, number: u32) -> u64 {
    match number {
        0 => field.value(db),
        _ => link(db, field, number - 1) + 1,
    }
}

#[salsa::tracked(returns(copy))]
fn link_over_coarse(db: &dyn salsa::Database, field: Field, number: u32) -> u64 {
    match number {
        0 => coarse(db, field),
        _ => link_over_coarse(db, field, number - 1) + 1,
    }
}

#[salsa::tracked(returns(copy))]
fn leaf_over_base(db: &dyn salsa::Database, base: Field, number: u32) -> u64 {
    base.value(db) + body(number)
}

#[salsa::tracked(returns(copy))]
fn group(db: &dyn salsa::Database, base: Field, number: u32) -> u64 {
    (0..1000).fold(0, |sum, leaf| leaf_over_base(db, base, number * 1000 + leaf).wrapping_add(sum))
}

#[salsa::tracked(returns(copy))]
fn sum_of_groups(db: &dyn salsa::Database, base: Field, groups: u32) -> u64 {
    (0..groups).fold(0, |sum, number| group(db, base, number).wrapping_add(sum))
}

fn enter(work: Work) -> Option<Lane> {
    match work {
        Work::UnrelatedWrite { leaves } => {
            let db = Db::default();
            let (base, other) = (Field::new(&db, 1), Field::new(&db, 0));
            edits(db, other, |value| value + 1, move |db| sum_of_groups(db, base, leaves / 1000))
        }
        Work::EditEqual { leaves } => {
            let (db, fields, sheet) = sheet(leaves);
            edits(db, fields[leaves as usize / 2], |value| value + 1, move |db| sum_of_coarse(db, sheet))
        }
        Work::EditLeaf { leaves } => {
            let (db, fields, sheet) = sheet(leaves);
            edits(
                db,
                fields[leaves as usize / 2],
                |value| value + (1 << COARSE),
                move |db| sum_of_coarse(db, sheet),
            )
        }
        Work::EditWide { inputs } => {
            let (db, fields, sheet) = sheet(inputs);
            edits(db, fields[inputs as usize / 2], |value| value + 1, move |db| sum_of_fields(db, sheet))
        }
        Work::Chain { links } => {
            let db = Db::default();
            let field = Field::new(&db, 0);
            edits(db, field, |value| value + 1, move |db| link(db, field, links - 1))
        }
        Work::ChainCutoff { links } => {
            let db = Db::default();
            let field = Field::new(&db, 0);
            edits(db, field, |value| value + 1, move |db| link_over_coarse(db, field, links - 1))
        }
        Work::Build(nest) => Some(Box::new(move || on_a_deep_stack(move || build(nest)))),
        Work::EdgeFootprint { reads } => edges(reads),
        _ => None,
    }
}

fn sheet(fields: u32) -> (Db, Vec<Field>, Sheet) {
    let db = Db::default();
    let fields: Vec<Field> = (0..fields).map(|number| Field::new(&db, u64::from(number) << COARSE)).collect();
    let sheet = Sheet::new(&db, fields.clone());
    (db, fields, sheet)
}

/// One edit after another: `field` becomes `change` of itself, then `ask`.
fn edits(
    mut db: Db,
    field: Field,
    change: impl Fn(u64) -> u64 + 'static,
    ask: impl Fn(&Db) -> u64 + 'static,
) -> Option<Lane> {
    ask(&db);
    lane::edits(move || {
        let value = change(field.value(&db));
        field.set_value(&mut db).with_durability(Durability::LOW).to(value);
        black_box(ask(&db));
    })
}

#[salsa::tracked(returns(copy))]
fn grid(db: &dyn salsa::Database, x: u32, y: u32) -> u64 {
    let left = if x > 0 { grid(db, x - 1, y) } else { 1 };
    let above = if y > 0 { grid(db, x, y - 1) } else { 1 };
    left.wrapping_add(above)
}

#[salsa::tracked(returns(copy))]
fn tree(db: &dyn salsa::Database, number: u32, tasks: u32) -> u64 {
    let below = [2 * number + 1, 2 * number + 2];
    below.into_iter().filter(|child| *child < tasks).fold(1, |sum, child| sum + tree(db, child, tasks))
}

fn build(nest: Nest) -> Sample {
    let db = Db::default();
    let field = Field::new(&db, 0);
    timed(nest.tasks(), || {
        black_box(match nest {
            Nest::Chain(links) => link(&db, field, links - 1),
            Nest::Grid(side) => grid(&db, side - 1, side - 1),
            Nest::Tree(tasks) => tree(&db, 0, tasks),
        });
    })
}

#[salsa::tracked(returns(copy))]
fn reader(db: &dyn salsa::Database, sheet: Sheet, number: u32) -> u64 {
    sheet.fields(db).iter().fold(u64::from(number), |sum, field| sum + coarse(db, *field))
}

/// 1,000 readers of `reads` entries each, less the same readers of nothing and the same entries unread.
fn edges(reads: u32) -> Option<Lane> {
    let mut readers = footprint(1, move || {
        let (db, _, sheet) = sheet(reads);
        (0..1000).for_each(|number| {
            black_box(reader(&db, sheet, number));
        });
        db
    })?;
    let mut entries = footprint(1, move || {
        let (db, fields, _) = sheet(reads);
        let nothing = Sheet::new(&db, Vec::new());
        (0..1000).for_each(|number| {
            black_box(reader(&db, nothing, number));
        });
        fields.iter().for_each(|field| {
            black_box(coarse(&db, *field));
        });
        db
    })?;
    Some(Box::new(move || {
        let bytes = readers().cost - entries().cost;
        Sample { cost: bytes / (1000.0 * f64::from(reads)), ..Sample::default() }
    }))
}
