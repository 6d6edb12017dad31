//! Bytes of binary and seconds of compiling per function, over so many generated ones: `size [FUNCTIONS] [KIND...]`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program whose output is its purpose")]

use larder_benches::size::{FUNCTIONS, Kind, measure};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let functions = match arguments.next().map(|argument| argument.parse::<u32>()) {
        None => Some(FUNCTIONS),
        Some(functions) => functions.ok().filter(|functions| *functions > 0),
    };
    let named = |name: String| Kind::BUILT.iter().copied().find(|kind| kind.name() == name);
    let kinds: Option<Vec<Kind>> = arguments.map(named).collect();
    let (Some(functions), Some(mut kinds)) = (functions, kinds) else {
        let names: Vec<_> = Kind::BUILT.iter().map(|kind| kind.name()).collect();
        eprintln!("usage: size [FUNCTIONS] [KIND...], a kind being one of: {}", names.join(", "));
        return ExitCode::from(2);
    };
    if kinds.is_empty() {
        kinds.extend(Kind::BUILT);
    }
    match measure(functions, &kinds) {
        Ok(figures) => {
            println!("{:<18}{:>16}{:>20}", "kind", "bytes/function", "ms/function");
            for (kind, per) in figures.iter() {
                println!("{:<18}{:>16.0}{:>20.2}", kind.name(), per.bytes, per.seconds * 1e3);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("size: {error}");
            ExitCode::FAILURE
        }
    }
}
