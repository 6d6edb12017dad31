//! The base directory: a tree is the same one wherever it lies.

use std::path::{Path, PathBuf};

use larder::storage::MemoryStorage;
use larder::{Runtime, fs, par_map, task_fn};
use tempfile::TempDir;

const FILES: [(&str, &str); 4] = [
    ("a.txt", "one"),
    ("src/lib.rs", "mod deep;"),
    ("src/deep/mod.rs", "fn f() {}"),
    ("src/deep/x.txt", "x"),
];

fn tree() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in FILES {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    std::os::unix::fs::symlink("src/deep", dir.path().join("link")).unwrap();
    dir
}

fn at(dir: &Path, store: &MemoryStorage) -> Runtime {
    Runtime::builder().base(dir).storage(store.clone()).code_identity("base").try_build().unwrap()
}

#[task_fn]
fn content(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map(|text| text.to_string()).map_err(|error| error.to_string())
}

#[task_fn]
fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().iter() {
        match entry.kind {
            fs::EntryKind::Dir => found.extend(walk(&entry.path)),
            _ => found.push(entry.path.clone()),
        }
    }
    found
}

#[task_fn]
fn everything() -> Vec<String> {
    let mut all: Vec<String> = walk(Path::new("src"))
        .iter()
        .map(|path| format!("{}: {:?}", path.display(), content(path)))
        .collect();
    all.push(format!("{:?}", fs::glob("**/*.rs").unwrap()));
    all.push(format!("{:?}", fs::canonicalize("link/x.txt").unwrap()));
    all.push(format!("{:?}", [fs::is_file("a.txt"), fs::exists("b.txt"), fs::is_dir("link")]));
    all.push(format!("{:?}", content(Path::new("gone.txt"))));
    all
}

fn expected() -> Vec<String> {
    [
        "src/deep/mod.rs: Ok(\"fn f() {}\")",
        "src/deep/x.txt: Ok(\"x\")",
        "src/lib.rs: Ok(\"mod deep;\")",
        "[\"src/deep/mod.rs\", \"src/lib.rs\"]",
        "\"src/deep/x.txt\"",
        "[true, false, true]",
        "Err(\"cannot read gone.txt: No such file or directory (os error 2)\")",
    ]
    .map(String::from)
    .into()
}

#[test]
fn what_is_stored_of_a_tree_holds_for_an_equal_one_elsewhere() {
    let (here, there) = (tree(), tree());
    let store = MemoryStorage::new();
    let runtime = at(here.path(), &store);
    assert_eq!(runtime.run(everything), expected());
    drop(runtime);
    // Nothing is left at the first place.
    drop(here);
    for _ in 0..2 {
        let runtime = at(there.path(), &store);
        assert_eq!(runtime.run(everything), expected());
        assert_eq!(runtime.stats().runs(), 0);
    }
}

#[test]
fn a_file_that_differs_elsewhere_is_read_there() {
    let (here, there) = (tree(), tree());
    let store = MemoryStorage::new();
    drop(at(here.path(), &store).run(everything));
    std::fs::write(there.path().join("src/deep/x.txt"), "y").unwrap();
    std::fs::write(there.path().join("src/deep/new.rs"), "").unwrap();
    let runtime = at(there.path(), &store);
    let mut other = expected();
    other[1] = "src/deep/x.txt: Ok(\"y\")".into();
    other[3] = "[\"src/deep/mod.rs\", \"src/deep/new.rs\", \"src/lib.rs\"]".into();
    other.insert(1, "src/deep/new.rs: Ok(\"\")".into());
    assert_eq!(runtime.run(everything), other);
    assert_eq!(runtime.stats().get("content").unwrap().runs, 2);
    // Back at the first place, both states are known.
    drop(runtime);
    let runtime = at(here.path(), &store);
    assert_eq!(runtime.run(everything), expected());
    assert_eq!(runtime.stats().runs(), 0);
}

