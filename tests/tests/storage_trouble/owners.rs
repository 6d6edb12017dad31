//! Stores that another process has, that cannot be written, or that are no stores.

use super::*;

#[test]
fn child_that_holds_the_store() {
    let Some(path) = store_of_child() else { return };
    let runtime = over(RedbStorage::open(path).unwrap());
    pages(&runtime, 0..20);
    runtime.flush().unwrap();
    println!("\nopened 1");
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_store_that_another_process_has_is_a_clear_error_or_read_as_it_is_by_choice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    assert_eq!(pages(&over(RedbStorage::open(&path).unwrap()), 0..10), 10);
    let mut child = child("owners::child_that_holds_the_store", &path, 0);
    numbers(&mut child, "opened").next().unwrap();
    let error = RedbStorage::open(&path).unwrap_err();
    assert!(error.is_held() && error.to_string().contains("open in another process"), "{error}");
    let before = std::fs::read(&path).unwrap();
    let runtime = over(RedbStorage::open_snapshot(&path).unwrap());
    assert_eq!(pages(&runtime, 0..25), 5, "what was stored by then is there");
    assert!(runtime.flush().is_err(), "a snapshot takes nothing");
    assert!(runtime.take_write_error().unwrap().to_string().contains("read"), "and says so");
    drop(runtime);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(pages(&over(RedbStorage::open(&path).unwrap()), 0..20), 0);
}

#[test]
fn a_store_in_a_folder_that_cannot_be_written_is_read_by_choice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    assert_eq!(pages(&over(RedbStorage::open(&path).unwrap()), 0..10), 10);
    let before = std::fs::read(&path).unwrap();
    let mut permissions = std::fs::metadata(folder.path()).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(folder.path(), permissions.clone()).unwrap();
    // Two of them at once, too.
    let runtimes = [(); 2].map(|()| over(RedbStorage::open_read_only(&path).unwrap()));
    for runtime in &runtimes {
        assert_eq!(pages(runtime, 0..15), 5);
        assert!(runtime.flush().is_err());
        assert!(runtime.take_write_error().is_some() && runtime.take_write_error().is_none());
        assert_eq!(pages(runtime, 0..15), 0, "in memory they stay");
    }
    drop(runtimes);
    #[allow(
        clippy::permissions_set_readonly_false,
        reason = "it is a folder of this test, about to be removed"
    )]
    permissions.set_readonly(false);
    std::fs::set_permissions(folder.path(), permissions).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_of_another_program_is_not_touched_and_results_stay_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    for foreign in [&b"not a store"[..], &[0; 100_000], b"redb\x1a\x0a\xa9\x0d\x0a and more"] {
        std::fs::write(&path, foreign).unwrap();
        let error = RedbStorage::open(&path).unwrap_err();
        assert!(error.to_string().contains("is not a store, and was not touched"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), foreign);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_damaged_store_is_kept_and_a_new_one_begun() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    assert_eq!(pages(&over(RedbStorage::open(&path).unwrap()), 0..5), 5);
    let mut damaged = std::fs::read(&path).unwrap();
    damaged[64..320].fill(1);
    std::fs::write(&path, &damaged).unwrap();
    let storage = RedbStorage::open(&path).unwrap();
    assert_eq!(std::fs::read(storage.set_aside().unwrap().path).unwrap(), damaged);
    let runtime = over(storage);
    assert_eq!(runtime.stats().storage.unwrap().opened, Opened::Fresh);
    assert_eq!(pages(&runtime, 0..5), 5);
    drop(runtime);
    assert_eq!(pages(&over(RedbStorage::open(&path).unwrap()), 0..5), 0);
}
