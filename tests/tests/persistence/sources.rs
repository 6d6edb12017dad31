//! Files, patterns and variables.

use super::*;

#[task_fn]
fn read(path: &Path) -> Result<String, String> {
    ran(format!("read {}", path.file_name().unwrap().display()));
    fs::read_to_string(path).map(|text| text.to_string()).map_err(|error| error.to_string())
}

#[task_fn]
pub(crate) fn length(path: &Path) -> usize {
    ran(format!("length {}", path.file_name().unwrap().display()));
    read(path).map_or(0, |text| text.trim().len())
}

#[task_fn]
fn total_length(folder: &Path) -> usize {
    ran("total_length");
    fs::read_dir(folder).unwrap().iter().map(|entry| length(&entry.path)).sum()
}

/// Makes a file look as if it had been written long ago.
pub(crate) fn settle(path: &Path, seconds: u64) {
    let time = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn with_files(test: impl Fn(&dyn Fn() -> Runtime, &Path)) {
    on_each_store(|open| {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("a", "1"), ("b", "22"), ("c", "333")] {
            std::fs::write(folder.path().join(name), text).unwrap();
            settle(&folder.path().join(name), 100);
        }
        let first = open();
        assert_eq!(first.run(|| total_length(folder.path())), 6);
        drop(first);
        take_ran();
        test(open, folder.path());
    });
}

#[test]
fn unchanged_files_are_not_read_and_touched_ones_change_nothing() {
    with_files(|open, folder| {
        let second = open();
        assert_eq!(second.run(|| total_length(folder)), 6);
        drop(second);
        settle(&folder.join("b"), 50);
        for _ in 0..2 {
            let runtime = open();
            assert_eq!(runtime.run(|| total_length(folder)), 6);
            assert_eq!(runtime.run(|| read(&folder.join("b"))).unwrap(), "22");
        }
        assert_eq!(take_ran(), [""; 0]);
    });
}

#[test]
fn a_changed_file_is_noticed_at_opening() {
    with_files(|open, folder| {
        std::fs::write(folder.join("b"), "22 ").unwrap();
        let second = open();
        assert_eq!(second.run(|| total_length(folder)), 6);
        // Its length is what it was.
        assert_eq!(take_ran(), ["length b", "read b"]);
        drop(second);
        std::fs::write(folder.join("b"), "4444").unwrap();
        let third = open();
        assert_eq!(third.run(|| total_length(folder)), 8);
        assert_eq!(take_ran(), ["length b", "read b", "total_length"]);
        drop(third);
        // And back, with another stamp.
        std::fs::write(folder.join("b"), "22").unwrap();
        let fourth = open();
        assert_eq!(fourth.run(|| total_length(folder)), 6);
        assert_eq!(take_ran(), [""; 0]);
    });
}

#[test]
fn a_file_that_is_changed_within_the_granularity_of_times_is_noticed() {
    with_files(|open, folder| {
        let path = folder.join("b");
        let stamped = std::fs::metadata(&path).unwrap().modified().unwrap();
        // Racy: written now, seen now, and changed in the same instant.
        std::fs::write(&path, "4444").unwrap();
        let now = std::fs::metadata(&path).unwrap().modified().unwrap();
        let second = open();
        assert_eq!(second.run(|| total_length(folder)), 8);
        drop(second);
        std::fs::write(&path, "55555".get(..4).unwrap()).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(now).unwrap();
        let third = open();
        assert_eq!(third.run(|| read(&path)).unwrap(), "5555");
        assert_ne!(now, stamped);
    });
}

#[test]
fn deleted_and_new_files_are_noticed() {
    with_files(|open, folder| {
        std::fs::remove_file(folder.join("c")).unwrap();
        let second = open();
        assert_eq!(second.run(|| total_length(folder)), 3);
        assert_eq!(take_ran(), ["total_length"]);
        assert!(second.run(|| read(&folder.join("c"))).is_err());
        drop(second);
        std::fs::write(folder.join("c"), "55555").unwrap();
        let third = open();
        assert_eq!(third.run(|| total_length(folder)), 8);
        assert_eq!(third.run(|| read(&folder.join("c"))).unwrap(), "55555");
        take_ran();
    });
}

#[test]
fn a_refresh_looks_at_files_that_no_task_of_this_process_has_read() {
    with_files(|open, folder| {
        let runtime = open();
        assert_eq!(runtime.run(|| total_length(folder)), 6);
        std::fs::write(folder.join("a"), "999999").unwrap();
        let refreshed = runtime.refresh().unwrap();
        assert_eq!(refreshed.changed, 1, "{refreshed:?}");
        assert!(refreshed.checked >= 4, "{refreshed:?}");
        assert_eq!(runtime.run(|| total_length(folder)), 11);
        assert_eq!(take_ran(), ["length a", "read a", "total_length"]);
        std::fs::write(folder.join("a"), "1").unwrap();
        assert_eq!(runtime.refresh().unwrap().changed, 1);
        assert_eq!(runtime.run(|| total_length(folder)), 6);
        assert_eq!(take_ran(), [""; 0]);
    });
}

