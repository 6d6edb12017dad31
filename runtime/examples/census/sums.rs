//! Adding up: files to a crate, crates to the report.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::model::{
    CrateCensus, CrateOf, FileCensus, FilePath, Function, Located, Overview, Package, Totals,
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

pub fn overview(mut crates: Vec<(CrateOf, Arc<CrateCensus>)>) -> Overview {
    crates.sort_by(|(_, a), (_, b)| a.dir.cmp(&b.dir));
    crates.dedup_by(|(_, a), (_, b)| a == b);
    let (names, crates): (Vec<_>, Vec<_>) = crates.into_iter().unzip();
    let mut totals = Totals::default();
    let mut imported = BTreeMap::<&str, u64>::new();
    for one in &crates {
        totals += &one.totals;
        for (module, files) in &one.imported {
            *imported.entry(module).or_default() += files;
        }
    }
    let largest: Vec<&Located<Function>> = crates.iter().flat_map(|one| &one.largest).collect();
    let largest = first(largest, |located| rank(&located.file, &located.what));
    let largest = largest.into_iter().cloned().collect();
    let imported = first(imported.into_iter().collect(), |&(module, files)| (Reverse(files), module));
    let imported = imported.into_iter().map(|(module, files)| (module.to_owned(), files)).collect();
    Overview { totals, crates: names, largest, imported }
}
