//! A spreadsheet: cells hold numbers or formulas, and a formula reads other cells.
//!
//! The text of a cell is an input, its value a task. After an edit only what reads the cell is computed, and
//! only as far as values change; cells that read each other in a circle are an error that names them.

#![expect(clippy::print_stdout, reason = "it is an example")]

use std::collections::BTreeMap;

use larder::{Input, Runtime, UpdateError, task_fn};

fn main() -> Result<(), UpdateError> {
    let runtime = Runtime::new();
    let mut sheet = Sheet { cells: runtime.input("cells", BTreeMap::new()), runtime, runs: 0 };
    sheet.set(&[("A1", "20"), ("A2", "22"), ("A3", "=A1 + A2"), ("B1", "=A3 * 2 - (1 + 1) / 4")])?;
    sheet.print("At first");
    sheet.set(&[("A1", "=40 / 2")])?;
    sheet.print("Typed otherwise, A1 is what it was, and what reads it is not computed");
    sheet.set(&[("A1", "0")])?;
    sheet.print("With another A1");
    sheet.set(&[("B2", "=1 / A1"), ("C1", "=C2 + 1"), ("C2", "=C1")])?;
    sheet.print("With trouble");
    sheet.set(&[("A1", "4"), ("C2", "=A1")])?;
    sheet.print("Mended");
    Ok(())
}

/// The texts that the user typed, by cell.
type Cells = BTreeMap<String, Input<String>>;

struct Sheet {
    runtime: Runtime,
    /// An input too: a formula may read a cell before there is one.
    cells: Input<Cells>,
    runs: u64,
}

impl Sheet {
    fn set(&self, texts: &[(&str, &str)]) -> Result<(), UpdateError> {
        let mut cells = self.runtime.run(|| self.cells.get());
        self.runtime.update(|update| {
            for &(name, text) in texts {
                let cell = self.runtime.input(name, String::new());
                update.set(&cell, text.to_owned());
                cells.insert(name.to_owned(), cell);
            }
            update.set(&self.cells, cells);
        })
    }

    /// Each cell in a session of its own, so that the failure of one is not that of the others.
    fn print(&mut self, title: &str) {
        println!("{title}:");
        for (name, text) in self.runtime.run(|| self.cells.get()) {
            match self.runtime.try_run(|| (value(&self.cells, &name), text.get())) {
                Ok((Ok(value), text)) => println!("  {name} = {value:<8} {text}"),
                Ok((Err(error), _)) => println!("  {name} : {error}"),
                Err(error) => println!("  {name} : {error}"),
            }
        }
        let runs = self.runtime.stats().get("value").map_or(0, |value| value.runs);
        println!("  ({} computed)", runs - std::mem::replace(&mut self.runs, runs));
    }
}

/// Apart from `value`, so that a new cell has the others looked up again, and not computed.
#[task_fn(transient)]
fn cell(cells: &Input<Cells>, name: &str) -> Option<Input<String>> {
    cells.with(|cells| cells.get(name).cloned())
}

/// An empty cell is zero.
#[task_fn(transient)]
fn value(cells: &Input<Cells>, name: &str) -> Result<f64, String> {
    let text = cell(cells, name).map_or_else(|| "0".to_owned(), |cell| cell.get());
    let mut formula = Formula { cells, rest: text.strip_prefix('=').unwrap_or(&text) };
    let value = formula.sum()?;
    if formula.rest.is_empty() { Ok(value) } else { formula.error() }
}

/// `sum := product (('+' | '-') product)*`, and so on down to cells and numbers.
struct Formula<'a> {
    cells: &'a Input<Cells>,
    rest: &'a str,
}

impl Formula<'_> {
    fn sum(&mut self) -> Result<f64, String> {
        let mut value = self.product()?;
        loop {
            match self.take(&['+', '-']) {
                Some('+') => value += self.product()?,
                Some(_) => value -= self.product()?,
                None => return Ok(value),
            }
        }
    }

    fn product(&mut self) -> Result<f64, String> {
        let mut value = self.atom()?;
        while let Some(operator) = self.take(&['*', '/']) {
            match (operator, self.atom()?) {
                ('*', factor) => value *= factor,
                (_, 0.0) => return Err("divides by zero".to_owned()),
                (_, divisor) => value /= divisor,
            }
        }
        Ok(value)
    }

    fn atom(&mut self) -> Result<f64, String> {
        match self.take(&['-', '(']) {
            Some('-') => return Ok(-self.atom()?),
            Some(_) => {
                let value = self.sum()?;
                return if self.take(&[')']).is_some() { Ok(value) } else { self.error() };
            }
            None => {}
        }
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.');
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        if word.starts_with(|c: char| c.is_ascii_alphabetic()) {
            self.rest = rest;
            return value(self.cells, word);
        }
        let Ok(number) = word.parse() else { return self.error() };
        self.rest = rest;
        Ok(number)
    }

    /// The next symbol, if it is one of these.
    fn take(&mut self, symbols: &[char]) -> Option<char> {
        self.rest = self.rest.trim_start();
        let symbol = self.rest.chars().next().filter(|symbol| symbols.contains(symbol))?;
        self.rest = &self.rest[symbol.len_utf8()..];
        Some(symbol)
    }

    fn error(&self) -> Result<f64, String> {
        match self.rest {
            "" => Err("ends too early".to_owned()),
            rest => Err(format!("`{rest}` makes no sense")),
        }
    }
}
