//! Checks the links of a folder of Markdown files: `cargo run --release --example linkcheck -- --help`.
//!
//! In reading order: `markdown` is what a file holds, `target` where a link leads, `tasks` how the work is divided into task functions, async ones among
//! them, `fetch` and `url` how a page is asked for, `stand_in` a server on loopback that answers in place of the world, and the rest is
//! the program around them.

#![expect(
    unreachable_pub,
    reason = "nothing is reachable from outside a program; `pub` says what a module offers"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user there")]

mod markdown;
mod target;
mod tasks;

mod fetch;
mod stand_in;
mod url;

mod args;
mod progress;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder::{Runtime, Stats};

use args::{Args, Mode, Request};
use fetch::Client;
use stand_in::{Answers, StandIn};
use tasks::{Report, Settings};

fn main() -> ExitCode {
    let args = match args::parse(std::env::args_os().skip(1)) {
        Ok(Request::Check(args)) => args,
        Ok(Request::Help) => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("linkcheck: {error}\nTry `linkcheck --help`.");
            return ExitCode::from(2);
        }
    };
    let executor = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match executor.and_then(|executor| executor.block_on(check(&args))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("linkcheck: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all links are well.
async fn check(args: &Args) -> io::Result<bool> {
    let stand_in = match &args.stand_in {
        Some(list) => Some(StandIn::start(Arc::new(Answers::read(list)?)).await?),
        None => None,
    };
    let client = Client { stand_in: stand_in.as_ref().map(StandIn::address), timeout: args.timeout };
    let root = root_of(&args.root)?;
    let settings = Settings { client, at_once: args.at_once, top: top_of(&root) };
    let runtime = Runtime::new();
    let mut before = None;
    loop {
        let report = step(&runtime, &settings, &root, before.as_ref()).await?;
        if args.mode == Mode::Once {
            return Ok(report.broken.is_empty());
        }
        before = Some(report);
        // Looking again is a `stat` per file. A session also sees which pages have expired.
        tokio::time::sleep(Duration::from_secs(1)).await;
        runtime.refresh().map_err(io::Error::other)?;
    }
}

/// The folder that is checked, by its absolute path.
fn root_of(given: &Path) -> io::Result<PathBuf> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", given.display()));
    let root = given.canonicalize().map_err(named)?;
    let metadata = root.metadata().map_err(named)?;
    if metadata.is_dir() || metadata.is_file() {
        Ok(root)
    } else {
        Err(named(io::Error::other("neither a folder nor a file")))
    }
}

/// The top of the repository that `root` is in, or else its folder.
fn top_of(root: &Path) -> PathBuf {
    let has_git = |dir: &&Path| dir.join(".git").symlink_metadata().is_ok();
    root.ancestors().find(has_git).unwrap_or(folder_of(root)).to_owned()
}

fn folder_of(root: &Path) -> &Path {
    if root.is_dir() { root } else { root.parent().unwrap_or(root) }
}

/// Asks for the report, and shows it unless it is the one `before`.
async fn step(
    runtime: &Runtime,
    settings: &Settings,
    root: &Path,
    before: Option<&Report>,
) -> io::Result<Report> {
    let (start, known) = (Instant::now(), runtime.stats());
    let bar = progress::start(runtime);
    let report = runtime.try_run_async(tasks::report_with_progress(settings, root, &bar)).await;
    drop(bar);
    let report = report.map_err(io::Error::other)?;
    if before != Some(&*report) {
        show(&report, root);
        eprintln!(
            "{}; {:.1} ms",
            summary(&report, &runtime.stats().since(&known)),
            start.elapsed().as_secs_f64() * 1e3
        );
    }
    Ok((*report).clone())
}

fn show(report: &Report, root: &Path) {
    for broken in &report.broken {
        let file = broken.file.strip_prefix(folder_of(root)).unwrap_or(&broken.file);
        let target = target::shown(&broken.target);
        println!("{}:{}: {target}: {}", file.display(), broken.line, broken.problem);
    }
}

fn summary(report: &Report, done: &Stats) -> String {
    let runs = |name| done.get(name).map_or(0, |function| function.runs);
    format!(
        "{} links in {} files, {} broken, {} not checked; files parsed: {}, links checked: {}, pages asked for: {}",
        report.links,
        report.files,
        report.broken.len(),
        report.unchecked,
        runs("document"),
        runs("verdict"),
        runs("page"),
    )
}
