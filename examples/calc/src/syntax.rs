//! The syntax, as plain code that knows nothing of tasks.
//!
//! ```text
//! # A comment. An item begins in the first column, and goes on in the lines that are indented.
//! fn area(width: num, height: num) = width * height
//! fn is_large(size: num) = size > 100
//! print if is_large(area(20, 6)) then 1 else 0
//! ```
//! Spans are relative to the item, so that an item which moves is parsed and checked as it was.

use serde::{Deserialize, Serialize};

mod lexer;
mod parser;

pub use parser::parse;

/// Bytes of a text, from the first to the one behind the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte behind the last.
    pub end: usize,
}

impl Span {
    /// Returns the span in the file, for one that is relative to an item which begins at byte `start`.
    #[must_use]
    pub fn after(self, start: usize) -> Span {
        Span { start: start + self.start, end: start + self.end }
    }
}

/// A message about a part of the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Where the fault is.
    pub span: Span,
    /// Describes the fault.
    pub message: String,
}

impl Diagnostic {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { span, message: message.into() }
    }
}

/// A type of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Type {
    /// `num`, a whole number.
    Num,
    /// `bool`.
    Bool,
}

/// A name, with its place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Name {
    /// The name itself.
    pub text: String,
    /// Its place in the item.
    pub span: Span,
}

/// An item of a program.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Item {
    /// `fn name(parameter: type, ..) = body`.
    Function {
        /// The name.
        name: Name,
        /// The parameters and their types.
        parameters: Vec<(Name, Type)>,
        /// The declared type of the result: `num` without one.
        result: Type,
        /// The body.
        body: Expr,
    },
    /// `print expression`.
    Print(Expr),
}

/// An expression, with its place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Expr {
    /// Its place in the item.
    pub span: Span,
    /// Its kind.
    pub kind: ExprKind,
}

/// The kinds of expressions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExprKind {
    /// `12`.
    Number(i64),
    /// `true`.
    Bool(bool),
    /// `width`.
    Name(String),
    /// `area(1, 2)`.
    Call(String, Vec<Expr>),
    /// `a + b`.
    Binary(Operator, Box<Expr>, Box<Expr>),
    /// `if a then b else c`.
    If(Box<Expr>, Box<Expr>, Box<Expr>),
}

/// An operator between two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operator {
    /// `+`.
    Add,
    /// `-`.
    Subtract,
    /// `*`.
    Multiply,
    /// `/`.
    Divide,
    /// `<`.
    Less,
    /// `>`.
    Greater,
}

/// Cuts a program into the texts of its items, each with the byte at which it begins. Comments and empty lines belong to none.
#[must_use]
pub fn split(text: &str) -> Vec<(usize, &str)> {
    let mut items: Vec<(usize, usize)> = Vec::new();
    let mut at = 0;
    let mut is_inside = false;
    for line in text.split_inclusive('\n') {
        let end = at + line.trim_end().len();
        match line.chars().next() {
            _ if line.trim().is_empty() => is_inside = false,
            Some('#') => is_inside = false,
            Some(first) if first.is_whitespace() && is_inside => {
                if let Some(item) = items.last_mut() {
                    item.1 = end;
                }
            }
            _ => {
                items.push((at, end));
                is_inside = true;
            }
        }
        at += line.len();
    }
    items.into_iter().map(|(start, end)| (start, &text[start..end])).collect()
}
