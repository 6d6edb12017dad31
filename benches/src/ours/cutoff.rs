//! A store opened again when a folder has changed, and nothing that its readers come to.

use std::path::Path;
use std::time::Duration;

use super::stored::{folder, open};

/// Leaves that read the folder.
pub const LEAVES: u32 = 300;

#[larder::task_fn]
fn has(folder: &Path, number: u32) -> bool {
    let name = number.to_string();
    larder::fs::read_dir(folder).expect("it is there").iter().any(|entry| entry.path.ends_with(&name))
}

#[larder::task_fn]
fn one(folder: &Path, number: u32) -> u32 {
    u32::from(has(folder, number))
}

#[larder::task_fn]
fn all(folder: &Path, leaves: u32) -> u32 {
    (0..leaves).map(|number| one(folder, number)).sum()
}

/// The bodies that one process ran.
pub struct Ran {
    /// Leaves, each of which came to what it was.
    pub leaves: u64,
    /// Bodies above them.
    pub above: u64,
    /// Opening the store and asking the root.
    pub time: Duration,
}

/// An unrelated file is added before each of three processes.
pub fn unrelated_files() -> Vec<Ran> {
    let temporary = folder();
    let (tree, store) = (&*temporary.path().join("tree"), &*temporary.path().join("store"));
    std::fs::create_dir(tree).expect("a folder can be made");
    let process = || {
        let start = std::time::Instant::now();
        let runtime = open(store);
        assert_eq!(runtime.run(|| all(tree, LEAVES)), 0, "a wrong value");
        let (time, stats) = (start.elapsed(), runtime.stats());
        let runs = |name: &str| stats.get(name).map_or(0, |function| function.runs);
        Ran { leaves: runs("has"), above: runs("one") + runs("all"), time }
    };
    process();
    let after = |number| {
        std::fs::write(tree.join(format!("unrelated {number}")), "").expect("a file can be written");
        process()
    };
    (0..3).map(after).collect()
}
