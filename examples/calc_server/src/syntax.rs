//! The syntax of one expression: numbers, names, `+ - * /` and parentheses.

use std::iter::Peekable;
use std::str::Chars;

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expr {
    Number(i64),
    Name(String),
    Binary(char, Box<Expr>, Box<Expr>),
}

/// Parses an expression.
///
/// # Errors
/// Returns what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Expr, String> {
    let mut parser = Parser(text.chars().peekable());
    let expr = parser.sum()?;
    match parser.next_token() {
        None => Ok(expr),
        Some(rest) => Err(format!("`{rest}` is one too many")),
    }
}

struct Parser<'a>(Peekable<Chars<'a>>);

impl Parser<'_> {
    fn peek(&mut self) -> Option<char> {
        while self.0.next_if(|next| next.is_whitespace()).is_some() {}
        self.0.peek().copied()
    }

    fn next_token(&mut self) -> Option<char> {
        self.peek()?;
        self.0.next()
    }

    fn sum(&mut self) -> Result<Expr, String> {
        self.chain(&['+', '-'], Self::product)
    }

    fn product(&mut self) -> Result<Expr, String> {
        self.chain(&['*', '/'], Self::atom)
    }

    fn chain(
        &mut self,
        operators: &[char],
        operand: fn(&mut Self) -> Result<Expr, String>,
    ) -> Result<Expr, String> {
        let mut left = operand(self)?;
        while let Some(operator) = self.peek().filter(|next| operators.contains(next)) {
            self.next_token();
            left = Expr::Binary(operator, Box::new(left), Box::new(operand(self)?));
        }
        Ok(left)
    }

    fn atom(&mut self) -> Result<Expr, String> {
        match self.peek() {
            Some('(') => {
                self.next_token();
                let inner = self.sum()?;
                if self.next_token() == Some(')') { Ok(inner) } else { Err("a `)` is missing".to_owned()) }
            }
            Some(first) if first.is_ascii_digit() => {
                let digits = self.word();
                digits.parse().map(Expr::Number).map_err(|_| format!("`{digits}` is no number"))
            }
            Some(first) if first.is_alphabetic() => Ok(Expr::Name(self.word())),
            Some(other) => Err(format!("`{other}` is not expected here")),
            None => Err("something is missing".to_owned()),
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(next) = self.0.next_if(|next| next.is_alphanumeric() || *next == '_') {
            word.push(next);
        }
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_bind_more_tightly_than_sums() {
        let Ok(Expr::Binary('+', _, right)) = parse("1 + two * (3 - 4)") else { panic!("it is a sum") };
        assert!(matches!(*right, Expr::Binary('*', ..)));
    }

    #[test]
    fn mistakes_are_told() {
        for (text, told) in [("1 +", "missing"), ("(1", "`)`"), ("1 2", "too many"), ("?", "`?`")] {
            assert!(parse(text).is_err_and(|error| error.contains(told)), "{text}");
        }
    }
}
