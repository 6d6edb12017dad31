//! A spreadsheet: cells hold numbers or formulas, and a formula reads other cells.
//!
//! For now without memory: `value` evaluates a cell wherever it is read. With Larder it is a task per cell, what the user
//! typed is an `Input<String>` per cell, and `depth` goes: a cycle is then an error that names its path.

#![expect(clippy::print_stdout, reason = "it is an example")]

use std::collections::BTreeMap;
use std::fmt;

const SUMS: [(&str, &str); 4] =
    [("A1", "20"), ("A2", "22"), ("A3", "=A1 + A2"), ("B1", "=A3 * 2 - (1 + 1) / 4")];
const TROUBLE: [(&str, &str); 3] = [("B2", "=1 / 0"), ("C1", "=C2 + 1"), ("C2", "=C1")];

fn main() {
    let mut sheet = Sheet::default();
    for (cell, text) in SUMS.into_iter().chain(TROUBLE) {
        sheet.set(cell, text);
    }
    sheet.print();
    sheet.set("A1", "0");
    println!("\nA1 becomes 0:");
    sheet.print();
}

/// What the user typed, by cell.
#[derive(Default)]
struct Sheet(BTreeMap<String, String>);

impl Sheet {
    fn set(&mut self, cell: &str, text: &str) {
        self.0.insert(cell.to_owned(), text.to_owned());
    }

    fn print(&self) {
        for (cell, text) in &self.0 {
            match value(self, cell, 0) {
                Ok(value) => println!("  {cell} = {value:<8} {text}"),
                Err(error) => println!("  {cell} : {error}"),
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum CellError {
    Syntax { formula: String, at: usize },
    DividesByZero,
    ReadsItself(String),
}

impl fmt::Display for CellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CellError::Syntax { formula, at } => {
                write!(f, "`{formula}` makes no sense from character {at} on")
            }
            CellError::DividesByZero => f.write_str("divides by zero"),
            CellError::ReadsItself(cell) => write!(f, "{cell} reads itself"),
        }
    }
}

/// An empty cell is zero. A chain of reads that is longer than the sheet comes by some cell twice.
fn value(sheet: &Sheet, cell: &str, depth: usize) -> Result<f64, CellError> {
    if depth > sheet.0.len() {
        return Err(CellError::ReadsItself(cell.to_owned()));
    }
    let text = sheet.0.get(cell).map_or("0", String::as_str);
    let read = |cell: &str| value(sheet, cell, depth + 1);
    let mut formula = Formula { text: text.strip_prefix('=').unwrap_or(text), at: 0, read };
    let value = formula.sum()?;
    if formula.peek().is_some() { formula.error() } else { Ok(value) }
}

/// `sum := product (('+' | '-') product)*`, and so on down to cells and numbers.
struct Formula<'a, R> {
    text: &'a str,
    at: usize,
    read: R,
}

impl<'a, R: Fn(&str) -> Result<f64, CellError>> Formula<'a, R> {
    fn sum(&mut self) -> Result<f64, CellError> {
        let mut value = self.product()?;
        loop {
            match self.peek() {
                Some(b'+') => value += self.after_operator(Self::product)?,
                Some(b'-') => value -= self.after_operator(Self::product)?,
                _ => return Ok(value),
            }
        }
    }

    fn product(&mut self) -> Result<f64, CellError> {
        let mut value = self.atom()?;
        loop {
            match self.peek() {
                Some(b'*') => value *= self.after_operator(Self::atom)?,
                Some(b'/') => match self.after_operator(Self::atom)? {
                    0.0 => return Err(CellError::DividesByZero),
                    divisor => value /= divisor,
                },
                _ => return Ok(value),
            }
        }
    }

    fn atom(&mut self) -> Result<f64, CellError> {
        match self.peek() {
            Some(b'-') => Ok(-self.after_operator(Self::atom)?),
            Some(b'(') => {
                let value = self.after_operator(Self::sum)?;
                if self.peek() != Some(b')') {
                    return self.error();
                }
                self.at += 1;
                Ok(value)
            }
            Some(b'A'..=b'Z' | b'a'..=b'z') => {
                let cell = self.word();
                (self.read)(cell)
            }
            _ => self.word().parse().or_else(|_| self.error()),
        }
    }

    fn after_operator(&mut self, parse: fn(&mut Self) -> Result<f64, CellError>) -> Result<f64, CellError> {
        self.at += 1;
        parse(self)
    }

    fn word(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn error<T>(&self) -> Result<T, CellError> {
        Err(CellError::Syntax { formula: self.text.to_owned(), at: self.at })
    }
}
