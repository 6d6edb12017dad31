//! Patterns over trees with links.

use std::os::unix::fs::symlink;

use super::*;

#[track_caller]
fn check(dir: &Path, pattern: &str, expected: &[&str]) {
    let pattern = format!("{}/{pattern}", dir.display());
    let found = that_ends({
        let pattern = pattern.clone();
        move || Runtime::new().run(|| fs::glob(&pattern)).unwrap()
    });
    let found: Vec<_> = found.iter().map(|path| path.strip_prefix(dir).unwrap().to_str().unwrap()).collect();
    assert_eq!(found, expected, "{pattern}");
}

/// `**` followed links: one to a parent was walked forty levels deep, two of them without end.
#[test]
fn links_to_a_parent_are_not_gone_round() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    std::fs::create_dir_all(dir.join("src/deep")).unwrap();
    for file in ["f.txt", "src/g.txt", "src/deep/h.txt"] {
        std::fs::write(dir.join(file), "").unwrap();
    }
    for link in ["src/up", "src/self", "src/deep/up", "src/deep/far"] {
        symlink("..", dir.join(link)).unwrap();
    }
    symlink("/", dir.join("root")).unwrap();
    symlink("nowhere", dir.join("src/dangling.txt")).unwrap();
    symlink("loop", dir.join("loop")).unwrap();
    check(dir, "**/*.txt", &["f.txt", "src/dangling.txt", "src/deep/h.txt", "src/g.txt"]);
    check(dir, "**/**/**/h.txt", &["src/deep/h.txt"]);
    // A part that names a link, or matches its name, follows it: once for each part.
    check(dir, "src/up/*.txt", &["src/up/f.txt"]);
    check(dir, "src/s*/*.txt", &["src/self/f.txt"]);
    check(dir, "src/up/**/h.txt", &["src/up/src/deep/h.txt"]);
    check(dir, "**/up/*.txt", &["src/deep/up/dangling.txt", "src/deep/up/g.txt", "src/up/f.txt"]);
    check(dir, "loop/*", &[]);
    check(dir, "src/**/", &["src/deep", "src/deep/far", "src/deep/up", "src/self", "src/up"]);
    check(dir, "src/deep/../*.txt", &["src/deep/../dangling.txt", "src/deep/../g.txt"]);
    // By name alone, the parent of `root` would be the folder.
    check(dir, "root/../etc/passw[d]", &["root/../etc/passwd"]);
}

/// Work in proportion to the tree, and not to the ways in which a pattern can match a path.
#[test]
fn a_pattern_of_many_stars_ends() {
    let folder = tempfile::tempdir().unwrap();
    let deep: PathBuf = std::iter::repeat_n("a", 60).collect();
    std::fs::create_dir_all(folder.path().join(&deep)).unwrap();
    let twenty = "**/a/".repeat(20) + "*";
    let pattern = format!("{}/{twenty}", folder.path().display());
    let found = that_ends(move || Runtime::new().run(|| fs::glob(&pattern)).unwrap());
    assert_eq!(found.len(), 40);
}

#[test]
fn names_that_are_not_unicode_are_matched() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"\xff.rs");
    if std::fs::write(folder.path().join(name), "").is_err() {
        eprintln!("this file system takes Unicode only: nothing was tested");
        return;
    }
    let pattern = format!("{}/**/?.rs", folder.path().display());
    let runtime = Runtime::new();
    let found = runtime.run(|| fs::glob(&pattern)).unwrap();
    assert_eq!(*found, [folder.path().join(name)]);
    assert!(runtime.run(|| fs::read(&found[0])).is_ok());
}

/// A refresh walks again, and finds what has come, gone, or become a link.
#[test]
fn a_refresh_finds_what_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(at("a/b")).unwrap();
    std::fs::write(at("a/b/c.rs"), "").unwrap();
    let pattern = format!("{}/**/*.rs", folder.path().display());
    let runtime = Runtime::new();
    let found = || runtime.run(|| fs::glob(&pattern)).unwrap();
    assert_eq!(*found(), [at("a/b/c.rs")]);
    std::fs::rename(at("a/b"), at("moved")).unwrap();
    symlink("../moved", at("a/b")).unwrap();
    runtime.refresh().unwrap();
    assert_eq!(*found(), [at("moved/c.rs")]);
}
