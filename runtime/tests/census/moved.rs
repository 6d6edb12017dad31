//! A tree and its cache, moved to another place.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::{MANIFEST, Tree, cached::work, census, check, run};

fn tree() -> Tree {
    Tree::new(&[
        ("Cargo.toml", MANIFEST),
        ("src/lib.rs", "pub mod a;\nfn f() {}\n"),
        ("src/a.rs", "fn f() {}\n"),
        ("src/bad.rs", "fn f( {\n"),
        ("two/Cargo.toml", "[package]\nname = \"two\"\n"),
        ("two/src/lib.rs", "fn h() {}\n"),
    ])
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

fn counted(dir: &Path) -> Output {
    let output = run(census().arg(dir).arg("--json").arg("--base").arg(dir));
    assert!(output.status.success(), "{output:?}");
    output
}

/// Each path in a report was absolute, and so was each name in the store: all of the bodies ran at another place.
#[test]
fn a_tree_that_is_copied_with_its_cache_runs_nothing_at_its_new_place() {
    let (here, elsewhere) = (tree(), tempfile::tempdir().unwrap());
    let first = counted(here.path());
    assert_eq!(work(&first).0, 4);
    let there = elsewhere.path().join("checkout");
    copy(here.path(), &there);
    drop(here);
    let next = counted(&there);
    assert_eq!(work(&next), (0, 0), "{next:?}");
    assert_eq!(next.stdout, first.stdout);
    assert!(!String::from_utf8_lossy(&next.stdout).contains("census-"), "an absolute path is in {next:?}");
    // An edit there costs what it costs anywhere.
    fs::write(there.join("src/a.rs"), "fn f() {}\nfn g() {}\n").unwrap();
    let next = counted(&there);
    assert_eq!(work(&next), (1, 4));
    check(&serde_json::from_slice(&next.stdout).unwrap(), "/totals/functions", 4);
}

#[test]
fn a_path_outside_of_the_base_is_told() {
    let tree = tree();
    let output = run(census().arg(tree.path()).arg("--no-cache").arg("--base").arg(tree.path().join("src")));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).ends_with("is not in it\n"), "{output:?}");
    assert_eq!(run(census().args(["--base", ".", "--plain"])).status.code(), Some(2));
}