#[test]
fn a_refresh_looks_below_the_base() {
    let dir = tree();
    for store in [None, Some(MemoryStorage::new())] {
        std::fs::write(dir.path().join("a.txt"), "one").unwrap();
        let runtime = match &store {
            Some(store) => at(dir.path(), store),
            None => Runtime::builder().base(dir.path()).build(),
        };
        assert_eq!(runtime.run(|| content(Path::new("a.txt"))), Ok("one".into()));
        std::fs::write(dir.path().join("a.txt"), "another").unwrap();
        assert_eq!(runtime.refresh().unwrap().changed, 1);
        assert_eq!(runtime.run(|| content(Path::new("a.txt"))), Ok("another".into()));
    }
}

#[test]
fn relative_paths_do_not_start_at_the_current_directory() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Path::new("Cargo.toml").exists(), "the test runs in the folder of its package");
    let runtime = Runtime::builder().base(dir.path()).build();
    assert!(!runtime.run(|| fs::exists("Cargo.toml")));
    assert!(Runtime::new().run(|| fs::exists("Cargo.toml")));
    assert_eq!(runtime.base(), Some(dir.path()));
    // A base that is relative itself starts where it was given.
    let relative = Runtime::builder().base("tests").build();
    assert_eq!(relative.base(), Some(&*std::path::absolute("tests").unwrap()));
    assert!(relative.run(|| fs::is_file("kills.rs")));
    assert!(Runtime::builder().base("").build().run(|| fs::exists("Cargo.toml")));
}