#[test]
fn a_file_that_changes_after_opening_is_one_thing_in_a_session() {
    // A restored task had seen the file as it was at opening; another one read it as it is later.
    with_files(|open, folder| {
        let runtime = open();
        assert_eq!(runtime.run(|| length(&folder.join("b"))), 2);
        std::fs::write(folder.join("b"), "4444").unwrap();
        let failure = runtime.run(|| other_read(&folder.join("b"))).unwrap_err();
        assert!(failure.contains("changed"), "{failure}");
        runtime.refresh().unwrap();
        assert_eq!(runtime.run(|| other_read(&folder.join("b"))).unwrap(), "4444");
        assert_eq!(runtime.run(|| length(&folder.join("b"))), 4);
        // With the content that the failed attempt was asked about, it is not the failure that comes back.
        std::fs::write(folder.join("b"), "22").unwrap();
        runtime.refresh().unwrap();
        assert_eq!(runtime.run(|| other_read(&folder.join("b"))).unwrap(), "22");
        drop(runtime);
        let next = open();
        assert_eq!(next.run(|| other_read(&folder.join("b"))).unwrap(), "22");
        take_ran();
    });
}

#[task_fn]
fn other_read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map(|text| text.to_string()).map_err(|error| error.to_string())
}

#[task_fn]
fn variable() -> Option<String> {
    ran("variable");
    larder::env::var("LARDER_TEST_VARIABLE")
}

#[test]
fn an_environment_variable_is_looked_at_again() {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock();
    on_each_store(|open| {
        for (value, expected) in [(Some("1"), true), (Some("1"), false), (None, true), (Some("1"), false)] {
            match value {
                // SAFETY: no other test of this binary reads or writes the environment.
                Some(value) => unsafe { std::env::set_var("LARDER_TEST_VARIABLE", value) },
                // SAFETY: as above.
                None => unsafe { std::env::remove_var("LARDER_TEST_VARIABLE") },
            }
            let runtime = open();
            assert_eq!(runtime.run(variable).as_deref(), value);
            assert_eq!(!take_ran().is_empty(), expected, "{value:?}");
        }
    });
}

#[task_fn]
fn matches(pattern: &str) -> usize {
    ran("matches");
    fs::glob(pattern).unwrap().len()
}

#[test]
fn a_pattern_is_looked_at_again() {
    with_files(|open, folder| {
        let pattern = format!("{}/*", folder.display());
        for (count, expected) in [(3, 1), (3, 0)] {
            assert_eq!(open().run(|| matches(&pattern)), count);
            assert_eq!(take_ran().len(), expected);
        }
        std::fs::write(folder.join("d"), "").unwrap();
        assert_eq!(open().run(|| matches(&pattern)), 4);
        assert_eq!(take_ran(), ["matches"]);
    });
}

#[task_fn(transient)]
fn first_line(path: &Path) -> String {
    fs::read_to_string(path).unwrap().lines().next().unwrap_or_default().to_owned()
}

/// Readers of a forgotten task stay in the store. They depend on the file that it has read, though no record says so.
#[test]
fn a_file_is_looked_at_as_long_as_something_stored_depends_on_it_through_what_was_forgotten() {
    on_each_store(|open| {
        for restarts in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a");
            std::fs::write(&path, "1").unwrap();
            settle(&path, 100);
            assert_eq!(open().run(|| length(&path)), 1);
            let mut runtime = open();
            assert!(runtime.run(|| read::forget(&path)));
            runtime.shrink_to(0).unwrap();
            runtime.flush().unwrap();
            // The file comes into memory, and goes again. Of its dependents, the store has `length` alone.
            assert_eq!(runtime.run(|| first_line(&path)), "1");
            runtime.shrink_to(0).unwrap();
            runtime.refresh().unwrap();
            runtime.shrink_to(0).unwrap();
            runtime.flush().unwrap();
            if restarts {
                drop(runtime);
                runtime = open();
            }
            take_ran();
            std::fs::write(&path, "22").unwrap();
            runtime.refresh().unwrap();
            assert_eq!(runtime.run(|| length(&path)), 2, "restarts: {restarts}");
            assert_eq!(take_ran(), ["length a", "read a"]);
        }
    });
}
