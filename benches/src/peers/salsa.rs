//! salsa 0.28, one call: by handle (an input struct), by plain arguments (interned by salsa), and inside a query.

use crate::crowd::{Meeting, crowd};
use crate::lane::{Contestant, Lane, Sample, footprint, hits, misses, repeated_hits};
use crate::work::{Shape, Work, body, body_str, strings};

/// A hit by a handle that the caller holds, outside of any query: salsa at its best.
pub const BY_HANDLE: Contestant = Contestant { name: "salsa by handle", enter: enter_by_handle };

/// A hit by plain arguments, which salsa interns.
pub const BY_ARGUMENTS: Contestant = Contestant { name: "salsa by arguments", enter: enter_by_arguments };

/// A hit by handle inside a query, so that the edge is recorded, as larder's always is.
pub const INSIDE: Contestant = Contestant { name: "salsa by handle in a query", enter: enter_inside };

/// A hit by plain arguments inside a query.
pub const INSIDE_BY_ARGUMENTS: Contestant =
    Contestant { name: "salsa by arguments in a query", enter: enter_inside_by_arguments };

#[salsa::input]
struct Key {
    #[returns(copy)]
    value: u32,
}

#[salsa::tracked(returns(copy))]
fn by_handle(db: &dyn salsa::Database, key: Key) -> u64 {
    body(key.value(db))
}

// A lone argument has to be a salsa struct; a second one, of no size, makes salsa intern the pair.
#[salsa::tracked(returns(copy))]
fn by_arguments(db: &dyn salsa::Database, key: u32, second: ()) -> u64 {
    let _ = (db, second);
    body(key)
}

#[salsa::tracked(returns(copy))]
fn by_string(db: &dyn salsa::Database, key: String, second: ()) -> u64 {
    let _ = (db, second);
    body_str(&key)
}

type Db = salsa::DatabaseImpl;

fn handles(db: &Db, keys: u32) -> Vec<Key> {
    (0..keys).map(|key| Key::new(db, key)).collect()
}

fn enter_by_handle(work: Work) -> Option<Lane> {
    match work {
        Work::Hit { keys } => {
            let db = Db::default();
            let handles = handles(&db, keys);
            hits(keys, move |key| by_handle(&db, handles[key as usize]))
        }
        Work::HitThreads { keys, threads } => {
            let db = Db::default();
            let handles = std::sync::Arc::new(handles(&db, keys));
            crowd(threads, move || {
                let (db, handles) = (db.clone(), std::sync::Arc::clone(&handles));
                move |meeting: &Meeting| meeting.hits(keys, |key| by_handle(&db, handles[key as usize]))
            })
        }
        Work::Miss { keys } => misses(keys, move || {
            let db = Db::default();
            let handles = handles(&db, keys);
            move |key| by_handle(&db, handles[key as usize])
        }),
        Work::Footprint { keys } => footprint(keys, move || {
            let db = Db::default();
            for key in 0..keys {
                by_handle(&db, Key::new(&db, key));
            }
            db
        }),
        _ => None,
    }
}

fn enter_by_arguments(work: Work) -> Option<Lane> {
    match work {
        Work::Hit { keys } => {
            let db = Db::default();
            hits(keys, move |key| by_arguments(&db, key, ()))
        }
        Work::HitStr { keys } => {
            let db = Db::default();
            let names = strings(keys);
            hits(keys, move |key| by_string(&db, names[key as usize].clone(), ()))
        }
        Work::HitShape(Shape::Borrowed) => enter_by_arguments(Work::HitStr { keys: 100 }),
        Work::HitThreads { keys, threads } => {
            let db = Db::default();
            crowd(threads, move || {
                let db = db.clone();
                move |meeting: &Meeting| meeting.hits(keys, |key| by_arguments(&db, key, ()))
            })
        }
        Work::Miss { keys } => misses(keys, || {
            let db = Db::default();
            move |key| by_arguments(&db, key, ())
        }),
        Work::Footprint { keys } => footprint(keys, move || {
            let db = Db::default();
            for key in 0..keys {
                by_arguments(&db, key, ());
            }
            db
        }),
        _ => None,
    }
}

/// The argument of a query of hits: an input of its own per sample, so that it always runs.
#[salsa::input]
struct Sitting {
    #[returns(copy)]
    keys: u32,
    #[returns(ref)]
    handles: Vec<Key>,
}

thread_local! {
    /// The measurement of the last sitting, from inside of its query.
    static MEASURED: std::cell::Cell<Option<Sample>> = const { std::cell::Cell::new(None) };
}

#[salsa::tracked(returns(copy))]
fn sit_with_handles(db: &dyn salsa::Database, sitting: Sitting) -> u32 {
    let (keys, handles) = (sitting.keys(db), sitting.handles(db));
    MEASURED.set(Some(repeated_hits(keys, |key| by_handle(db, handles[key as usize]))));
    keys
}

#[salsa::tracked(returns(copy))]
fn sit_with_arguments(db: &dyn salsa::Database, sitting: Sitting) -> u32 {
    let keys = sitting.keys(db);
    MEASURED.set(Some(repeated_hits(keys, |key| by_arguments(db, key, ()))));
    keys
}

fn enter_inside(work: Work) -> Option<Lane> {
    let Work::Hit { keys } = work else { return None };
    let db = Db::default();
    let handles = handles(&db, keys);
    Some(Box::new(move || {
        sit_with_handles(&db, Sitting::new(&db, keys, handles.clone()));
        MEASURED.take().expect("a new sitting always runs")
    }))
}

fn enter_inside_by_arguments(work: Work) -> Option<Lane> {
    let Work::Hit { keys } = work else { return None };
    let db = Db::default();
    Some(Box::new(move || {
        sit_with_arguments(&db, Sitting::new(&db, keys, Vec::new()));
        MEASURED.take().expect("a new sitting always runs")
    }))
}
