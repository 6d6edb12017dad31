//! Measures the budgets of docs/budgets.md: `name  measured  limit  ok|SHORT`, one line each.
//!
//! The first line is a word on the machine (with `--json` on the error output): ratios depend on what its locks and caches cost.
//!
//! `--only a,b` and `--skip a,b` choose, `--json` prints one object per line, `--verbose` shows the checks and
//! figures behind each line, `--list` the names. The exit code is 1 if any budget is short, 2 for a wrong argument.
//!
//! Several budgets are measured by a process each: what one leaves in the heap (a million freed tasks of larder's and of
//! each peer) is not to slow down the next.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program whose output is its purpose")]

use larder_benches::allocation::Counting;
use larder_benches::budgets::{ALL, Budget};
use std::process::{Command, ExitCode};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Set for the process of one budget among several, whose parent has described the machine.
const PART: &str = "LARDER_BUDGETS_PART";

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("budgets: {message}");
            eprintln!("usage: budgets [--only a,b] [--skip a,b] [--json] [--verbose] [--list]");
            return ExitCode::from(2);
        }
    };
    let chosen: Vec<&Budget> = ALL.iter().filter(|budget| options.chooses(budget)).collect();
    if options.list {
        chosen.iter().for_each(|budget| println!("{}", budget.name));
        return ExitCode::SUCCESS;
    }
    if std::env::var_os(PART).is_none() {
        let machine = larder_benches::machine::describe();
        if options.json { eprintln!("machine: {machine}") } else { println!("machine: {machine}") }
    }
    let kept: Vec<bool> = match chosen[..] {
        [budget] => vec![measure(budget, &options)],
        _ => chosen.iter().map(|budget| measure_apart(budget, &options)).collect(),
    };
    if kept.iter().all(|kept| *kept) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Measures a budget and prints its line. Returns whether it is kept.
fn measure(budget: &Budget, options: &Options) -> bool {
    let verdict = (budget.measure)();
    if options.json {
        println!("{}", verdict.json());
    } else {
        println!("{}", verdict.line());
        if options.verbose {
            print!("{}", verdict.details());
        }
    }
    verdict.is_ok()
}

/// The same, in a process of its own.
fn measure_apart(budget: &Budget, options: &Options) -> bool {
    let flags = [(options.json, "--json"), (options.verbose, "--verbose")];
    let flags = flags.iter().filter(|(given, _)| *given).map(|(_, flag)| *flag);
    let status = std::env::current_exe().and_then(|program| {
        Command::new(program).args(["--only", budget.name]).args(flags).env(PART, "1").status()
    });
    match status {
        Ok(status) if matches!(status.code(), Some(0 | 1)) => status.success(),
        Ok(status) => {
            eprintln!("budgets: the process that measured {} ended with {status}", budget.name);
            false
        }
        Err(error) => {
            eprintln!("budgets: {} could not be measured: {error}", budget.name);
            false
        }
    }
}

#[derive(Default)]
struct Options {
    only: Option<Vec<String>>,
    skip: Vec<String>,
    json: bool,
    verbose: bool,
    list: bool,
}

impl Options {
    fn parse(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options::default();
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let (flag, attached) = match argument.split_once('=') {
                Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
                None => (argument, None),
            };
            let mut names = || attached.clone().or_else(|| arguments.next()).ok_or("names are missing");
            match flag.as_str() {
                "--only" => options.only = Some(known(&names()?)?),
                "--skip" => options.skip = known(&names()?)?,
                "--json" => options.json = true,
                "--verbose" | "-v" => options.verbose = true,
                "--list" => options.list = true,
                other => return Err(format!("unknown argument `{other}`")),
            }
        }
        Ok(options)
    }

    fn chooses(&self, budget: &Budget) -> bool {
        let only = self.only.as_ref().is_none_or(|only| only.iter().any(|name| name == budget.name));
        only && !self.skip.iter().any(|name| name == budget.name)
    }
}

/// The names in `list`, all of which must be budgets: a misspelt one must not pass for kept.
fn known(list: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = list.split(',').map(str::to_owned).collect();
    match names.iter().find(|name| !ALL.iter().any(|budget| budget.name == name.as_str())) {
        Some(unknown) => Err(format!("there is no budget `{unknown}`; see --list")),
        None => Ok(names),
    }
}
