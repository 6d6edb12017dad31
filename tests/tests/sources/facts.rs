//! Facts about a path: what depends on them runs again for no other change.

use larder::storage::MemoryStorage;
use larder::{Runtime, fs, task_fn};

use std::path::{Path, PathBuf};

#[task_fn]
fn resolve(folder: &Path, name: &str) -> Option<PathBuf> {
    ["ts", "tsx", "js"]
        .iter()
        .map(|extension| folder.join(name).with_extension(extension))
        .find(|candidate| fs::is_file(candidate))
}

fn runs(runtime: &Runtime, name: &str) -> u64 {
    runtime.stats().get(name).map_or(0, |function| function.runs)
}

#[test]
fn a_resolver_runs_again_for_the_names_that_it_tried_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    std::fs::write(file("a.js"), "1").unwrap();
    let store = MemoryStorage::new();
    let open = || Runtime::builder().storage(store.clone()).code_identity("facts").try_build().unwrap();
    let runtime = open();
    let ask = |runtime: &Runtime| runtime.run(|| ["a", "b"].map(|name| resolve(dir.path(), name)));
    assert_eq!(ask(&runtime), [Some(file("a.js")), None]);
    // A neighbour, and another content: nothing that was asked.
    std::fs::write(file("c.ts"), "").unwrap();
    std::fs::write(file("a.js"), "longer").unwrap();
    runtime.refresh().unwrap();
    ask(&runtime);
    assert_eq!(runs(&runtime, "resolve"), 2);
    // A name that was tried before the one that was found; and a directory under a name that is no file.
    std::fs::write(file("a.tsx"), "").unwrap();
    std::fs::create_dir(file("b.ts")).unwrap();
    runtime.refresh().unwrap();
    assert_eq!(ask(&runtime), [Some(file("a.tsx")), None]);
    assert_eq!(runs(&runtime, "resolve"), 4);
    runtime.flush().unwrap();
    drop(runtime);

    let runtime = open();
    assert_eq!(ask(&runtime), [Some(file("a.tsx")), None]);
    assert_eq!(runs(&runtime, "resolve"), 0);
    runtime.flush().unwrap();
    drop(runtime);
    // In another process, and it has gone meanwhile: as it was at first, which the store knows.
    std::fs::remove_file(file("a.tsx")).unwrap();
    let runtime = open();
    assert_eq!(ask(&runtime), [Some(file("a.js")), None]);
    assert_eq!(runs(&runtime, "resolve"), 0);
    drop(runtime);
    std::fs::write(file("b.js"), "").unwrap();
    let runtime = open();
    assert_eq!(ask(&runtime), [Some(file("a.js")), Some(file("b.js"))]);
    assert_eq!(runs(&runtime, "resolve"), 1);
}

#[test]
fn metadata_and_the_real_path() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    std::fs::write(root.join("file"), "four").unwrap();
    std::os::unix::fs::symlink("file", root.join("link")).unwrap();
    let runtime = Runtime::new();
    let look = || {
        runtime.refresh().unwrap();
        runtime.run(|| {
            let metadata = fs::metadata(root.join("link")).map(|metadata| (metadata.kind, metadata.len));
            (metadata, fs::canonicalize(root.join("link")), fs::exists(root.join("link")), fs::is_dir(&root))
        })
    };
    let (metadata, real, exists, is_dir) = look();
    assert_eq!((metadata.unwrap(), exists, is_dir), ((fs::EntryKind::File, 4), true, true));
    assert_eq!(*real.unwrap(), *root.join("file"));
    std::fs::remove_file(root.join("file")).unwrap();
    let (metadata, real, exists, is_dir) = look();
    assert_eq!((exists, is_dir), (false, true));
    assert!(metadata.unwrap_err().to_string().contains("link"));
    assert!(real.is_err());
}

#[test]
fn a_path_through_a_file_leads_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let runtime = Runtime::new();
    assert!(
        !runtime.run(|| fs::exists(dir.path().join("file/below")) || fs::exists(dir.path().join("file/")))
    );
}
