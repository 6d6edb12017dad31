//! The `larder` command: looks into stores of larder, verifies, compares and shrinks them. `docs/cli.md` tells what it prints.
//!
//! | module | holds |
//! |---|---|
//! | `args` | the command line |
//! | `error` | errors and exit codes |
//! | `out` | columns, colours, JSON, escaping |
//! | the others | a command each |
//!
//! Everything that is read comes from `larder_storage::inspect`, by way of `larder_inspect::stored`, which names tasks and makes the JSON that the inspector's page has, too;
//! nothing here knows the format.

mod args;
mod diff;
mod doctor;
mod error;
mod explain;
mod graph;
mod last_run;
mod ls;
mod out;
mod pages;
mod serve;
mod shared;
mod show;
mod shrink;
mod stats;
mod verify;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use larder_inspect::stored as names;
use larder_storage::inspect::StoreReader;

use self::args::{Cli, Command};
use self::error::{CliError, Outcome};
use self::out::Out;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = Out::new(cli.json);
    let result = run(&cli.command, &mut out).and_then(|outcome| {
        out.flush()?;
        Ok(outcome)
    });
    match result {
        Ok(Outcome::Fine) => ExitCode::SUCCESS,
        Ok(Outcome::Found) => ExitCode::from(1),
        Err(error) => {
            let _ = out.flush();
            if !error.is_silent() {
                say(&format!("error: {error}"));
            }
            error.code()
        }
    }
}

fn run(command: &Command, out: &mut Out) -> Result<Outcome, CliError> {
    match command {
        Command::Stats(args) => stats::run(&open(&args.store)?, out),
        Command::Ls(args) => ls::run(&open(&args.store)?, args, out),
        Command::Show(args) => show::run(&open(&args.store)?, args, out),
        Command::Explain(args) => explain::run(&open(&args.store)?, args, out),
        Command::Graph(args) => graph::run(&open(&args.store)?, args, out),
        Command::Verify(args) => verify::run(&open(&args.store)?, out),
        Command::Serve(args) => serve::run(args, out),
        Command::Diff(args) => diff::run(&open(&args.before)?, &open(&args.after)?, args, out),
        Command::Gc(args) => shrink::gc(args, out),
        Command::Compact(args) => shrink::compact(&args.store, out),
        Command::Doctor(args) => doctor::run(args, out),
        Command::Shared(command) => shared::run(command, out),
        Command::Completions { shell } => pages::completions(*shell, out),
        Command::Man => pages::manual(out),
    }
}

/// Opens a store, and says so if it is a copy.
fn open(path: &Path) -> Result<StoreReader, CliError> {
    let reader = StoreReader::open(path)?;
    if reader.is_snapshot() {
        let path = out::escaped(path.as_os_str().as_encoded_bytes());
        say(&format!("note: another process has `{path}` open; this is a copy of it as it is now"));
    }
    Ok(reader)
}

/// Writes a line to standard error. Whether that can be written concerns nothing.
fn say(line: &str) {
    // Messages name paths, which may hold anything.
    let line = out::escaped(line.as_bytes());
    let _ = writeln!(std::io::stderr(), "{line}");
}
