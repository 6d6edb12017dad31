//! An incremental census of a Rust source tree: `cargo run --release --example census -- --help`.
//!
//! In reading order: `model` is what is computed, `tasks` how it is divided into task functions, `scan`, `parse`,
//! `visit`, `attributes`, `manifest`, `modules` and `sums` the plain code that these call, and the rest is the program around them.

#![expect(
    unreachable_pub,
    reason = "nothing is reachable from outside a program; `pub` says what a module offers"
)]
#![expect(clippy::print_stderr, reason = "a program talks to its user there")]

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

mod model;
mod tasks;

mod attributes;
mod manifest;
mod modules;
mod parse;
mod scan;
mod sums;
mod visit;

mod args;
mod progress;
mod render;
mod roots;
mod stub;
mod table;
mod watch;

use args::{Args, Mode, Paths, Request};
use render::{Step, View};
use roots::Roots;

fn main() -> ExitCode {
    let args = match args::parse(std::env::args_os().skip(1)) {
        Ok(Request::Census(args)) => args,
        Ok(Request::Help) => return printed(io::stdout().write_all(args::HELP.as_bytes())),
        Err(error) => {
            eprintln!("census: {error}\nTry `census --help`.");
            return ExitCode::from(2);
        }
    };
    let paths = match &args.paths {
        Paths::Given(paths) => Ok(paths.clone()),
        Paths::FromStandardInput => roots::from_standard_input(),
    };
    match paths {
        Ok(paths) => census(&args, &Roots::resolve(&paths)),
        Err(error) => {
            eprintln!("census: standard input: {error}");
            ExitCode::FAILURE
        }
    }
}

fn census(args: &Args, roots: &Roots) -> ExitCode {
    for missing in &roots.missing {
        eprintln!("census: {}: {}", missing.file.display(), missing.message);
    }
    if roots.dirs.is_empty() && roots.files.is_empty() {
        if roots.missing.is_empty() {
            eprintln!("census: nothing to count");
        }
        return ExitCode::FAILURE;
    }
    let mut view = View::new(args, roots);
    let outcome = match args.mode {
        Mode::Once => step(roots, &mut view),
        Mode::Watch => match watch::Changes::below(roots) {
            Ok(changes) => watch(&changes, roots, &mut view),
            Err(error) => {
                eprintln!("census: cannot watch: {error}");
                return ExitCode::FAILURE;
            }
        },
    };
    match printed(outcome) {
        ExitCode::SUCCESS if !roots.missing.is_empty() => ExitCode::FAILURE,
        code => code,
    }
}

fn watch(changes: &watch::Changes, roots: &Roots, view: &mut View) -> io::Result<()> {
    step(roots, view)?;
    eprintln!("watching; end with ctrl-c");
    while let Some(changed) = changes.next() {
        view.changed(&changed)?;
        step(roots, view)?;
    }
    Ok(())
}

/// Asks for the report, and shows it with what it took.
fn step(roots: &Roots, view: &mut View) -> io::Result<()> {
    let (start, before) = (Instant::now(), stub::parsed());
    let report = {
        let _bar = progress::Progress::start(|| tasks::count_files(&roots.dirs, &roots.files), stub::parsed);
        tasks::report(&roots.dirs, &roots.files)
    };
    let elapsed = start.elapsed();
    let diagnostics = stub::collect();
    view.show(report, &diagnostics)?;
    let step = Step { parsed: stub::parsed() - before, elapsed };
    // On a terminal the two streams meet.
    let gap = if io::stderr().is_terminal() { "\n" } else { "" };
    eprintln!("{gap}{step}");
    Ok(())
}

/// A reader that has gone, as `head` does, is no failure.
fn printed(outcome: io::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("census: {error}");
            ExitCode::FAILURE
        }
    }
}
