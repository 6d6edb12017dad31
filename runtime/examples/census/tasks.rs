//! The task functions: everything that the census computes, by one memoized call per file, directory and crate.
//!
//! ```text
//! overview ─┬─ package_dirs(dir) ── package_dirs(subdirectory) ─┬─ package(dir) ── Cargo.toml
//!           ├─ crate_census(dir) ─┬─ crate_files(dir) ── … ─────┴─ subdirectories(dir) ── listing
//!           │                     └─ parse_file(path) ── file
//!           └─ census_of_files(dir, files) ── …      where files are listed one by one
//! ```
//!
//! This file is compiled twice: `super::larder` is the crate in `memoized`, and in `plain` a module of the same names that
//! remembers nothing. Elsewhere it would say `use larder::task_fn`.
//!
//! A call per file, because a file is what changes; a call per crate, because after an edit one crate is added up
//! again and not all of them; and crates are added up by a fold, which adds up some dozens of them again. The two walks are apart, so that a new file disturbs its crate and not the list of
//! crates, and each goes by a call per directory, so that it disturbs the directories above and not those beside it.
//! A value of more than a few words comes in an `Arc`: a hit clones a pointer.
//!
//! Crates, and the files of one, are counted on all threads. Parsing is nearly all of the work, and a file that takes long holds
//! up no other; a scope in a scope takes what is left when the outer one runs out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{
    CrateCensus, CrateOf, Diagnostic, FileCensus, FilePath, Overview, Package, Problem, Report,
};
use crate::{manifest, parse, sums};

use super::larder::fs::{Entry, EntryKind};
use super::larder::{self, Keys, SourceError, task_fn};

/// The census of everything below the directories `dirs`, and of single `files`.
///
/// No task: to put together what tasks have computed takes no time, and kept, it would hold every crate a second time.
pub fn report(dirs: &[PathBuf], files: &[PathBuf]) -> Arc<Report> {
    let all = overview(dirs, files);
    let crates = all.crates.iter().map(one_crate).collect();
    let (largest, imported) = (all.largest.clone(), all.imported.clone());
    Arc::new(Report { totals: all.totals.clone(), crates, largest, imported })
}

fn one_crate(which: &CrateOf) -> Arc<CrateCensus> {
    match which {
        CrateOf::Directory(dir) => crate_census(dir),
        CrateOf::Files(dir, files) => census_of_files(dir, files),
    }
}

/// All crates together.
#[task_fn]
pub fn overview(dirs: &[PathBuf], files: &[PathBuf]) -> Arc<Overview> {
    let mut crates = Vec::new();
    for dir in dirs {
        crates.extend(package_dirs(dir).iter().cloned().map(CrateOf::Directory));
        if package(dir).is_none() && !crate_files(dir).is_empty() {
            crates.push(CrateOf::Directory(dir.as_path().into()));
        }
    }
    let mut by_crate = BTreeMap::<PathBuf, Vec<FilePath>>::new();
    for file in files {
        by_crate.entry(owner(file)).or_default().push(file.as_path().into());
    }
    for (dir, files) in by_crate {
        let dir = FilePath::from(dir);
        let whole = CrateOf::Directory(dir.clone());
        // All files of a crate that is counted anyway are that crate.
        if !crates.contains(&whole) || !same_files(&files, &crate_files(&dir)) {
            crates.push(CrateOf::Files(dir, files));
        }
    }
    crates.sort_by(|a, b| a.dir().cmp(b.dir()));
    crates.dedup();
    let sum = larder::par_fold(
        Keys::new(crates),
        Arc::default(),
        |which| Arc::new(sums::of_crate(which, &one_crate(which))),
        |one, other| Arc::new(sums::joined(&one, &other)),
    );
    Arc::new(sums::overview(&sum))
}

fn same_files(given: &[FilePath], all: &[FilePath]) -> bool {
    given.len() == all.len() && given.iter().all(|file| all.contains(file))
}

/// How many files `report` parses.
#[task_fn]
pub fn count_files(dirs: &[PathBuf], files: &[PathBuf]) -> u64 {
    let in_packages = |dir: &PathBuf| -> usize {
        let loose = if package(dir).is_none() { crate_files(dir).len() } else { 0 };
        loose + package_dirs(dir).iter().map(|dir| crate_files(dir).len()).sum::<usize>()
    };
    (files.len() + dirs.iter().map(in_packages).sum::<usize>()) as u64
}

/// A package, or the files of a directory that belong to none.
#[task_fn]
pub fn crate_census(dir: &Path) -> Arc<CrateCensus> {
    sum_up(dir, &crate_files(dir))
}

