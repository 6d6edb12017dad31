//! Other builds: whose results are used, and after which look.

use super::*;

#[task_fn(version = 1, shared)]
fn versioned(n: u32) -> u32 {
    ran(format!("versioned {n}"));
    n + 1
}

#[task_fn(version = 1, shared)]
fn over_versioned(n: u32) -> u32 {
    ran(format!("over_versioned {n}"));
    versioned(n) * 2
}

#[task_fn(version = 1, shared)]
fn over_unversioned(n: u32) -> u32 {
    ran(format!("over_unversioned {n}"));
    leaf(n) + over_versioned(n)
}

#[test]
fn another_build_uses_functions_that_declare_a_version_and_no_others() {
    let here = tree(1);
    let open_as = |code: &str, store: &MemoryStorage| {
        Runtime::builder()
            .base(here.path())
            .storage(store.clone())
            .fingerprints(Fingerprints::Blake3)
            .code_identity(code)
            .build()
    };
    let engine = MemoryEngine::new();
    let first = MemoryStorage::new();
    open_as("old", &first).run(|| over_unversioned(3));
    let pushed = share(&engine, &first);
    assert_eq!((pushed.tasks, pushed.packs), (4, 2));
    take_ran();
    let second = MemoryStorage::new();
    // A store that a newer program has used already.
    open_as("new", &second).run(|| words(Path::new("src/000.txt")));
    let pulled = take(&engine, &second);
    assert_eq!((pulled.imported, pulled.other_builds), (2, 1));
    take_ran();
    open_as("new", &second).run(|| over_unversioned(3));
    assert_eq!(take_ran(), ["over_unversioned 3"], "what it has read has no version");
}

#[task_fn(version = 1)]
fn not_shared(n: u32) -> u32 {
    ran(format!("not_shared {n}"));
    n
}

#[task_fn(local)]
fn local(n: u32) -> u32 {
    ran(format!("local {n}"));
    n
}

#[task_fn]
fn over_local(n: u32) -> u32 {
    ran(format!("over_local {n}"));
    local(n)
}

#[test]
fn versions_are_shared_with_the_same_build_alone_unless_they_say_so_and_what_is_local_stays() {
    let here = tree(1);
    let open_as = |code: &str, store: &MemoryStorage| {
        Runtime::builder()
            .base(here.path())
            .storage(store.clone())
            .fingerprints(Fingerprints::Blake3)
            .code_identity(code)
            .build()
    };
    let (engine, first) = (MemoryEngine::new(), MemoryStorage::new());
    open_as("old", &first).run(|| (not_shared(1), over_local(1)));
    let pushed = share(&engine, &first);
    assert_eq!((pushed.tasks, pushed.packs), (1, 1));
    let second = MemoryStorage::new();
    open_as("new", &second).run(|| words(Path::new("src/000.txt")));
    assert_eq!(take(&engine, &second).imported, 0);
    take_ran();
    open_as("new", &second).run(|| not_shared(1));
    let third = MemoryStorage::new();
    assert_eq!(take(&engine, &third).imported, 1);
    open_as("old", &third).run(|| (not_shared(1), over_local(1)));
    assert_eq!(take_ran(), ["local 1", "not_shared 1", "over_local 1"]);
}

thread_local! {
    static SCALE: std::cell::Cell<usize> = const { std::cell::Cell::new(1) };
}

/// Its code is another one in each build.
#[task_fn]
fn scale() -> usize {
    SCALE.get()
}

#[task_fn(version = 1)]
fn scaled() -> usize {
    scale() * words(Path::new("src/000.txt")).len()
}

#[test]
fn a_result_over_other_code_stays_one_that_has_to_be_verified() {
    let (here, there) = (tree(1), tree(1));
    fs::write(here.path().join("src/000.txt"), "a b c d e").unwrap();
    fs::write(there.path().join("src/000.txt"), "a b c").unwrap();
    let open_as = |code: &str, base: &Path, store: &MemoryStorage| {
        Runtime::builder()
            .base(base)
            .storage(store.clone())
            .fingerprints(Fingerprints::Blake3)
            .code_identity(code)
            .build()
    };
    let (first, second, engine) = (MemoryStorage::new(), MemoryStorage::new(), MemoryEngine::new());
    assert_eq!(open_as("old", there.path(), &second).run(scaled), 3);
    // The new program writes to the store, and does not ask for what the old one has left.
    SCALE.set(2);
    open_as("new", there.path(), &second).run(|| count(Path::new("src/000.txt")));
    assert_eq!(open_as("new", here.path(), &first).run(scaled), 10);
    share(&engine, &first);
    take(&engine, &second);
    assert_eq!(open_as("new", there.path(), &second).run(scaled), 6);
    SCALE.set(1);
}
