//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

pub const HELP: &str = "\
Checks the links of Markdown files, built on Larder.

Usage: linkcheck [OPTIONS] [PATH]

Arguments:
  [PATH]            A folder, or one file [default: the current folder]

Options:
      --stand-in LIST  Ask a server on this machine for all pages, which answers as
                       LIST says: per line a URL, and in any order a status, `#id`s
                       that the page has, `after MS`, `together N` to wait until N
                       are asked for, `of BYTES` for a long page,
                       `for NAME:PASSWORD`, and `-> URL` for a redirection
      --at-once N      Links that are checked at once [default: 16]
      --timeout MS     How long a page may take [default: 5000]
      --watch          Look again each second, and report what has become different
  -h, --help           Print this help

Links to files, to headings in them and to pages by http are checked; by https
only with a stand-in, as this example speaks no TLS. A path that begins with `/`
begins at the top of the Git repository, if there is one, as on GitHub. Broken links go to standard
output, one per line, and make the exit code 1.
";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args {
    pub root: PathBuf,
    pub stand_in: Option<PathBuf>,
    pub at_once: usize,
    pub timeout: Duration,
    pub mode: Mode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Once,
    Watch,
}

/// The request of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Help,
    Check(Args),
}

pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, lexopt::Error> {
    let mut args = Args {
        root: PathBuf::from("."),
        stand_in: None,
        at_once: 16,
        timeout: Duration::from_millis(5000),
        mode: Mode::Once,
    };
    let mut has_root = false;
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Request::Help),
            Long("stand-in") => args.stand_in = Some(parser.value()?.into()),
            Long("at-once") => args.at_once = parser.value()?.parse::<std::num::NonZero<usize>>()?.get(),
            Long("timeout") => args.timeout = Duration::from_millis(parser.value()?.parse()?),
            Long("watch") => args.mode = Mode::Watch,
            Value(path) if !has_root => {
                args.root = path.into();
                has_root = true;
            }
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Request::Check(args))
}
