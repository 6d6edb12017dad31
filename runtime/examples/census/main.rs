//! An incremental census of a Rust source tree: `cargo run --release --example census -- --help`.
//!
//! In reading order: `model` is what is computed, `tasks` how it is divided into task functions, which `memoized` asks on
//! Larder and `plain` without it, `scan`, `parse`, `visit`, `attributes`, `manifest`, `modules` and `sums` the plain code
//! that the tasks call, and the rest is the program around them.

#![expect(
    unreachable_pub,
    reason = "nothing is reachable from outside a program; `pub` says what a module offers"
)]
#![expect(clippy::duplicate_mod, reason = "`tasks` is compiled with memory and without, to compare")]
#![expect(clippy::print_stderr, reason = "a program talks to its user there")]

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

mod model;

mod memoized;
mod plain;

mod attributes;
mod manifest;
mod modules;
mod parse;
mod scan;
mod sums;
mod visit;

mod args;
mod cache;
mod progress;
mod render;
mod roots;
mod step;
mod table;
mod watch;

use args::{Args, Mode, Paths, Request, Timing};
use render::View;
use roots::Roots;
use step::{Census, Step, Work};

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
    let asked = match args.base.as_deref().map_or_else(|| Ok(roots.clone()), |base| roots.relative_to(base)) {
        Ok(asked) => asked,
        Err(error) => {
            eprintln!("census: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (census, problem) = Census::new(args.memoization, || cache::runtime(args, roots));
    if let Some(problem) = problem {
        eprintln!("census: {problem}");
    }
    let mut program = Program { census, roots: &asked, view: View::new(args, roots), timing: args.timing };
    let outcome = match args.mode {
        Mode::Once => {
            let outcome = program.step();
            #[cfg(feature = "shared")]
            program.census.share();
            outcome
        }
        Mode::Watch => match watch::Changes::below(roots) {
            Ok(changes) => program.watch(&changes),
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

struct Program<'a> {
    census: Census,
    /// The folders to look through, as they are given to tasks.
    roots: &'a Roots,
    view: View,
    timing: Timing,
}

impl Program<'_> {
    fn watch(&mut self, changes: &watch::Changes) -> io::Result<()> {
        self.step()?;
        eprintln!("watching; end with ctrl-c");
        while let Some(changed) = changes.next() {
            let step = self.census.step(self.roots);
            // Most of what happens in a tree is of no source.
            if step.has_parsed() || self.view.is_news(&step.report, &step.diagnostics) {
                self.view.changed(&changed)?;
                self.show(&step)?;
            }
        }
        Ok(())
    }

    /// Asks for the report, and shows it with what it took.
    fn step(&mut self) -> io::Result<()> {
        let step = self.census.step(self.roots);
        self.show(&step)
    }

    fn show(&mut self, step: &Step) -> io::Result<()> {
        self.view.show(&step.report, &step.diagnostics)?;
        // On a terminal the two streams meet.
        let gap = if io::stderr().is_terminal() { "\n" } else { "" };
        eprintln!("{gap}{step}");
        if let (Timing::ByTask, Work::Memoized { tasks, .. }) = (self.timing, &step.work) {
            eprintln!("\n{tasks}");
        }
        Ok(())
    }
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
