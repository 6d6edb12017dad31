//! The command line.

use std::ffi::OsString;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use lexopt::prelude::*;

pub const HELP: &str = "\
An incremental census of Rust source trees, built on Larder.

Usage: census [OPTIONS] [PATH]...

Arguments:
  [PATH]...      Directories or .rs files [default: the workspace of this example]
                 A single - reads a list of them from standard input, one per line
                 (or each ended by a NUL, as by `git ls-files -z`)

Options:
      --watch      Report again whenever a file changes
      --json       Print each report as one line of JSON
      --top N      Rows per table [default: 10]
      --timing     Print what each task function did and the time it took
      --threads N  Threads that parse [default: one per processor]
      --cache DIR  Keep results between runs in DIR [default: .larder below PATH]
      --no-cache   Keep no results between runs
      --base DIR   Keep and report paths relative to DIR, which holds all PATHs: a cache made
                   so counts for an equal tree at another place. Nothing above DIR is read
      --shared PLACE       Use results that others have pushed to PLACE, a folder. Needs --base, and
                           a build with the feature `shared` [default: $LARDER_SHARED]
      --shared-mode MODE   off, read or write; a writer signs with $LARDER_SHARED_SIGNING_KEY
                           [default: $LARDER_SHARED_MODE, or read]
      --shared-trust KEY   Use what KEY has signed; may be repeated [default: $LARDER_SHARED_TRUST]
      --plain      Run without any memoization, to compare with
  -h, --help       Print this help

Reports go to standard output, what it took to make them to standard error.
What macros expand to is not counted, and neither are links, hidden directories
and directories tagged as caches, as Cargo tags `target`.
";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args {
    pub paths: Paths,
    pub mode: Mode,
    pub format: Format,
    pub top: usize,
    pub timing: Timing,
    pub cache: Cache,
    /// Where the paths of results start. None: they are absolute.
    pub base: Option<PathBuf>,
    pub memoization: Memoization,
    pub threads: Threads,
    pub shared: Shared,
}

/// A cache that machines share, as the command line names it. The environment names the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    pub place: Option<String>,
    pub mode: Option<SharedMode>,
    pub trust: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedMode {
    Off,
    Read,
    Write,
}

/// How many threads parse. Without memoization there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    PerProcessor,
    Number(NonZero<usize>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paths {
    Given(Vec<PathBuf>),
    FromStandardInput,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Once,
    Watch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// The words about the time that a report took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    InAll,
    ByTask,
}

/// Where results are kept between runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cache {
    BelowTheTree,
    At(PathBuf),
    Nowhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memoization {
    Larder,
    Plain,
}

/// The request of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Help,
    Census(Args),
}

pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, lexopt::Error> {
    let mut args = Args {
        paths: Paths::Given(Vec::new()),
        mode: Mode::Once,
        format: Format::Text,
        top: 10,
        timing: Timing::InAll,
        cache: Cache::BelowTheTree,
        base: None,
        memoization: Memoization::Larder,
        threads: Threads::PerProcessor,
        shared: Shared::default(),
    };
    let mut paths = Vec::new();
    let mut list = false;
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Request::Help),
            Long("watch") => args.mode = Mode::Watch,
            Long("json") => args.format = Format::Json,
            Long("top") => args.top = parser.value()?.parse()?,
            Long("threads") => args.threads = Threads::Number(parser.value()?.parse()?),
            Long("timing") => args.timing = Timing::ByTask,
            Long("plain") => args.memoization = Memoization::Plain,
            Long("no-cache") if matches!(args.cache, Cache::At(_)) => return Err(contradiction()),
            Long("no-cache") => args.cache = Cache::Nowhere,
            Long("cache") if args.cache == Cache::Nowhere => return Err(contradiction()),
            Long("cache") => args.cache = Cache::At(parser.value()?.into()),
            Long("base") => args.base = Some(parser.value()?.into()),
            Long("shared") => args.shared.place = Some(parser.value()?.parse()?),
            Long("shared-mode") => args.shared.mode = Some(shared_mode(&parser.value()?)?),
            Long("shared-trust") => args.shared.trust.push(parser.value()?.parse()?),
            Value(path) if path == "-" => list = true,
            Value(path) if path.is_empty() => return Err("an empty PATH names nothing".into()),
            Value(path) => paths.push(path.into()),
            _ => return Err(argument.unexpected()),
        }
    }
    if args.base.is_some() && args.memoization == Memoization::Plain {
        return Err("--base and --plain exclude each other".into());
    }
    if args.shared.place.is_some() {
        if !cfg!(feature = "shared") {
            return Err("--shared needs a build with `--features shared`".into());
        }
        if args.base.is_none() || args.cache == Cache::Nowhere {
            return Err(
                "--shared needs --base and a cache: paths have to mean the same on all machines".into()
            );
        }
    }
    args.paths = match (list, paths.is_empty()) {
        (true, false) => return Err("a list on standard input and a PATH exclude each other".into()),
        (true, true) => Paths::FromStandardInput,
        (false, false) => Paths::Given(paths),
        (false, true) => Paths::Given(vec![this_workspace()]),
    };
    Ok(Request::Census(args))
}

fn shared_mode(mode: &std::ffi::OsStr) -> Result<SharedMode, lexopt::Error> {
    match mode.to_str() {
        Some("off") => Ok(SharedMode::Off),
        Some("read") => Ok(SharedMode::Read),
        Some("write") => Ok(SharedMode::Write),
        _ => Err("--shared-mode is off, read or write".into()),
    }
}

fn contradiction() -> lexopt::Error {
    "--cache and --no-cache exclude each other".into()
}

/// The workspace that this example was built in, or, when it has moved away, the current directory.
fn this_workspace() -> PathBuf {
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).parent().filter(|path| path.is_dir());
    built_in.unwrap_or(Path::new(".")).to_owned()
}
