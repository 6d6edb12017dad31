//! A program as task functions.
//!
//! ```text
//! report(source) ─┬─ items(source)                        the texts of the items, and where they begin
//!                 ├─ checked(source, text) ─┬─ parsed(text)
//!                 │                         └─ signature part of declarations(source), by name
//!                 └─ printed(source, text) ─── function part of declarations(source), by name
//! ```
//! Three things keep the work small after an edit:
//! - *The key is the content.* `parsed` and `checked` get the text of an item. Where it stands does not matter to them, so that an
//!   item which moves is a hit; so is a text that comes back.
//! - *Spans are relative* to the item. `report` alone knows where items begin, and adds that.
//! - *Parts.* A call depends on the signature of the function that it calls, and on nothing else in the map of declarations.

use std::collections::BTreeMap;
use std::sync::Arc;

use larder::{Digested, Input, task_fn};
use serde::{Deserialize, Serialize};

use crate::syntax::{self, Diagnostic, Item};
use crate::types::{self, Signature};
use crate::value::{self, Value};

/// The text of a program.
pub type Source = Input<String>;
/// The text of an item, hashed once, when the program is cut into items.
pub type Text = Digested<String>;

/// The items of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Items {
    starts: Vec<usize>,
    texts: Arc<Vec<Text>>,
}

#[task_fn]
fn items(source: &Source) -> Arc<Items> {
    let mut items = Items::default();
    source.with(|source| {
        let (starts, texts): (_, Vec<_>) = syntax::split(source)
            .into_iter()
            .map(|(start, text)| (start, Digested::new(text.to_owned())))
            .unzip();
        items = Items { starts, texts: Arc::new(texts) };
    });
    Arc::new(items)
}

/// The syntax of an item.
#[task_fn]
fn parsed(text: &Text) -> Arc<Result<Item, Diagnostic>> {
    Arc::new(syntax::parse(text))
}

/// A function, as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Declaration {
    signature: Signature,
    text: Text,
}

/// The functions of a program by name. Of two with one name, the first counts.
#[task_fn]
fn declarations(source: &Source) -> Arc<BTreeMap<String, Declaration>> {
    let mut declarations = BTreeMap::new();
    // Only the texts: where the items begin is no matter here, so that this does not run when they move.
    for text in items::part(source, &(), |items, ()| items.texts.clone()).iter() {
        let parsed = parsed(text);
        if let Some((name, signature)) = parsed.as_ref().as_ref().ok().and_then(Signature::of) {
            declarations.entry(name).or_insert(Declaration { signature, text: text.clone() });
        }
    }
    Arc::new(declarations)
}

/// The faults of an item, with spans that are relative to it.
#[task_fn]
fn checked(source: &Source, text: &Text) -> Arc<Vec<Diagnostic>> {
    let signature = |name: &str| {
        let name = name.to_owned();
        declarations::part(source, &name, |all, name| all.get(name).map(|one| one.signature.clone()))
    };
    match &*parsed(text) {
        Ok(item) => Arc::new(types::check(item, &signature)),
        Err(fault) => Arc::new(vec![fault.clone()]),
    }
}

/// The value of a `print` item without faults. It depends on the functions that are called on the way.
#[task_fn]
fn printed(source: &Source, text: &Text) -> Option<Value> {
    let function = |name: &str| {
        let name = name.to_owned();
        let text = declarations::part(source, &name, |all, name| all.get(name).map(|one| one.text.clone()))?;
        parsed(&text).as_ref().clone().ok().map(Arc::new)
    };
    match &*parsed(text) {
        Ok(Item::Print(expr)) => value::evaluate(expr, &function),
        _ => None,
    }
}

/// All there is to tell about a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The faults, with their places in the program.
    pub diagnostics: Vec<Diagnostic>,
    /// The values that it prints.
    pub printed: Vec<Value>,
}

/// Checks a program and evaluates what it prints.
#[task_fn]
pub fn report(source: &Source) -> Arc<Report> {
    let mut report = Report::default();
    let items = items(source);
    for (start, text) in items.starts.iter().zip(&*items.texts) {
        let place = |fault: &Diagnostic| Diagnostic {
            span: fault.span.after(*start),
            message: fault.message.clone(),
        };
        report.diagnostics.extend(checked(source, text).iter().map(place));
        if matches!(&*parsed(text), Ok(Item::Print(_))) {
            report.printed.extend(printed(source, text));
        }
    }
    Arc::new(report)
}
