//! The parser of one item.

use super::lexer::{Token, tokens};
use super::{Diagnostic, Expr, ExprKind, Item, Name, Operator, Span, Type};

/// The most tokens of an item, and the deepest nesting of its expressions: what walks through an expression needs stack for each level.
const LONGEST: usize = 400;
const DEEPEST: usize = 40;

const WORDS: [&str; 7] = ["fn", "print", "if", "then", "else", "true", "false"];

/// Parses the text of one item.
///
/// # Errors
/// Returns the first fault.
pub fn parse(text: &str) -> Result<Item, Diagnostic> {
    let end = Span { start: text.len(), end: text.len() };
    let tokens = tokens(text);
    if let Some(token) = tokens.get(LONGEST) {
        return Err(Diagnostic::new(token.span, format!("an item has {LONGEST} words and signs at most")));
    }
    let mut parser = Parser { tokens: &tokens, end, depth: 0 };
    let item = match parser.take()?.text {
        "fn" => parser.function()?,
        "print" => Item::Print(parser.expr()?),
        _ => {
            let span = Span { start: 0, end: text.len() };
            return Err(Diagnostic::new(span, "an item begins with `fn` or `print`"));
        }
    };
    match parser.tokens.first() {
        None => Ok(item),
        Some(rest) => Err(Diagnostic::new(rest.span, format!("`{}` is not expected here", rest.text))),
    }
}

struct Parser<'t> {
    tokens: &'t [Token<'t>],
    end: Span,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Result<Token<'t>, Diagnostic> {
        let missing = || Diagnostic::new(self.end, "something is missing here");
        self.tokens.first().copied().ok_or_else(missing)
    }

    fn take(&mut self) -> Result<Token<'t>, Diagnostic> {
        let first = self.peek()?;
        self.tokens = &self.tokens[1..];
        Ok(first)
    }

    fn take_if(&mut self, text: &str) -> bool {
        let is_there = self.tokens.first().is_some_and(|token| token.text == text);
        if is_there {
            self.tokens = &self.tokens[1..];
        }
        is_there
    }

    fn expect(&mut self, text: &str) -> Result<(), Diagnostic> {
        if self.take_if(text) {
            return Ok(());
        }
        let span = self.tokens.first().map_or(self.end, |token| token.span);
        Err(Diagnostic::new(span, format!("`{text}` is missing here")))
    }

    fn name(&mut self) -> Result<Name, Diagnostic> {
        let token = self.take()?;
        let is_name = token.text.starts_with(|first: char| first.is_alphabetic() || first == '_');
        match is_name && !WORDS.contains(&token.text) {
            true => Ok(Name { text: token.text.to_owned(), span: token.span }),
            false => Err(Diagnostic::new(token.span, format!("`{}` is no name", token.text))),
        }
    }

    fn of_type(&mut self) -> Result<Type, Diagnostic> {
        let token = self.take()?;
        match token.text {
            "num" => Ok(Type::Num),
            "bool" => Ok(Type::Bool),
            other => {
                Err(Diagnostic::new(token.span, format!("`{other}` is no type: there are `num` and `bool`")))
            }
        }
    }

    fn function(&mut self) -> Result<Item, Diagnostic> {
        let name = self.name()?;
        self.expect("(")?;
        let parameters = self.list(|parser| {
            let name = parser.name()?;
            parser.expect(":")?;
            Ok((name, parser.of_type()?))
        })?;
        let result = if self.take_if(":") { self.of_type()? } else { Type::Num };
        self.expect("=")?;
        Ok(Item::Function { name, parameters, result, body: self.expr()? })
    }

    /// Parses what stands before a `)`, separated by commas.
    fn list<T>(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<T, Diagnostic>,
    ) -> Result<Vec<T>, Diagnostic> {
        let mut list = Vec::new();
        if self.take_if(")") {
            return Ok(list);
        }
        loop {
            list.push(one(self)?);
            if !self.take_if(",") {
                self.expect(")")?;
                return Ok(list);
            }
        }
    }

    fn expr(&mut self) -> Result<Expr, Diagnostic> {
        if self.depth == DEEPEST {
            return Err(Diagnostic::new(self.peek()?.span, "this is nested too deeply"));
        }
        self.depth += 1;
        let expr = self.conditional()?;
        self.depth -= 1;
        Ok(expr)
    }

    fn conditional(&mut self) -> Result<Expr, Diagnostic> {
        if let Some(first) = self.tokens.first().filter(|token| token.text == "if").copied() {
            self.take()?;
            let condition = self.expr()?;
            self.expect("then")?;
            let yes = self.expr()?;
            self.expect("else")?;
            let no = self.expr()?;
            let span = Span { start: first.span.start, end: no.span.end };
            let kind = ExprKind::If(Box::new(condition), Box::new(yes), Box::new(no));
            return Ok(Expr { span, kind });
        }
        self.chain(&[("<", Operator::Less), (">", Operator::Greater)], Self::sum)
    }

    fn sum(&mut self) -> Result<Expr, Diagnostic> {
        self.chain(&[("+", Operator::Add), ("-", Operator::Subtract)], Self::product)
    }

    fn product(&mut self) -> Result<Expr, Diagnostic> {
        self.chain(&[("*", Operator::Multiply), ("/", Operator::Divide)], Self::atom)
    }

    fn chain(
        &mut self,
        operators: &[(&str, Operator)],
        operand: fn(&mut Self) -> Result<Expr, Diagnostic>,
    ) -> Result<Expr, Diagnostic> {
        let mut left = operand(self)?;
        while let Some((_, operator)) = operators.iter().find(|(text, _)| self.take_if(text)) {
            let right = operand(self)?;
            let span = Span { start: left.span.start, end: right.span.end };
            left = Expr { span, kind: ExprKind::Binary(*operator, Box::new(left), Box::new(right)) };
        }
        Ok(left)
    }

    fn atom(&mut self) -> Result<Expr, Diagnostic> {
        let first = self.peek()?;
        if self.take_if("(") {
            let inner = self.expr()?;
            self.expect(")")?;
            return Ok(inner);
        }
        if first.text.starts_with(|first: char| first.is_ascii_digit()) {
            self.take()?;
            let number = first.text.parse();
            let number =
                number.map_err(|_| Diagnostic::new(first.span, format!("`{}` is no number", first.text)))?;
            return Ok(Expr { span: first.span, kind: ExprKind::Number(number) });
        }
        for (text, value) in [("true", true), ("false", false)] {
            if self.take_if(text) {
                return Ok(Expr { span: first.span, kind: ExprKind::Bool(value) });
            }
        }
        let name = self.name()?;
        match self.take_if("(") {
            true => Ok(Expr { span: name.span, kind: ExprKind::Call(name.text, self.list(Self::expr)?) }),
            false => Ok(Expr { span: name.span, kind: ExprKind::Name(name.text) }),
        }
    }
}
