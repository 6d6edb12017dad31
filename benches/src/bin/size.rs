//! Bytes of binary and seconds of compiling per function, over so many generated ones: `size [FUNCTIONS]`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program whose output is its purpose")]

use larder_benches::size::{FUNCTIONS, Kind, measure};
use std::process::ExitCode;

fn main() -> ExitCode {
    let functions = match std::env::args().nth(1).map(|argument| argument.parse::<u32>()) {
        None => FUNCTIONS,
        Some(Ok(functions)) if functions > 0 => functions,
        Some(_) => {
            eprintln!("usage: size [FUNCTIONS]");
            return ExitCode::from(2);
        }
    };
    match measure(functions, Kind::BUILT) {
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
