//! Code identity, with real programs that differ: results of other code are misses, and those of the same code are hits.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands, in its helpers too")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds a version of the program, and moves it to where the next one does not replace it.
fn build(variant: &str, folder: &Path) -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "-p", "larder-builds", "--manifest-path"]);
    build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    build.args((!cfg!(debug_assertions)).then_some("--release"));
    build.env("LARDER_VARIANT", variant);
    assert!(build.status().unwrap().success(), "{build:?}");
    let mut built = std::env::current_exe().unwrap();
    built.pop();
    built.set_file_name(format!("larder-builds{}", std::env::consts::EXE_SUFFIX));
    let program = folder.join(if variant.is_empty() { "base" } else { variant });
    std::fs::copy(built, &program).unwrap();
    program
}

fn run(program: &Path, store: &Path) -> String {
    let output = Command::new(program).arg(store).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn results_of_other_code_are_misses() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store.redb");
    let base = build("", folder.path());
    // The results, and which bodies ran: `by_build`, `declared`, and who reads `by_build`.
    assert_eq!(run(&base, &store), "(2, 2, 20) 1 1 1");
    assert_eq!(run(&base, &store), "(2, 2, 20) 0 0 0");
    let cases = [
        // A declared version vouches for what the function itself does, not for what it reads: its reader runs again.
        ("body", "(101, 2, 1010) 1 0 1"),
        ("renamed", "(2, 3, 20) 1 1 1"),
        ("argument", "(2, 4, 20) 1 1 1"),
        ("output", "(2, 5, 20) 1 1 1"),
        ("version", "(2, 6, 20) 1 1 1"),
        ("removed", "(2, 7, 20) 1 0 1"),
    ];
    for (variant, expected) in cases {
        let program = build(variant, folder.path());
        assert_eq!(run(&program, &store), expected, "{variant}");
        let again = run(&program, &store);
        assert!(again.ends_with(" 0 0 0"), "{variant}: {again}");
        // Nobody's results are in anybody's way.
        assert_eq!(run(&base, &store), "(2, 2, 20) 0 0 0", "after {variant}");
    }
}
