//! From the text of a file to its census, by way of `syn`.

use syn::visit::Visit;

use crate::model::{FileCensus, Problem};
use crate::scan::scan;
use crate::visit::Visitor;

/// `syn` recurses, and a stack that overflows takes the process down. A file that is deeper than this is counted by its
/// lines only. Of the 29,358 files of 848 published crates, all but one in a thousand stay below 300 levels, and the
/// deepest, a generated table, comes to 4,133.
const DEEPEST: usize = 10_000;

/// Stack for one level. Of 34 kinds of nesting the worst were measured to take less than 32 kB a level in a debug build
/// (`&&&u8`, `(((u8,),),)`) and 6 kB in a release build (`{{{}}}`). Stack that is not used is never taken from the system.
const STACK_PER_LEVEL: usize = if cfg!(debug_assertions) { 48 << 10 } else { 12 << 10 };
/// Tokens and tree of a file were measured to take 70 times the memory of its text. The largest of the same files has 7 MiB.
const LARGEST_MIB: usize = 16;

const STACK_AT_LEAST: usize = 256 << 10;

/// Why a file has no more than its lines to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseFailure {
    pub line: Option<u32>,
    pub problem: Problem,
    pub message: String,
}

/// The census of a file with this text. A file that cannot be parsed still has its lines counted.
pub fn file_census(text: &str) -> (FileCensus, Option<ParseFailure>) {
    let scan = scan(text);
    let mut census = FileCensus { bytes: text.len() as u64, lines: scan.lines, ..FileCensus::default() };
    let parsed = match beyond_bounds(text, scan.depth) {
        Some((problem, message)) => Err(ParseFailure { line: None, problem, message }),
        None => {
            let stack = STACK_AT_LEAST + scan.depth * STACK_PER_LEVEL;
            stacker::maybe_grow(stack, stack, || parse(text, &mut census))
        }
    };
    let failure = parsed.err();
    census.broken = failure.is_some();
    (census, failure)
}

fn beyond_bounds(text: &str, depth: usize) -> Option<(Problem, String)> {
    if depth > DEEPEST {
        return Some((Problem::TooDeep, format!("up to {depth} levels, where {DEEPEST} are followed")));
    }
    let size = text.len() >> 20;
    (size >= LARGEST_MIB).then(|| (Problem::TooLarge, format!("{size} MiB, where {LARGEST_MIB} are parsed")))
}

fn parse(text: &str, census: &mut FileCensus) -> Result<(), ParseFailure> {
    let outcome = syn::parse_file(text);
    let outcome = match &outcome {
        Ok(file) => {
            Visitor::new(census).visit_file(file);
            Ok(())
        }
        Err(error) => Err(failure(error, text)),
    };
    // proc-macro2 keeps the text of all that it ever lexed on this thread, to resolve positions.
    // Ours are resolved, and nothing with a position outlives this call.
    proc_macro2::extra::invalidate_current_thread_spans();
    outcome
}

fn failure(error: &syn::Error, text: &str) -> ParseFailure {
    let message = error.to_string();
    // An end that comes too early has no position of its own, and is given the very first one.
    let line = if message.starts_with("unexpected end of input") {
        text.lines().count().max(1)
    } else {
        error.span().start().line
    };
    ParseFailure { line: u32::try_from(line).ok(), problem: Problem::DoesNotParse, message }
}
