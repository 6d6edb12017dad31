//! The analysis of a document, as task functions.
//!
//! ```text
//!   check(document) ─── items(document)                        the lines, as names and texts
//!         └── value(document, name) ─┬─ text_of(document, name)    the text of one line: others do not concern it
//!                                    ├─ parsed(text)               by its content: a text that was there before is not parsed again
//!                                    └─ value(document, other)     a cycle has no value
//! ```
//! After an edit of one line, its text is parsed, and its value and the values that depend on it are computed again, as long
//! as they differ. Old texts leave their `parsed` behind, which `Builder::collect_after` collects.

use std::collections::HashMap;
use std::sync::Arc;

use larder::{Input, emit, task_fn};
use serde::{Deserialize, Serialize};

use crate::syntax::{Expr, parse};

/// A document, as the editor has it.
pub(crate) type Document = Input<String>;

/// Something that is wrong with the definition of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    pub(crate) name: String,
    pub(crate) message: String,
}

/// The definitions of a document by name, with their lines; and the lines that are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Items {
    pub(crate) lines: HashMap<String, u32>,
    pub(crate) names: Vec<String>,
    texts: HashMap<String, String>,
    pub(crate) odd: Vec<(u32, String)>,
}

#[task_fn(transient)]
pub(crate) fn items(document: Document) -> Arc<Items> {
    let mut items = Items::default();
    document.with(|text| {
        for (line, text) in (0..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
            match text.split_once('=') {
                Some((name, text)) if !items.lines.contains_key(name.trim()) => {
                    let name = name.trim().to_owned();
                    items.lines.insert(name.clone(), line);
                    items.texts.insert(name.clone(), text.trim().to_owned());
                    items.names.push(name);
                }
                Some((name, _)) => items.odd.push((line, format!("`{}` is there already", name.trim()))),
                None => items.odd.push((line, "a line is `name = expression`".to_owned())),
            }
        }
    });
    Arc::new(items)
}

#[task_fn(transient)]
fn text_of(document: Document, name: &str) -> Option<String> {
    items::with(document, |items| items.texts.get(name).cloned())
}

#[task_fn(transient)]
fn parsed(text: &str) -> Arc<Result<Expr, String>> {
    Arc::new(parse(text))
}

/// The value of a name, if it has one; emits why not.
#[task_fn(transient, cycle_initial = None)]
pub(crate) fn value(document: Document, name: &str) -> Option<i64> {
    let problem = |message: String| {
        emit(Problem { name: name.to_owned(), message });
        None
    };
    let text = text_of(document.clone(), name)?;
    match &*parsed(&text) {
        Err(message) => problem(message.clone()),
        Ok(expr) => match evaluate(&document, expr) {
            Ok(value) => Some(value),
            Err(message) => problem(message),
        },
    }
}

fn evaluate(document: &Document, expr: &Expr) -> Result<i64, String> {
    match expr {
        Expr::Number(number) => Ok(*number),
        Expr::Name(name) => value(document.clone(), name).ok_or_else(|| format!("`{name}` has no value")),
        Expr::Binary(operator, left, right) => {
            let (left, right) = (evaluate(document, left)?, evaluate(document, right)?);
            let result = match operator {
                '+' => left.checked_add(right),
                '-' => left.checked_sub(right),
                '*' => left.checked_mul(right),
                _ => left.checked_div(right),
            };
            result.ok_or_else(|| format!("`{left} {operator} {right}` has no value"))
        }
    }
}

/// Computes all values, and emits the problems on the way.
#[task_fn(transient)]
pub(crate) fn check(document: Document) -> usize {
    let names = items::with(document.clone(), |items| items.names.clone());
    names.iter().filter(|name| value(document.clone(), name).is_some()).count()
}
