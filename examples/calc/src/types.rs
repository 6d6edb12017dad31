//! The type checker, as plain code. It asks for other items one name at a time.

use serde::{Deserialize, Serialize};

use crate::syntax::{Diagnostic, Expr, ExprKind, Item, Name, Operator, Span, Type};

/// The types of a function, which are all that its callers have to know.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Signature {
    /// The types of the parameters.
    pub parameters: Vec<Type>,
    /// The type of the result.
    pub result: Type,
}

impl Signature {
    /// Returns the name and the signature of a function; `None` for other items.
    #[must_use]
    pub fn of(item: &Item) -> Option<(String, Signature)> {
        let Item::Function { name, parameters, result, .. } = item else { return None };
        let parameters = parameters.iter().map(|(_, of_type)| *of_type).collect();
        Some((name.text.clone(), Signature { parameters, result: *result }))
    }
}

/// Checks an item. `signature` tells the signature of a function by its name.
pub fn check(item: &Item, signature: &dyn Fn(&str) -> Option<Signature>) -> Vec<Diagnostic> {
    let mut checker = Checker { parameters: &[], signature, found: Vec::new() };
    match item {
        Item::Print(expr) => {
            checker.expr(expr);
        }
        Item::Function { parameters, result, body, .. } => {
            checker.parameters = parameters;
            checker.expect(body, *result);
        }
    }
    checker.found
}

struct Checker<'a> {
    parameters: &'a [(Name, Type)],
    signature: &'a dyn Fn(&str) -> Option<Signature>,
    found: Vec<Diagnostic>,
}

impl Checker<'_> {
    fn fault<T>(&mut self, span: Span, message: String) -> Option<T> {
        self.found.push(Diagnostic::new(span, message));
        None
    }

    fn expect(&mut self, expr: &Expr, expected: Type) -> Option<Type> {
        match self.expr(expr)? {
            found if found == expected => Some(found),
            found => {
                self.fault(expr.span, format!("this is a `{}`, not a `{}`", found.name(), expected.name()))
            }
        }
    }

    /// Returns the type of an expression, if it has one.
    fn expr(&mut self, expr: &Expr) -> Option<Type> {
        match &expr.kind {
            ExprKind::Number(_) => Some(Type::Num),
            ExprKind::Bool(_) => Some(Type::Bool),
            ExprKind::Name(text) => match self.parameters.iter().find(|(name, _)| name.text == *text) {
                Some((_, of_type)) => Some(*of_type),
                None => self.fault(expr.span, format!("there is no parameter `{text}`")),
            },
            ExprKind::Binary(operator, left, right) => {
                let (left, right) = (self.expect(left, Type::Num), self.expect(right, Type::Num));
                left.and(right)?;
                match operator {
                    Operator::Less | Operator::Greater => Some(Type::Bool),
                    _ => Some(Type::Num),
                }
            }
            ExprKind::If(condition, yes, no) => {
                self.expect(condition, Type::Bool);
                let of_type = self.expr(yes)?;
                self.expect(no, of_type)
            }
            ExprKind::Call(name, arguments) => self.call(expr.span, name, arguments),
        }
    }

    fn call(&mut self, span: Span, name: &str, arguments: &[Expr]) -> Option<Type> {
        let Some(signature) = (self.signature)(name) else {
            return self.fault(span, format!("there is no function `{name}`"));
        };
        let (expected, given) = (signature.parameters.len(), arguments.len());
        if expected != given {
            self.fault::<Type>(span, format!("`{name}` takes {expected} arguments, not {given}"));
        }
        for (argument, of_type) in arguments.iter().zip(signature.parameters) {
            self.expect(argument, of_type);
        }
        Some(signature.result)
    }
}

impl Type {
    /// Returns the word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Type::Num => "num",
            Type::Bool => "bool",
        }
    }
}