#[test]
fn the_base_itself_is_listed_by_a_point_or_by_nothing() {
    let dir = tree();
    let runtime = Runtime::builder().base(dir.path()).build();
    let listed = |path: &'static str| {
        let entries = runtime.run(|| fs::read_dir(path)).unwrap();
        entries.iter().map(|entry| entry.path.display().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(listed(""), ["a.txt", "link", "src"]);
    assert_eq!(listed("."), ["./a.txt", "./link", "./src"]);
    assert_eq!(runtime.run(|| fs::canonicalize(".")).unwrap().as_ref(), Path::new("."));
    assert_eq!(runtime.run(|| fs::glob("*.txt")).unwrap().as_ref(), [PathBuf::from("a.txt")]);
    assert!(runtime.run(|| fs::read("")).is_err());
}

/// An absolute path leads where it leads, with a base or without, and gives absolute paths.
#[test]
fn an_absolute_path_below_the_base_is_right_at_both_places() {
    let (here, there) = (tree(), tree());
    let store = MemoryStorage::new();
    let ask = |runtime: &Runtime, dir: &Path| {
        runtime.run(|| {
            (content(&dir.join("a.txt")), walk(dir), fs::canonicalize(dir.join("link/x.txt")).unwrap())
        })
    };
    let real = |dir: &Path| dir.canonicalize().unwrap().join("src/deep/x.txt");
    let runtime = at(here.path(), &store);
    let (text, files, link) = ask(&runtime, here.path());
    assert_eq!((text, files.len(), &*link), (Ok("one".into()), 5, &*real(here.path())));
    assert!(files.iter().all(|file| file.starts_with(here.path())));
    assert_eq!(runtime.run(|| content(Path::new("a.txt"))), Ok("one".into()));
    drop(runtime);
    std::fs::write(here.path().join("a.txt"), "changed").unwrap();
    // From the other place, the first one is still itself.
    let runtime = at(there.path(), &store);
    assert_eq!(ask(&runtime, here.path()).0, Ok("changed".into()));
    assert_eq!(ask(&runtime, there.path()).0, Ok("one".into()));
    assert_eq!(runtime.run(|| content(Path::new("a.txt"))), Ok("one".into()));
}

/// Each spelling is a source of its own, and each sees each change.
#[test]
fn no_spelling_spoils_another() {
    let (here, there) = (tree(), tree());
    let spellings = ["a.txt", "./a.txt", "src/../a.txt", "link/../../a.txt", ".//a.txt"];
    let store = MemoryStorage::new();
    let ask = |runtime: &Runtime| runtime.run(|| spellings.map(|path| content(Path::new(path))));
    assert_eq!(ask(&at(here.path(), &store)), spellings.map(|_| Ok("one".into())));
    std::fs::write(there.path().join("a.txt"), "two").unwrap();
    let runtime = at(there.path(), &store);
    assert_eq!(ask(&runtime), spellings.map(|_| Ok("two".into())));
    std::fs::write(there.path().join("a.txt"), "three").unwrap();
    runtime.refresh().unwrap();
    assert_eq!(ask(&runtime), spellings.map(|_| Ok("three".into())));
    drop(runtime);
    let runtime = at(here.path(), &store);
    assert_eq!(ask(&runtime), spellings.map(|_| Ok("one".into())));
    assert_eq!(runtime.stats().runs(), 0);
}

#[test]
fn sessions_of_two_runtimes_have_each_their_base() {
    let (here, there) = (tree(), tree());
    std::fs::write(there.path().join("a.txt"), "two").unwrap();
    let [one, two] = [&here, &there].map(|dir| Runtime::builder().base(dir.path()).build());
    let seen = one.run(|| {
        let inner = two.run(|| par_map(&[1, 2, 3, 4], |_| content(Path::new("a.txt"))));
        (content(Path::new("a.txt")), inner, fs::read_to_string("a.txt").unwrap())
    });
    assert_eq!(seen, (Ok("one".into()), vec![Ok("two".into()); 4], "one".into()));
}

/// The store of a base is one of relative names: without the base they start at the current directory.
#[test]
fn a_store_of_a_base_that_is_opened_without_one_gives_no_wrong_value() {
    let dir = tree();
    let store = MemoryStorage::new();
    drop(at(dir.path(), &store).run(|| content(Path::new("a.txt"))));
    let runtime = Runtime::builder().storage(store.clone()).code_identity("base").build();
    assert!(runtime.run(|| content(Path::new("a.txt"))).unwrap_err().contains("cannot read a.txt"));
    drop(runtime);
    let runtime = at(dir.path(), &store);
    assert_eq!(runtime.run(|| content(Path::new("a.txt"))), Ok("one".into()));
    assert_eq!(runtime.stats().runs(), 0);
}

#[test]
fn a_base_that_is_a_link_gives_relative_paths_too() {
    let (dir, links) = (tree(), tempfile::tempdir().unwrap());
    let link = links.path().join("checkout");
    std::os::unix::fs::symlink(dir.path(), &link).unwrap();
    std::os::unix::fs::symlink(links.path(), dir.path().join("out")).unwrap();
    let runtime = Runtime::builder().base(&link).build();
    assert_eq!(runtime.run(everything), expected());
    // A link that leads out of the base leads to an absolute path.
    let out = runtime.run(|| fs::canonicalize("out")).unwrap();
    assert_eq!(&*out, links.path().canonicalize().unwrap());
}

/// Runtimes whose identities do not differ hit what the other one has stored, and others do not.
#[test]
fn an_identity_tells_whether_results_can_be_used_elsewhere() {
    let (here, there) = (tree(), tree());
    let with_code = |dir: &Path, store: &MemoryStorage, code: &str| {
        Runtime::builder().base(dir).storage(store.clone()).code_identity(code).try_build().unwrap()
    };
    for (code, differences) in [("base", &[][..]), ("other", &["code"])] {
        let store = MemoryStorage::new();
        let runtime = at(here.path(), &store);
        runtime.run(everything);
        let identity = runtime.identity().unwrap();
        assert!(identity.to_string().contains("code: given "), "{identity}");
        drop(runtime);
        let other = with_code(there.path(), &store, code);
        assert_eq!(other.identity().unwrap().differences(&identity), differences);
        other.run(everything);
        assert_eq!(other.stats().runs() == 0, differences.is_empty());
    }
    assert!(Runtime::new().identity().is_none());
    let program = Runtime::builder().storage(MemoryStorage::new()).build().identity().unwrap();
    assert!(program.to_string().contains("code: program "), "{program}");
    assert_eq!(
        program.differences(&at(here.path(), &MemoryStorage::new()).identity().unwrap()),
        ["code", "base"]
    );
}
