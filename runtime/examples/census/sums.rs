//! Adding up: files to a crate, crates to the report.

use std::cmp::Reverse;
use std::path::Path;
use std::sync::Arc;

use crate::model::{
    CrateCensus, CrateOf, Crates, FileCensus, FilePath, Function, Located, Overview, Package, Totals,
};
use crate::modules::{self, Survey};

/// How many functions and modules a ranking holds.
pub const RANKED: usize = 100;

pub fn crate_census(
    dir: &Path,
    package: Option<&Package>,
    files: &[(FilePath, Arc<FileCensus>)],
) -> CrateCensus {
    let Survey { graph, undocumented, imported } = modules::survey(dir, package, files);
    let mut totals = Totals {
        crates: u64::from(package.is_some()),
        undocumented: undocumented.len() as u64,
        modules: graph.modules.len() as u64,
        module_edges: graph.edges.len() as u64,
        ..Totals::default()
    };
    let mut largest = Vec::new();
    for (path, file) in files {
        add_file(&mut totals, file);
        largest.extend(file.functions.iter().map(|function| (path, function)));
    }
    let largest = first(largest, |&(path, function)| rank(path, function))
        .into_iter()
        .map(|(path, function)| Located { file: path.clone(), what: function.clone() })
        .collect();
    let name = match package {
        Some(package) if !package.name.is_empty() => package.name.clone(),
        _ => dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy().into_owned(),
    };
    CrateCensus { name, dir: dir.into(), totals, graph, largest, undocumented, imported }
}

/// The first of `all` in the order of `key`, sorted. A report is made after every edit, from all crates: what does not
/// get into the ranking is not sorted for it.
fn first<T, K: Ord>(mut all: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    if all.len() > RANKED {
        all.select_nth_unstable_by_key(RANKED, &key);
        all.truncate(RANKED);
    }
    all.sort_by_key(key);
    all
}

fn rank<'a>(path: &'a FilePath, function: &Function) -> (Reverse<u32>, &'a FilePath, u32) {
    (Reverse(function.lines), path, function.line)
}

fn add_file(totals: &mut Totals, file: &FileCensus) {
    totals.files += 1;
    totals.broken_files += u64::from(file.broken);
    totals.bytes += file.bytes;
    totals.lines += file.lines;
    for (&kind, count) in &file.items {
        *totals.items.entry(kind).or_default() += count;
    }
    totals.functions += file.functions.len() as u64;
    for used in &file.unsafe_uses {
        totals.unsafe_uses.count(used.kind);
    }
}

pub fn of_crate(which: &CrateOf, census: &CrateCensus) -> Crates {
    Crates {
        totals: census.totals.clone(),
        crates: vec![which.clone()],
        largest: census.largest.clone(),
        imported: census.imported.clone(),
    }
}

/// Crates and more crates, which come after them.
pub fn joined(one: &Crates, other: &Crates) -> Crates {
    let mut all = one.clone();
    all.totals += &other.totals;
    all.crates.extend_from_slice(&other.crates);
    let largest = one.largest.iter().chain(&other.largest).collect();
    let largest = first(largest, |located: &&Located<Function>| rank(&located.file, &located.what));
    all.largest = largest.into_iter().cloned().collect();
    for (module, files) in &other.imported {
        *all.imported.entry(module.clone()).or_default() += files;
    }
    all
}

pub fn overview(all: &Crates) -> Overview {
    let imported = first(all.imported.iter().collect(), |&(module, files)| (Reverse(files), module));
    let imported = imported.into_iter().map(|(module, files)| (module.clone(), *files)).collect();
    let (totals, crates, largest) = (all.totals.clone(), all.crates.clone(), all.largest.clone());
    Overview { totals, crates, largest, imported }
}
