//! salsa 0.28 over a file of functions: tracked structs, whose fields have a revision each.

use crate::lane::{Contestant, Lane, timed};
use crate::work::{Item, Work};
use salsa::Setter;
use std::hint::black_box;
use std::sync::Arc;

/// salsa's tracked structs.
pub const SALSA: Contestant = Contestant { name: "salsa, tracked structs", enter };

#[salsa::input]
struct File {
    #[returns(ref)]
    items: Arc<Vec<Item>>,
}

#[salsa::tracked]
struct Function<'db> {
    #[returns(ref)]
    name: Arc<str>,
    #[tracked]
    #[returns(copy)]
    span: (u32, u32),
    #[tracked]
    #[returns(ref)]
    body: Arc<str>,
}

#[salsa::tracked(returns(ref))]
fn parse<'db>(db: &'db dyn salsa::Database, file: File) -> Vec<Function<'db>> {
    let function = |item: &Item| Function::new(db, item.name.clone(), item.span, item.body.clone());
    file.items(db).iter().map(function).collect()
}

#[salsa::tracked(returns(copy))]
fn check<'db>(db: &'db dyn salsa::Database, function: Function<'db>) -> u64 {
    Item::check(function.body(db))
}

#[salsa::tracked(returns(copy))]
fn sum(db: &dyn salsa::Database, file: File) -> u64 {
    parse(db, file).iter().map(|function| check(db, *function)).fold(0, u64::wrapping_add)
}

fn enter(work: Work) -> Option<Lane> {
    let Work::Identity { functions, edit } = work else { return None };
    let mut db = salsa::DatabaseImpl::default();
    let mut items = Item::file(functions);
    let file = File::new(&db, Arc::new(items.clone()));
    let mut rounds = 0;
    Some(Box::new(move || {
        let mut next = || {
            rounds += 1;
            edit.apply(&mut items, rounds);
            let value = Arc::new(items.clone());
            timed(1, || {
                file.set_items(&mut db).to(value);
                black_box(sum(&db, file));
            })
        };
        // As larder's side: one edit goes before, untimed.
        next();
        next()
    }))
}
