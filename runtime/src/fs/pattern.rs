//! The walk of a pattern: one pass over the directories that it can reach.
//!
//! A pattern is cut at its separators into steps. A directory is visited with the set of the steps that its entries may match
//! next, so that it is listed once, however many ways lead to it:
//!
//! ```text
//! src/**/tests/*.rs     at `src`            {**, tests}      `**` stands for no directory as well
//!                       at `src/a`          {**, tests}
//!                       at `src/a/tests`    {**, tests, *.rs}
//! ```
//!
//! `**` does not go into a symbolic link: a link to a parent would lead round and round, and two of them without end. A step that
//! names a link (`vendor/*.rs`, `*/Cargo.toml`) follows it; a pattern has few of these, so each walk ends.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::FileType;
use std::path::{Component, Path, PathBuf, is_separator};

use glob::{Pattern, PatternError};

use super::base::Base;

/// A part of a pattern between separators.
enum Step {
    /// A name.
    Name(String),
    /// A pattern of names.
    Names(Pattern),
    /// `**`: any number of directories.
    Deep,
}

impl Step {
    fn new(part: &str) -> Result<Self, PatternError> {
        let pattern = Pattern::new(part)?;
        Ok(match part {
            "**" => Step::Deep,
            _ if part.contains(['*', '?', '[']) => Step::Names(pattern),
            _ => Step::Name(part.to_owned()),
        })
    }
}

/// The paths that a pattern matches, in order.
///
/// # Errors
/// If the pattern is not one. Directories that cannot be read are left out.
pub(super) fn matches(base: Base<'_>, pattern: &str) -> Result<Vec<PathBuf>, PatternError> {
    // The whole, for the positions in its errors.
    Pattern::new(pattern)?;
    let (root, rest) = split_root(pattern);
    let mut steps = Vec::new();
    for part in rest.split(is_separator).filter(|part| !part.is_empty()) {
        let step = Step::new(part)?;
        if !matches!((steps.last(), &step), (Some(Step::Deep), Step::Deep)) {
            steps.push(step);
        }
    }
    let mut walk = Walk {
        base,
        steps,
        only_directories: pattern.ends_with(is_separator),
        found: Vec::new(),
        to_visit: Vec::new(),
    };
    if walk.steps.is_empty() {
        walk.found.extend((!root.as_os_str().is_empty()).then_some(root));
    } else {
        walk.to_visit.push((root, vec![0]));
    }
    while let Some((dir, at)) = walk.to_visit.pop() {
        walk.visit(&dir, &at);
    }
    walk.found.sort_unstable();
    walk.found.dedup();
    Ok(walk.found)
}

/// The root that a pattern begins with, if it does, and what follows.
fn split_root(pattern: &str) -> (PathBuf, &str) {
    let is_root = |part: &Component<'_>| matches!(part, Component::Prefix(_) | Component::RootDir);
    let root: PathBuf = Path::new(pattern).components().take_while(is_root).collect();
    // A root is ASCII, or a prefix that is taken as it is.
    let rest = pattern.get(root.as_os_str().len()..).unwrap_or_default();
    (root, rest)
}

struct Walk<'a> {
    base: Base<'a>,
    steps: Vec<Step>,
    only_directories: bool,
    found: Vec<PathBuf>,
    /// Directories, with the steps that their entries may match next, each once.
    to_visit: Vec<(PathBuf, Vec<usize>)>,
}

impl Walk<'_> {
    fn visit(&mut self, dir: &Path, at: &[usize]) {
        let mut after_deep = Vec::new();
        for &step in at {
            match &self.steps[step] {
                Step::Deep => after_deep.extend((step + 1 < self.steps.len()).then_some(step + 1)),
                Step::Name(name) => self.enter(dir, &name.clone(), step),
                Step::Names(_) => {}
            }
        }
        let mut listed: Vec<usize> =
            at.iter().copied().filter(|&step| !matches!(self.steps[step], Step::Name(_))).collect();
        listed.extend(after_deep);
        listed.sort_unstable();
        listed.dedup();
        if !listed.is_empty() {
            self.list(dir, &listed);
        }
    }

    /// Goes by a name, without listing the directory that it is in.
    fn enter(&mut self, dir: &Path, name: &str, step: usize) {
        let path = self.below(dir, name.as_ref());
        let place = self.base.place(&path);
        let is_special = matches!(name, "." | "..");
        let exists = if is_special { place.is_dir() } else { place.symlink_metadata().is_ok() };
        if exists && step + 1 == self.steps.len() {
            let is_wanted = !self.only_directories || place.is_dir();
            self.found.extend(is_wanted.then_some(path));
        } else if exists && place.is_dir() {
            self.to_visit.push((path, vec![step + 1]));
        }
    }

    fn list(&mut self, dir: &Path, at: &[usize]) {
        let place = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        // One that has gone, cannot be read or is none has no entries.
        let Ok(entries) = std::fs::read_dir(self.base.place(place)) else { return };
        let entries: BTreeMap<OsString, Option<FileType>> =
            entries.flatten().map(|entry| (entry.file_name(), entry.file_type().ok())).collect();
        for (name, file_type) in entries {
            let path = self.below(dir, &name);
            let place = self.base.place(&path);
            let is_link = file_type.is_none_or(|file_type| file_type.is_symlink());
            let is_dir = || {
                file_type.filter(|_| !is_link).map_or_else(|| place.is_dir(), |file_type| file_type.is_dir())
            };
            let (mut next, mut is_found) = (Vec::new(), false);
            let text = name.to_string_lossy();
            for &step in at {
                let is_last = step + 1 == self.steps.len();
                match &self.steps[step] {
                    Step::Deep => {
                        next.extend((!is_link).then_some(step));
                        is_found |= is_last && is_dir();
                    }
                    Step::Name(wanted) if *text != **wanted => {}
                    Step::Names(pattern) if !pattern.matches(&text) => {}
                    Step::Name(_) | Step::Names(_) if is_last => {
                        is_found |= !self.only_directories || is_dir()
                    }
                    Step::Name(_) | Step::Names(_) => next.push(step + 1),
                }
            }
            next.sort_unstable();
            next.dedup();
            if !next.is_empty() && is_dir() {
                self.to_visit.push((path.clone(), next));
            }
            self.found.extend(is_found.then_some(path));
        }
    }

    /// The path of an entry. Below the directory where relative paths start it is the name alone.
    fn below(&self, dir: &Path, name: &OsStr) -> PathBuf {
        if dir == Path::new(".") { name.into() } else { self.base.entry(dir, name) }
    }
}
