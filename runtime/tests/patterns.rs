//! `fs::glob` against the crate whose patterns it takes, over trees without links, where both must find the same.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands, in its helpers too")]

use std::path::{Path, PathBuf};

use larder::Runtime;

const FILES: [&str; 12] = [
    "a.rs",
    "b.txt",
    ".hidden",
    "src/lib.rs",
    "src/a/mod.rs",
    "src/a/tests/one.rs",
    "src/a/tests/deep/two.rs",
    "src/b/a.rs",
    "src/[odd]/a.rs",
    "tests/one.rs",
    "tests/a/a/a/a.rs",
    ".git/config",
];

const PATTERNS: [&str; 44] = [
    "",
    "*",
    "**",
    "**/",
    "*/",
    "**/*",
    "*.rs",
    "**/*.rs",
    "**/a.rs",
    "src",
    "src/",
    "src//lib.rs",
    "src/./lib.rs",
    "./src/*.rs",
    "./*",
    "src/../*.rs",
    "../*/a.rs",
    "src/*/*.rs",
    "src/**",
    "src/**/",
    "src/**/*",
    "src/**/a/**",
    "**/a/**/a.rs",
    "**/a/a",
    "**/**/**/one.rs",
    "**/tests/**/*.rs",
    "**/[ab].rs",
    "**/[!ab]*.rs",
    "**/?.rs",
    "src/[[]odd[]]/*",
    "src/[[]odd]/*",
    ".h*",
    "**/.git/*",
    "nothing",
    "nothing/*",
    "a.rs/*",
    "a.rs/",
    "src/lib.rs/**",
    ".",
    "./",
    "..",
    "src/.",
    "src/..",
    "*/../tests",
];

/// Returns the paths that the crate finds, as it is documented: without the entries `.` and `..`, which `.*` matches there.
fn expected(pattern: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = glob::glob(pattern).unwrap().filter_map(Result::ok).collect();
    paths.sort();
    paths.dedup();
    paths
}

#[test]
fn patterns_find_what_the_crate_of_their_syntax_finds() {
    let folder = tempfile::tempdir().unwrap();
    for file in FILES {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    // This is a program of its own, and has this one test.
    std::env::set_current_dir(folder.path()).unwrap();
    let runtime = Runtime::new();
    let found = |pattern: &str| runtime.run(|| larder::fs::glob(pattern)).unwrap().to_vec();
    for pattern in PATTERNS {
        assert_eq!(found(pattern), expected(pattern), "{pattern}");
        let absolute = format!("{}/{pattern}", folder.path().display());
        assert_eq!(found(&absolute), expected(&absolute), "{absolute}");
    }
    assert_eq!(found("/"), [Path::new("/")]);
    assert_eq!(found("/*"), expected("/*"));
    for wrong in ["a**", "***", "[a", "src/[/a", "a/**b/*"] {
        let error = runtime.run(|| larder::fs::glob(wrong)).unwrap_err();
        let told = glob::glob(wrong).unwrap_err().to_string();
        assert!(error.to_string().ends_with(&told), "{error} instead of {told}");
    }
}
