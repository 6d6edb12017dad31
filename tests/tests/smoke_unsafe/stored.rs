//! Results that are stored and restored, inputs and sources that are known by name, results that were replaced in a session.

use std::fs::write;
use std::path::{Path, PathBuf};

use larder::storage::MemoryStorage;
use larder::{Input, Runtime, TaskError, emit, fs, task_fn};

fn open(store: &MemoryStorage) -> Runtime {
    Runtime::builder().storage(store.clone()).code_identity("smoke").build()
}

#[task_fn]
fn words(text: &Input<String>, at: usize) -> Vec<String> {
    emit(at);
    text.with(|text| text.split(' ').skip(at).map(str::to_owned).collect())
}

#[task_fn]
fn joined(text: &Input<String>) -> String {
    // Longer than what stands in the record of a task.
    format!("{:>1200}", words(text, 1).concat() + &words::with(text, 2, |words| words.concat()))
}

#[test]
fn results_are_restored_and_replaced_well() {
    let store = MemoryStorage::new();
    for (round, text) in ["a b c", "a b d", "a b c"].into_iter().enumerate() {
        let runtime = open(&store);
        let input = runtime.input("text", text.to_owned());
        let handle = runtime.run(|| joined::task(&input));
        let joined = runtime.run(|| handle.get());
        assert!(joined.trim().starts_with('b'), "round {round}");
        assert_eq!(runtime.run(|| joined::collect::<usize>(&input)), [1, 2]);
        runtime.update(|update| update.set(&input, "x y z".to_owned())).unwrap();
        assert_eq!(runtime.run(|| joined_of(&input)).trim(), "yzz");
        if round == 1 {
            runtime.run(|| {
                assert!(words(&input, 2).len() == 1 && words::forget(&input, 2) && joined::forget(&input))
            });
        }
        runtime.update(|update| update.set(&input, text.to_owned())).unwrap();
        assert_eq!(runtime.run(|| joined_of(&input)), joined);
    }
}

fn joined_of(input: &Input<String>) -> String {
    joined(input)
}

#[task_fn]
fn size(path: &str) -> usize {
    fs::read(path).map_or(0, |content| content.len()) + lines(path)
}

#[task_fn]
fn spelled(path: &Path, all: &[PathBuf], one: Option<PathBuf>) -> String {
    format!("{path:?} {all:?} {one:?}")
}

#[test]
fn paths_are_told_apart_by_their_bytes() {
    Runtime::new().run(|| {
        let calls = ["a", "a/", "a/."].map(|text| {
            let path = PathBuf::from(text);
            spelled(&path, std::slice::from_ref(&path), Some(path.clone()))
        });
        assert!(calls[0] != calls[1] && calls[1] != calls[2]);
    });
}

#[task_fn]
fn lines(path: &str) -> usize {
    fs::read_to_string(path).map_or(0, |content| content.lines().count())
}

#[test]
fn sources_are_observed_and_replaced_well() -> Result<(), TaskError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let path = path.to_str().unwrap();
    let store = MemoryStorage::new();
    write(path, "one").unwrap();
    let runtime = open(&store);
    assert_eq!(runtime.try_run(|| size(path))?, 4);
    write(path, "one\ntwo").unwrap();
    runtime.refresh().unwrap();
    assert_eq!(runtime.try_run(|| (size(path), fs::read_dir(folder.path()).unwrap().len()))?, (9, 1));
    drop(runtime);
    let runtime = open(&store);
    assert_eq!(runtime.try_run(|| size(path))?, 9);
    // A restored value says what the file was: a task that reads it now, in this session, is told that it has changed.
    runtime.try_run(|| {
        assert_eq!(lines(path), 2);
        write(path, "one\ntwo\nthree").unwrap();
        assert!(fs::read(path).is_err());
    })?;
    runtime.refresh().unwrap();
    assert_eq!(runtime.try_run(|| size(path))?, 16);
    std::fs::remove_file(path).unwrap();
    runtime.refresh().unwrap();
    assert_eq!(runtime.try_run(|| size(path))?, 0);
    Ok(())
}

#[task_fn(cycle_initial = 0)]
fn around(text: &Input<String>, at: usize) -> usize {
    let most = words(text, 0).len();
    (around(text, (at + 1) % 2) + 1).min(most)
}

#[test]
fn components_are_stored_restored_and_dissolved_well() {
    let store = MemoryStorage::new();
    for first in [0, 1, 0] {
        let runtime = open(&store);
        let input = runtime.input("text", "a b c".to_owned());
        assert_eq!(runtime.run(|| (around(&input, first), around(&input, 1 - first))), (3, 3));
        for (text, most) in [("a b", 2), ("a b c", 3), ("a b", 2)] {
            runtime.update(|update| update.set(&input, text.to_owned())).unwrap();
            assert_eq!(runtime.run(|| (around(&input, 1), around(&input, 0))), (most, most));
        }
        assert_eq!(runtime.run(|| around::collect::<usize>(&input, 0)), [0]);
        assert!(runtime.run(|| around::forget(&input, 0)));
        runtime.update(|update| update.set(&input, "a b c".to_owned())).unwrap();
        assert_eq!(runtime.run(|| around(&input, 1)), 3);
    }
}
