//! The evaluator, as plain code. Functions are asked for by their name, when they are called.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::syntax::{Expr, ExprKind, Item, Operator};

/// A value of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// A number.
    Num(i64),
    /// A truth value.
    Bool(bool),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Num(number) => number.fmt(f),
            Value::Bool(value) => value.fmt(f),
        }
    }
}

/// The most evaluations inside of each other, calls and operands alike; a program that needs more has no value.
const DEEPEST: usize = 200;
/// The most evaluations of one expression.
const MOST: usize = 1_000_000;

/// Returns the value of an expression outside of functions; `None` if there is none. `function` finds a function by its name.
pub fn evaluate(expr: &Expr, function: &dyn Fn(&str) -> Option<Arc<Item>>) -> Option<Value> {
    Frame { names: &[], function, left: &Cell::new(MOST) }.value(expr, 0)
}

struct Frame<'a> {
    names: &'a [(String, Value)],
    function: &'a dyn Fn(&str) -> Option<Arc<Item>>,
    /// Evaluations that are left.
    left: &'a Cell<usize>,
}

impl Frame<'_> {
    /// Returns the value of an expression that is evaluated inside of `depth` others.
    fn value(&self, expr: &Expr, depth: usize) -> Option<Value> {
        if depth == DEEPEST {
            return None;
        }
        self.left.set(self.left.get().checked_sub(1)?);
        let depth = depth + 1;
        match &expr.kind {
            ExprKind::Number(number) => Some(Value::Num(*number)),
            ExprKind::Bool(value) => Some(Value::Bool(*value)),
            ExprKind::Name(text) => self.names.iter().find(|(name, _)| name == text).map(|(_, value)| *value),
            ExprKind::If(condition, yes, no) => match self.value(condition, depth)? {
                Value::Bool(true) => self.value(yes, depth),
                Value::Bool(false) => self.value(no, depth),
                Value::Num(_) => None,
            },
            ExprKind::Binary(operator, left, right) => {
                let (Value::Num(left), Value::Num(right)) =
                    (self.value(left, depth)?, self.value(right, depth)?)
                else {
                    return None;
                };
                match operator {
                    Operator::Add => left.checked_add(right).map(Value::Num),
                    Operator::Subtract => left.checked_sub(right).map(Value::Num),
                    Operator::Multiply => left.checked_mul(right).map(Value::Num),
                    Operator::Divide => left.checked_div(right).map(Value::Num),
                    Operator::Less => Some(Value::Bool(left < right)),
                    Operator::Greater => Some(Value::Bool(left > right)),
                }
            }
            ExprKind::Call(name, arguments) => self.call(name, arguments, depth),
        }
    }

    fn call(&self, name: &str, arguments: &[Expr], depth: usize) -> Option<Value> {
        let item = (self.function)(name)?;
        let Item::Function { parameters, body, .. } = &*item else { return None };
        let named = parameters.iter().zip(arguments);
        let named =
            named.map(|((name, _), argument)| Some((name.text.clone(), self.value(argument, depth)?)));
        let names = named.collect::<Option<Vec<_>>>()?;
        Frame { names: &names, ..*self }.value(body, depth)
    }
}