/// Some files of a package, or of a directory.
#[task_fn]
pub fn census_of_files(dir: &Path, files: &[FilePath]) -> Arc<CrateCensus> {
    sum_up(dir, files)
}

fn sum_up(dir: &Path, files: &[FilePath]) -> Arc<CrateCensus> {
    let parsed = larder::par_map(files, |path| (path.clone(), parse_file(path)));
    Arc::new(sums::crate_census(dir, package(dir).as_deref(), &parsed))
}

/// One file. Whatever is wrong with it is emitted, and the rest is counted.
#[task_fn]
pub fn parse_file(path: &Path) -> Arc<FileCensus> {
    let (census, failure) = match larder::fs::read_to_string(path) {
        Ok(text) => parse::file_census(&text),
        Err(error) => {
            emit_unreadable(path, &error);
            (FileCensus { broken: true, ..FileCensus::default() }, None)
        }
    };
    if let Some(failure) = failure {
        larder::emit(Diagnostic {
            file: path.into(),
            line: failure.line,
            problem: failure.problem,
            message: failure.message,
        });
    }
    Arc::new(census)
}

/// The packages at `dir` and below, sorted.
#[task_fn]
pub fn package_dirs(dir: &Path) -> Arc<[FilePath]> {
    let here = package(dir).is_some().then(|| FilePath::from(dir));
    let below = subdirectories(dir);
    here.into_iter().chain(below.iter().flat_map(|dir| package_dirs(dir).to_vec())).collect()
}

/// The `.rs` files at `dir` and below, sorted, without those of other packages.
#[task_fn]
pub fn crate_files(dir: &Path) -> Arc<[FilePath]> {
    let mut files: Vec<FilePath> = entries(dir)
        .iter()
        .filter(|entry| entry.kind == EntryKind::File)
        .filter(|entry| entry.path.extension().is_some_and(|extension| extension == "rs"))
        .map(|entry| entry.path.as_path().into())
        .collect();
    for below in subdirectories(dir).iter().filter(|dir| package(dir).is_none()) {
        files.extend_from_slice(&crate_files(below));
    }
    files.sort();
    files.into()
}

/// The package whose manifest lies in `dir`.
#[task_fn]
pub fn package(dir: &Path) -> Option<Arc<Package>> {
    if !has_file(&entries(dir), "Cargo.toml") {
        return None;
    }
    let path = dir.join("Cargo.toml");
    match larder::fs::read_to_string(&path) {
        Ok(text) => manifest::package(&text).map(Arc::new),
        Err(error) => {
            emit_unreadable(&path, &error);
            None
        }
    }
}

/// The directories in `dir` that may hold sources: neither hidden, nor tagged as a cache, as Cargo tags `target`.
#[task_fn]
pub fn subdirectories(dir: &Path) -> Arc<[FilePath]> {
    let hidden = |entry: &Entry| entry.file_name().as_encoded_bytes().starts_with(b".");
    entries(dir)
        .iter()
        .filter(|entry| entry.kind == EntryKind::Dir && !hidden(entry))
        .filter(|entry| !has_file(&entries(&entry.path), "CACHEDIR.TAG"))
        .map(|entry| entry.path.as_path().into())
        .collect()
}

/// The package around a file, or else the directory that it is in.
fn owner(file: &Path) -> PathBuf {
    let dir = file.parent().unwrap_or(file);
    dir.ancestors().find(|dir| package(dir).is_some()).unwrap_or(dir).to_owned()
}

fn entries(dir: &Path) -> Arc<[Entry]> {
    larder::fs::read_dir(dir).unwrap_or_else(|error| {
        emit_unreadable(dir, &error);
        Arc::default()
    })
}

fn has_file(entries: &[Entry], name: &str) -> bool {
    entries.iter().any(|entry| entry.kind == EntryKind::File && entry.file_name() == name)
}

fn emit_unreadable(path: &Path, error: &SourceError) {
    let line = error.line().and_then(|line| u32::try_from(line).ok());
    let (problem, message) = match error.io_kind() {
        Some(kind) => (Problem::Unreadable, kind.to_string()),
        None if line.is_some() => (Problem::NotUtf8, "invalid byte sequence".to_owned()),
        None if error.is_special() => (Problem::Unreadable, "neither a file nor a directory".to_owned()),
        None if error.is_too_large() => (Problem::Unreadable, "too large".to_owned()),
        None => (Problem::Unreadable, "changed while it was read".to_owned()),
    };
    larder::emit(Diagnostic { file: path.into(), line, problem, message });
}
