//! `calc` as a program of salsa: the source is an input, items are tracked structs that are known by their heads, and
//! a call finds other items by a query for each name.

#![allow(missing_docs, reason = "salsa's macros write methods without any")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use calc::program::Report;
use calc::syntax::{self, Diagnostic, Item};
use calc::types::{self, Signature};
use calc::value::{self, Value};
use salsa::{EventKind, Storage};

/// The database. It counts the queries that run.
#[salsa::db]
#[derive(Clone)]
pub struct Db {
    storage: Storage<Self>,
    bodies: Arc<AtomicU64>,
}

#[salsa::db]
impl salsa::Database for Db {}

impl Default for Db {
    fn default() -> Self {
        let bodies = Arc::new(AtomicU64::new(0));
        let counter = bodies.clone();
        let storage = Storage::new(Some(Box::new(move |event| {
            if let EventKind::WillExecute { .. } = event.kind {
                counter.fetch_add(1, Relaxed);
            }
        })));
        Self { storage, bodies }
    }
}

impl Db {
    /// Returns how many queries have run since this was asked last.
    pub fn take_bodies(&self) -> u64 {
        self.bodies.swap(0, Relaxed)
    }
}

/// The text of a program.
#[salsa::input]
pub struct Source {
    /// The text.
    #[returns(ref)]
    pub text: String,
}

/// An item. It is the same one after an edit if its head is.
#[salsa::tracked]
struct Entry<'db> {
    #[returns(ref)]
    head: String,
    #[tracked]
    #[returns(ref)]
    text: String,
    #[tracked]
    #[returns(copy)]
    start: usize,
}

#[salsa::interned]
struct Name<'db> {
    #[returns(ref)]
    text: String,
}

#[salsa::tracked(returns(ref))]
fn items<'db>(db: &'db dyn salsa::Database, source: Source) -> Vec<Entry<'db>> {
    let entry = |(start, text): (usize, &str)| {
        let head = text.split(['(', '=']).next().unwrap_or(text);
        let head = if head.starts_with("fn ") { head } else { "" };
        Entry::new(db, head.to_owned(), text.to_owned(), start)
    };
    syntax::split(source.text(db)).into_iter().map(entry).collect()
}

#[salsa::tracked(returns(ref))]
fn parsed<'db>(db: &'db dyn salsa::Database, entry: Entry<'db>) -> Result<Item, Diagnostic> {
    syntax::parse(entry.text(db))
}

#[salsa::tracked(returns(ref))]
fn signature<'db>(db: &'db dyn salsa::Database, entry: Entry<'db>) -> Option<(String, Signature)> {
    parsed(db, entry).as_ref().ok().and_then(Signature::of)
}

#[salsa::tracked(returns(ref))]
fn declarations<'db>(db: &'db dyn salsa::Database, source: Source) -> BTreeMap<String, Entry<'db>> {
    let mut declarations = BTreeMap::new();
    for entry in items(db, source) {
        if let Some((name, _)) = signature(db, *entry) {
            declarations.entry(name.clone()).or_insert(*entry);
        }
    }
    declarations
}

/// One name of the declarations, so that a caller does not depend on all of them.
#[salsa::tracked(returns(copy))]
fn declaration<'db>(db: &'db dyn salsa::Database, source: Source, name: Name<'db>) -> Option<Entry<'db>> {
    declarations(db, source).get(name.text(db)).copied()
}

#[salsa::tracked(returns(ref))]
fn checked<'db>(db: &'db dyn salsa::Database, source: Source, entry: Entry<'db>) -> Vec<Diagnostic> {
    let signature = |name: &str| {
        let entry = declaration(db, source, Name::new(db, name.to_owned()))?;
        signature(db, entry).as_ref().map(|(_, signature)| signature.clone())
    };
    match parsed(db, entry) {
        Ok(item) => types::check(item, &signature),
        Err(fault) => vec![fault.clone()],
    }
}

#[salsa::tracked(returns(copy))]
fn printed<'db>(db: &'db dyn salsa::Database, source: Source, entry: Entry<'db>) -> Option<Value> {
    let function = |name: &str| {
        let entry = declaration(db, source, Name::new(db, name.to_owned()))?;
        parsed(db, entry).clone().ok().map(Arc::new)
    };
    match parsed(db, entry) {
        Ok(Item::Print(expr)) => value::evaluate(expr, &function),
        _ => None,
    }
}

/// Checks a program and evaluates what it prints.
#[salsa::tracked(returns(ref))]
pub fn report(db: &dyn salsa::Database, source: Source) -> Report {
    let mut report = Report::default();
    for entry in items(db, source) {
        let start = entry.start(db);
        for fault in checked(db, source, *entry) {
            report
                .diagnostics
                .push(Diagnostic { span: fault.span.after(start), message: fault.message.clone() });
        }
        if let Ok(Item::Print(_)) = parsed(db, *entry) {
            report.printed.extend(printed(db, source, *entry));
        }
    }
    report
}
