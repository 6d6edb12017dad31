//! Checks programs, and checks them again when they are edited: `cargo run -p calc -- FILE..`, or without files an example.

use std::error::Error;

use calc::program::report;
use larder::Runtime;

const EXAMPLE: &str = "\
# The price of a wall.
fn area(width: num, height: num) = width * height
fn price(area: num) = if is_large(area) then area * 3 else area * 4
fn is_large(area: num): bool = area > 100
print price(area(20, 6))
print price(area(2, 3))
";

/// Edits of the example: what is taken out, what is put in.
const EDITS: [(&str, &str, &str); 4] = [
    ("A comment on top: everything moves", "# The price", "# Larger walls are cheaper.\n# The price"),
    ("A body changes", "area * 3", "area * 2"),
    ("A result becomes a number", "is_large(area: num): bool = area > 100", "is_large(area: num) = area"),
    ("And back", "is_large(area: num) = area", "is_large(area: num): bool = area > 100"),
];

#[allow(clippy::print_stdout, reason = "a program talks to its user")]
fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<_> = std::env::args().skip(1).collect();
    let runtime = Runtime::new();
    for file in &files {
        let source = runtime.input(file, std::fs::read_to_string(file)?);
        print!("{file}:\n{}", told(&runtime, &source));
    }
    if files.is_empty() {
        let mut text = EXAMPLE.to_owned();
        let source = runtime.input("example", text.clone());
        print!("{text}{}", told(&runtime, &source));
        for (what, old, new) in EDITS {
            text = text.replacen(old, new, 1);
            runtime.update(|update| update.set(&source, text.clone()))?;
            print!("\n{what}.\n{}", told(&runtime, &source));
        }
    }
    Ok(())
}

/// Returns the report as text, and the bodies that ran for it.
fn told(runtime: &Runtime, source: &calc::program::Source) -> String {
    let before = runtime.stats();
    let (report, text) = runtime.run(|| (report(source), source.get()));
    let mut told = String::new();
    for fault in &report.diagnostics {
        let (line, column) = place(&text, fault.span.start);
        told += &format!("{line}:{column}: {}\n", fault.message);
    }
    for value in &report.printed {
        told += &format!("prints {value}\n");
    }
    let ran = runtime.stats().since(&before);
    let ran = ran.functions.iter().filter(|function| function.runs > 0);
    let ran: Vec<_> = ran.map(|function| format!("{} {}", function.runs, function.name)).collect();
    told + &format!("bodies: {}\n", ran.join(", "))
}

/// Returns the line and the column of a byte, from 1.
fn place(text: &str, byte: usize) -> (usize, usize) {
    let before = &text[..byte];
    (before.matches('\n').count() + 1, before.chars().rev().take_while(|next| *next != '\n').count() + 1)
}
